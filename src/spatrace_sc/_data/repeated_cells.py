"""Cells that are in the data twice: the same counts at the same position of the same slice."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._check import shorten
from .._errors import warn
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of

#: Names of repeated cells that the warning shows.
N_SHOWN = 3


def repeats(
    matrix: InMemory | OnDisk, coords: NDArray[np.float64], sample: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """(cells,) mask of the cells that repeat one before them: slice, position and all genes.

    Expression is read only of cells that share their position. Cells without counts repeat none.
    """
    place = pd.DataFrame(coords).assign(sample=np.asarray(sample))
    shared = np.flatnonzero(place.duplicated(keep=False).to_numpy())
    mask = np.zeros(len(coords), dtype=bool)
    if len(shared):
        rows = [key for block in blocks_of(matrix[shared]) for key in _keys_of(block)]
        same = place.iloc[shared].assign(row=rows)
        mask[shared] = same.duplicated().to_numpy() & (same["row"] != "").to_numpy()
    return mask


def _keys_of(block: InMemory) -> list[str]:
    """Return a text for every row, equal for equal rows; "" for a row of zeros."""
    entries = sparse.csr_matrix(block)
    filled = entries.data != 0
    keys = []
    for start, stop in zip(entries.indptr[:-1], entries.indptr[1:], strict=True):
        chosen = np.flatnonzero(filled[start:stop]) + start
        values = entries.data[chosen].astype(np.float64), entries.indices[chosen].astype(np.int64)
        digest = blake2b(values[0].tobytes() + values[1].tobytes(), digest_size=16)
        keys.append(digest.hexdigest() if len(chosen) else "")
    return keys


def warn_of_repeated_cells(
    repeated: NDArray[np.bool_],
    names: NDArray[np.str_],
    taking_part: NDArray[np.bool_],
    *,
    spatial_key: str,
    sample_key: str | None,
) -> None:
    """Warn of cells that count twice. All arrays are (cells,)."""
    counted = repeated & taking_part
    n, n_cells = int(counted.sum()), int(taking_part.sum())
    if not n:
        return
    warn(
        f"{n} of {n_cells} cells ({100 * n / n_cells:.2g} %) repeat another cell: the same values "
        "of all genes at the same position of the same slice, e.g. "
        f"{shorten(names[counted], N_SHOWN)}. Nothing was done, so both count, as senders and as "
        "receivers. Was a file joined with itself? Then keep one of each: "
        f"`{_remedy(repeated, names, spatial_key, sample_key)}`."
    )


def _remedy(
    repeated: NDArray[np.bool_], names: NDArray[np.str_], spatial_key: str, sample_key: str | None
) -> str:
    """Return the call that drops the repeated cells."""
    if np.array_equal(pd.Index(names).duplicated(), repeated):
        return "adata = adata[~adata.obs_names.duplicated()].copy()"
    positions = f"pd.DataFrame(np.asarray(adata.obsm[{spatial_key!r}]))"
    slices = "" if sample_key is None else f".assign(slice=list(adata.obs[{sample_key!r}]))"
    return (
        f"table = pd.concat([adata.to_df().reset_index(drop=True), {positions}{slices}], axis=1); "
        "adata = adata[~table.duplicated().to_numpy()].copy()"
    )
