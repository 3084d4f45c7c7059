"""Expression that stays on disk: read in blocks of cells, checked as it is read, and only the genes asked for are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._core.counts import molecule, molecule_of_blocks
from .._errors import DataError, warn

logger = logging.getLogger("spatrace_sc")

#: What is in memory.
InMemory: TypeAlias = "sparse.csr_matrix | NDArray[np.floating]"
#: Values of a block, zeros included: 80 MB as dense float32.
BLOCK = 20_000_000
#: Runs of cells looked at, and cells in each, to judge whether values are raw counts.
RUNS, RUN = 8, 250


class OnDisk:
    """A cells × genes matrix of a file opened with ``backed="r"`` or :func:`anndata.experimental.read_lazy`.

    ``check`` is called with the values of every block as it is read. Rows are chosen as in numpy, in increasing order; columns by :func:`kept` and :meth:`columns`.
    """

    def __init__(
        self,
        source: Any,
        check: Callable[[NDArray[Any]], None],
        rows: NDArray[np.intp] | None = None,
    ):
        self.source = source
        self.check = check
        self.rows = np.arange(source.shape[0]) if rows is None else rows

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and genes."""
        return len(self.rows), int(self.source.shape[1])

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> OnDisk:
        chosen = self.rows[rows]
        if (np.diff(chosen) <= 0).any():
            raise IndexError("rows of a matrix on disk must be in increasing order.")
        return OnDisk(self.source, self.check, chosen)

    def blocks(self) -> Iterator[InMemory]:
        """All genes of the chosen cells, block by block."""
        for start, stop in self._cuts():
            first, last = np.searchsorted(self.rows, (start, stop))
            if first == last:
                continue
            block = read(self.source, start, stop)
            self.check(values_of(block))
            yield block if last - first == stop - start else block[self.rows[first:last] - start]

    def probe(self) -> NDArray[Any]:
        """Values of a few runs of cells, evenly spaced."""
        n = self.source.shape[0]
        number = max(1, min(RUNS, n // RUN))  # so that they do not overlap
        starts = np.linspace(0, max(0, n - RUN), number).astype(int)
        found = [values_of(read(self.source, int(s), min(n, int(s) + RUN))).ravel() for s in starts]
        return np.concatenate(found)

    def columns(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """(cells, len(index)) dense."""
        out = np.empty((len(self.rows), len(index)), dtype=np.float32)
        done = 0
        for block in self.blocks():
            part = block[:, index]
            out[done : done + block.shape[0]] = (
                part.toarray() if isinstance(part, sparse.csr_matrix) else part
            )
            done += block.shape[0]
        return out

    def _cuts(self) -> list[tuple[int, int]]:
        n, n_genes = self.source.shape
        if hasattr(self.source, "chunks") and hasattr(self.source, "compute"):
            edges = np.concatenate([[0], np.cumsum(self.source.chunks[0])])
        else:
            step = max(1, BLOCK // max(1, n_genes))
            edges = np.append(np.arange(0, n, step), n)
        return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def is_on_disk(matrix: Any) -> bool:
    """Whether a matrix has to be read before it can be computed with."""
    return (
        not sparse.issparse(matrix)
        and not isinstance(matrix, np.ndarray)
        and hasattr(matrix, "shape")
    )


def by_gene(matrix: Any) -> bool:
    """Whether a matrix on disk is stored gene by gene, so that a block of cells cannot be read without the rest."""
    held = getattr(matrix, "_meta", matrix)
    return getattr(held, "format", "") == "csc"


def in_memory(matrix: Any) -> Any:
    """The same matrix, read if it is on disk."""
    if hasattr(matrix, "to_memory"):
        return matrix.to_memory()
    if hasattr(matrix, "compute"):
        return matrix.compute()
    return (
        np.asarray(matrix[:]) if is_on_disk(matrix) and hasattr(matrix, "__getitem__") else matrix
    )


def read(source: Any, start: int, stop: int) -> InMemory:
    """Rows of a matrix on disk."""
    block = source[start:stop]
    block = block.compute() if hasattr(block, "compute") else block
    return sparse.csr_matrix(block) if sparse.issparse(block) else np.asarray(block)


def values_of(block: InMemory) -> NDArray[Any]:
    """What is stored of a block."""
    return np.asarray(block.data) if isinstance(block, sparse.csr_matrix) else block


def blocks_of(matrix: InMemory | OnDisk) -> Iterator[InMemory]:
    """A matrix block by block, wherever it is."""
    if isinstance(matrix, OnDisk):
        yield from matrix.blocks()
        return
    step = max(1, BLOCK // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        yield matrix[start : start + step]


def kept(
    matrix: InMemory | OnDisk, genes: NDArray[np.integer]
) -> tuple[InMemory, NDArray[np.float64] | None]:
    """The matrix in memory, and the linear value of one molecule in every cell (:func:`spatrace_sc._core.counts.molecule`).

    Of a matrix on disk only the named genes are kept; the others are empty columns, so that genes keep their numbers. It is read once.
    """
    if not isinstance(matrix, OnDisk):
        return matrix, molecule(matrix)
    parts: list[sparse.csr_matrix] = []
    chosen = np.zeros(matrix.shape[1], dtype=bool)
    chosen[genes] = True

    def passing() -> Iterator[InMemory]:
        for block in matrix.blocks():
            parts.append(_only(block, chosen))
            yield block

    units = passing()
    unit = molecule_of_blocks(units)
    for _ in units:  # what is left when a block was not counts
        continue
    n_parts = len(parts)
    found = (
        sparse.vstack(parts, format="csr")
        if n_parts
        else sparse.csr_matrix(matrix.shape, dtype=np.float32)
    )
    logger.info(
        "read %d of %d genes from disk, in %d blocks of cells.",
        int(chosen.sum()),
        len(chosen),
        n_parts,
    )
    return sparse.csr_matrix(found), unit


def _only(block: InMemory, chosen: NDArray[np.bool_]) -> sparse.csr_matrix:
    """A block whose other columns are empty."""
    place = np.flatnonzero(chosen)
    part = sparse.coo_matrix(block[:, place])
    return sparse.csr_matrix((part.data, (part.row, place[part.col])), shape=block.shape)


def check_values(values: NDArray[Any], where: str, least: str = "") -> None:
    """Finite and nowhere negative."""
    if not np.isfinite(values).all():
        raise DataError(
            f"{where} has {least}{int((~np.isfinite(values)).sum())} NaN or inf values; fill or drop them, e.g. with `np.nan_to_num`."
        )
    if values.size and values.min() < 0:
        raise DataError(
            f"{where} has negative values (smallest {values.min():.3g}); log-normalised expression is needed, not scaled. Name the `layer` that holds it."
        )


def judge_raw(values: NDArray[Any], where: str, refuse: bool) -> None:
    """Warn, or refuse, where values look like raw counts. Called by what a verb calls."""
    if not values.size or values.max() <= 0:
        return
    flat = values.ravel()
    probe = flat[:: max(1, flat.size // 100_000)]
    if float(values.max()) > 1.5 and np.array_equal(probe, np.round(probe)):
        text = "holds whole numbers and looks like raw counts"
    elif float(values.max()) > 20:
        text = f"has values up to {float(values.max()):.3g} and does not look log-normalised"
    else:
        return
    message = f"{where} {text}; log-normalised expression is expected: `sc.pp.normalize_total(adata, target_sum=1e4); sc.pp.log1p(adata)`, or name the `layer` that holds it."
    if refuse:
        raise DataError(
            f"{message} Pseudotime of raw counts follows sequencing depth, so none is computed."
        )
    warn(message)
