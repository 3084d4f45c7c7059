"""Columns of ``obs`` and coordinates, checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, find_labels, labels, name_of_column, shorten
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn
from .matrix_forms import as_array
from .on_disk import in_memory
from .reused_samples import warn_of_reused_samples

logger = logging.getLogger("spatrace_sc")

#: Columns of ``obs`` that usually hold the slice.
SLICE_NAMES = {
    *("sample", "samples", "sample_id", "section", "section_id", "slice", "slice_id", "slide"),
    *("batch", "library", "library_id", "fov", "replicate"),
}
#: Smallest number of receivers that can be analysed.
MIN_RECEIVERS = 20


def obs_column(adata: AnnData, key: str, argument: str, hint: str = "") -> pd.Series:
    """Return a column of ``obs``; ``hint`` ends the message when it is missing."""
    name_of_column(key, argument)
    if key not in adata.obs:
        columns = adata.obs.columns
        if argument == "cell_type_key":
            hint = f"{hint} For spots, name a column of regions or clusters."
        raise MissingKeyError(
            f"`{argument}={key!r}` is not in `adata.obs`; it has {shorten(columns, 15)}."
            f"{closest(key, columns)}{hint}"
        )
    column: pd.Series = adata.obs[key]
    return column


def categories(adata: AnnData, key: str, argument: str) -> NDArray[np.object_]:
    """Return a column of ``obs`` as strings; missing values are an error."""
    column = obs_column(adata, key, argument)
    n_missing = int(column.isna().sum())
    if n_missing:
        raise DataError(
            f"`adata.obs[{key!r}]` (`{argument}`) is missing in {n_missing} of {len(column)} "
            "cells; fill it or drop those cells."
        )
    return column.astype(str).to_numpy(dtype=object)


def label_text(adata: AnnData, key: str, argument: str) -> NDArray[np.object_]:
    """Return a column of ``obs`` as text, in which a missing value is one label like any other."""
    return obs_column(adata, key, argument).astype(str).to_numpy(dtype=object)


def coordinates(adata: AnnData, key: str, *, sample_key: str | None = None) -> NDArray[np.float64]:
    """Return the (cells, 2 or 3) finite positions in ``obsm[key]``.

    The message about missing positions counts them by slice if ``sample_key`` is given.
    """
    name_of_column(key, "spatial_key")
    if key not in adata.obsm:
        remedy = (
            "The table annotates elements of a SpatialData: `st.pp.gather(sdata)` stores their "
            "positions there."
            if _keys.ATTRS in adata.uns
            else "Store the cells' coordinates there, in the units in which you state `radius`."
        )
        raise MissingKeyError(
            f"`spatial_key={key!r}` is not in `adata.obsm`; it has "
            f"{shorten(adata.obsm.keys())}. {remedy}"
        )
    coords = stored_positions(adata, key, f"`adata.obsm[{key!r}]` (`spatial_key`)")
    bad: NDArray[np.bool_] = np.asarray((~np.isfinite(coords)).any(axis=1))
    if bad.any():
        raise DataError(
            f"`adata.obsm[{key!r}]` has NaN or inf in {int(bad.sum())} of {len(coords)} cells"
            f"{_by_slice(adata, bad, sample_key)}; drop those cells."
        )
    return coords


def _by_slice(adata: AnnData, cells: NDArray[np.bool_], sample_key: str | None) -> str:
    """Return ``" ('a': 3 of 50)"``: how many of the cells each slice has."""
    if sample_key not in adata.obs:
        return ""
    sample = adata.obs[sample_key].astype(str)
    n_cells, counts = sample.value_counts(), sample[cells].value_counts()
    return f" ({shorten((f'{name}: {n} of {n_cells[name]}' for name, n in counts.items()), 4)})"


def stored_positions(adata: AnnData, key: str, name: str) -> NDArray[np.float64]:
    """Return the (cells, 2 or 3) positions that a slot of ``obsm`` holds in any form.

    NaN is allowed. ``name`` stands for the slot in messages.
    """
    stored = in_memory(adata.obsm[key])
    shape = tuple(np.shape(stored))
    if len(shape) != 2 or shape[1] not in (2, 3):
        raise DataError(f"{name} must be cells × 2 or cells × 3, found shape {shape}.")
    return as_array(stored, name)


def samples(
    adata: AnnData,
    key: str | None,
    argument: str = "sample_key",
    *,
    stage_key: str | None = None,
    time_key: str | None = None,
) -> NDArray[np.object_]:
    """Return the slice of every cell; without a key, all cells are one slice.

    A slice of a single cell has no neighbours and is an error. A ``sample_key`` whose names are
    reused at several stages draws a warning; ``stage_key`` and ``time_key`` name the columns by
    which this is judged, None: a column that looks like the stage.
    """
    if key is None:
        _warn_of_unused_slices(adata, argument)
        return np.full(adata.n_obs, "all", dtype=object)
    values = categories(adata, key, argument)
    names, counts = np.unique(values.astype(str), return_counts=True)
    if (counts < 2).any():
        raise DataError(
            f"`{argument}={key!r}`: the samples {shorten(names[counts < 2])} have a single cell, "
            "which has no neighbours; drop them or merge samples."
        )
    if argument == "sample_key":
        warn_of_reused_samples(adata, key, stage_key=stage_key, time_key=time_key)
    return values


def _warn_of_unused_slices(adata: AnnData, argument: str) -> None:
    """Warn if ``obs`` has a column that looks like the slice although none was named."""
    likely = [
        c
        for c in adata.obs
        if str(c).lower() in SLICE_NAMES and 1 < adata.obs[c].nunique() <= max(1, adata.n_obs // 2)
    ]
    if likely:
        warn(
            f"no `{argument}` was given, so all {adata.n_obs} cells are treated as one slice; "
            f"`adata.obs` has {shorten(likely)} ({adata.obs[likely[0]].nunique()} values). If "
            "cells of different slices share one coordinate system, pass e.g. "
            f"`{argument}={likely[0]!r}`: neighbours would cross slices otherwise."
        )


def time_column(
    adata: AnnData, key: str, argument: str = "time_key", *, cell_type_key: str | None = None
) -> NDArray[np.float64]:
    """Return numeric time from ``obs``; NaN is allowed.

    Infinite values, which diffusion pseudotime has in unreachable cells, become NaN.
    """
    types = "..." if cell_type_key is None else repr(cell_type_key)
    column = obs_column(
        adata,
        key,
        argument,
        " Name a numeric column, or let "
        f"`st.pp.transitions(adata, root=..., cell_type_key={types})` compute diffusion "
        "pseudotime first.",
    )
    if not pd.api.types.is_numeric_dtype(column):
        raise DataError(
            f"`adata.obs[{key!r}]` (`{argument}`) has dtype {column.dtype}; time must be numeric. "
            "For stages, store e.g. 12.5 for 'E12.5' in a float column."
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def cell_mask(
    types: NDArray[Any] | None, chosen: Sequence[str] | str | None, argument: str, n: int
) -> NDArray[np.bool_]:
    """Return the (n,) mask of the cells of the chosen types; all cells when None."""
    if chosen is None:
        return np.ones(n, dtype=bool)
    wanted = labels(chosen, argument)
    type_of_cell = np.empty(0, dtype=str) if types is None else np.asarray(types, dtype=str)
    available = np.unique(type_of_cell)
    selected, unknown = find_labels(wanted, available)
    if not wanted or unknown:
        problem = f"has unknown cell types {shorten(unknown)}" if unknown else "is empty"
        raise InvalidArgumentError(
            f"`{argument}` {problem}; the data have {shorten(available, 20)}. None selects all."
        )
    return np.isin(type_of_cell, selected)


def require_receivers(mask: NDArray[np.bool_]) -> None:
    """Require enough receivers."""
    if mask.sum() < MIN_RECEIVERS:
        raise DataError(
            f"only {int(mask.sum())} receivers; at least {MIN_RECEIVERS} are needed. Check "
            "`receivers` and `time_key`."
        )


def receivers_with_time(
    time: NDArray[np.float64],
    types: NDArray[Any],
    chosen: Sequence[str] | str | None,
    time_key: str,
    *,
    mixed: bool = False,
) -> NDArray[np.bool_]:
    """Return the mask of the receivers: the chosen types, or every type that has time.

    The time of the receivers must be complete and must vary. Where cells are ``mixed`` spots, those
    of the chosen types that have no time only send.
    """
    known = np.isfinite(time)
    mask = cell_mask(types, chosen, "receivers", len(time))
    column = f"`adata.obs[{time_key!r}]` (`time_key`)"
    if not known.any():
        raise DataError(f"{column} is NaN in every cell; receivers need a time.")
    if chosen is None:
        timed = np.unique(types[known].astype(str))
        mask = np.isin(types.astype(str), timed)
        if not mask.all():
            untimed = sorted(set(types[~mask].astype(str)))
            logger.info("Cell types without time only send: %s.", shorten(untimed))
    lacking = mask & ~known
    if mixed and lacking.any():
        logger.info("%d spots without time only send.", int(lacking.sum()))
        mask = mask & known
    elif lacking.any():
        counts = pd.Series(types[lacking].astype(str)).value_counts()
        detail = ", ".join(f"{name!r}: {n}" for name, n in counts.head(5).items())
        raise DataError(
            f"{column} is NaN or inf in {int(lacking.sum())} receivers ({detail}); receivers need "
            "a time, senders do not. Name the types to explain in `receivers=`, or drop those "
            "cells."
        )
    require_receivers(mask)
    if np.ptp(time[mask]) == 0:
        raise DataError(
            f"{column} is {time[mask][0]:g} in every receiver; time must vary for transitions to "
            "have a direction."
        )
    return mask
