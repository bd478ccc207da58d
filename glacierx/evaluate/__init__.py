"""How good is it, and what has changed."""
