"""What stands behind an edge, and behind what is predicted from edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """The table of the whole data set with a column ``evidence``, and NaN instead of the standard error 0 of what no refit has kept.

    A standard error of 0 over refits would read as perfect precision; it says that there was nothing to compare.
    """
    column = "effect_se" if "effect_se" in table else "score_se"
    error = table[column].to_numpy(dtype=np.float64)
    acts = table["score"].to_numpy() > 0
    unseen = (table["stability"].to_numpy() == 0) | (error == 0)
    group_q = table.get("group_q_value", table["q_value"])
    found = np.select(
        [
            acts & (table["q_value"].to_numpy() <= _keys.SUPPORTED),
            acts & (group_q.to_numpy() <= _keys.SUPPORTED),
            acts & unseen & ("ligand" in table),
            acts,
        ],
        ["supported", "group", "co-variation", "ranked"],
        "none",
    )
    evidence = pd.Categorical(found, categories=_keys.EVIDENCE_LEVELS, ordered=True)
    return table.assign(**{column: np.where(error == 0, np.nan, error)}).assign(evidence=evidence)


def behind_removal(result: dict[str, Any], removed: Mapping[str, Any]) -> NDArray[np.object_]:
    """(G,) the best evidence among the edges that lead from what is removed to each target.

    From pairs and TFs directly, by the edges of the tables; and from pairs through a TF, by paths whose steps are both supported. ``removed`` names ligands, receptors, TFs or types of senders; of these,
    the pairs that the table of communication lists with a score.
    """
    genes = {role: [str(g) for g in names] for role, names in result["genes"].items()}
    tf, lr, steps = (result[name] for name in ("tf_targets", "lr_targets", "lr_tfs"))
    gone = np.isin(genes["tfs"], list(map(str, removed.get("tf", []))))
    edges, onward = (_of_pairs(result, genes, table, removed) for table in (lr, steps))
    through = np.zeros(len(gone), dtype=bool)
    through[onward.loc[onward["q_value"] <= _keys.SUPPORTED, "tf"].to_numpy(dtype=np.intp)] = True
    on_targets = judged(tf)
    best = np.zeros(len(genes["targets"]), dtype=np.intp)
    for table in (judged(edges), on_targets[gone[tf["tf"].to_numpy(dtype=np.intp)]]):
        np.maximum.at(
            best,
            table["target"].to_numpy(dtype=np.intp),
            table["evidence"].cat.codes.to_numpy(dtype=np.intp),
        )
    mediated = on_targets[through[tf["tf"].to_numpy(dtype=np.intp)]]
    reached = mediated.loc[mediated["q_value"] <= _keys.SUPPORTED, "target"].to_numpy(dtype=np.intp)
    best[reached] = _keys.EVIDENCE_LEVELS.index("supported")
    return np.asarray(_keys.EVIDENCE_LEVELS, dtype=object)[best]


def _of_pairs(
    result: dict[str, Any],
    genes: dict[str, list[str]],
    table: pd.DataFrame,
    removed: Mapping[str, Any],
) -> pd.DataFrame:
    """Rows of a table with genes as numbers whose pair is removed."""
    parts = {role: list(map(str, removed.get(role, []))) for role in ("ligand", "receptor")}
    kept = np.full(len(table), any(parts.values()) or "sender" in removed)
    for role, names in parts.items():
        if names:
            kept &= np.isin(genes[f"{role}s"], names)[table[role].to_numpy(dtype=np.intp)]
    if "sender" in removed:
        talk = result["communication"]
        said = talk[
            talk["sender"].astype(str).isin(list(map(str, removed["sender"]))) & (talk["score"] > 0)
        ]
        pairs = pd.MultiIndex.from_frame(said[["ligand", "receptor"]].astype(str))
        mine = [
            np.asarray(genes[f"{role}s"], dtype=object)[table[role].to_numpy(dtype=np.intp)]
            for role in parts
        ]
        kept &= pd.MultiIndex.from_arrays(mine).isin(pairs)
    return table[kept]
