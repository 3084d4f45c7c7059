"""What became of implanted signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..._edges import LR_PAIRS, LR_TARGETS, PAIR_SEPARATOR, TESTED_KINDS
from ..._keys import MAX_SIGNIFICANT_Q
from .outcomes import Outcome

COLUMNS = [
    *("draw", "tissue", "setting", "table", "regulator", "target", "sign", "size", "reached"),
    *("q_value", "effect", "found", "right_sign", "group_found", "rival"),
]


def implant_results(outcomes: Sequence[Outcome], real: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row per implanted edge and per implanted pair, with what was called.

    ``found``: q ≤ .1; ``right_sign``: the effect has the sign of the implant, NaN where it was not
    found; ``group_found``: q of its group ≤ .1; ``rival``: it was not found, but another regulator
    of the same kind (of a pair, one that shares a gene) is called on the target that was not
    called in the result. ``tissue`` is "whole", or which half it is.
    """
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        if outcome.implants is None:
            continue
        where = {
            "draw": outcome.name,
            "tissue": outcome.kind if outcome.kind.startswith("half") else "whole",
            "setting": outcome.setting,
        }
        edges = [_edge(row, outcome, real) for row in outcome.implants.to_dict("records")]
        rows += [where | row for row in (*edges, *_pairs(outcome))]
    return pd.DataFrame(rows, columns=COLUMNS)


def _edge(
    implant: dict[Any, Any], outcome: Outcome, real: dict[str, pd.DataFrame]
) -> dict[str, Any]:
    """Return what became of one implanted edge."""
    kind = next(k for k in TESTED_KINDS if k.name == implant["kind"])
    names = str(implant["regulator"]).split(PAIR_SEPARATOR)
    on_target = _on(outcome.edges[kind.name], implant["target"])
    same = np.array([on_target[c].to_numpy() == n for c, n in zip(kind.source, names, strict=True)])
    itself = same.all(axis=0)
    own = on_target[itself]
    q, effect = (
        float(own[column].iloc[0]) if len(own) else missing
        for column, missing in (("q_value", 1.0), ("effect", 0.0))
    )
    found = q <= MAX_SIGNIFICANT_Q
    in_group = "group_q_value" in own and bool((own["group_q_value"] <= MAX_SIGNIFICANT_Q).any())
    may_replace = np.asarray(~itself & same.any(axis=0) if kind is LR_TARGETS else ~itself)
    new = _significant_names(on_target[may_replace], kind.source) - _significant_names(
        _on(real[kind.name], implant["target"]), kind.source
    )
    return {
        "table": kind.name,
        **{c: implant[c] for c in ("regulator", "target", "sign", "size", "reached")},
        "q_value": q,
        "effect": effect,
        "found": found,
        "right_sign": float(np.sign(effect) == implant["sign"]) if found else np.nan,
        "group_found": found or in_group,
        "rival": bool(new) and not found,
    }


def _on(edges: pd.DataFrame, target: str) -> pd.DataFrame:
    """Return the edges on a target."""
    return edges[edges["target"] == target]


def _significant_names(edges: pd.DataFrame, columns: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the regulators of the significant edges."""
    significant = edges[edges["q_value"].astype(float) <= MAX_SIGNIFICANT_Q]
    return set(significant[list(columns)].itertuples(index=False, name=None))


def _pairs(outcome: Outcome) -> list[dict[str, Any]]:
    """Return what became of every implanted pair; its share is the mean over its targets."""
    implants, edges = outcome.implants, outcome.edges[LR_PAIRS.name]
    if implants is None:
        return []
    rows = []
    of_pairs = implants[implants["kind"] == LR_TARGETS.name]
    for name, part in of_pairs.groupby("regulator", sort=True):
        ligand, receptor = str(name).split(PAIR_SEPARATOR)
        own = edges[(edges["ligand"] == ligand) & (edges["receptor"] == receptor)]
        q = float(own["q_value"].iloc[0]) if len(own) else 1.0
        found = q <= MAX_SIGNIFICANT_Q
        rows.append(
            {
                "table": LR_PAIRS.name,
                "regulator": str(name),
                "target": "",
                "sign": 0,
                "size": round(float(part["size"].mean()), 6),
                "reached": float(part["reached"].mean()),
                "q_value": q,
                "effect": np.nan,
                "found": found,
                "right_sign": np.nan,
                "group_found": found,
                "rival": False,
            }
        )
    return rows
