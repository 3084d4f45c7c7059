"""Expression that stays on disk and is read in blocks of cells."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .matrix_forms import InMemory, canonical

logger = logging.getLogger("spatrace_sc")

#: Number of values in a block, zeros included: 80 MB as dense float32.
BLOCK_VALUES = 20_000_000
#: A matrix is probed in this many runs of this many consecutive cells.
N_RUNS, RUN_LENGTH = 8, 250


class OnDisk:
    """A cells × genes matrix of a file opened with ``backed="r"`` or lazily.

    Lazily opened files come from :func:`anndata.experimental.read_lazy`. ``name`` stands for the
    matrix in messages. Of every block that is read, ``zeroed``, if there is one, returns the block
    without NaN from the block and its first row; ``check`` is called with its values, and
    ``convert``, if there is one, with the block. Rows are selected as in numpy, in increasing
    order; columns by :func:`load_genes` and :meth:`columns`.
    """

    def __init__(
        self,
        source: Any,
        name: str,
        check: Callable[[NDArray[Any]], None],
        *,
        rows: NDArray[np.intp] | None = None,
        convert: Callable[[InMemory], InMemory] | None = None,
        zeroed: Callable[[InMemory, int], InMemory] | None = None,
    ):
        self.source = source
        self.name = name
        self.check = check
        self.rows = np.arange(source.shape[0]) if rows is None else rows
        self.convert = convert
        self.zeroed = zeroed

    @property
    def shape(self) -> tuple[int, int]:
        """Number of cells and of genes."""
        return len(self.rows), int(self.source.shape[1])

    def __getitem__(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> OnDisk:
        chosen = self.rows[rows]
        if (np.diff(chosen) <= 0).any():
            raise IndexError("rows of a matrix on disk must be in increasing order.")
        return self._replaced(rows=chosen)

    def converted(self, convert: Callable[[InMemory], InMemory]) -> OnDisk:
        """Return the same matrix with blocks that are converted cell by cell."""
        return self._replaced(convert=convert)

    def without_nan(self, zeroed: Callable[[InMemory, int], InMemory]) -> OnDisk:
        """Return the same matrix with blocks that ``zeroed`` frees of NaN."""
        return self._replaced(zeroed=zeroed)

    def read(self, start: int, stop: int) -> InMemory:
        """Read consecutive rows of the file, unchecked and unconverted, without NaN."""
        block = read_rows(self.source, start, stop, self.name)
        return block if self.zeroed is None else self.zeroed(block, start)

    def _replaced(self, **changes: Any) -> OnDisk:
        """Return the same matrix with other options."""
        options = {"rows": self.rows, "convert": self.convert, "zeroed": self.zeroed}
        return OnDisk(self.source, self.name, self.check, **options | changes)

    def blocks(self) -> Iterator[InMemory]:
        """Yield all genes of the selected cells, block by block."""
        for start, stop in self._block_limits():
            first, last = np.searchsorted(self.rows, (start, stop))
            if first == last:
                continue
            block = self.read(start, stop)
            self.check(stored_values(block))
            block = block if self.convert is None else self.convert(block)
            yield block if last - first == stop - start else block[self.rows[first:last] - start]

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
        and not isinstance(matrix, np.ndarray | pd.DataFrame)
        and not hasattr(matrix, "__cuda_array_interface__")
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


def read_rows(source: Any, start: int, stop: int, name: str = "the matrix") -> InMemory:
    """Read consecutive rows of a matrix on disk, in the form of :func:`canonical`."""
    block = source[start:stop]
    return canonical(block.compute() if hasattr(block, "compute") else block, name)


def probe_of(matrix: Any, name: str) -> list[InMemory]:
    """Return a few evenly spaced runs of cells, unchecked and unconverted, of any matrix."""
    source = matrix.source if isinstance(matrix, OnDisk) else matrix
    if is_on_disk(source) and is_stored_by_gene(source):
        source = in_memory(source)
    source = source if is_on_disk(source) else canonical(source, name)
    n = int(source.shape[0])
    n_runs = max(1, min(N_RUNS, n // RUN_LENGTH))  # so that runs do not overlap
    starts = np.linspace(0, max(0, n - RUN_LENGTH), n_runs).astype(int)
    runs = [(int(s), min(n, int(s) + RUN_LENGTH)) for s in starts]
    if isinstance(matrix, OnDisk):
        return [matrix.read(start, stop) for start, stop in runs]
    if is_on_disk(source):
        return [read_rows(source, start, stop, name) for start, stop in runs]
    return [source[start:stop] for start, stop in runs]


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


def has_counts(block: InMemory) -> NDArray[np.bool_]:
    """(cells,) mask of the cells with any value that is not 0."""
    if isinstance(block, sparse.csr_matrix):
        pattern = (block.data != 0, block.indices, block.indptr)
        return np.asarray(sparse.csr_matrix(pattern, shape=block.shape).sum(axis=1)).ravel() > 0
    return np.asarray((block != 0).any(axis=1))
