"""Effects of pairs on targets through TFs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import _keys
from .._core.cascades import Steps, join
from .._edges import LR_TFS, NAME_SEPARATOR, TF_TARGETS
from .._result import Result

#: An effect is direct from this share on, and mediated up to one minus it.
DIRECT_SHARE = 0.8
#: A TF is named when it carries at least this share of the mediated effect.
MIN_CARRIED_SHARE = 0.25


def add_mediation(table: pd.DataFrame, result: Result) -> pd.DataFrame:
    """Return the pair edges, genes as indices, with ``mediated, direct_share, route, through``."""
    paths = _significant_paths(result)
    edge = result.genes.pair_edge(result.genes.pair_of_rows(table), table["target"].to_numpy())
    mediated = paths.groupby("edge")["effect"].sum()
    carriers = _carriers(paths, mediated, [str(name) for name in result.genes.tfs])
    through = carriers.reindex(edge).fillna("").to_numpy(dtype=object)
    sums = mediated.reindex(edge).fillna(0.0).to_numpy(dtype=float)
    direct = table["score"].to_numpy()
    total = direct + np.abs(sums)
    share = np.divide(direct, total, out=np.zeros_like(total), where=total > 0)
    route = np.select(
        [total <= 0, share >= DIRECT_SHARE, share <= 1.0 - DIRECT_SHARE],
        ["", "direct", "mediated"],
        "both",
    )
    return table.assign(
        mediated=sums, direct_share=share, route=route.astype(object), through=through
    )


def _significant_paths(result: Result) -> pd.DataFrame:
    """Return all combinations of significant pair → TF and TF → target edges.

    ``edge`` is the index of (pair, target), ``effect`` the product of both effects.
    """
    genes = result.genes
    first, second = (
        table[table["q_value"] <= _keys.MAX_SIGNIFICANT_Q]
        for table in (result.table(LR_TFS), result.table(TF_TARGETS))
    )
    pair, tf = genes.pair_of_rows(first), first["tf"].to_numpy()
    target = second["target"].to_numpy()
    paths = join(
        Steps(pair, tf, first["effect"].to_numpy()),
        Steps(second["tf"].to_numpy(), target, second["effect"].to_numpy()),
    )
    edge = genes.pair_edge(pair[paths.first], target[paths.second])
    return pd.DataFrame({"edge": edge, "tf": tf[paths.first], "effect": paths.effect})


def _carriers(paths: pd.DataFrame, mediated: pd.Series, tfs: list[str]) -> pd.Series:
    """Return the names of the TFs that carry each edge, strongest first; none where they cancel."""
    share = paths["effect"] / paths["edge"].map(mediated.where(mediated != 0))
    carrying = paths.assign(share=share)[share >= MIN_CARRIED_SHARE]
    carrying = carrying.sort_values(["edge", "share"], ascending=[True, False], kind="stable")
    names = carrying.assign(name=[tfs[k] for k in carrying["tf"]])
    return names.groupby("edge")["name"].agg(NAME_SEPARATOR.join)
