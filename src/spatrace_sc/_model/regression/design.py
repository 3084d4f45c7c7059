"""Design matrices whose columns are computed when they are needed.

Memory grows with cells × (TFs + ligands + receptors), never with cells × pairs. Columns are
laid out one after the other, so that a product over cells reads memory in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..runtime.memory import rows_within

#: Largest number of floats in a block of columns; 32 M are 128 MB.
MAX_BLOCK_FLOATS = 32_000_000
#: Floats in a block of columns on a CPU, 16 MB. Larger blocks would be fetched from the system
#: and cleared anew every time.
CPU_BLOCK_FLOATS = 4_000_000
#: Smallest number of columns in a block on a CPU, as far as MAX_BLOCK_FLOATS allows.
MIN_BLOCK_COLUMNS = 64
#: Largest number of floats in a design that caches its columns; 64 M are 256 MB.
MAX_CACHED_FLOATS = 64_000_000


def standard(x: Tensor) -> Tensor:
    """Columns with mean 0 and standard deviation 1; constant columns become 0."""
    sd = x.std(0, correction=0)
    return (x - x.mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)


class Columns(Protocol):
    """Columns of a design in a set of cells."""

    n: int

    def values(self, columns: Tensor) -> Tensor:
        """(A, cells) values of the given columns, ascending."""
        ...

    def at(self, rows: Tensor) -> Columns:
        """The same columns in a subset of the cells, given as a mask."""
        ...


class StoredColumns:
    """Columns that are stored, (cells, C)."""

    def __init__(self, stored: Tensor, *, transposed: bool = False) -> None:
        self._stored = stored if transposed else stored.T.contiguous()
        self.n = len(self._stored)

    def values(self, columns: Tensor) -> Tensor:
        """(A, cells) values of the given columns."""
        return self._stored[columns]

    def at(self, rows: Tensor) -> StoredColumns:
        """The same columns in a subset of the cells."""
        return StoredColumns(self._stored[:, rows], transposed=True)


class PairParameters(NamedTuple):
    """Ligand (P,), receptor (P,) and half-saturation (P,) of pairs, and the Hill exponent."""

    ligand: Tensor
    receptor: Tensor
    half_dose: Tensor
    exponent: float


class SignalColumns:
    """Saturating signals of pairs, D^n / (D^n + K^n) with the dose D = exposure × receptor.

    Exposures are (cells, L), receptors (cells, R).
    """

    def __init__(
        self, pairs: PairParameters, exposure: Tensor, receptor: Tensor, *, transposed: bool = False
    ) -> None:
        self._pairs, self.n = pairs, len(pairs.ligand)
        self._exposure, self._receptor = (
            m if transposed else m.T.contiguous() for m in (exposure, receptor)
        )
        # pairs that form a grid, ligand by ligand with every receptor, need no copy per pair
        index = torch.arange(self.n, device=exposure.device)
        in_grid = pairs.ligand * len(self._receptor) + pairs.receptor == index
        self._is_grid = bool(in_grid.all())

    def at(self, rows: Tensor) -> SignalColumns:
        """The same signals in a subset of the cells."""
        exposure, receptor = self._exposure[:, rows], self._receptor[:, rows]
        return SignalColumns(self._pairs, exposure, receptor, transposed=True)

    def values(self, columns: Tensor) -> Tensor:
        """(A, cells) signals of the given pairs."""
        low, high = (int(columns[0]), int(columns[-1]) + 1) if len(columns) else (0, 0)
        if not self._is_grid or high - low > len(columns):
            return self._scattered(columns)
        out = self._exposure.new_empty((high - low, self._exposure.shape[1]))
        for start, stop in self._rectangles(low, high):
            self._fill_rectangle(start, stop, out[start - low : stop - low])
        return out

    def _scattered(self, columns: Tensor) -> Tensor:
        """(A, cells) signals of pairs that are no contiguous run of the grid."""
        ligand, receptor, half, exponent = self._pairs
        dose = self._exposure[ligand[columns]].mul_(self._receptor[receptor[columns]])
        return _saturate(dose, half[columns][:, None], exponent)

    def _rectangles(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """A run of pairs cut into the end of a ligand, whole ligands, and the start of another."""
        n_r = len(self._receptor)
        first, last = -(-low // n_r) * n_r, high // n_r * n_r
        cuts = [low, first, last, high] if first <= last else [low, high]
        yield from ((a, b) for a, b in pairwise(cuts) if b > a)

    def _fill_rectangle(self, start: int, stop: int, out: Tensor) -> None:
        """Write the signals of every ligand with every receptor of a rectangle of pairs."""
        n_r = len(self._receptor)
        ligands = slice(start // n_r, (stop - 1) // n_r + 1)
        n_ligands = ligands.stop - ligands.start
        receptors = slice(start % n_r, start % n_r + (stop - start) // n_ligands)
        shape = (n_ligands, receptors.stop - receptors.start, out.shape[1])
        exposure, receptor = self._exposure[ligands, None], self._receptor[None, receptors]
        torch.mul(exposure, receptor, out=out.view(shape))
        _saturate(out, self._pairs.half_dose[start:stop, None], self._pairs.exponent)


def _saturate(dose: Tensor, half: Tensor, exponent: float) -> Tensor:
    """The saturating signal of a dose, in place."""
    if exponent != 1.0:
        dose.pow_(exponent)
        half = half**exponent
    return dose.div_(dose + half)


class CachedColumns(NamedTuple):
    """Standardised columns in memory."""

    values: Tensor
    """(cached columns, n) values."""
    row: Tensor
    """(columns,) row of every column in the values; -1 for a column that is not cached."""

    def at(self, columns: Tensor) -> Tensor:
        """(A, n) values, which must not be written to; ``columns`` ascending."""
        row = self.row[columns]
        low, high = (int(row[0]), int(row[-1]) + 1) if len(row) else (0, 0)
        return self.values[low:high] if high - low == len(row) else self.values[row]


class Scale(NamedTuple):
    """Starts of the groups of columns; (columns,) means and standard deviations."""

    starts: list[int]
    mean: Tensor
    sd: Tensor


class View:
    """A design in a subset of its cells.

    ``cached`` holds its columns, if they are read many times.
    """

    def __init__(
        self, scale: Scale, groups: Sequence[Columns], n: int, cached: CachedColumns | None = None
    ) -> None:
        # a view that held its design, which holds a view, would outlive it until a collection
        self._scale, self._groups, self.n, self.cached = scale, groups, n, cached

    def raw(self, columns: Tensor) -> Tensor:
        """(A, n) values that are not standardised; ``columns`` ascending."""
        starts = self._scale.starts
        cuts = torch.searchsorted(columns, torch.tensor(starts, device=columns.device)).tolist()
        pieces = [
            group.values(columns[a:b] - start)
            for group, start, (a, b) in zip(self._groups, starts, pairwise(cuts), strict=False)
            if b > a
        ]
        if len(pieces) == 1:
            return pieces[0]
        return torch.cat(pieces) if pieces else self._scale.mean.new_zeros((0, self.n))

    def __getitem__(self, columns: Tensor) -> Tensor:
        """(A, n) standardised values, which must not be written to; constant columns are 0."""
        if self.cached is not None and bool((self.cached.row[columns] >= 0).all()):
            return self.cached.at(columns)
        mean, sd = self._scale.mean[columns], self._scale.sd[columns]
        return self.raw(columns).sub_(mean[:, None]).div_(sd[:, None])

    def slopes(self, columns: Tensor, residual: Tensor) -> Tensor:
        """(A, G) mean over the cells of each standardised column times each residual (n, G)."""
        if self.cached is not None:
            return (self[columns] @ residual).div_(self.n)
        mean, sd = self._scale.mean[columns], self._scale.sd[columns]
        products = self.raw(columns) @ residual
        return products.sub_(mean[:, None] * residual.sum(0)).div_(sd[:, None] * self.n)


def floats_at_once(device: torch.device) -> int:
    """Number of floats in a temporary array."""
    return CPU_BLOCK_FLOATS if device.type == "cpu" else MAX_BLOCK_FLOATS


def _columns_at_once(n_cells: int, device: torch.device) -> int:
    usual = max(MIN_BLOCK_COLUMNS, floats_at_once(device) // max(1, n_cells))
    return min(rows_within(MAX_BLOCK_FLOATS, n_cells), usual)


class Design:
    """Standardised regulators of N cells, addressed by column.

    Parameters
    ----------
    groups
        Groups of columns, in order.
    fit_on
        (N,) mask of the cells on which means and standard deviations are taken.
    may_act
        (columns,) mask of the columns that may act. The others are never computed and read as 0.
        None lets all columns act.
    cache
        Whether to cache the columns that may act in the cells of ``fit_on``, as far as
        :data:`MAX_CACHED_FLOATS` allows. It pays where they are read many times.
    """

    def __init__(
        self,
        groups: Sequence[Columns],
        fit_on: Tensor,
        may_act: Tensor | None = None,
        *,
        cache: bool = False,
    ) -> None:
        self._groups = groups
        self.starts = [0]
        for group in groups:
            self.starts.append(self.starts[-1] + group.n)
        self.n_columns = self.starts[-1]
        self.fit_on = fit_on
        columns = torch.arange(self.n_columns, device=fit_on.device)
        self.columns = columns if may_act is None else columns[may_act]
        self.block = _columns_at_once(len(fit_on), fit_on.device)
        self.mean = torch.zeros(self.n_columns, device=fit_on.device)
        self.sd = torch.zeros(self.n_columns, device=fit_on.device)
        self._scale = Scale(self.starts, self.mean, self.sd)
        self._fit_view = View(
            self._scale, [group.at(fit_on) for group in groups], int(fit_on.sum())
        )
        self._standardise(cache)

    def _standardise(self, cache: bool) -> None:
        """Take means and standard deviations, and cache the standardised columns if asked to."""
        view, width, cached = self._fit_view, len(self.columns), None
        if cache and 0 < width * view.n <= MAX_CACHED_FLOATS:
            row = torch.full((self.n_columns,), -1, dtype=torch.long, device=self.mean.device)
            row[self.columns] = torch.arange(width, device=row.device)
            cached = CachedColumns(self.mean.new_empty((width, view.n)), row)
        for block in self.blocks():
            values = view.raw(block)
            self.mean[block] = mean = values.mean(1)
            sd = torch.linalg.vector_norm(values.sub_(mean[:, None]), dim=1) / view.n**0.5
            self.sd[block] = sd = torch.where(sd < 1e-6, torch.inf, sd)
            if cached is not None:
                low, high = cached.row[block[0]], cached.row[block[-1]] + 1
                torch.div(values, sd[:, None], out=cached.values[low:high])
        self.sd[self.sd == 0.0] = torch.inf
        view.cached = cached

    def blocks(self, columns: Tensor | None = None) -> Iterator[Tensor]:
        """Columns in pieces whose values fit into memory; None: all columns that may act."""
        yield from (self.columns if columns is None else columns).split(self.block)

    def within(self, columns: range) -> Tensor:
        """Columns of a range that may act."""
        ends = torch.tensor([columns.start, columns.stop], device=self.columns.device)
        low, high = torch.searchsorted(self.columns, ends).tolist()
        return self.columns[low:high]

    def at(self, rows: Tensor) -> View:
        """The design in the cells of a mask; no work for the cells that it was fitted on."""
        if rows is self.fit_on or torch.equal(rows, self.fit_on):
            return self._fit_view
        return View(self._scale, [group.at(rows) for group in self._groups], int(rows.sum()))

    def __getitem__(self, columns: Tensor) -> Tensor:
        """(N, A) standardised values; constant columns are 0. ``columns`` ascending."""
        return View(self._scale, self._groups, len(self.fit_on))[columns].T
