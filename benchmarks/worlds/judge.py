"""Scores of any method on a world: rankings, and what is wrong with the called edges.

adata = WORLDS["sergio_ds4"](0)
score(adata, weights)   # weights: table of TFs × targets, its absolute values are ranked
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import KEYS, label
from benchmarks.recovery.judge import judge
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import Tissue

#: Largest q of a called edge.
MAX_Q = 0.1
#: Name of a score → value of the column ``direction``.
DIRECTIONS = {"forward": "forward", "backward": "reverse as likely"}
Scores = dict[str, dict[str, float | None]]


def score(adata: AnnData, scored: pd.DataFrame | np.ndarray | Tables) -> Scores:
    """Return task → scores of a method on a world.

    ``scored`` is what the readers of the package return (``tf_targets``, ``lr_targets``,
    ``lr_pairs``, any of them, with ``score`` and perhaps ``effect`` and ``q_value``). Or it is a
    matrix of weights, TFs × targets: a DataFrame with their names, or an array in the order of
    the sorted names. Edges of a gene on itself are left out.

    ``base`` is the share of true edges. Of the called edges (q ≤ .1), ``hits`` is the number,
    ``false`` the share that is not true, ``false_indirect`` the share that is not even a chain of
    true edges, ``reversed`` the share that is false although the target is upstream of the TF.

    Where there is a column ``direction``, ``forward`` and ``backward`` are the shares of called
    edges with "forward" and "reverse as likely". ``true_forward``, ``true_backward``,
    ``reversed_forward`` and ``reversed_backward`` are the shares of called edges that are both.
    """
    given = scored if isinstance(scored, dict) else {"tf_targets": _table(adata, scored)}
    if "tf_targets" in given:
        table = given["tf_targets"].astype(dict.fromkeys(KEYS["tf_targets"], str))
        given = given | {"tf_targets": table[table["tf"] != table["target"]]}
    truth = adata.uns["truth"]
    scores = judge(Tissue(adata, {}, truth), given)
    for task, row in scores.items():
        if task in given:
            row["base"] = round(_base_rate(truth, given[task], task), 5)
    if "+ indirect" in scores:
        scores["lr_targets"]["false_indirect"] = scores["+ indirect"].get("false")
    if "q_value" in given.get("tf_targets", ()) and "tf_targets" in scores:
        scores["tf_targets"] |= _directions(truth, given["tf_targets"])
    return scores


def upstream(truth: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return gene × gene, whether the row reaches the column through any chain of true edges."""
    edges = pd.concat([truth["tf_targets"], truth["tf_tfs"]])[KEYS["tf_targets"]].astype(str)
    genes = pd.Index(np.unique(edges.to_numpy()))
    reach = np.zeros((len(genes), len(genes)), dtype=bool)
    tf, target = (genes.get_indexer(pd.Index(edges[c])) for c in ("tf", "target"))
    reach[tf, target] = True
    for middle in range(len(genes)):
        reach |= np.outer(reach[:, middle], reach[middle])
    return pd.DataFrame(reach, index=genes, columns=genes)


def _directions(truth: dict[str, pd.DataFrame], table: pd.DataFrame) -> dict[str, float | None]:
    """Return the shares of called edges that are not even indirect, and that are reversed."""
    called = label(table, truth["tf_targets"], KEYS["tf_targets"])
    called = called[called["q_value"] <= MAX_Q]
    if not len(called):
        return {"false_indirect": None, "reversed": None}
    reach = upstream(truth)
    tf, target = (reach.index.get_indexer(pd.Index(called[c])) for c in ("tf", "target"))
    known, matrix = (tf >= 0) & (target >= 0), reach.to_numpy()
    down, up = known & matrix[tf, target], known & matrix[target, tf]
    edges = {(a, b) for a, b in truth["tf_tfs"][KEYS["tf_targets"]].astype(str).to_numpy()}
    edges |= {(a, b) for a, b in truth["tf_targets"][KEYS["tf_targets"]].astype(str).to_numpy()}
    back = np.array([(b, a) in edges for a, b in called[KEYS["tf_targets"]].to_numpy()])
    true = called["true"].to_numpy(dtype=bool)
    upside_down = ~true & (back | (up & ~down))
    shares = {"false_indirect": ~true & ~down, "reversed": upside_down}
    if "direction" in called:
        for name, word in DIRECTIONS.items():
            has = (called["direction"] == word).to_numpy(dtype=bool)
            shares |= {name: has, f"true_{name}": true & has, f"reversed_{name}": upside_down & has}
    return {name: round(float(share.mean()), 5) for name, share in shares.items()}


def _base_rate(truth: dict[str, pd.DataFrame], table: pd.DataFrame, task: str) -> float:
    true = truth[task]
    true = true[true["kind"] == "direct"] if "kind" in true else true
    return len(true.drop_duplicates(KEYS[task])) / len(table)


def _table(adata: AnnData, weights: pd.DataFrame | np.ndarray) -> pd.DataFrame:
    """Return the edges of a matrix of weights; TFs or targets that it lacks have weight 0."""
    names = {r: np.sort(adata.var_names[adata.var[r]].to_numpy(str)) for r in ("tf", "target")}
    if isinstance(weights, pd.DataFrame):
        weights = weights.reindex(index=names["tf"], columns=names["target"]).to_numpy(dtype=float)
    shape = (len(names["tf"]), len(names["target"]))
    if weights.shape != shape:
        raise ValueError(f"weights must have the shape TFs × targets {shape}, not {weights.shape}.")
    scored: dict[str, Any] = tables(names, tf=weights)
    table: pd.DataFrame = scored["tf_targets"]
    return table
