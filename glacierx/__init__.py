"""Outlines of individual glaciers from a satellite scene and a DEM."""

__version__ = "0.1.0"
