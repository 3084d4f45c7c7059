"""Log-normalised expression computed from raw counts."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from .._errors import DataError
from .expression import matrix_of
from .on_disk import OnDisk
from .remedies import looks_raw

logger = logging.getLogger("spatrace_sc")

#: Layer that keeps the counts.
COUNTS = "counts"
#: Sum of every cell after normalisation.
TARGET_SUM = 1e4


def log_normalise(adata: AnnData, layer: str | None) -> None:
    """Replace ``X`` by log1p of the normalised counts in ``X`` or in a layer, in place.

    The counts are kept in ``layers["counts"]``, unless there is such a layer already.
    """
    import scanpy as sc

    counts, name = matrix_of(adata, layer)
    if isinstance(counts, OnDisk):
        raise DataError(f"{name} is on disk; read the data into memory to normalise them.")
    values = np.asarray(counts.data if sparse.issparse(counts) else counts).ravel()
    if not _whole_and_positive(values) or not looks_raw(values):
        raise DataError(
            f"normalisation needs raw counts, and {name} holds "
            f"{_finding(values)}. Name the layer that holds counts, or leave normalisation out "
            f"if {name} is log-normalised already.{_hint(adata, layer)}"
        )
    if COUNTS in adata.layers:
        logger.info("adata.layers['counts'] exists and is not changed.")
    else:
        adata.layers[COUNTS] = counts.copy()
    adata.X = counts.astype(np.float32)
    sc.pp.normalize_total(adata, target_sum=TARGET_SUM)
    sc.pp.log1p(adata)
    logger.info(
        "X is now log1p of %s, normalised to %d per cell; the counts are in layers['counts'].",
        *(name, int(TARGET_SUM)),
    )


def _whole_and_positive(values: Any) -> bool:
    """Return whether all values are whole numbers, none negative."""
    return bool(np.isfinite(values).all() and (values >= 0).all() and (values % 1 == 0).all())


def _finding(values: Any) -> str:
    """Return what a matrix holds instead of counts."""
    if not values.size:
        return "no values"
    if not np.isfinite(values).all():
        return "NaN or infinite values"
    if (values < 0).any():
        return f"negative values (down to {values.min():.3g})"
    if (values % 1 != 0).any():
        return f"fractions such as {values[values % 1 != 0][0]:.4g}"
    return f"whole numbers up to {values.max():.3g} only, as indicators do"


def _hint(adata: AnnData, layer: str | None) -> str:
    """Return where counts may be."""
    others = [str(k) for k in adata.layers if k is not None and k != layer]
    return f" The data have the layers {', '.join(others)}." if others else ""
