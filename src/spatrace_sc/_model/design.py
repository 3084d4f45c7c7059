"""Columns of regulators, computed when they are needed: memory grows with cells × (TFs + ligands + receptors), never with cells × pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

#: Floats of a block of columns; 32 M are 128 MB.
BLOCK = 32_000_000


def standard(x: Tensor) -> Tensor:
    """Columns with mean 0 and sd 1; constant ones become 0."""
    sd = x.std(0, correction=0)
    return (x - x.mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)


class Design:
    """Standardised regulators of N cells, addressed by column number.

    Parameters
    ----------
    parts
        In order: (number of columns, function from column indices within the part to (N, A) values).
    fit_on
        (N,) cells on which means and standard deviations are taken.
    """

    def __init__(self, parts: list[tuple[int, Callable[[Tensor], Tensor]]], fit_on: Tensor) -> None:
        self._parts = parts
        self._starts = [0]
        for size, _ in parts:
            self._starts.append(self._starts[-1] + size)
        self.n_columns = self._starts[-1]
        self.fit_on = fit_on
        n = len(fit_on)
        self.block = max(1, BLOCK // max(1, n))
        self.mean = torch.zeros(self.n_columns, device=fit_on.device)
        self.sd = torch.ones(self.n_columns, device=fit_on.device)
        for columns in self.blocks():
            raw = self._raw(columns)[fit_on]
            self.mean[columns], self.sd[columns] = raw.mean(0), raw.std(0, correction=0)
        self.constant = self.sd < 1e-6
        self.sd = torch.where(self.constant, torch.inf, self.sd)

    def blocks(self, columns: Tensor | None = None) -> Iterator[Tensor]:
        """Column numbers in pieces whose values fit in memory."""
        columns = torch.arange(self.n_columns, device=self.fit_on.device) if columns is None else columns
        yield from columns.split(self.block)

    def _raw(self, columns: Tensor) -> Tensor:
        pieces = []
        for (_, values), low, high in zip(self._parts, self._starts, self._starts[1:], strict=False):
            inside = columns[(columns >= low) & (columns < high)]
            if len(inside):
                pieces.append(values(inside - low))
        return torch.cat(pieces, dim=1) if pieces else self.mean.new_zeros((len(self.fit_on), 0))

    def __getitem__(self, columns: Tensor) -> Tensor:
        """(N, A) standardised values; constant columns are 0. ``columns`` ascending."""
        return (self._raw(columns) - self.mean[columns]) / self.sd[columns]
