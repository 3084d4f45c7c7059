"""Changes the last digits of what the model reads, as the rounding of another processor would.

Every processor adds in an order of its own, so sums differ in their last digits from one to the
next. ``SPATRACE_LAST_DIGITS=<seed>`` gives one machine many such roundings: it replaces the last
bits of the regulators and targets of every :class:`Problem` by bits that depend on the seed and on
the value alone. Equal values stay equal, in any order of cells or genes, and a value that was
changed once is not changed again.
"""

from __future__ import annotations

import os

import torch

from spatrace_sc._model.records import History, Problem

VARIABLE = "SPATRACE_LAST_DIGITS"
#: Bits of a float32 that are replaced: a relative change of at most 1e-6.
BITS = 3
CHANGED = {History: ("tf", "receptor", "exposure"), Problem: ("targets", "tf_count")}


def rounded(values: torch.Tensor, seed: int) -> torch.Tensor:
    """Copy of float32 ``values`` with other last bits; 0 stays 0."""
    bits = values.contiguous().view(torch.int32).long()
    kept = bits >> BITS
    mixed = (kept + seed * 0x9E3779B1) * 0x5851F42D4C957F2D
    mixed = (mixed ^ (mixed >> 29)) * 0x14057B7EF767814F
    changed = (kept << BITS) | (mixed >> 40) & (2**BITS - 1)
    return torch.where(values == 0, values, changed.int().view(torch.float32))


def change_last_digits(seed: int) -> None:
    """Apply :func:`rounded` to every problem and history that is made from now on."""
    for record, names in CHANGED.items():
        make = record.__init__

        def changed(self, *args, _make=make, _names=names, **kwargs):
            _make(self, *args, **kwargs)
            for name in _names:
                object.__setattr__(self, name, rounded(getattr(self, name), seed))

        record.__init__ = changed


def change_as_asked() -> None:
    """Apply the seed of the environment variable, if it is set."""
    if seed := os.environ.get(VARIABLE):
        change_last_digits(int(seed))
