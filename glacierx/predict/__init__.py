"""From a scene to a probability map."""
