"""Tables of the report, with their values at every stage, and sender → receiver matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from ... import get
from ..._edges import EDGE_KINDS, LR_PAIRS
from .._drawing.significance import is_significant
from ._pack import Packed, pack, pack_table

#: Tables in the page, with their titles and the noun for a row.
TITLES = {
    "lr_pairs": ("Pairs", "pairs"),
    "lr_targets": ("Pair → target", "edges"),
    "lr_tfs": ("Pair → TF", "effects"),
    "tf_targets": ("TF → target", "edges"),
    "communication": ("Sender → receiver", "rows"),
}
#: Columns that are shown at first; the others appear on request.
MAIN = {
    *("sender", "receiver", "ligand", "receptor", "tf", "target", "effect", "score"),
    *("q_value", "stability", "evidence", "limited_by", "group", "route", "direction"),
}
#: Columns whose values differ between stages.
OF_STAGE = {name: [kind.size] for name, kind in EDGE_KINDS.items()}
OF_STAGE |= {"communication": ["score", "q_value"]}
#: Columns that identify a row.
IDENTITY = {name: kind.columns for name, kind in EDGE_KINDS.items()}
IDENTITY |= {"communication": ["sender", "receiver", *LR_PAIRS.columns]}


def read(adata: AnnData, name: str, stage: str | None, key: str) -> pd.DataFrame:
    """Return one table of :mod:`spatrace_sc.get`."""
    table: pd.DataFrame = getattr(get, name)(adata, stage, key=key)
    return table


def selected(table: pd.DataFrame, max_edges: int | None) -> pd.DataFrame:
    """Return the rows of the page: significant ones first, then the strongest, in given order.

    Rows with score 0 are left out.
    """
    table = table[table["score"].to_numpy() > 0]
    order = np.argsort(~is_significant(table), kind="stable")[:max_edges]
    return table.iloc[np.sort(order)].reset_index(drop=True)


def pack_tables(
    adata: AnnData, stages: list[str], max_edges: int | None, key: str
) -> dict[str, Packed]:
    """Return all tables, each with counts and with its values at every stage."""
    return {name: _pack_one(adata, name, stages, max_edges, key) for name in TITLES}


def _pack_one(
    adata: AnnData, name: str, stages: list[str], max_edges: int | None, key: str
) -> Packed:
    """Return one table."""
    table = read(adata, name, None, key)
    rows = selected(table, max_edges)
    title, noun = TITLES[name]
    at_stage = {
        stage: {
            column: pack(values, "f32")
            for column, values in _at_stage(adata, rows, name, stage, key).items()
        }
        for stage in stages
        if len(stages) > 1
    }
    return {
        "title": title,
        "noun": noun,
        "columns": pack_table(rows),
        "main": [str(c) for c in rows if c in MAIN],
        "n": len(rows),
        "positive": int((table["score"] > 0).sum()),
        "candidates": len(table),
        "significant": int(is_significant(table).sum()),
        "at_stage": at_stage,
    }


def _at_stage(
    adata: AnnData, rows: pd.DataFrame, name: str, stage: str, key: str
) -> dict[str, np.ndarray[Any, Any]]:
    """Return the columns that differ at a stage, in the order of the rows."""
    table = read(adata, name, stage, key)
    index = pd.MultiIndex.from_frame(table[IDENTITY[name]].astype(str))
    wanted = pd.MultiIndex.from_frame(rows[IDENTITY[name]].astype(str))
    return {
        column: pd.Series(table[column].to_numpy(), index=index).reindex(wanted).to_numpy()
        for column in OF_STAGE[name]
    }


def pack_matrices(adata: AnnData, stages: list[str], key: str) -> Packed:
    """Return scores summed over pairs, and which sums have a significant row, for every stage."""
    table = read(adata, "communication", None, key)
    senders, receivers = (sorted(set(table[side].astype(str))) for side in ("sender", "receiver"))
    named: dict[str, str | None] = {"": None}
    named |= {stage: stage for stage in stages if len(stages) > 1}
    sums = {}
    for name, stage in named.items():
        part = table if stage is None else read(adata, "communication", stage, key)
        types = [part["sender"].astype(str), part["receiver"].astype(str)]
        score, significant = (
            values.groupby(types)
            .sum()
            .unstack(fill_value=0)
            .reindex(index=senders, columns=receivers, fill_value=0.0)
            for values in (part["score"], part["score"].where(is_significant(part), 0.0))
        )
        sums[name] = {
            "score": pack(score.to_numpy().ravel(), "f32"),
            "significant": pack(significant.to_numpy().ravel() > 0, "u8"),
        }
    return {"senders": senders, "receivers": receivers, "sums": sums}


def pack_modules(adata: AnnData, has_modules: bool, key: str) -> dict[str, list[Packed]]:
    """Return main pairs and targets of the modules."""
    if not has_modules:
        return {}
    pairs, targets = (get.modules(adata, kind, key=key) for kind in ("lr_pairs", "targets"))
    pairs = pairs[pairs["main"].astype(bool)]
    return {
        "pairs": pack_table(pairs[["module", "ligand", "receptor", "weight"]]),
        "targets": pack_table(targets[["module", "target", "effect"]]),
    }
