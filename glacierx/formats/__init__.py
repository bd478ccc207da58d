"""Inventories in the formats that others ask for."""
