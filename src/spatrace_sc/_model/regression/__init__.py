"""Sparse regression on streamed columns."""
