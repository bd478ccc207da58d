"""Many scenes, each by itself: here, on a cluster, or in shares of a job array."""
