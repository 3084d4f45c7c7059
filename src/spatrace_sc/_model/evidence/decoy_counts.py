"""Counts of decoys by strength, and records of the scores of real edges and decoys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..records import Draw

#: False hits that a hit of L·R', L'·R and L'·R' counts for.
DECOY_SIGNS = (1.0, 1.0, -1.0)
#: Bins in which strengths are counted, and the largest strength, in standard deviations per
#: standard deviation. A larger strength counts as the largest.
N_BINS, MAX_STRENGTH = 40_000, 2.0


class Tally:
    """Numbers of decoys by strength, each with the false hits that it counts for.

    Strengths of one bin count as equal.
    """

    def __init__(self) -> None:
        self._counts = torch.zeros(N_BINS, dtype=torch.float64)

    def add(self, strength: Tensor, sign: float) -> None:
        """Add decoys of non-negative ``strength``, each of which counts for ``sign`` false hits."""
        self._counts += sign * torch.bincount(_bin(strength).flatten(), minlength=N_BINS).cpu()

    def log_p(self, strength: Tensor, n_candidates: int) -> Tensor:
        """Log of (1 + decoys at least as strong) / (1 + candidates), at most 0, per real edge."""
        tail = self._counts.flip(0).cumsum(0).clamp_min(0.0).cummax(0).values.flip(0)
        log_p = torch.log(((1.0 + tail) / (1.0 + n_candidates)).clamp_max(1.0)).float()
        return log_p[_bin(strength).cpu()]


def _bin(strength: Tensor) -> Tensor:
    return (strength * (N_BINS / MAX_STRENGTH)).clamp_max(N_BINS - 1).long()


def draw_of(
    real: tuple[Tensor, Tensor], decoys: Sequence[Tensor], signs: tuple[float, ...]
) -> Draw:
    """Record of one refit of one task.

    Parameters
    ----------
    real
        Indices and weights of the real edges that have a weight.
    decoys
        Weights of the decoys of each kind.
    signs
        False hits that a decoy of each kind counts for.
    """
    index, weight = real
    sizes = [decoy.abs().flatten() for decoy in decoys]
    values = np.concatenate([size[size > 0].cpu().numpy() for size in sizes])
    weights = np.concatenate(
        [np.full(int((size > 0).sum()), sign) for size, sign in zip(sizes, signs, strict=True)]
    )
    order = np.argsort(values, kind="stable")
    return Draw(index.cpu().numpy(), weight.abs().cpu().numpy(), values[order], weights[order])


def nonzero(weights: Tensor, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Indices and values of the nonzero entries of (A, G) weights.

    ``rows`` (A,) are the indices of the regulators; None: 0 to A - 1.
    """
    row, column = torch.nonzero(weights, as_tuple=True)
    index = (row if rows is None else rows[row]) * weights.shape[1] + column
    return index, weights[row, column]
