"""Data sets: a simulated tissue with known truth, and published atlases."""

from ._atlases import axolotl_regeneration, mouse_midbrain
from ._simulated import simulated

__all__ = ["axolotl_regeneration", "mouse_midbrain", "simulated"]
