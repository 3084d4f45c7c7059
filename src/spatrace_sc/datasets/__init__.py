"""Data to try and to test on."""

from ._simulated import simulated

__all__ = ["simulated"]
