"""Positions of cells in an embedding or in space, for figures."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._check import closest, shorten
from .._errors import DataError, MissingKeyError
from .matrix_forms import as_array
from .on_disk import in_memory

#: Calls that write a basis.
CALLS = {"umap": "sc.tl.umap(adata)", "pca": "sc.pp.pca(adata)", "tsne": "sc.tl.tsne(adata)"}


def basis_positions(adata: AnnData, basis: str) -> NDArray[np.float64]:
    """Return the (cells, 2) first coordinates in ``obsm[basis]`` or ``obsm["X_" + basis]``.

    Cells without a position are NaN.
    """
    slot = next((s for s in (basis, f"X_{basis}") if s in adata.obsm), None)
    if slot is None:
        call = f" Call `{CALLS[basis]}` first." if basis in CALLS else closest(basis, adata.obsm)
        raise MissingKeyError(
            f"`basis={basis!r}`: neither {basis!r} nor {f'X_{basis}'!r} is in `adata.obsm`; it has "
            f"{shorten(adata.obsm.keys())}.{call}"
        )
    stored = in_memory(adata.obsm[slot])
    shape = tuple(np.shape(stored))
    if len(shape) != 2 or shape[1] < 2:
        raise DataError(f"`adata.obsm[{slot!r}]` must have two columns or more, found {shape}.")
    values = as_array(stored, f"`adata.obsm[{slot!r}]`")[:, :2].astype(np.float64)
    values[~np.isfinite(values).all(axis=1)] = np.nan
    return values
