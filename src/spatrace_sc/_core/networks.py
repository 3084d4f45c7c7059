"""Ranking scores of the edges of a known network, and random networks for comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Trades per source in one random network.
TRADES_PER_SOURCE = 5


def ranking_scores(true: NDArray[np.bool_], score: NDArray[np.floating]) -> dict[str, float]:
    """AUROC, AUPRC (average precision), AUPRC relative to chance, and early precision.

    Chance is the share of true edges. All are NaN where all or none are true.
    """
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
    """Share of true edges among the k strongest, k the number of true edges.

    Edges that tie at rank k count with their mean.
    """
    k = int(true.sum())
    threshold = np.sort(score)[::-1][k - 1]
    above, tied = score > threshold, score == threshold
    return float((true[above].sum() + (k - above.sum()) * true[tied].mean()) / k)


def rewire(network: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Random network (sources, targets) that keeps the number of edges of every node.

    Curveball algorithm (Strona et al. 2014): two random sources pool the targets that only one of
    them has and deal them out again, five times per source.
    """
    targets = [np.flatnonzero(row) for row in network]
    n = len(targets)
    if n > 1:
        for _ in range(TRADES_PER_SOURCE * n):
            a, b = rng.choice(n, 2, replace=False)
            shared = np.intersect1d(targets[a], targets[b], assume_unique=True)
            pool = rng.permutation(np.setxor1d(targets[a], targets[b], assume_unique=True))
            n_pooled = len(targets[a]) - len(shared)
            targets[a] = np.concatenate([shared, pool[:n_pooled]])
            targets[b] = np.concatenate([shared, pool[n_pooled:]])
    random = np.zeros_like(network)
    for source, dealt in enumerate(targets):
        random[source, dealt] = True
    return random
