"""Where the log-normalised expression may be that a matrix does not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import DataError
from .on_disk import probe_of, stored_values

#: Largest value that log-normalised expression plausibly has.
MAX_LOG_VALUE = 20
#: Number of values that are tested for being whole numbers.
N_PROBED_VALUES = 100_000


def looks_raw(values: NDArray[Any]) -> bool:
    """Return whether values are whole numbers, as raw counts are, and as 0 and 1 of detection."""
    if not values.size or not float(values.max()) >= 1.0:
        return False
    flat = values.ravel()
    probe = flat[:: max(1, flat.size // N_PROBED_VALUES)]
    return bool(np.array_equal(probe, np.round(probe)))


def remedy(adata: AnnData, layer: str | None) -> str:
    """Return where log-normalised expression is, or counts to compute it from, and how to take it.

    Asked are ``adata.raw``, the layers other than ``layer`` and, if a layer was named, ``X``.
    """
    layers = [str(k) for k in adata.layers if k is not None and k != layer]
    kinds = {k: _content(adata.layers[k]) for k in layers}
    in_raw = None if adata.raw is None else _content(adata.raw.X)
    remedies = []
    if in_raw is not None:
        remedies.append(_take_raw(adata, in_raw))
    logged = [k for k in layers if kinds[k] == "log"]
    if logged:
        remedies.append(f"name the layer: `layer={logged[0]!r}` holds log-normalised values")
    if layer is not None and _content(adata.X) == "log":
        remedies.append("leave out `layer`: `adata.X` holds log-normalised values")
    counted = [k for k in layers if kinds[k] == "counts"]
    if not remedies and counted:
        remedies.append(
            f"`adata.layers[{counted[0]!r}]` holds counts: `adata.X = "
            f"adata.layers[{counted[0]!r}].copy()`, `sc.pp.normalize_total(adata, "
            "target_sum=1e4)`, `sc.pp.log1p(adata)`"
        )
    if not remedies:
        return "Name the `layer` that holds it, or normalise the counts again."
    text = ", or ".join(remedies)
    return f"{text[0].upper()}{text[1:]}."


def _take_raw(adata: AnnData, content: str) -> str:
    """Return how to take ``adata.raw``, which holds non-negative values."""
    flags = [c for c in _keys.ROLES.values() if c in adata.var and c not in adata.raw.var]
    holds = "raw counts" if content == "counts" else "log-normalised values"
    text = f"take `adata.raw`, which holds {holds}: `adata = adata.raw.to_adata()`"
    if content == "counts":
        text += ", then `sc.pp.normalize_total(adata, target_sum=1e4)`, `sc.pp.log1p(adata)`"
    return text + (" (and call `st.pp.gene_roles` again)" if flags else "")


def _content(matrix: Any) -> str | None:
    """Return ``"log"`` or ``"counts"``; None where some cells show that a matrix holds neither."""
    if matrix is None:
        return None
    try:
        blocks = probe_of(matrix, "it")
    except DataError:
        return None
    values = np.concatenate([stored_values(block).ravel() for block in blocks])
    if not values.size or not np.isfinite(values).all() or values.min() < 0 or values.max() <= 0:
        return None
    if looks_raw(values):
        return "counts"
    # base 2 is the smallest in use
    return "log" if values.max() * np.log(2.0) <= MAX_LOG_VALUE else None
