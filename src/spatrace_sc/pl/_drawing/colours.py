"""Categorical colours of cell types, shared with the colours that scanpy stores."""

from __future__ import annotations

from collections.abc import Sequence

from anndata import AnnData

from ..._data.colours import stored_colours

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
    every, stored = stored_colours(adata, column)
    if all(name in stored for name in names):
        return {name: to_hex(stored[name]) for name in names}
    ordered = list(stored) or every or names
    ordered += [name for name in names if name not in ordered]
    palette = OKABE_ITO if len(ordered) <= len(OKABE_ITO) else _many(len(ordered))
    chosen = {name: palette[k % len(palette)] for k, name in enumerate(ordered)}
    return {name: to_hex(stored.get(name, chosen[name])) for name in names}


def _many(n: int) -> Sequence[str]:
    """Return a palette for more than eight categories."""
    from scanpy.plotting import palettes

    for palette in (palettes.default_20, palettes.default_28, palettes.default_102):
        if n <= len(palette):
            break
    return [str(colour) for colour in palette]
