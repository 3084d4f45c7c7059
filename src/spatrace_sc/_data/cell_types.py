"""Cell types: one label per cell, or proportions of types in mixed spots."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import closest, shorten
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn
from .cells import categories, label_text
from .on_disk import in_memory

#: Rows whose sum differs more from 1 are not proportions.
MAX_DEVIATION = 0.05


class Mixture(NamedTuple):
    """Proportions of cell types: ``names`` (K,) sorted, ``values`` (cells, K), rows sum to 1."""

    names: NDArray[np.str_]
    values: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.str_]:
        """(cells,) type of the largest proportion; the first in the alphabet where two tie."""
        return np.asarray(self.names[self.values.argmax(axis=1)], dtype=str)

    def among(self, cells: NDArray[Any]) -> Mixture:
        """Return the mixtures of some cells, given by index or mask, and the types in them."""
        values = self.values[cells]
        present = (values > 0).any(axis=0)
        return Mixture(self.names[present], values[:, present])


def one_hot(types: NDArray[np.generic]) -> Mixture:
    """Return labels of types as mixtures of a single type each."""
    names, code = np.unique(np.asarray(types, dtype=str), return_inverse=True)
    return Mixture(names, np.eye(len(names))[code.ravel()])


def proportions_name(proportions: object) -> str | None:
    """Return the argument ``proportions``, the name of a slot or None.

    Raises
    ------
    InvalidArgumentError
        If it is anything else.
    """
    if proportions is not None and not (isinstance(proportions, str) and proportions):
        raise InvalidArgumentError(
            "`proportions` must be the name of a slot of `adata.obsm`, or None, found a "
            f"{type(proportions).__name__}. Store the table: "
            "`adata.obsm['proportions'] = table.loc[adata.obs_names]`."
        )
    return proportions


def read_proportions(adata: AnnData, key: str) -> Mixture:
    """Return the proportions in ``obsm[key]``, every row divided by its sum.

    Raises
    ------
    MissingKeyError
        If there is no such slot.
    DataError
        If it is not a table with a unique name for every type, or has values other than numbers,
        missing, infinite or negative, or rows without any type.
    """
    table = _stored_table(adata, key)
    slot = f"`adata.obsm[{key!r}]` (`proportions`)"
    names = np.array([str(name) for name in table.columns], dtype=str)
    repeated = names[pd.Index(names).duplicated()]
    if len(repeated):
        raise DataError(f"{slot} has several columns called {shorten(repeated)}; rename them.")
    wrong = [c for c, t in zip(names, table.dtypes, strict=True) if not _is_number(t)]
    if wrong or not len(names):
        finding = f"the columns {shorten(wrong)}, which are not numbers" if wrong else "no column"
        raise DataError(f"{slot} has {finding}; keep one numeric column per cell type.")
    values = table.to_numpy(dtype=np.float64)
    _require_rows(np.isfinite(values).all(axis=1), f"{slot} has NaN or inf")
    _require_rows((values >= 0.0).all(axis=1), f"{slot} has negative values")
    _require_rows(values.sum(axis=1) > 0, f"{slot} has no type at all (all values are 0)")
    order = np.argsort(names, kind="stable")
    values = values[:, order] / values.sum(axis=1, keepdims=True)
    return Mixture(names[order], values)


def warn_of_abundances(adata: AnnData, key: str) -> None:
    """Warn if rows of ``obsm[key]`` do not sum to 1, as abundances do not."""
    sums = _stored_table(adata, key).to_numpy(dtype=np.float64).sum(axis=1)
    n_far = int((np.abs(sums - 1.0) > MAX_DEVIATION).sum())
    if n_far:
        warn(
            f"{n_far} of {len(sums)} rows of `adata.obsm[{key!r}]` do not sum to 1 (sums from "
            f"{sums.min():.3g} to {sums.max():.3g}). Every row was divided by its sum; the slot "
            "stays as it is. If these are abundances of cells, this is what you want."
        )


def type_labels(
    adata: AnnData, cell_type_key: str | None, proportions: str | None, *, fill: bool = False
) -> NDArray[np.str_]:
    """Return one type for every cell: that of the largest proportion, or a column of ``obs``.

    Missing values of the column are an error, or with ``fill`` one label like any other.
    """
    if proportions is not None:
        return read_proportions(adata, proportions).labels
    read = label_text if fill else categories
    return read(adata, cast("str", cell_type_key), "cell_type_key").astype(str)


def _is_number(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


def _require_rows(good: Any, finding: str) -> None:
    """Require that all rows, (spots,) mask, are good."""
    if not good.all():
        raise DataError(
            f"{finding} in {int((~good).sum())} of {len(good)} spots; correct these rows, or drop "
            "the spots."
        )


def _stored_table(adata: AnnData, key: str) -> pd.DataFrame:
    """Return the table in ``obsm[key]``."""
    if key not in adata.obsm:
        raise MissingKeyError(
            f"`proportions={key!r}` is not in `adata.obsm`; it has {shorten(adata.obsm.keys())}."
            f"{closest(key, list(adata.obsm.keys()))} Store the table of your deconvolution there, "
            "spots × cell types."
        )
    stored = in_memory(adata.obsm[key])
    if isinstance(stored, pd.DataFrame):
        return stored
    names = next((n for n in (f"{key}_names", f"{key}_columns") if n in adata.uns), None)
    columns = "[...]" if names is None else f"adata.uns[{names!r}]"
    raise DataError(
        f"`adata.obsm[{key!r}]` (`proportions`) is a {type(stored).__name__} without names of cell "
        f"types. Make it a table: `adata.obsm[{key!r}] = pd.DataFrame(adata.obsm[{key!r}], "
        f"index=adata.obs_names, columns={columns})`, with the type of every column."
    )
