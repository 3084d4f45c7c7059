"""How far each ligand reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from .. import _keys, get
from .._check import count
from ._drawing.axes import NEUTRAL, label_ticks, nothing_left

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Colours of ranges that are determined and of those that are not; inches per ligand.
DETERMINED, UNDETERMINED, ROW = "#0072B2", "0.7", 0.24


def ranges(
    adata: AnnData,
    *,
    top_n: int | None = 30,
    key: str = _keys.RESULT,
    ax: Axes | None = None,
) -> Axes:
    """Draw the range of every ligand with its 95 % interval, the shortest first.

    Grey ranges are not determined. The dotted line is the radius of the inference; ticks are the
    radii that were compared.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.ranges`.
    top_n
        Number of ligands, those with most edges. None: all.
    key
        Name of the result.
    ax
        Axes to draw in. None: a new figure.

    Returns
    -------
    The Axes.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result, or no ranges.
    InvalidArgumentError
        ``top_n`` is out of range.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.ranges(adata, max_q=1.0)
    >>> st.pl.ranges(adata, top_n=5).get_xscale()
    'log'
    """
    import matplotlib.pyplot as plt

    count(top_n, "top_n")
    table = get.ranges(adata, key=key)
    radii = np.unique(get.ranges(adata, profile=True, key=key)["radius"].to_numpy(dtype=float))
    most = table if top_n is None else table.nlargest(top_n, "n_edges")
    drawn = most.sort_values(["radius", "low", "ligand"], ignore_index=True)
    if ax is None:
        ax = plt.subplots(figsize=(4.6, 1.3 + ROW * max(len(drawn), 4)), layout="constrained")[1]
    if drawn.empty:
        return nothing_left(ax, "No ligand has a significant edge that could tell its range")
    for row, ligand in enumerate(drawn.to_dict("records")):
        colour = DETERMINED if ligand["determined"] else UNDETERMINED
        ax.plot([ligand["low"], ligand["high"]], [row, row], color=colour, lw=2.0)
        ax.plot(ligand["radius"], row, "o", ms=6, color=colour)
    ax.axvline(float(get.params(adata, key=key)["radius"]), color=NEUTRAL, lw=0.9, ls=":")
    ax.set_xscale("log")
    ax.set_xlim(radii[0] / 1.25, radii[-1] * 1.25)
    ax.set_xticks(radii, [f"{radius:.3g}" for radius in radii], fontsize=8)
    ax.set_xticks([], minor=True)
    ax.set_ylim(len(drawn) - 0.4, -0.6)
    ax.set_xlabel("range (radius, units of the coordinates)")
    ax.spines[["top", "right"]].set_visible(False)
    n = int(drawn["determined"].sum())
    ax.set_title(f"Range determined for {n} of {len(drawn)} ligands", fontsize=10)
    label_ticks(ax, y=[str(name) for name in drawn["ligand"]])
    return ax
