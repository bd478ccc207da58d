"""From files to pixels with a place on Earth."""
