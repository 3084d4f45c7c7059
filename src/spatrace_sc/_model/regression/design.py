"""Columns of regulators, computed when they are needed: memory grows with cells × (TFs + ligands + receptors), never with cells × pairs.

Columns are laid out one after the other, so that a product over cells reads memory in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

#: Floats of a block of columns, at most; 32 M are 128 MB.
BLOCK = 32_000_000
#: On a CPU as few as these, 16 MB, if that still makes so many columns: larger ones are fetched from the system and cleared anew for every block.
SMALL, ENOUGH = 4_000_000, 64


def standard(x: Tensor) -> Tensor:
    """Columns with mean 0 and sd 1; constant ones become 0."""
    sd = x.std(0, correction=0)
    return (x - x.mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)


class Columns(Protocol):
    """Some columns of a design in some cells."""

    n: int

    def values(self, columns: Tensor) -> Tensor:
        """(A, cells) of the columns named, ascending."""
        ...

    def at(self, rows: Tensor) -> Columns:
        """The same in some of the cells, a mask."""
        ...


class Plain:
    """Columns that are stored, (cells, C)."""

    def __init__(self, stored: Tensor, *, transposed: bool = False) -> None:
        self._stored = stored if transposed else stored.T.contiguous()
        self.n = len(self._stored)

    def values(self, columns: Tensor) -> Tensor:
        """(A, cells)"""
        return self._stored[columns]

    def at(self, rows: Tensor) -> Plain:
        """In some of the cells."""
        return Plain(self._stored[:, rows], transposed=True)


class Pairs(NamedTuple):
    """Saturating signals of pairs: which ligand (P,), which receptor (P,), the half-saturation (P,) and the exponent."""

    ligand: Tensor
    receptor: Tensor
    half_dose: Tensor
    exponent: float


class Signals:
    """:math:`D^n / (D^n + K^n)` of pairs, with the dose :math:`D` = exposure × receptor; (cells, L) and (cells, R)."""

    def __init__(
        self, pairs: Pairs, exposure: Tensor, receptor: Tensor, *, transposed: bool = False
    ) -> None:
        self._pairs, self.n = pairs, len(pairs.ligand)
        self._exposure, self._receptor = (
            m if transposed else m.T.contiguous() for m in (exposure, receptor)
        )
        n_r = len(self._receptor)
        number = torch.arange(self.n, device=exposure.device)
        self._grid = bool(
            (pairs.ligand * n_r + pairs.receptor == number).all()
        )  # ligand by ligand, every receptor

    def at(self, rows: Tensor) -> Signals:
        """In some of the cells."""
        return Signals(
            self._pairs, self._exposure[:, rows], self._receptor[:, rows], transposed=True
        )

    def values(self, columns: Tensor) -> Tensor:
        """(A, cells)"""
        low, high = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
        if not self._grid or high - low > len(columns):
            return self._chosen(columns)
        out = self._exposure.new_empty((high - low, self._exposure.shape[1]))
        for start, stop in self._rectangles(low, high):
            self._rectangle(start, stop, out[start - low : stop - low])
        return out

    def _chosen(self, columns: Tensor) -> Tensor:
        ligand, receptor, half, exponent = self._pairs
        dose = self._exposure[ligand[columns]].mul_(self._receptor[receptor[columns]])
        return _saturate(dose, half[columns][:, None], exponent)

    def _rectangles(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """A run of pairs cut into the end of one ligand, whole ligands, and the beginning of another."""
        n_r = len(self._receptor)
        first, last = -(-low // n_r) * n_r, high // n_r * n_r
        cuts = [low, first, last, high] if first <= last else [low, high]
        yield from ((a, b) for a, b in pairwise(cuts) if b > a)

    def _rectangle(self, start: int, stop: int, out: Tensor) -> None:
        """Every ligand with every receptor of the run: products over a grid, without a copy per pair."""
        n_r = len(self._receptor)
        ligands = slice(start // n_r, (stop - 1) // n_r + 1)
        receptors = slice(
            start % n_r, start % n_r + (stop - start) // (ligands.stop - ligands.start)
        )
        shape = (ligands.stop - ligands.start, receptors.stop - receptors.start, out.shape[1])
        torch.mul(
            self._exposure[ligands, None], self._receptor[None, receptors], out=out.view(shape)
        )
        _saturate(out, self._pairs.half_dose[start:stop, None], self._pairs.exponent)


def _saturate(dose: Tensor, half: Tensor, exponent: float) -> Tensor:
    """In place."""
    if exponent != 1.0:
        dose.pow_(exponent)
        half = half**exponent
    return dose.div_(dose + half)


class View:
    """A design in some of its cells."""

    def __init__(self, design: Design, parts: Sequence[Columns], n: int) -> None:
        self._design, self._parts, self.n = design, parts, n

    def raw(self, columns: Tensor) -> Tensor:
        """(A, n) values as they are; ``columns`` ascending."""
        starts = self._design.starts
        cuts = torch.searchsorted(columns, torch.tensor(starts, device=columns.device)).tolist()
        pieces = [
            part.values(columns[a:b] - start)
            for part, start, (a, b) in zip(self._parts, starts, pairwise(cuts), strict=False)
            if b > a
        ]
        if len(pieces) == 1:
            return pieces[0]
        return torch.cat(pieces) if pieces else self._design.mean.new_zeros((0, self.n))

    def __getitem__(self, columns: Tensor) -> Tensor:
        """(A, n) standardised; constant columns are 0."""
        return (
            self.raw(columns)
            .sub_(self._design.mean[columns][:, None])
            .div_(self._design.sd[columns][:, None])
        )

    def slopes(self, columns: Tensor, residual: Tensor) -> Tensor:
        """(A, G) mean over the cells of a standardised column times each of the residuals (n, G)."""
        mean, sd = self._design.mean[columns], self._design.sd[columns]
        found = self.raw(columns) @ residual
        return found.sub_(mean[:, None] * residual.sum(0)).div_(sd[:, None] * self.n)


def numbers_at_once(device: torch.device) -> int:
    """Floats of a piece of work that is thrown away again."""
    return SMALL if device.type == "cpu" else BLOCK


def _columns_at_once(n_cells: int, device: torch.device) -> int:
    n = max(1, n_cells)
    return min(max(1, BLOCK // n), max(ENOUGH, numbers_at_once(device) // n))


class Design:
    """Standardised regulators of N cells, addressed by column number.

    Parameters
    ----------
    parts
        In order.
    fit_on
        (N,) cells on which means and standard deviations are taken.
    kept
        (columns,) those that may act; the others are never computed and read as 0. None: all.
    """

    def __init__(
        self, parts: Sequence[Columns], fit_on: Tensor, kept: Tensor | None = None
    ) -> None:
        self._parts = parts
        self.starts = [0]
        for part in parts:
            self.starts.append(self.starts[-1] + part.n)
        self.n_columns = self.starts[-1]
        self.fit_on = fit_on
        every = torch.arange(self.n_columns, device=fit_on.device)
        self._columns = every if kept is None else every[kept]
        self.block = _columns_at_once(len(fit_on), fit_on.device)
        self.mean = torch.zeros(self.n_columns, device=fit_on.device)
        self.sd = torch.zeros(self.n_columns, device=fit_on.device)
        self._here = View(self, [part.at(fit_on) for part in parts], int(fit_on.sum()))
        for columns in self.blocks():
            variance, self.mean[columns] = torch.var_mean(
                self._here.raw(columns), dim=1, correction=0
            )
            self.sd[columns] = variance.sqrt()
        self.constant = self.sd < 1e-6
        self.sd = torch.where(self.constant, torch.inf, self.sd)

    def blocks(self, columns: Tensor | None = None) -> Iterator[Tensor]:
        """Numbers of the columns that may act, or of those given, in pieces whose values fit in memory."""
        yield from (self._columns if columns is None else columns).split(self.block)

    def within(self, columns: range) -> Tensor:
        """Those of a range that may act."""
        ends = torch.tensor([columns.start, columns.stop], device=self._columns.device)
        low, high = torch.searchsorted(self._columns, ends).tolist()
        return self._columns[low:high]

    def at(self, rows: Tensor) -> View:
        """The design in some cells, a mask; ready at once for those that it was fitted on."""
        if rows is self.fit_on or torch.equal(rows, self.fit_on):
            return self._here
        return View(self, [part.at(rows) for part in self._parts], int(rows.sum()))

    def __getitem__(self, columns: Tensor) -> Tensor:
        """(N, A) standardised values; constant columns are 0. ``columns`` ascending."""
        return View(self, self._parts, len(self.fit_on))[columns].T
