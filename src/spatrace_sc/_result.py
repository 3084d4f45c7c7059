"""The stored result."""

from __future__ import annotations

import logging
from typing import Any

from anndata import AnnData

from ._check import shorten
from ._errors import DataError, InvalidArgumentError, MissingKeyError

logger = logging.getLogger("spatrace_sc")


def stored(adata: AnnData, key: str) -> dict[str, Any]:
    """A result of :func:`spatrace_sc.tl.infer_ccc` in ``uns``."""
    if not isinstance(adata, AnnData):
        hint = (
            " Pass the table that holds the result, e.g. `sdata['table']`."
            if hasattr(adata, "tables")
            else ""
        )
        raise InvalidArgumentError(f"`adata` must be AnnData, found {type(adata).__name__}.{hint}")
    found = adata.uns.get(key)
    if not isinstance(found, dict | type(adata.uns)) or "lr_targets" not in found:
        others = [
            k
            for k, v in adata.uns.items()
            if isinstance(v, dict) and "lr_targets" in v and "genes" in v
        ]
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
