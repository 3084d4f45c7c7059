"""Direct, or through a TF."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

#: An effect is called direct from this share on, and mediated up to one minus it.
CLEAR = 0.8
#: Steps pair → TF and TF → target with at most this q count.
SUPPORTED = 0.1
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
        named = _carriers(steps, total, np.asarray(result["genes"]["tfs"], dtype=str))
        known = pd.Index(named.index).get_indexer(place)
        through[known >= 0] = named.to_numpy()[known[known >= 0]]
    direct = table["score"].to_numpy()
    both = direct + np.abs(mediated)
    share = np.divide(direct, both, out=np.zeros_like(both), where=both > 0)
    route = np.select([both <= 0, share >= CLEAR, share <= 1.0 - CLEAR], ["", "direct", "mediated"], "both")
    return table.assign(mediated=mediated, direct_share=share, route=route.astype(object), through=through)


def _steps(result: dict[str, Any]) -> pd.DataFrame:
    """Every supported pair → TF with every supported TF → target: ``edge`` number of (pair, target), ``tf`` and ``effect``, the product of both effects."""
    genes = result["genes"]
    n_r, n_f, n_g = (len(genes[r]) for r in ("receptors", "tfs", "targets"))
    first, second = result["lr_tfs"], result["tf_targets"]
    first, second = (steps[steps["q_value"] <= SUPPORTED] for steps in (first, second))
    pair = first["ligand"].to_numpy() * n_r + first["receptor"].to_numpy()
    onto = sparse.csr_matrix(
        (second["effect"].to_numpy(), (second["tf"].to_numpy(), second["target"].to_numpy())), shape=(n_f, n_g)
    )
    product: sparse.coo_matrix = onto[first["tf"].to_numpy()].multiply(first["effect"].to_numpy()[:, None]).tocoo()
    return pd.DataFrame(
        {
            "edge": pair[product.row].astype(np.int64) * n_g + product.col,
            "tf": first["tf"].to_numpy()[product.row],
            "effect": product.data,
        }
    )


def _carriers(steps: pd.DataFrame, total: pd.Series, names: NDArray[np.str_]) -> pd.Series:
    """Names of the TFs that carry each edge, by edge."""
    part = steps["effect"] / steps["edge"].map(total)
    kept = steps[part >= CARRIES].assign(part=part[part >= CARRIES])
    kept = kept.sort_values(["edge", "part"], ascending=[True, False], kind="stable")
    return kept.assign(name=names[kept["tf"].to_numpy()]).groupby("edge")["name"].agg(BETWEEN.join)
