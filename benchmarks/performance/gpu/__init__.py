"""Performance on a GPU: a part per module."""
