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
from ._checksums import Record, record_path
from ._registry import Entry

logger = logging.getLogger("spatrace_sc")

#: Values that are checked at a time.
BLOCK_VALUES = 10_000_000


def why_not_hdf5(path: Path) -> str | None:
    """Why a download is not a complete HDF5 file; None if it is one.

    The web page of a portal, or a file whose end is missing, is not.
    """
    import h5py

    try:
        with h5py.File(path, "r"):
            return None
    except OSError as error:
        return f"the server did not send a complete HDF5 file ({error})"


def read_published(
    path: Path,
    entry: Entry,
    record: Record,
    stage: Callable[[str], tuple[str, float] | None],
) -> AnnData:
    """The atlas in the file. ``X`` of the file is never loaded."""
    counts, obs, var, obsm = _parts(path, entry, stage)
    adata = AnnData(
        X=log_normalised(counts), obs=obs, var=var, layers={_keys.COUNTS: counts}, obsm=obsm
    )
    adata.obsm[_keys.SPATIAL] = coordinates(adata, _keys.SPATIAL)
    for names, make_unique in (
        (adata.obs_names, adata.obs_names_make_unique),
        (adata.var_names, adata.var_names_make_unique),
    ):
        if not names.is_unique:
            repeated = shorten(names[names.duplicated()].unique())
            logger.warning("%s: repeated names %s get a number.", path.name, repeated)
            make_unique()
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
    """Counts, ``obs``, ``var`` and ``obsm`` of the file."""
    try:
        published = anndata.read_h5ad(path, backed="r")
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as h5ad: {type(error).__name__}: {error}. {_changed(path)}"
        ) from error
    try:
        _check_layout(published, path, entry)
        counts = _counts(published.layers[_keys.COUNTS], path)
        obs = _obs(published.obs, path, entry, stage)
        return counts, obs, published.var.copy(), dict(published.obsm)
    finally:
        published.file.close()


def log_normalised(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """log1p of counts per 10 000; a cell without counts stays empty."""
    total = np.asarray(counts.sum(axis=1, dtype=np.float64)).ravel()
    scale = np.divide(1e4, total, out=np.zeros_like(total), where=total > 0).astype(np.float32)
    logged = counts.copy()
    logged.data *= np.repeat(scale, np.diff(logged.indptr))
    np.log1p(logged.data, out=logged.data)
    return logged


def _changed(path: Path) -> str:
    """What to do with a file of another layout, for messages."""
    return (
        "Either the publisher has changed the file or it is another one. It stays where it is: "
        f"`anndata.read_h5ad` may read it, and {path.name} with the described layout can be "
        f"placed there instead (delete {record_path(path).name} with it)."
    )


def _check_layout(published: AnnData, path: Path, entry: Entry) -> None:
    """Raise unless the file has the described columns, counts and positions, and is not empty."""
    layers = [k for k in published.layers if k is not None]
    columns = list(dict.fromkeys(entry.layout.values()))
    missing = [f"obs[{c!r}]" for c in columns if c not in published.obs]
    missing += [] if _keys.COUNTS in layers else [f"layers[{_keys.COUNTS!r}]"]
    missing += [] if _keys.SPATIAL in published.obsm else [f"obsm[{_keys.SPATIAL!r}]"]
    if missing:
        raise DataError(
            f"the layout of {path} differs from the description: it lacks {', '.join(missing)}. "
            f"Its obs has {shorten(published.obs.columns, 15)}, its layers are {shorten(layers)}, "
            f"its obsm has {shorten(published.obsm.keys())}. {_changed(path)}"
        )
    if not published.n_obs or not published.n_vars:
        raise DataError(
            f"{path} has {published.n_obs} cells and {published.n_vars} genes. {_changed(path)}"
        )


def _counts(layer: Any, path: Path) -> sparse.csr_matrix:
    """Whole numbers as a sparse float32 matrix, a copy."""
    matrix = layer.to_memory() if hasattr(layer, "to_memory") else layer
    counts = sparse.csr_matrix(matrix, copy=False)
    for start in range(0, counts.data.size, BLOCK_VALUES):
        values = counts.data[start : start + BLOCK_VALUES]
        bad = ~np.isfinite(values) | (values < 0) | (values != np.floor(values))
        if bad.any():
            raise DataError(
                f"{path}: layers[{_keys.COUNTS!r}] must hold counts, whole numbers of at least 0, "
                f"and has e.g. {values[bad][0]!s}. {_changed(path)}"
            )
    counts = counts.astype(np.float32)
    counts.sum_duplicates()
    counts.eliminate_zeros()
    return counts


def _obs(
    published: pd.DataFrame,
    path: Path,
    entry: Entry,
    stage: Callable[[str], tuple[str, float] | None],
) -> pd.DataFrame:
    """The described columns of ``obs``, then the published ones."""
    slices, stage_names = (_strings(published, entry.layout[k], path) for k in ("sample", "stage"))
    stages = {name: stage(name) for name in dict.fromkeys(stage_names)}
    unknown = [name for name, value in stages.items() if value is None]
    if unknown:
        raise DataError(
            f"{path}: obs[{entry.layout['stage']!r}] has {len(unknown)} values that name no "
            f"stage: {shorten(unknown)}. {_changed(path)}"
        )
    times = dict(pair for pair in stages.values() if pair)
    label = np.array([(stages[name] or ("", np.nan))[0] for name in stage_names], dtype=object)
    n_stages = pd.Series(label).groupby(slices).nunique()
    if (n_stages > 1).any():
        raise DataError(
            f"{path}: the slices {shorten(n_stages.index[n_stages > 1])} in "
            f"obs[{entry.layout['sample']!r}] have cells of several stages. {_changed(path)}"
        )
    order = sorted(times, key=lambda name: (not np.isnan(times[name]), times[name], name))
    types = published[entry.layout["cell_type"]]
    described = {
        _keys.CELL_TYPE: pd.Categorical(types.astype(str).where(types.notna())),
        _keys.SAMPLE: pd.Categorical(slices),
        _keys.STAGE: pd.Categorical(label, categories=order, ordered=True),
        _keys.STAGE_TIME: np.array([times[name] for name in label], dtype=np.float64),
    }
    renamed = published.rename(
        columns={name: f"published_{name}" for name in described if name in published}
    )
    return pd.concat([pd.DataFrame(described, index=renamed.index), renamed], axis=1)


def _strings(published: pd.DataFrame, column: str, path: Path) -> NDArray[np.object_]:
    """A column without missing values as strings."""
    missing = int(published[column].isna().sum())
    if missing:
        raise DataError(
            f"{path}: obs[{column!r}] is missing in {missing} of {len(published)} cells. "
            f"{_changed(path)}"
        )
    return published[column].astype(str).to_numpy(dtype=object)


def _report(adata: AnnData, path: Path, entry: Entry) -> None:
    """Log the size of the atlas, and where it differs from the description."""
    described = (entry.cells or adata.n_obs, entry.genes or adata.n_vars)
    if adata.shape != described:
        logger.warning(
            "%s has %d cells × %d genes; the description has %d × %d.",
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
