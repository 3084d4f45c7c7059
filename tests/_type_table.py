"""A table of communication between cell types with planted rows, in place of a result."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

import spatrace_sc as st

PAIRS = [(f"LIG{k}", f"REC{k}") for k in range(6)]
LONG = "a name of a cell type with forty charact"


def type_table(types: list[str], n_pairs: int = 4, seed: int = 0) -> pd.DataFrame:
    """Rows of all combinations; scores are all different, every seventh row is significant."""
    random = np.random.default_rng(seed)
    rows = [
        (sender, receiver, *PAIRS[k])
        for sender in types
        for receiver in types
        for k in range(n_pairs)
    ]
    table = pd.DataFrame(rows, columns=["sender", "receiver", "ligand", "receptor"])
    table["score"] = random.permutation(len(table)) / len(table) / 10 + 0.01
    table["q_value"] = np.where(
        (np.arange(len(table)) + seed) % 7 == 3, 10.0 ** -random.uniform(1, 4), 1.0
    )
    table["score_se"] = 0.01
    return table.sort_values("score", ascending=False, ignore_index=True)


def with_score(table: pd.DataFrame, sender: str, receiver: str, score: float) -> pd.DataFrame:
    """Return the table with this score in the rows from a sender to a receiver."""
    chosen = (table["sender"] == sender) & (table["receiver"] == receiver)
    table = table.assign(score=table["score"].mask(chosen, score))
    return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def read_instead(monkeypatch, table: pd.DataFrame, by_stage=None) -> AnnData:
    """Let the readers return a table; ``by_stage`` gives those of stages."""
    stages = by_stage or {}
    monkeypatch.setattr(
        st.get, "communication", lambda adata, stage=None, **_: stages.get(stage, table)
    )
    monkeypatch.setattr(st.get, "stages", lambda adata, **_: list(stages))
    given = {"cell_type_key": "cell_type", "stage_key": "stage", "sample_key": None}
    monkeypatch.setattr(st.get, "params", lambda adata, **_: given)
    empty = pd.DataFrame({"group": [], "group_q_value": [], "q_value": []})
    monkeypatch.setattr(st.get, "lr_pairs", lambda adata, *_, **__: empty)
    return AnnData()


def names(axis) -> list[str]:
    """Labels of an axis."""
    return [label.get_text() for label in axis.get_ticklabels()]


def inside(ax) -> bool:
    """Whether title and labels are inside the figure."""
    ax.figure.draw_without_rendering()
    labels = [*ax.get_xticklabels(), *ax.get_yticklabels()] if ax.axison else []
    box = ax.figure.bbox
    extents = [t.get_window_extent() for t in (ax.title, *labels, *ax.texts) if t.get_text()]
    legend = ax.get_legend()
    extents += [] if legend is None else [legend.get_window_extent()]
    return all(
        e.x0 >= box.x0 - 2 and e.x1 <= box.x1 + 2 and e.y0 >= box.y0 - 2 and e.y1 <= box.y1 + 2
        for e in extents
    )
