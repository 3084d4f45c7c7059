"""Direct, or through a TF."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .. import _keys
from .._core.cascades import Steps, join

#: An effect is called direct from this share on, and mediated up to one minus it.
CLEAR = 0.8
#: A TF is named when it carries at least this share of the mediated effect.
CARRIES = 0.25
BETWEEN = " | "


def add_route(table: pd.DataFrame, result: dict[str, Any]) -> pd.DataFrame:
    """The table of LR edges, genes as numbers, with the columns mediated, direct_share, route and through."""
    steps = _steps(result)
    n_r, n_g = len(result["genes"]["receptors"]), len(result["genes"]["targets"])
    place = ((table["ligand"] * n_r + table["receptor"]) * n_g + table["target"]).to_numpy()
    mediated, through = np.zeros(len(table)), np.full(len(table), "", dtype=object)
    if len(steps):
        total = steps.groupby("edge")["effect"].sum()
        known = pd.Index(total.index).get_indexer(place)
        mediated[known >= 0] = total.to_numpy()[known[known >= 0]]
        named = _carriers(steps, total, [str(name) for name in result["genes"]["tfs"]])
        known = pd.Index(named.index).get_indexer(place)
        through[known >= 0] = named.to_numpy()[known[known >= 0]]
    direct = table["score"].to_numpy()
    both = direct + np.abs(mediated)
    share = np.divide(direct, both, out=np.zeros_like(both), where=both > 0)
    route = np.select(
        [both <= 0, share >= CLEAR, share <= 1.0 - CLEAR], ["", "direct", "mediated"], "both"
    )
    return table.assign(
        mediated=mediated, direct_share=share, route=route.astype(object), through=through
    )


def _steps(result: dict[str, Any]) -> pd.DataFrame:
    """Every supported pair → TF with every supported TF → target: ``edge`` number of (pair, target), ``tf`` and ``effect``, the product of both effects."""
    n_r, n_g = (len(result["genes"][r]) for r in ("receptors", "targets"))
    first, second = (
        t[t["q_value"] <= _keys.SUPPORTED] for t in (result["lr_tfs"], result["tf_targets"])
    )
    pair, tf = (
        (first["ligand"] * n_r + first["receptor"]).to_numpy(dtype=np.int64),
        first["tf"].to_numpy(),
    )
    target = second["target"].to_numpy()
    paths = join(
        Steps(pair, tf, first["effect"].to_numpy()),
        Steps(second["tf"].to_numpy(), target, second["effect"].to_numpy()),
    )
    return pd.DataFrame(
        {
            "edge": pair[paths.first] * n_g + target[paths.second],
            "tf": tf[paths.first],
            "effect": paths.effect,
        }
    )


def _carriers(steps: pd.DataFrame, total: pd.Series, names: list[str]) -> pd.Series:
    """Names of the TFs that carry each edge, by edge; none where they cancel."""
    part = steps["effect"] / steps["edge"].map(total.where(total != 0))
    kept = steps[part >= CARRIES].assign(part=part[part >= CARRIES])
    kept = kept.sort_values(["edge", "part"], ascending=[True, False], kind="stable")
    return (
        kept.assign(name=[names[k] for k in kept["tf"]]).groupby("edge")["name"].agg(BETWEEN.join)
    )
