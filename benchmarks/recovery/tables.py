"""The three scored tables, from weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
from benchmarks._scores import KEYS

Tables = dict[str, pd.DataFrame]


def tables(
    names: dict[str, np.ndarray],
    *,
    tf: np.ndarray | None = None,
    pair: np.ndarray | None = None,
    signed: bool = True,
    pair_score: np.ndarray | None = None,
) -> Tables:
    """Return tables of weights of TFs ``tf`` (TFs, targets) and of pairs ``pair`` (pairs, targets).

    ``score`` is the absolute weight; where weights are ``signed`` there is an ``effect`` too. The
    score of a pair is the norm of its weights over the targets, or ``pair_score`` (pairs,). Weights
    that are not finite, e.g. of constant genes, become 0.
    """
    scored: Tables = {}
    if tf is not None:
        scored["tf_targets"] = _edges(
            [names["tf"], names["target"]], KEYS["tf_targets"], tf, signed
        )
    if pair is not None:
        grid = [names["ligand"], names["receptor"], names["target"]]
        scored["lr_targets"] = _edges(grid, KEYS["lr_targets"], pair, signed)
        if pair_score is None:
            pair_score = np.linalg.norm(np.nan_to_num(pair), axis=1)
    if pair_score is not None:
        grid = [names["ligand"], names["receptor"]]
        scored["lr_pairs"] = _edges(grid, KEYS["lr_pairs"], pair_score, signed=False)
    return scored


def _edges(
    grid: list[np.ndarray], keys: list[str], weight: np.ndarray, signed: bool
) -> pd.DataFrame:
    table = pd.MultiIndex.from_product(grid, names=keys).to_frame(index=False)
    value = np.nan_to_num(np.asarray(weight, dtype=float), posinf=0.0, neginf=0.0).ravel()
    return table.assign(effect=value, score=np.abs(value)) if signed else table.assign(score=value)
