"""From a probability map to glaciers in a GIS file."""
