"""The evidence column: how well an edge, or a prediction made of edges, is supported."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._edges import LR_TARGETS, LR_TFS, ROLE_OF_COLUMN, TF_TARGETS
from .._result import Knockout, Result


def add_evidence(table: pd.DataFrame, *, noise_known: bool) -> pd.DataFrame:
    """Return a table of the whole data set, of edges or pairs, with a column ``evidence``.

    A standard error of 0 over refits becomes NaN: it would read as perfect precision, but no refit
    kept the edge and there was nothing to compare. Without ``noise_known`` no TF edge was tested.
    """
    column = "effect_se" if "effect_se" in table else "score_se"
    error = table[column].to_numpy(dtype=np.float64)
    has_score = table["score"].to_numpy() > 0
    never_refitted = (table["stability"].to_numpy() == 0) | (error == 0)
    q, group_q = table["q_value"], table.get("group_q_value", table["q_value"])
    level = np.select(
        [
            has_score & (q.to_numpy() <= _keys.MAX_SIGNIFICANT_Q),
            has_score & (group_q.to_numpy() <= _keys.MAX_SIGNIFICANT_Q),
            has_score & never_refitted & ("ligand" in table),
            has_score & ("tf" in table) & (not noise_known),
            has_score,
        ],
        ["supported", "group", "co-variation", "noise unknown", "ranked"],
        "none",
    )
    judged = table.assign(**{column: np.where(error == 0, np.nan, error)})
    return judged.assign(evidence=as_evidence(level))


def as_evidence(level: NDArray[np.str_] | NDArray[np.object_]) -> pd.Categorical:
    """Return levels of evidence as an ordered categorical."""
    return pd.Categorical(level, categories=_keys.EVIDENCE_LEVELS, ordered=True)


def evidence_of_knockout(result: Result, knockout: Knockout) -> NDArray[np.object_]:
    """(G,) the best evidence among the edges from what is removed to each target.

    Edges of pairs and TFs count directly; a path from a pair through a TF counts where both steps
    are significant. Of silent sender types, the pairs count that the communication table lists with
    a score.
    """
    genes, removed, known = result.genes, knockout.removed, result.noise_known
    tf_edges = result.table(TF_TARGETS)
    is_removed = np.isin(genes.tfs, removed.get("tf", []))
    pair_edges = _of_removed_pairs(result, result.table(LR_TARGETS), removed)
    steps = _of_removed_pairs(result, result.table(LR_TFS), removed)
    changed_tfs = np.zeros(genes.n_tfs, dtype=bool)
    significant = steps["q_value"] <= _keys.MAX_SIGNIFICANT_Q
    changed_tfs[steps.loc[significant, "tf"].to_numpy(dtype=np.intp)] = True
    tf = tf_edges["tf"].to_numpy(dtype=np.intp)
    of_tfs = add_evidence(tf_edges, noise_known=known)
    best = np.zeros(genes.n_targets, dtype=np.intp)
    for edges in (add_evidence(pair_edges, noise_known=known), of_tfs[is_removed[tf]]):
        codes = edges["evidence"].cat.codes.to_numpy(dtype=np.intp)
        np.maximum.at(best, edges["target"].to_numpy(dtype=np.intp), codes)
    onward = of_tfs[changed_tfs[tf]]
    reached = onward.loc[onward["q_value"] <= _keys.MAX_SIGNIFICANT_Q, "target"]
    best[reached.to_numpy(dtype=np.intp)] = _keys.EVIDENCE_LEVELS.index("supported")
    return np.asarray(_keys.EVIDENCE_LEVELS, dtype=object)[best]


def _of_removed_pairs(
    result: Result, table: pd.DataFrame, removed: dict[str, list[str]]
) -> pd.DataFrame:
    """Return the rows, genes as indices, whose pair is removed."""
    genes = result.genes
    mask = np.full(len(table), any(removed.get(r) for r in ("ligand", "receptor", "sender")))
    for column in ("ligand", "receptor"):
        if removed.get(column):
            names = genes[ROLE_OF_COLUMN[column]][table[column].to_numpy(dtype=np.intp)]
            mask &= np.isin(names, removed[column])
    if removed.get("sender"):
        rows = result.communication()
        rows = rows[rows["sender"].astype(str).isin(removed["sender"]) & (rows["score"] > 0)]
        mask &= np.isin(genes.pair_of_rows(table), genes.pair_of_names(rows))
    return table[mask]
