"""Resampling, null models and tests of the fitted edges."""
