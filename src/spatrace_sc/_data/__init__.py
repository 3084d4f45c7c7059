"""Checked arrays from AnnData and SpatialData."""
