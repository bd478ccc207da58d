"""A made scene, DEM and outlines with a known answer."""
