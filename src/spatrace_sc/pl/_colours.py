"""Categorical colours of cell types, shared with the colours that scanpy stores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

#: Colour-blind safe colours (Okabe and Ito), for up to eight categories.
OKABE_ITO = (
    *("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999"),
)


def category_colours(
    adata: AnnData, column: str | None, categories: Sequence[str]
) -> dict[str, str]:
    """Return a colour for every category of a column of ``obs``.

    Colours in ``uns["<column>_colors"]``, as scanpy and squidpy store them, come first, so that a
    cell type has the same colour in all figures. Otherwise up to eight categories have colour-blind
    safe colours, and more have those of scanpy. Nothing is written.
    """
    from matplotlib.colors import to_hex

    names = [str(name) for name in categories]
    stored = _stored(adata, column)
    if all(name in stored for name in names):
        return {name: to_hex(stored[name]) for name in names}
    ordered = list(stored) or _all_categories(adata, column) or names
    ordered += [name for name in names if name not in ordered]
    palette = OKABE_ITO if len(ordered) <= len(OKABE_ITO) else _many(len(ordered))
    chosen = {name: palette[k % len(palette)] for k, name in enumerate(ordered)}
    return {name: to_hex(stored.get(name, chosen[name])) for name in names}


def _all_categories(adata: AnnData, column: str | None) -> list[str]:
    """Return the categories of a column in their order, none if there is no such column."""
    if column is None or column not in adata.obs:
        return []
    return [str(name) for name in pd.Categorical(adata.obs[column]).categories]


def _stored(adata: AnnData, column: str | None) -> dict[str, str]:
    """Return the colours that ``uns`` holds for the categories of a column."""
    names, key = _all_categories(adata, column), f"{column}_colors"
    if not names or key not in adata.uns:
        return {}
    colours = [str(colour) for colour in np.asarray(adata.uns[key]).ravel()]
    return dict(zip(names, colours, strict=False)) if len(colours) >= len(names) else {}


def _many(n: int) -> Sequence[str]:
    """Return a palette for more than eight categories."""
    from scanpy.plotting import palettes

    for palette in (palettes.default_20, palettes.default_28, palettes.default_102):
        if n <= len(palette):
            break
    return [str(colour) for colour in palette]
