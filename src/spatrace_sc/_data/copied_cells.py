"""Cells whose values of all genes equal those of cells elsewhere: copied slices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._errors import warn
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of

#: Fewest detected genes of a cell that is compared. Cells of one type have the same count of a gene
#: of Poisson mean 1 with probability 0.31, of one with a larger mean less often. So 20 detected
#: genes agree by chance with a probability below 1e-10 per pair of cells; a few genes often agree.
MIN_GENES = 20
#: Fewest copied cells, and smallest share of the compared cells of a slice. A smaller share, such
#: as the overlap of adjacent fields of view, changes the effective number of cells little.
MIN_CELLS, MIN_SHARE = 10, 0.1
#: A profile that is more frequent in a slice is not a copied cell, but e.g. the mean of a type.
MAX_TIMES = 4
#: Number of pairs of slices that the warning shows.
N_SHOWN = 3


class Copies(NamedTuple):
    """``n_copied`` of ``n_cells`` compared cells of a slice equal cells of the slice ``other``.

    The two slices are the same if cells equal other cells of their own slice.
    """

    slice: int
    other: int
    n_copied: int
    n_cells: int


def row_keys(matrix: InMemory | OnDisk) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(cells,) numbers that are equal for equal rows, and the number of values other than 0.

    The number is the product of a row with one random vector, summed in the same order.
    """
    weights = np.random.default_rng(0).normal(size=matrix.shape[1])
    keys, n_detected = [np.empty(0)], [np.empty(0, dtype=np.intp)]
    for block in blocks_of(matrix):
        if isinstance(block, sparse.csr_matrix):
            keys.append(block @ weights)
            before = np.concatenate([[0], np.cumsum(block.data != 0)])
            n_detected.append(np.diff(before[block.indptr]))
        else:
            keys.append((block * weights).sum(axis=1))
            n_detected.append(np.count_nonzero(block, axis=1))
    return np.concatenate(keys), np.concatenate(n_detected)


def find_copies(
    matrix: InMemory | OnDisk, sample: NDArray[np.integer], counted: NDArray[np.bool_]
) -> list[Copies]:
    """Return the pairs of slices that share cells, the larger share first; or a slice with itself.

    ``sample`` (cells,) are codes of slices; only cells that are ``counted`` (cells,) are compared.
    """
    keys, n_detected = row_keys(matrix)
    compared = counted & (n_detected >= MIN_GENES)
    slices = sample[compared]
    profile, distinct = pd.factorize(keys[compared])
    n_slices = int(sample.max(initial=-1)) + 1
    times = sparse.csr_matrix(
        (np.ones(len(slices), dtype=np.int64), (profile, slices)), shape=(len(distinct), n_slices)
    )
    times.sum_duplicates()
    times.data[times.data > MAX_TIMES] = 0
    times.eliminate_zeros()
    n_cells = np.bincount(slices, minlength=n_slices)
    # cells of one slice (row) whose profile also occurs in another (column)
    shared = times[np.diff(times.indptr) > 1]
    n_copied = (shared.T @ (shared > 0).astype(np.int64)).tolil()
    n_copied.setdiag(np.asarray(times.multiply(times > 1).sum(axis=0)).ravel())
    entries = n_copied.tocoo()
    found = [
        Copies(int(a), int(b), int(n), int(n_cells[a]))
        for a, b, n in zip(entries.row, entries.col, entries.data, strict=True)
        if n >= max(MIN_CELLS, MIN_SHARE * n_cells[a])
    ]
    found.sort(key=lambda c: (-c.n_copied / c.n_cells, c.slice, c.other))
    once = {tuple(sorted(c[:2])): c for c in reversed(found)}
    return [c for c in found if once[tuple(sorted(c[:2]))] is c]


def warn_of_copied_cells(
    copies: list[Copies], adata: AnnData, sample_key: str | None, layer: str | None
) -> None:
    """Warn of cells of :func:`find_copies`, which count twice; nothing is dropped."""
    between = [c for c in copies if c.slice != c.other]
    within = [c for c in copies if c.slice == c.other]
    names = [""] if sample_key is None else sorted(set(adata.obs[sample_key].astype(str)))
    if between:
        pairs = [
            f"{c.n_copied} of {c.n_cells} cells of slice {names[c.slice]!r} have exactly the same "
            f"values of all genes as cells of slice {names[c.other]!r}"
            for c in between
        ]
        remedy = _without(between, names, sample_key)
        warn(
            f"{_listed(pairs)}. Copied cells count twice, so results look more certain than they "
            f"are. Nothing was dropped. Leave one slice out: `{remedy}`. Only cells with "
            f"{MIN_GENES} or more detected genes were compared."
        )
    if within:
        texts = [
            f"{c.n_copied} of {c.n_cells} cells{_of_slice(names[c.slice])} have exactly the same "
            "values of all genes as another cell at another position"
            for c in within
        ]
        hint = "" if sample_key else " If slices were joined, name them with `sample_key`."
        warn(
            f"{_listed(texts)}. Copied cells count twice, so results look more certain than they "
            f"are. Nothing was dropped.{hint} Keep one of each: `{_without_repeats(layer)}`. Only "
            f"cells with {MIN_GENES} or more detected genes were compared."
        )


def _listed(texts: list[str]) -> str:
    """Return the first texts and the number of the others."""
    others = f"; and {len(texts) - N_SHOWN} more" if len(texts) > N_SHOWN else ""
    return "; ".join(texts[:N_SHOWN]) + others


def _of_slice(name: str) -> str:
    """Return the slice as part of a sentence, "" for the only one."""
    return f" of slice {name!r}" if name else ""


def _without(copies: list[Copies], names: list[str], sample_key: str | None) -> str:
    """Return the call that leaves out one slice of every pair."""
    dropped: list[int] = []
    for pair in copies:
        if pair.slice not in dropped and pair.other not in dropped:
            dropped.append(pair.slice)
    column = f"adata.obs[{sample_key!r}].astype(str)"
    if len(dropped) == 1:
        return f"adata = adata[{column} != {names[dropped[0]]!r}].copy()"
    return f"adata = adata[~{column}.isin({[names[k] for k in dropped]})].copy()"


def _without_repeats(layer: str | None) -> str:
    """Return the call that keeps the first of the cells of a slice with the same values."""
    table = "adata.to_df()" if layer is None else f"adata.to_df({layer!r})"
    return (
        f"table = {table}; many = (table > 0).sum(axis=1) >= {MIN_GENES}; "
        "adata = adata[~(table.duplicated() & many).to_numpy()].copy()"
    )
