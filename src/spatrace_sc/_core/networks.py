"""How well scores rank the edges of a known network, and what chance would give."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Trades per source in one random network.
TRADES = 5


def ranking_scores(true: NDArray[np.bool_], score: NDArray[np.floating]) -> dict[str, float]:
    """AUROC, AUPRC (average precision), AUPRC over the share of true edges, and early precision; NaN where all or none are true."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if true.all() or not true.any():
        return dict.fromkeys(("auroc", "auprc", "auprc_ratio", "early_precision"), float("nan"))
    auprc = float(average_precision_score(true, score))
    return {
        "auroc": float(roc_auc_score(true, score)),
        "auprc": auprc,
        "auprc_ratio": auprc / float(true.mean()),
        "early_precision": early_precision(true, score),
    }


def early_precision(true: NDArray[np.bool_], score: NDArray[np.floating]) -> float:
    """Share of true edges among the k strongest, k the number of true edges; edges that tie at the border count with their mean."""
    k = int(true.sum())
    border = np.sort(score)[::-1][k - 1]
    above, tied = score > border, score == border
    return float((true[above].sum() + (k - above.sum()) * true[tied].mean()) / k)


def rewired(network: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random network (sources, targets) in which every source and every target has as many edges as before.

    Curveball: two random sources pool the targets that only one of them has and deal them out again, five times per source (Strona et al. 2014).
    """
    targets = [np.flatnonzero(row) for row in network]
    n = len(targets)
    if n > 1:
        for _ in range(TRADES * n):
            a, b = rng.choice(n, 2, replace=False)
            shared = np.intersect1d(targets[a], targets[b], assume_unique=True)
            pool = rng.permutation(np.setxor1d(targets[a], targets[b], assume_unique=True))
            keeps = len(targets[a]) - len(shared)
            targets[a] = np.concatenate([shared, pool[:keeps]])
            targets[b] = np.concatenate([shared, pool[keeps:]])
    out = np.zeros_like(network)
    for source, found in enumerate(targets):
        out[source, found] = True
    return out
