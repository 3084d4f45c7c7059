"""Pairs from one cell type to another, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import count
from .._errors import InvalidArgumentError
from ._drawing.axes import label_width
from ._drawing.labels import ARROW
from ._drawing.names import shortened
from ._drawing.signals import Signals, chosen_types, read_signals
from ._drawing.significance import THRESHOLD, is_significant, stage_word, up_to
from ._pair_heatmap import draw_scores, nothing_in, score_matrices

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Inches of a field, and largest number of panels in a row.
FIELD, N_COLUMNS = 0.17, 5


def communication_stages(
    adata: AnnData,
    sender: str | None = None,
    receiver: str | None = None,
    *,
    top_ligands: int | None = 15,
    top_receptors: int | None = 15,
    max_q: float | None = None,
    key: str = _keys.RESULT,
    cmap: str = "viridis",
    ax: Sequence[Axes] | None = None,
) -> NDArray[Any] | Axes:
    """Draw heatmaps of ligands × receptors from one cell type to another, one for every stage.

    All panels have the same rows, columns and colours, so that they can be compared. A pair has a
    dot where it is significant at the stage (q ≤ 0.1); a line under each title counts them. Grey:
    pairs that are not listed (:func:`spatrace_sc.get.communication`), or have a q above ``max_q``.
    Rows and columns are ranked by their largest score at any stage.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    sender, receiver
        The cell types. None: the types of the strongest combination in the whole data set,
        significant ones first.
    top_ligands, top_receptors
        Rows and columns to draw. None: all with a score above 0.
    max_q
        Only pairs with at most this q at the stage. None: all.
    key
        Name of the result.
    cmap
        Sequential colour map.
    ax
        As many axes as there are stages (:func:`spatrace_sc.get.stages`). None: a new figure.

    Returns
    -------
    Array of the Axes, one for every stage in order of time; the heatmap of each is ``images[0]``.
    One Axes with a text if there is nothing to draw.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result.
    InvalidArgumentError
        An argument is out of range, no such type sends or receives, or ``ax`` has another number
        of axes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> len(st.pl.communication_stages(adata))
    3
    """
    count(top_ligands, "top_ligands")
    count(top_receptors, "top_receptors")
    stages = get.stages(adata, key=key)
    given = None if ax is None else np.ravel(np.array(ax, dtype=object))
    if given is not None and len(given) != len(stages):
        raise InvalidArgumentError(
            f"`ax` has {len(given)} axes, but there are {len(stages)} stages; give one for each, "
            "or none."
        )
    types = _combination(read_signals(adata, key), sender, receiver)
    tables, limit = _by_stage(adata, types, stages, max_q, key)
    every = pd.concat(tables) if tables else pd.DataFrame({"score": []})
    name = ARROW.join(types)
    if not (every["score"].to_numpy() > 0).any():
        between = f" from {name}" if types else ""
        limit = limit or " with a score above 0"
        return nothing_in(given, f"No communication{between}\n{limit.strip()} at any stage")
    ranked = every.sort_values("score", ascending=False, kind="stable")
    order = score_matrices(
        ranked.drop_duplicates(["ligand", "receptor"]), top_ligands, top_receptors
    )[0]
    panels = _panels(order, len(stages)) if given is None else given
    side = 72 * FIELD if given is None else None
    image = _draw(panels, order, dict(zip(stages, tables, strict=True)), cmap, side)
    panels[0].figure.colorbar(image, ax=list(panels), label="score (SD)", shrink=0.8, aspect=25)
    if given is None:
        words = f"{name}{limit}, by {stage_word(adata, key)}; dots: significant at {THRESHOLD}"
        panels[0].figure.suptitle(words, fontsize=10)
    return np.asarray(panels)


def _combination(signals: Signals, sender: str | None, receiver: str | None) -> list[str]:
    """Return the named types, those of the strongest combination in place of None."""
    of_sender = chosen_types(sender, "sender", signals.senders)
    of_receiver = chosen_types(receiver, "receiver", signals.receivers)
    for names, argument in ((of_sender, "sender"), (of_receiver, "receiver")):
        value = sender if argument == "sender" else receiver
        if value is not None and len(names) != 1:
            raise InvalidArgumentError(
                f"`{argument}` must be one cell type or None, found {value!r}."
            )
    links = signals.links().sort_values("significant", ascending=False, kind="stable")
    links = links[links["sender"].isin(of_sender) & links["receiver"].isin(of_receiver)]
    if len(links):
        return [str(links["sender"].iloc[0]), str(links["receiver"].iloc[0])]
    return [*of_sender[:1], *of_receiver[:1]]


def _by_stage(
    adata: AnnData, types: list[str], stages: list[str], max_q: float | None, key: str
) -> tuple[list[pd.DataFrame], str]:
    """Return the pairs between two types at every stage, and the words for their largest q."""
    tables, limit = [], up_to(pd.DataFrame({"q_value": []}), max_q)[1]
    for stage in stages:
        table = up_to(get.communication(adata, stage, key=key), max_q)[0]
        here = [table[side].astype(str).to_numpy() for side in ("sender", "receiver")]
        chosen = (here[0] == types[0]) & (here[1] == types[1]) if types else [False] * len(table)
        table = table[chosen].astype({"ligand": str, "receptor": str})
        tables.append(table.assign(significant=is_significant(table)))
    return tables, limit


def _panels(order: pd.DataFrame, n_stages: int) -> NDArray[Any]:
    """Return new axes, one for every stage, as large as the table."""
    import matplotlib.pyplot as plt

    n_columns = min(n_stages, N_COLUMNS)
    n_rows = math.ceil(n_stages / n_columns)
    n, m = order.shape
    width = n_columns * (FIELD * max(m, 7) + 0.2) + label_width(shortened(order.index)) + 1.0
    height = n_rows * (FIELD * max(n, 7) + label_width(shortened(order.columns)) + 0.7) + 0.3
    grid = plt.subplots(
        n_rows, n_columns, figsize=(width, height), layout="constrained", squeeze=False
    )[1].ravel()
    for spare in grid[n_stages:]:
        spare.remove()
    return np.asarray(grid[:n_stages])


def _draw(
    panels: NDArray[Any],
    order: pd.DataFrame,
    tables: dict[str, pd.DataFrame],
    cmap: str,
    side: float | None,
) -> Any:
    """Draw every stage, and return an image.

    ``side`` is that of a field in points, None in given axes, which all have names of ligands.
    """
    largest = max(float(table["score"].max()) for table in tables.values() if len(table))
    image = None
    for k, (stage, table) in enumerate(tables.items()):
        scores, significant = score_matrices(table, None, None)
        marks = pd.DataFrame(significant, scores.index, scores.columns)
        marks = marks.reindex_like(order).eq(True)
        wide = table.pivot(index="ligand", columns="receptor", values="score").reindex_like(order)
        names = side is None or k % N_COLUMNS == 0
        image = draw_scores(
            panels[k], wide, marks.to_numpy(), (0.0, largest), cmap, names=names, side=side
        )
        n = int(table["significant"].sum())
        panels[k].set_title(f"{stage}\n{n} of {len(table)} pairs significant", fontsize=8)
    return image
