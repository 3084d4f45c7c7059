"""Load the genes with a role, and summaries of each cell over all genes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._core.counts import MAX_LOG, molecule, molecule_of_blocks
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of, has_counts

logger = logging.getLogger("spatrace_sc")


class LoadedGenes(NamedTuple):
    """A matrix in memory, and summaries of each cell over all genes.

    ``matrix`` (cells, genes) has at least the named genes, under their index; ``unit`` (cells,) is
    the value of one molecule (:func:`spatrace_sc._core.counts.molecule`), None if the data are not
    counts; ``empty`` (cells,) marks cells in which no gene is above 0; ``other`` (cells,) is the
    linear expression of all other genes together, and ``n_other_genes`` how many of them are
    above 0 in any cell.
    """

    matrix: InMemory
    unit: NDArray[np.float64] | None
    empty: NDArray[np.bool_]
    other: NDArray[np.float64]
    n_other_genes: int


def load_genes(matrix: InMemory | OnDisk, genes: NDArray[np.integer]) -> LoadedGenes:
    """Load the named genes; a file is read once.

    Of a matrix on disk only the named genes are loaded; the others are empty columns.
    """
    mask = np.zeros(matrix.shape[1], dtype=bool)
    mask[genes] = True
    others = _OtherGenes(~mask)
    if not isinstance(matrix, OnDisk):
        unit = molecule(matrix)
        if unit is not None:
            for block in blocks_of(matrix):
                others.add(block)
        return LoadedGenes(matrix, unit, ~has_counts(matrix), *others.result())
    loaded: list[sparse.csr_matrix] = []
    filled: list[NDArray[np.bool_]] = []

    def load_each() -> Iterator[InMemory]:
        for block in matrix.blocks():
            loaded.append(with_columns_only(block, mask))
            filled.append(has_counts(block))
            others.add(block)
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
        nothing = np.ones(matrix.shape[0], dtype=bool)
        no_values = sparse.csr_matrix(matrix.shape, dtype=np.float32)
        return LoadedGenes(no_values, unit, nothing, np.zeros(matrix.shape[0]), 0)
    stacked = sparse.csr_matrix(sparse.vstack(loaded, format="csr"))
    return LoadedGenes(stacked, unit, ~np.concatenate(filled), *others.result())


class _OtherGenes:
    """Linear expression of some genes together in every cell, added up block by block."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        self._index = np.flatnonzero(mask)
        self._seen = np.zeros(len(self._index), dtype=bool)
        self._totals: list[NDArray[np.float64]] = []

    def add(self, block: InMemory) -> None:
        """Add the next cells."""
        chosen = sparse.csr_matrix(block[:, self._index], dtype=np.float64)
        chosen.data = np.expm1(np.minimum(chosen.data, MAX_LOG))
        self._seen[np.unique(chosen.indices[chosen.data > 0])] = True
        self._totals.append(np.asarray(chosen.sum(axis=1)).ravel())

    def result(self) -> tuple[NDArray[np.float64], int]:
        """Return (cells,) totals, and the number of the genes above 0 in any cell."""
        totals = np.concatenate(self._totals) if self._totals else np.empty(0)
        return totals, int(self._seen.sum())


def with_columns_only(block: InMemory, mask: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Return a block in which the columns outside the mask are empty."""
    index = np.flatnonzero(mask)
    entries = sparse.coo_matrix(block[:, index])
    return sparse.csr_matrix((entries.data, (entries.row, index[entries.col])), shape=block.shape)
