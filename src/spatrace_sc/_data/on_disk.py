"""Expression that stays on disk and is read in blocks of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._core.counts import molecule, molecule_of_blocks

logger = logging.getLogger("spatrace_sc")

#: A matrix in memory.
InMemory: TypeAlias = "sparse.csr_matrix | NDArray[np.floating]"
#: Number of values in a block, zeros included: 80 MB as dense float32.
BLOCK_VALUES = 20_000_000
#: A matrix is probed in this many runs of this many consecutive cells.
N_RUNS, RUN_LENGTH = 8, 250


class OnDisk:
    """A cells × genes matrix of a file opened with ``backed="r"`` or lazily.

    Lazily opened files come from :func:`anndata.experimental.read_lazy`. ``check`` is called with
    the values of every block as it is read. Rows are selected as in numpy, in increasing order;
    columns by :func:`load_genes` and :meth:`columns`.
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
        """Number of cells and of genes."""
        return len(self.rows), int(self.source.shape[1])

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> OnDisk:
        chosen = self.rows[rows]
        if (np.diff(chosen) <= 0).any():
            raise IndexError("rows of a matrix on disk must be in increasing order.")
        return OnDisk(self.source, self.check, chosen)

    def blocks(self) -> Iterator[InMemory]:
        """Yield all genes of the selected cells, block by block."""
        for start, stop in self._block_limits():
            first, last = np.searchsorted(self.rows, (start, stop))
            if first == last:
                continue
            block = read_rows(self.source, start, stop)
            self.check(stored_values(block))
            yield block if last - first == stop - start else block[self.rows[first:last] - start]

    def probe(self) -> NDArray[Any]:
        """Return the values of a few evenly spaced runs of cells."""
        n = self.source.shape[0]
        n_runs = max(1, min(N_RUNS, n // RUN_LENGTH))  # so that runs do not overlap
        starts = np.linspace(0, max(0, n - RUN_LENGTH), n_runs).astype(int)
        runs = (read_rows(self.source, int(s), min(n, int(s) + RUN_LENGTH)) for s in starts)
        return np.concatenate([stored_values(run).ravel() for run in runs])

    def columns(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return (cells, len(index)) dense values."""
        values = np.empty((len(self.rows), len(index)), dtype=np.float32)
        start = 0
        for block in self.blocks():
            chosen = block[:, index]
            values[start : start + block.shape[0]] = (
                chosen.toarray() if isinstance(chosen, sparse.csr_matrix) else chosen
            )
            start += block.shape[0]
        return values

    def _block_limits(self) -> list[tuple[int, int]]:
        """First row and end of every block: the file's own chunks where it has them."""
        n, n_genes = self.source.shape
        if hasattr(self.source, "chunks") and hasattr(self.source, "compute"):
            edges = np.concatenate([[0], np.cumsum(self.source.chunks[0])])
        else:
            edges = np.append(np.arange(0, n, max(1, BLOCK_VALUES // max(1, n_genes))), n)
        return [(int(a), int(b)) for a, b in pairwise(edges) if b > a]


def is_on_disk(matrix: Any) -> bool:
    """Whether a matrix has to be read before it can be computed with."""
    return (
        not sparse.issparse(matrix)
        and not isinstance(matrix, np.ndarray)
        and hasattr(matrix, "shape")
    )


def is_stored_by_gene(matrix: Any) -> bool:
    """Whether a matrix on disk is stored gene by gene: reading some cells then reads everything."""
    return getattr(getattr(matrix, "_meta", matrix), "format", "") == "csc"


def in_memory(matrix: Any) -> Any:
    """Return the same matrix, read if it is on disk."""
    if hasattr(matrix, "to_memory"):
        return matrix.to_memory()
    if hasattr(matrix, "compute"):
        return matrix.compute()
    if is_on_disk(matrix) and hasattr(matrix, "__getitem__"):
        return np.asarray(matrix[:])
    return matrix


def read_rows(source: Any, start: int, stop: int) -> InMemory:
    """Read consecutive rows of a matrix on disk."""
    block = source[start:stop]
    block = block.compute() if hasattr(block, "compute") else block
    return sparse.csr_matrix(block) if sparse.issparse(block) else np.asarray(block)


def stored_values(block: InMemory) -> NDArray[Any]:
    """Return the values that a matrix stores: the entries of a sparse one, all of a dense one."""
    return np.asarray(block.data) if isinstance(block, sparse.csr_matrix) else block


def blocks_of(matrix: InMemory | OnDisk) -> Iterator[InMemory]:
    """Yield a matrix block by block, wherever it is."""
    if isinstance(matrix, OnDisk):
        yield from matrix.blocks()
        return
    step = max(1, BLOCK_VALUES // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        yield matrix[start : start + step]


def load_genes(
    matrix: InMemory | OnDisk, genes: NDArray[np.integer]
) -> tuple[InMemory, NDArray[np.float64] | None]:
    """Return the matrix in memory, and the linear value of one molecule in every cell.

    For the latter see :func:`spatrace_sc._core.counts.molecule`. Of a matrix on disk only the
    named genes are loaded; the others are empty columns, so that genes keep their index. The file
    is read once.
    """
    if not isinstance(matrix, OnDisk):
        return matrix, molecule(matrix)
    loaded: list[sparse.csr_matrix] = []
    mask = np.zeros(matrix.shape[1], dtype=bool)
    mask[genes] = True

    def load_each() -> Iterator[InMemory]:
        for block in matrix.blocks():
            loaded.append(_with_columns_only(block, mask))
            yield block

    blocks = load_each()
    unit = molecule_of_blocks(blocks)
    for _ in blocks:  # molecule_of_blocks stops at the first block that does not hold counts
        continue
    logger.info(
        "read %d of %d genes from disk, in %d blocks of cells.",
        *(int(mask.sum()), len(mask), len(loaded)),
    )
    if not loaded:
        return sparse.csr_matrix(matrix.shape, dtype=np.float32), unit
    return sparse.csr_matrix(sparse.vstack(loaded, format="csr")), unit


def _with_columns_only(block: InMemory, mask: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Return a block in which the columns outside the mask are empty."""
    index = np.flatnonzero(mask)
    entries = sparse.coo_matrix(block[:, index])
    return sparse.csr_matrix((entries.data, (entries.row, index[entries.col])), shape=block.shape)
