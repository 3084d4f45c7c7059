"""Counting hits of real edges against those of decoys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..records import Draw

#: False hits that a hit of L·R', L'·R and L'·R' stands for.
SIGNS = (1.0, 1.0, -1.0)
#: Strengths, in standard deviations per standard deviation, are counted in so many bins from 0 to the largest; what is larger counts as the largest.
BINS, LARGEST = 40_000, 2.0


class Tally:
    """Numbers of decoys by strength, each with the false hits it stands for; strengths of one bin count as equal."""

    def __init__(self) -> None:
        self._counts = torch.zeros(BINS, dtype=torch.float64)

    def add(self, strength: Tensor, sign: float) -> None:
        """Decoys, of which every one stands for ``sign`` false hits; ``strength`` at least 0."""
        self._counts += sign * torch.bincount(_bin(strength).flatten(), minlength=BINS).cpu()

    def log_p(self, strength: Tensor, n_candidates: int) -> Tensor:
        """Log of ``(1 + decoys at least as strong) / (1 + candidates)``, at most 0, for every real edge."""
        tail = self._counts.flip(0).cumsum(0).clamp_min(0.0).cummax(0).values.flip(0)
        return torch.log(((1.0 + tail) / (1.0 + n_candidates)).clamp_max(1.0)).float()[
            _bin(strength).cpu()
        ]


def _bin(strength: Tensor) -> Tensor:
    return (strength * (BINS / LARGEST)).clamp_max(BINS - 1).long()


def draw_of(
    real: tuple[Tensor, Tensor], decoys: Sequence[Tensor], signs: tuple[float, ...]
) -> Draw:
    """One refit of one task from the real edges that have a weight, (numbers, weights), and the weights of decoys."""
    number, weight = real
    found = [d.abs().flatten() for d in decoys]
    values = np.concatenate([d[d > 0].cpu().numpy() for d in found])
    weights = np.concatenate(
        [np.full(int((d > 0).sum()), sign) for d, sign in zip(found, signs, strict=True)]
    )
    order = np.argsort(values, kind="stable")
    return Draw(number.cpu().numpy(), weight.abs().cpu().numpy(), values[order], weights[order])


def nonzero(weights: Tensor, first: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Numbers and values of the entries that are not 0 of (A, G) weights, whose rows begin at ``first`` (A,) numbers."""
    row, column = torch.nonzero(weights, as_tuple=True)
    number = (row if first is None else first[row]) * weights.shape[1] + column
    return number, weights[row, column]
