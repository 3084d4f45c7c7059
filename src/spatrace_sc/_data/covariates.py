"""Covariates that the user names: columns of ``obs`` and slots of ``obsm``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from .._check import closest, labels, shorten
from .._errors import DataError, InvalidArgumentError, MissingKeyError
from .matrix_forms import as_array
from .on_disk import in_memory

#: Fewest receivers per category, on average: fewer identify single cells.
MIN_CELLS_PER_CATEGORY = 3.0
#: Largest share of columns in the number of receivers.
MAX_COLUMN_SHARE = 0.1
#: Columns that correlate more with a gene are that gene.
SAME_VALUES = 0.9999


def covariate_names(covariates: object) -> tuple[str, ...]:
    """Return the names that the argument ``covariates`` lists, sorted; None lists none.

    Raises
    ------
    InvalidArgumentError
        If it is neither a name nor a sequence of names.
    """
    if covariates is None:
        return ()
    return tuple(sorted(labels(covariates, "covariates")))


def read_covariates(
    adata: AnnData,
    names: Sequence[str],
    rows: NDArray[np.integer],
    taken: Sequence[str | None],
    *,
    of_other_cells: bool = False,
) -> pd.DataFrame:
    """Return the covariates of some cells, (len(rows), C), as numbers.

    A categorical column, one of text or of True and False becomes one column per category. The
    names of the columns start with that of the covariate. ``taken`` are columns of ``obs`` that
    the model uses already. For a model ``of_other_cells`` nothing is fitted, so covariates may be
    constant and have any number of columns.

    Raises
    ------
    MissingKeyError
        If a name is neither in ``obs`` nor in ``obsm``.
    InvalidArgumentError
        If a name is in both, or is that of a column the model uses already.
    DataError
        If values are missing, infinite or no numbers, or a covariate is constant, has almost as
        many categories as there are cells, or there are too many columns.
    """
    parts = []
    for name in names:
        _check_name(adata, name, taken)
        in_obs = name in adata.obs
        least = 0.0 if of_other_cells else MIN_CELLS_PER_CATEGORY
        part = _of_obs(adata, name, rows, least) if in_obs else _of_obsm(adata, name, rows)
        varies = (part.to_numpy().std(axis=0) > 0) | of_other_cells
        if not varies.any():
            raise DataError(
                f"`covariates`: {name!r} is the same in all {len(rows)} receivers, so it explains "
                "nothing; leave it out."
            )
        parts.append(part.loc[:, varies])
    table = pd.concat(parts, axis=1) if parts else pd.DataFrame(index=range(len(rows)))
    if table.shape[1] > MAX_COLUMN_SHARE * len(rows) and not of_other_cells:
        raise DataError(
            f"`covariates` make {table.shape[1]} columns for {len(rows)} receivers: they would "
            "explain everything. Name fewer, or merge categories."
        )
    return table


def refuse_genes(table: pd.DataFrame, levels: dict[str, NDArray[np.floating]]) -> None:
    """Raise DataError if a covariate has the values of a gene.

    ``levels`` has (cells, genes) levels by the noun of their role.
    """
    standardised = _standardised(table.to_numpy(dtype=float))
    for noun, values in levels.items():
        same = np.abs(standardised.T @ _standardised(values)) / len(table) > SAME_VALUES
        if same.any():
            column = table.columns[int(np.argmax(same.any(axis=1)))]
            raise DataError(
                f"`covariates`: {column!r} has the values of a {noun}, which it would replace in "
                "the model; leave one of them out."
            )


def _check_name(adata: AnnData, name: str, taken: Sequence[str | None]) -> None:
    """Require the name of one slot that the model does not use yet."""
    if name in taken:
        raise InvalidArgumentError(
            f"`covariates`: {name!r} is already part of the model, as cell type, slice, stage or "
            "time; leave it out."
        )
    in_obs, in_obsm = name in adata.obs, name in adata.obsm
    if in_obs and in_obsm:
        raise InvalidArgumentError(
            f"`covariates`: {name!r} is in `adata.obs` and in `adata.obsm`; rename one of them."
        )
    if not in_obs and not in_obsm:
        available = [*adata.obs.columns, *adata.obsm.keys()]
        raise MissingKeyError(
            f"`covariates`: {name!r} is neither in `adata.obs`, which has "
            f"{shorten(adata.obs.columns, 15)}, nor in `adata.obsm`, which has "
            f"{shorten(adata.obsm.keys())}.{closest(name, available)}"
        )


def _of_obs(adata: AnnData, name: str, rows: NDArray[np.integer], least: float) -> pd.DataFrame:
    """Return a column of ``obs`` as numbers: a column per category unless it is numeric.

    Categories must have at least so many cells on average.
    """
    values = adata.obs[name].iloc[rows].reset_index(drop=True)
    n_missing = int(values.isna().sum())
    if n_missing:
        raise DataError(
            f"`covariates`: `adata.obs[{name!r}]` is missing in {n_missing} of {len(rows)} "
            "receivers; fill it or drop those cells."
        )
    if is_numeric_dtype(values) and not is_bool_dtype(values):
        return _finite(pd.DataFrame({name: values.to_numpy(dtype=float)}), f"adata.obs[{name!r}]")
    text = values.astype(str)
    n_categories = text.nunique()
    if len(rows) < least * n_categories:
        raise DataError(
            f"`covariates`: `adata.obs[{name!r}]` has {n_categories} categories in {len(rows)} "
            "receivers, which identify single cells; merge categories or leave it out."
        )
    indicators = pd.get_dummies(text, prefix=name, prefix_sep="=", dtype=float)
    return indicators.sort_index(axis=1)


def _of_obsm(adata: AnnData, name: str, rows: NDArray[np.integer]) -> pd.DataFrame:
    """Return a slot of ``obsm`` as numbers."""
    stored = in_memory(adata.obsm[name])
    columns = stored.columns if isinstance(stored, pd.DataFrame) else range(np.shape(stored)[1])
    values = as_array(stored, f"`covariates`: `adata.obsm[{name!r}]`")[rows]
    table = pd.DataFrame(values, columns=[f"{name}={column}" for column in columns])
    return _finite(table, f"adata.obsm[{name!r}]")


def _finite(table: pd.DataFrame, slot: str) -> pd.DataFrame:
    """Return the table, whose values must be finite."""
    bad = int((~np.isfinite(table.to_numpy())).any(axis=1).sum())
    if bad:
        raise DataError(
            f"`covariates`: `{slot}` has NaN or inf in {bad} of {len(table)} receivers; fill it or "
            "drop those cells."
        )
    return table


def _standardised(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return columns with mean 0 and standard deviation 1; constant columns become 0."""
    centred = values - values.mean(axis=0, dtype=float)
    sd = centred.std(axis=0)
    return np.asarray(centred / np.where(sd > 0, sd, np.inf), dtype=np.float64)
