"""From scenes and reference outlines to a model."""
