"""Genes that were not measured in a slice: NaN in all of its cells, as an outer join writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._check import name_of_column, shorten
from .._errors import DataError, warn
from .cells import categories
from .matrix_forms import InMemory
from .on_disk import OnDisk, read_rows, stored_values

#: The rule, as messages state it.
RULE = "NaN in every cell of a slice states that a gene was not measured there"
#: Number of slices, and of genes of each, that are shown.
N_SLICES_SHOWN, N_GENES_SHOWN = 3, 4


class Unmeasured(NamedTuple):
    """Genes that were not measured in some slices.

    ``matrix_name`` stands for the matrix in messages, ``key`` is the column of ``obs`` with the
    slices. ``slices`` (S,) are their names, ``code`` (cells,)
    the slice of every cell, ``mask`` (S, genes) the genes that were not measured there, and
    ``genes`` (genes,) the ``var_names``.
    """

    matrix_name: str
    key: str
    slices: NDArray[np.str_]
    code: NDArray[np.intp]
    mask: NDArray[np.bool_]
    genes: NDArray[np.str_]

    def zeroed(self, block: InMemory, start: int = 0) -> InMemory:
        """Return consecutive cells from ``start`` on, with 0 for genes that were not measured.

        The block itself is not changed.

        Raises
        ------
        DataError
            If a gene is NaN in some but not all cells of a slice.
        """
        row, column = _missing(block)
        code = self.code[start : start + block.shape[0]]
        n_slices, n_genes = self.mask.shape
        n_missing = np.bincount(code[row] * n_genes + column, minlength=self.mask.size)
        n_missing = n_missing.reshape(n_slices, n_genes)
        n_cells = np.bincount(code, minlength=n_slices)
        if not np.array_equal(n_missing, self.mask * n_cells[:, None]):
            raise self._partial(n_missing, n_cells)
        if not len(row):
            return block
        result = block.copy()
        if isinstance(result, np.ndarray):
            result[row, column] = 0
            return result
        result.data[np.isnan(result.data)] = 0
        result.eliminate_zeros()
        return result

    def missing(
        self, genes: NDArray[np.integer], cells: NDArray[np.integer] | None = None
    ) -> NDArray[np.bool_]:
        """(cells, len(genes)) mask of the values that were not measured."""
        code = self.code if cells is None else self.code[cells]
        mask: NDArray[np.bool_] = self.mask[:, genes][code]
        return mask

    @property
    def n_measured(self) -> NDArray[np.intp]:
        """(genes,) number of cells in which each gene was measured."""
        n_cells = np.bincount(self.code, minlength=len(self.mask))
        return np.asarray(n_cells @ ~self.mask)

    def _partial(self, n_missing: NDArray[np.intp], n_cells: NDArray[np.intp]) -> DataError:
        """Return the error about genes that are NaN in some but not all cells of a slice."""
        partial = (n_missing > 0) & (n_missing != n_cells[:, None])
        if not partial.any():  # the block differs from other cells of the same slice
            partial = (n_missing > 0) != (self.mask & (n_cells > 0)[:, None])
        place, gene = (int(index[0]) for index in np.nonzero(partial))
        whole = int(n_cells.sum()) == len(self.code)
        n = int(n_missing[partial].sum())
        return DataError(
            f"{self.matrix_name} has {'' if whole else 'at least '}{max(1, n)} NaN "
            f"or inf values; fill or drop them, e.g. with `np.nan_to_num`. {RULE}, but "
            f"{str(self.genes[gene])!r} is NaN in some and not in other cells of slice "
            f"{str(self.slices[place])!r} (column {self.key!r} of `adata.obs`)."
        )


def _missing(block: InMemory) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and the columns of the NaN entries."""
    if isinstance(block, np.ndarray):
        row, column = np.nonzero(np.isnan(block))
        return row, column
    missing = np.flatnonzero(np.isnan(block.data))
    row = np.searchsorted(block.indptr, missing, side="right") - 1
    return row, block.indices[missing].astype(np.intp)


def find_unmeasured(
    adata: AnnData, matrix: InMemory | OnDisk, name: str, key: str | None
) -> Unmeasured | None:
    """Return the genes that are NaN in whole slices, None where the matrix has no NaN.

    ``key`` is the column of ``obs`` with the slices; without one, None is returned. One cell of
    each slice is read; :meth:`Unmeasured.zeroed` checks that the others agree.

    Raises
    ------
    DataError
        If a gene was measured in no slice.
    """
    name_of_column(key, "sample_key` or `stage_key")
    if key is None or key not in adata.obs:
        return None
    if not isinstance(matrix, OnDisk):
        values = stored_values(matrix)
        if not np.isnan(values.sum(dtype=np.float64)):
            return None
    names, first, code = np.unique(
        categories(adata, key, "sample_key").astype(str), return_index=True, return_inverse=True
    )
    genes = adata.var_names.to_numpy(dtype=str)
    if isinstance(matrix, OnDisk):
        cells = [read_rows(matrix.source, int(i), int(i) + 1, name) for i in first]
        mask = np.zeros((len(names), len(genes)), dtype=bool)
        for k, cell in enumerate(cells):
            mask[k, _missing(cell)[1]] = True
    else:
        row, column = _missing(matrix)
        n_missing = np.bincount(code[row] * len(genes) + column, minlength=len(names) * len(genes))
        n_cells = np.bincount(code)[:, None]
        mask = n_missing.reshape(len(names), len(genes)) == n_cells
    nowhere = mask.all(axis=0)
    if nowhere.any():
        raise DataError(
            f"{name} is NaN in every cell for {int(nowhere.sum())} of {len(genes)} genes "
            f"({shorten(genes[nowhere], N_GENES_SHOWN)}), so they were measured in no slice of "
            f"`adata.obs[{key!r}]`; drop them, e.g. `adata = adata[:, ~np.isin(adata.var_names, "
            "[...])]`, or fill them."
        )
    found = Unmeasured(name, key, names, code, mask, genes)
    return found if mask.any() or not isinstance(matrix, OnDisk) else None


def warn_of_unmeasured(
    unmeasured: Unmeasured | None,
    genes: NDArray[np.integer],
    consequence: str,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Warn of the genes that were not measured in some slices, and of the ``consequence``.

    ``genes`` are the columns that are used, ``labels`` the names that results show.
    """
    if unmeasured is None or not unmeasured.mask[:, genes].any():
        return
    mask, names = unmeasured.mask[:, genes], unmeasured.genes[genes]
    shown = np.array([name if labels is None else labels[name] for name in names], dtype=str)
    n_cells = np.bincount(unmeasured.code, minlength=len(mask))
    by_slice = [
        f"slice {str(unmeasured.slices[k])!r} ({n_cells[k]} cells) lacks {int(mask[k].sum())}: "
        f"{shorten(sorted(shown[mask[k]]), N_GENES_SHOWN)}"
        for k in np.flatnonzero(mask.any(axis=1))
    ]
    n_more = len(by_slice) - N_SLICES_SHOWN
    warn(
        f"{int(mask.any(axis=0).sum())} of {len(genes)} genes that are used are NaN in every cell "
        f"of a slice and count as not measured there: {'; '.join(by_slice[:N_SLICES_SHOWN])}"
        f"{f'; and {n_more} more slices' if n_more > 0 else ''}. {consequence}"
    )
