"""Numerics on numpy and scipy arrays.

Nothing here knows AnnData or torch, or imports from the rest of the package.
"""
