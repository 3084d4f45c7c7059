"""Colours of categories, as scanpy and squidpy store them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData


def stored_colours(adata: AnnData, column: str | None) -> tuple[list[str], dict[str, str]]:
    """Return the categories of a column of ``obs``, and their colours in ``uns``.

    The first are empty if there is no such column, the second also if ``uns["<column>_colors"]``
    is missing or too short.
    """
    if column is None or column not in adata.obs:
        return [], {}
    names = [str(name) for name in pd.Categorical(adata.obs[column]).categories]
    colours = [str(c) for c in np.asarray(adata.uns.get(f"{column}_colors", [])).ravel()]
    return names, dict(zip(names, colours, strict=False)) if len(colours) >= len(names) else {}
