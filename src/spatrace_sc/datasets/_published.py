"""From a published h5ad to an AnnData that is ready for inference."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import shorten
from .._data.cells import coordinates
from .._errors import DataError
from ._fetch import Entry

logger = logging.getLogger("spatrace_sc")

#: Values looked at together.
BLOCK = 10_000_000


def why_not_hdf5(path: Path) -> str | None:
    """What is wrong with a download; None if it is a whole HDF5 file. A page of a portal, and a file whose end is missing, are not."""
    import h5py

    try:
        with h5py.File(path, "r"):
            return None
    except OSError as error:
        return f"what was sent is not a whole HDF5 file ({error})"


def read_published(
    path: Path,
    entry: Entry,
    record: dict[str, Any],
    stage: Callable[[str], tuple[str, float] | None],
) -> AnnData:
    """The atlas in the file. ``X`` of the file is never loaded."""
    counts, obs, var, obsm = _parts(path, entry, stage)
    adata = AnnData(
        X=log_normalised(counts), obs=obs, var=var, layers={_keys.COUNTS: counts}, obsm=obsm
    )
    adata.obsm[_keys.SPATIAL] = coordinates(adata, _keys.SPATIAL)
    for names, make in (
        (adata.obs_names, adata.obs_names_make_unique),
        (adata.var_names, adata.var_names_make_unique),
    ):
        if not names.is_unique:
            logger.warning(
                "%s: repeated names %s get a number.",
                path.name,
                shorten(names[names.duplicated()].unique()),
            )
            make()
    _report(adata, path, entry)
    adata.uns[_keys.CITATION] = f"{entry.citation}. doi:{entry.doi}"
    adata.uns[_keys.ATLAS] = {
        "name": entry.name,
        "title": entry.title,
        "doi": entry.doi,
        "url": record["url"] or entry.url,
        "file": str(path),
        "sha256": record["sha256"],
        "checksum": record["checksum"],
    }
    return adata


def _parts(
    path: Path, entry: Entry, stage: Callable[[str], tuple[str, float] | None]
) -> tuple[sparse.csr_matrix, pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Counts, ``obs``, ``var`` and ``obsm``; what else was read is let go."""
    try:
        found = anndata.read_h5ad(path, backed="r")
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as h5ad: {type(error).__name__}: {error}. {_changed(path)}"
        ) from error
    try:
        _check_layout(found, path, entry)
        counts = _counts(found.layers[_keys.COUNTS], path)
        return counts, _obs(found.obs, path, entry, stage), found.var.copy(), dict(found.obsm)
    finally:
        found.file.close()


def log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """log1p of counts per 10 000; a cell without counts stays empty."""
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(1e4, total, out=np.zeros_like(total), where=total > 0).astype(np.float32)
    logged = counts.copy()
    logged.data *= np.repeat(scale, np.diff(logged.indptr))
    np.log1p(logged.data, out=logged.data)
    return logged


def _changed(path: Path) -> str:
    return (
        "Either the publisher has changed the file or it is another one. It stays where it is: `anndata.read_h5ad` may read it, "
        f"and {path.name} with the described layout can be placed there instead (delete {path.name}.record.json with it)."
    )


def _check_layout(found: AnnData, path: Path, entry: Entry) -> None:
    layers = [k for k in found.layers if k is not None]
    columns = list(dict.fromkeys(entry.layout.values()))
    lacking = [f"obs[{c!r}]" for c in columns if c not in found.obs]
    lacking += [] if _keys.COUNTS in layers else [f"layers[{_keys.COUNTS!r}]"]
    lacking += [] if _keys.SPATIAL in found.obsm else [f"obsm[{_keys.SPATIAL!r}]"]
    if lacking:
        raise DataError(
            f"{path} has another layout than described: it lacks {', '.join(lacking)}. Its obs has {shorten(found.obs.columns, 15)}, "
            f"its layers are {shorten(layers)}, its obsm has {shorten(found.obsm.keys())}. {_changed(path)}"
        )
    if not found.n_obs or not found.n_vars:
        raise DataError(
            f"{path} has {found.n_obs} cells and {found.n_vars} genes. {_changed(path)}"
        )


def _counts(layer: Any, path: Path) -> sparse.csr_matrix:
    """Whole numbers, sparse, float32; an own copy."""
    matrix = layer.to_memory() if hasattr(layer, "to_memory") else layer
    counts = sparse.csr_matrix(matrix, copy=False)
    for start in range(0, counts.data.size, BLOCK):
        values = counts.data[start : start + BLOCK]
        bad = ~np.isfinite(values) | (values < 0) | (values != np.floor(values))
        if bad.any():
            raise DataError(
                f"{path}: layers[{_keys.COUNTS!r}] must hold counts, whole numbers of at least 0, and has e.g. {values[bad][0]!s}. {_changed(path)}"
            )
    counts = counts.astype(np.float32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _obs(
    found: pd.DataFrame, path: Path, entry: Entry, stage: Callable[[str], tuple[str, float] | None]
) -> pd.DataFrame:
    slices, named = (_strings(found, entry.layout[k], path) for k in ("sample", "stage"))
    read = {name: stage(name) for name in dict.fromkeys(named)}
    unread = [name for name, value in read.items() if value is None]
    if unread:
        raise DataError(
            f"{path}: obs[{entry.layout['stage']!r}] has {len(unread)} values that name no stage: {shorten(unread)}. {_changed(path)}"
        )
    times = dict(pair for pair in read.values() if pair)
    label = np.array([(read[name] or ("", np.nan))[0] for name in named], dtype=object)
    across = pd.Series(label).groupby(slices).nunique()
    if (across > 1).any():
        raise DataError(
            f"{path}: the slices {shorten(across.index[across > 1])} in obs[{entry.layout['sample']!r}] have cells of several stages. {_changed(path)}"
        )
    order = sorted(times, key=lambda name: (not np.isnan(times[name]), times[name], name))
    kinds = found[entry.layout["cell_type"]]
    own = {
        _keys.CELL_TYPE: pd.Categorical(kinds.astype(str).where(kinds.notna())),
        _keys.SAMPLE: pd.Categorical(slices),
        _keys.STAGE: pd.Categorical(label, categories=order, ordered=True),
        _keys.STAGE_TIME: np.array([times[name] for name in label], dtype=np.float64),
    }
    kept = found.rename(columns={name: f"published_{name}" for name in own if name in found})
    return pd.concat([pd.DataFrame(own, index=kept.index), kept], axis=1)


def _strings(found: pd.DataFrame, column: str, path: Path) -> NDArray[np.object_]:
    missing = int(found[column].isna().sum())
    if missing:
        raise DataError(
            f"{path}: obs[{column!r}] is missing in {missing} of {len(found)} cells. {_changed(path)}"
        )
    return found[column].astype(str).to_numpy(dtype=object)


def _report(adata: AnnData, path: Path, entry: Entry) -> None:
    described = (entry.cells or adata.n_obs, entry.genes or adata.n_vars)
    if adata.shape != described:
        logger.warning(
            "%s has %d cells × %d genes; described were %d × %d.",
            path.name,
            *adata.shape,
            *described,
        )
    untyped = int(adata.obs[_keys.CELL_TYPE].isna().sum())
    if untyped:
        logger.warning(
            "%s: %d cells have no cell type; name one or drop them before inference.",
            path.name,
            untyped,
        )
    logger.info(
        "%s: %d cells × %d genes, %d slices, stages %s. The unit of the coordinates is not stated.",
        entry.title,
        *adata.shape,
        adata.obs[_keys.SAMPLE].nunique(),
        shorten(adata.obs[_keys.STAGE].cat.categories, 12),
    )
