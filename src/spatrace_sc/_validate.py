"""Checks of what a user hands over. Each raises a typed error that names the argument, what was found and what to do."""

from __future__ import annotations

import difflib
import logging
import numbers
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from . import _keys
from ._backed import OnDisk, by_gene, check_values, in_memory, is_on_disk, judge_raw, values_of
from ._errors import DataError, InvalidArgumentError, MissingKeyError, warn

logger = logging.getLogger("spatrace_sc")


#: Columns of ``obs`` that usually hold the slice.
SLICE_NAMES = {
    "sample",
    "samples",
    "sample_id",
    "section",
    "section_id",
    "slice",
    "slice_id",
    "batch",
    "library",
    "library_id",
    "slide",
    "fov",
    "replicate",
}


def shorten(names: Iterable[object], limit: int = 8) -> str:
    """A readable list, never a wall of names."""
    items = [repr(str(n)) for n in names]
    return (
        ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if len(items) > limit else "")
        if items
        else "none"
    )


def closest(name: str, available: Iterable[object]) -> str:
    """``" Did you mean 'x'?"`` or nothing. Upper and lower case count as the same, so that Wnt3 finds WNT3."""
    names = [str(a) for a in available]
    folded = {n.casefold(): n for n in reversed(names)}
    match = difflib.get_close_matches(name, names, n=1) or [
        folded[found] for found in difflib.get_close_matches(name.casefold(), folded, n=1)
    ]
    return f" Did you mean {match[0]!r}?" if match else ""


def obs_column(adata: AnnData, key: str, argument: str) -> pd.Series:
    """A column of ``obs``."""
    if key not in adata.obs:
        raise MissingKeyError(
            f"`{argument}={key!r}` is not in `adata.obs`; it has {shorten(adata.obs.columns, 15)}.{closest(key, adata.obs.columns)}"
        )
    column: pd.Series = adata.obs[key]
    return column


def categories(adata: AnnData, key: str, argument: str) -> NDArray[np.object_]:
    """A column of ``obs`` as strings, without missing values."""
    column = obs_column(adata, key, argument)
    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"`adata.obs[{key!r}]` (`{argument}`) is missing in {missing} of {len(column)} cells; fill it or drop those cells."
        )
    return column.astype(str).to_numpy(dtype=object)


def coordinates(adata: AnnData, key: str) -> NDArray[np.float64]:
    """(cells, 2 or 3) finite positions from ``obsm``."""
    if key not in adata.obsm:
        raise MissingKeyError(
            f"`spatial_key={key!r}` is not in `adata.obsm`; it has {shorten(adata.obsm.keys())}. "
            + (
                "The table annotates elements of a SpatialData: `st.pp.gather(sdata)` puts their positions there."
                if _keys.ATTRS in adata.uns
                else "Store the cells' coordinates there, in the units in which you state `radius`."
            )
        )
    try:
        coords = np.asarray(adata.obsm[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"`adata.obsm[{key!r}]` (`spatial_key`) must hold numbers: {error}.") from error
    if coords.ndim != 2 or coords.shape[1] not in (2, 3):
        raise DataError(f"`adata.obsm[{key!r}]` must be cells × 2 or cells × 3, found shape {coords.shape}.")
    bad = int((~np.isfinite(coords)).any(axis=1).sum())
    if bad:
        raise DataError(f"`adata.obsm[{key!r}]` has NaN or inf in {bad} of {len(coords)} cells; drop those cells.")
    return coords


def samples(adata: AnnData, key: str | None, argument: str = "sample_key") -> NDArray[np.object_]:
    """Slice of every cell; one slice when no key is given. A slice of one cell has no neighbours and is refused."""
    if key is None:
        likely = [
            c
            for c in adata.obs
            if str(c).lower() in SLICE_NAMES and 1 < adata.obs[c].nunique() <= max(1, adata.n_obs // 2)
        ]
        if likely:
            warn(
                f"no `{argument}` was given, so all {adata.n_obs} cells are taken as one slice; `adata.obs` has {shorten(likely)} ({adata.obs[likely[0]].nunique()} values). "
                f"If cells of different slices share one coordinate system, pass e.g. `{argument}={likely[0]!r}`: neighbours would cross slices otherwise."
            )
        return np.full(adata.n_obs, "all", dtype=object)
    values = categories(adata, key, argument)
    names, counts = np.unique(values.astype(str), return_counts=True)
    if (counts < 2).any():
        raise DataError(
            f"`{argument}={key!r}`: the samples {shorten(names[counts < 2])} have a single cell, which has no neighbours; drop them or merge samples."
        )
    return values


def expression(
    adata: AnnData, layer: str | None, *, refuse_raw: bool = False
) -> sparse.csr_matrix | NDArray[np.floating] | OnDisk:
    """``X`` or a layer, finite and with unique genes. Warns, or refuses, when it looks like raw counts.

    What is on disk stays there: whether it is raw is judged from a few cells, the rest is checked as it is read.
    """
    if not adata.var_names.is_unique:
        repeated = adata.var_names[adata.var_names.duplicated()].unique()
        raise DataError(
            f"`adata.var_names` has {len(repeated)} repeated names ({shorten(repeated, 5)}); call `adata.var_names_make_unique()` or merge them."
        )
    matrix, where = matrix_of(adata, layer)
    if isinstance(matrix, OnDisk):
        values = matrix.probe()
        check_values(values, where, "at least ")
        judge_raw(values, where, refuse_raw)
        return matrix
    matrix = sparse.csr_matrix(matrix) if sparse.issparse(matrix) else np.asarray(matrix)
    values = values_of(matrix)
    check_values(values, where)
    judge_raw(values, where, refuse_raw)
    return matrix


def matrix_of(adata: AnnData, layer: str | None) -> tuple[Any, str]:
    """``X`` or a layer, unchecked, and what it is called in messages. What is on disk stays there, unless it is stored by gene."""
    if layer is not None and layer not in adata.layers:
        named = [k for k in adata.layers if k is not None]
        raise MissingKeyError(
            f"`layer={layer!r}` is not in `adata.layers`; it has {shorten(named)}.{closest(layer, named)}"
        )
    matrix = adata.X if layer is None else adata.layers[layer]
    where = "`adata.X`" if layer is None else f"`adata.layers[{layer!r}]`"
    if matrix is None:
        raise DataError(f"{where} is empty; store log-normalised expression there or name a `layer`.")
    if not is_on_disk(matrix):
        return matrix, where
    if by_gene(matrix):
        logger.info(
            "%s is stored by gene (CSC), so all of it is read; stored by cell (CSR) it could stay on disk.", where
        )
        return in_memory(matrix), where
    return OnDisk(matrix, partial(check_values, where=where, least="at least ")), where


def columns(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, index: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Dense float32 columns."""
    if isinstance(matrix, OnDisk):
        return matrix.columns(index)
    chosen = matrix[:, index]
    return np.asarray(chosen.toarray() if isinstance(chosen, sparse.csr_matrix) else chosen, dtype=np.float32)


def time_column(
    adata: AnnData, key: str, argument: str = "time_key", *, cell_type_key: str | None = None
) -> NDArray[np.float64]:
    """Numeric time from ``obs``; NaN is allowed here. inf, as diffusion pseudotime writes for unreachable cells, counts as NaN."""
    if key not in adata.obs:
        raise MissingKeyError(
            f"`{argument}={key!r}` is not in `adata.obs`; it has {shorten(adata.obs.columns, 15)}.{closest(key, adata.obs.columns)} "
            f"Name a numeric column, or let `st.pp.transitions(adata, root=..., cell_type_key={'...' if cell_type_key is None else repr(cell_type_key)})` compute diffusion pseudotime first."
        )
    column = adata.obs[key]
    if not pd.api.types.is_numeric_dtype(column):
        raise DataError(
            f"`adata.obs[{key!r}]` (`{argument}`) has dtype {column.dtype}; time must be numeric. For stages, store e.g. 12.5 for 'E12.5' in a float column."
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def cell_mask(
    types: NDArray[np.object_] | None, chosen: Sequence[str] | str | None, argument: str, n: int
) -> NDArray[np.bool_]:
    """Cells of the given types; all when None."""
    if chosen is None:
        return np.ones(n, dtype=bool)
    wanted = [chosen] if isinstance(chosen, str) else [str(c) for c in chosen]
    available = np.unique(np.asarray(types, dtype=str)) if types is not None else np.empty(0, dtype=str)
    unknown = [w for w in wanted if w not in set(available)]
    if not wanted or unknown:
        found = f"has unknown cell types {shorten(unknown)}" if unknown else "is empty"
        raise InvalidArgumentError(f"`{argument}` {found}; the data have {shorten(available, 20)}. None takes all.")
    return np.isin(np.asarray(types, dtype=str), wanted)


def receivers_with_time(
    time: NDArray[np.float64], types: NDArray[np.object_], chosen: Sequence[str] | str | None, time_key: str
) -> NDArray[np.bool_]:
    """Mask of the receivers: the given types or, for None, every type that has time. Their time must be complete and vary."""
    known = np.isfinite(time)
    mask = cell_mask(types, chosen, "receivers", len(time))
    if not known.any():
        raise DataError(f"`adata.obs[{time_key!r}]` (`time_key`) is NaN in every cell; receivers need a time.")
    if chosen is None:
        timed = np.unique(types[known].astype(str))
        mask = np.isin(types.astype(str), timed)
        if not mask.all():
            silent = sorted(set(types[~mask].astype(str)))
            logger.info("Cell types without time only send: %s.", shorten(silent))
    lacking = mask & ~known
    if lacking.any():
        kinds = pd.Series(types[lacking].astype(str)).value_counts()
        detail = ", ".join(f"{k!r}: {v}" for k, v in kinds.head(5).items())
        raise DataError(
            f"`adata.obs[{time_key!r}]` (`time_key`) is NaN or inf in {int(lacking.sum())} receivers ({detail}); receivers need a time, senders do not. "
            "Name the types to explain in `receivers=`, or drop those cells."
        )
    if mask.sum() < 20:
        raise DataError(f"only {int(mask.sum())} receivers; at least 20 are needed. Check `receivers` and `time_key`.")
    if np.ptp(time[mask]) == 0:
        raise DataError(
            f"`adata.obs[{time_key!r}]` (`time_key`) is {time[mask][0]:g} in every receiver; time must vary for transitions to have a direction."
        )
    return mask


def positive(value: object, argument: str, unit: str = "") -> None:
    """A number above 0, or None."""
    if value is None:
        return
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not np.isfinite(float(value))
        or float(value) <= 0
    ):
        raise InvalidArgumentError(f"`{argument}` must be a positive number{unit}, found {value!r}.")


def whole(value: object, argument: str, low: int = 1) -> None:
    """A whole number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < low:
        raise InvalidArgumentError(f"`{argument}` must be a whole number of at least {low}, found {value!r}.")


def share_of_one(value: object, argument: str) -> None:
    """A number above 0 and at most 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < float(value) <= 1:
        raise InvalidArgumentError(f"`{argument}` must be a number above 0 and at most 1, found {value!r}.")


def stored(adata: AnnData, key: str) -> dict[str, Any]:
    """A result of :func:`spatrace_sc.tl.infer_ccc` in ``uns``."""
    if not isinstance(adata, AnnData):
        hint = " Pass the table that holds the result, e.g. `sdata['table']`." if hasattr(adata, "tables") else ""
        raise InvalidArgumentError(f"`adata` must be AnnData, found {type(adata).__name__}.{hint}")
    found = adata.uns.get(key)
    if not isinstance(found, dict | type(adata.uns)) or "lr_targets" not in found:
        others = [k for k, v in adata.uns.items() if isinstance(v, dict) and "lr_targets" in v and "genes" in v]
        hint = (
            f"; results are under {shorten(others)}, pass it as `key`"
            if others
            else f"; call `st.tl.infer_ccc(adata, key_added={key!r})` first"
        )
        raise MissingKeyError(f"`adata.uns[{key!r}]` holds no result of `st.tl.infer_ccc`{hint}.")
    if "groups" not in found or "senders" not in found.get("params", {}):
        raise DataError(
            f"`adata.uns[{key!r}]` was written by an earlier version of spatrace-sc; call `st.tl.infer_ccc` again."
        )
    return dict(found)
