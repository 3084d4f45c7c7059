"""Columns of ``obs`` and coordinates, checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, shorten
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn

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
        raise DataError(
            f"`adata.obsm[{key!r}]` (`spatial_key`) must hold numbers: {error}."
        ) from error
    if coords.ndim != 2 or coords.shape[1] not in (2, 3):
        raise DataError(
            f"`adata.obsm[{key!r}]` must be cells × 2 or cells × 3, found shape {coords.shape}."
        )
    bad = int((~np.isfinite(coords)).any(axis=1).sum())
    if bad:
        raise DataError(
            f"`adata.obsm[{key!r}]` has NaN or inf in {bad} of {len(coords)} cells; drop those cells."
        )
    return coords


def samples(adata: AnnData, key: str | None, argument: str = "sample_key") -> NDArray[np.object_]:
    """Slice of every cell; one slice when no key is given. A slice of one cell has no neighbours and is refused."""
    if key is None:
        likely = [
            c
            for c in adata.obs
            if str(c).lower() in SLICE_NAMES
            and 1 < adata.obs[c].nunique() <= max(1, adata.n_obs // 2)
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
    available = (
        np.unique(np.asarray(types, dtype=str)) if types is not None else np.empty(0, dtype=str)
    )
    unknown = [w for w in wanted if w not in set(available)]
    if not wanted or unknown:
        found = f"has unknown cell types {shorten(unknown)}" if unknown else "is empty"
        raise InvalidArgumentError(
            f"`{argument}` {found}; the data have {shorten(available, 20)}. None takes all."
        )
    return np.isin(np.asarray(types, dtype=str), wanted)


def receivers_with_time(
    time: NDArray[np.float64],
    types: NDArray[np.object_],
    chosen: Sequence[str] | str | None,
    time_key: str,
) -> NDArray[np.bool_]:
    """Mask of the receivers: the given types or, for None, every type that has time. Their time must be complete and vary."""
    known = np.isfinite(time)
    mask = cell_mask(types, chosen, "receivers", len(time))
    if not known.any():
        raise DataError(
            f"`adata.obs[{time_key!r}]` (`time_key`) is NaN in every cell; receivers need a time."
        )
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
        raise DataError(
            f"only {int(mask.sum())} receivers; at least 20 are needed. Check `receivers` and `time_key`."
        )
    if np.ptp(time[mask]) == 0:
        raise DataError(
            f"`adata.obs[{time_key!r}]` (`time_key`) is {time[mask][0]:g} in every receiver; time must vary for transitions to have a direction."
        )
    return mask
