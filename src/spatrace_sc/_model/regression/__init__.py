"""Sparse regression on columns that are computed when they are needed."""
