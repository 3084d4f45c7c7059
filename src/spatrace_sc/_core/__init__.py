"""Numerics on plain numpy and scipy arrays. Nothing here knows AnnData or torch, or imports from the package."""
