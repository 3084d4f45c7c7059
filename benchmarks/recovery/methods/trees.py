"""Trees: one regression per target on all TFs and pairs, with importances as weights.

TFs are averaged over the expected history and pairs are log1p(exposure × averaged receptor), as in
:mod:`.linear`; saturation does not matter for a tree. This is the better choice on the simulated
tissues. On the authors' simulation each cell's own values are better, so there are methods with
those too (``_now``). As in the published methods, cell types and time are not among the inputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from benchmarks.recovery.signals import Signals, doses, read_signals, standardised
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import Tissue
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

#: Largest cells × inputs → trees, and cells in a leaf. GENIE3 has 1000 trees and leaves of one
#: cell, which take too long here. On development seeds single cells as leaves ranked no better, and
#: fewer trees ranked worse.
N_TREES, LEAF = {400_000: 100, 100_000_000: 50}, 10
#: Inputs are put into this many bins of equal size, which trees sort faster.
N_LEVELS = 32
#: GRNBoost2's stochastic gradient boosting, reimplemented because arboreto is unmaintained.
BOOSTING = {"learning_rate": 0.01, "n_estimators": 5000, "max_features": 0.1, "subsample": 0.9}
WINDOW = 25


def inputs(signals: Signals, *, history: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return (cells, TFs + pairs) and (cells, targets) of the cells with a past.

    Without ``history`` TFs and receptors are those of the cell itself.
    """
    usable = signals.usable
    tf = signals.past(signals.tf, now=False) if history else signals.tf
    receptor = signals.past(signals.receptor, now=True) if history else signals.receptor
    x = np.hstack([tf, np.log1p(doses(signals.exposure, receptor))])[usable]
    levels = np.linspace(0, 1, N_LEVELS + 1)[1:-1]
    binned = [np.searchsorted(np.unique(np.quantile(column, levels)), column) for column in x.T]
    return np.stack(binned, axis=1).astype(np.float32), standardised(signals.target[usable])


def forest(tissue: Tissue, seed: int) -> Tables:
    """Return GENIE3 tables: random forests that try the square root of the inputs at each split.

    A weight is the variance of the standardised target that an input removes.
    """
    return _each(tissue, seed, forest_importance, history=True)


def forest_now(tissue: Tissue, seed: int) -> Tables:
    """Return the same from each cell's own values, as published."""
    return _each(tissue, seed, forest_importance, history=False)


def grnboost2(tissue: Tissue, seed: int) -> Tables:
    """Return GRNBoost2 tables: boosting with early stopping.

    It stops when the mean out-of-bag improvement of 25 rounds is negative. As in arboreto, weights
    are importances × number of trees.
    """
    return _each(tissue, seed, boosting_importance, history=True)


def grnboost2_now(tissue: Tissue, seed: int) -> Tables:
    """Return the same from each cell's own values, as published."""
    return _each(tissue, seed, boosting_importance, history=False)


def _each(
    tissue: Tissue,
    seed: int,
    importance: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
    *,
    history: bool,
) -> Tables:
    signals = read_signals(tissue)
    x, y = inputs(signals, history=history)
    weight = np.stack([importance(x, target, seed) for target in y.T], axis=1)
    n_tf = len(signals.names["tf"])
    return tables(signals.names, tf=weight[:n_tf], pair=weight[n_tf:], signed=False)


def forest_importance(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Return (inputs,) the mean variance removed over trees, not rescaled to a sum of 1."""
    trees = next(n for size, n in N_TREES.items() if x.size <= size)
    options = {"max_features": "sqrt", "min_samples_leaf": LEAF, "n_jobs": 1, "random_state": seed}
    model = RandomForestRegressor(trees, **options).fit(x, y)
    return np.mean(
        [t.tree_.compute_feature_importances(normalize=False) for t in model.estimators_], axis=0
    )


def boosting_importance(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Return (inputs,) importances that sum to the number of trees."""
    model = GradientBoostingRegressor(**BOOSTING, random_state=seed).fit(x, y, monitor=StopEarly(y))
    return model.feature_importances_ * len(model.estimators_)


class StopEarly:
    """Whether the last 25 rounds made the out-of-bag error worse on average.

    The improvement of each round is computed on the cells that its tree did not see. arboreto reads
    scikit-learn's ``oob_improvement_``, which since 1.3 compares different cells in successive
    rounds; with it boosting stops by chance after about 25 trees.
    """

    def __init__(self, y: np.ndarray) -> None:
        self._predicted = np.full(len(y), y.mean())
        self._improvement: list[float] = []

    def __call__(
        self, round_: int, model: GradientBoostingRegressor, state: dict[str, np.ndarray]
    ) -> bool:
        unseen, y, predicted = (
            ~state["sample_mask"],
            state["y"],
            np.asarray(state["raw_predictions"]).ravel(),
        )
        before, after = (
            (y[unseen] - self._predicted[unseen]) ** 2,
            (y[unseen] - predicted[unseen]) ** 2,
        )
        self._improvement.append(float(np.mean(before - after)))
        self._predicted = predicted.copy()
        return round_ >= WINDOW - 1 and float(np.mean(self._improvement[-WINDOW:])) < 0
