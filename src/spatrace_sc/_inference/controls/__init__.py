"""Negative and positive controls on the tissue of a result."""
