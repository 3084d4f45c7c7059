"""Trees: one regression per target on all TFs and pairs, importances as weights.

TFs are averaged over the expected history and pairs are log1p(exposure × averaged receptor), as in :mod:`.linear`; saturation would change nothing for a tree. That is the better choice on the
simulated tissues; on the authors' simulation each cell's own values are, so these are there too (``_now``).
Cell types and time are not among the inputs, as in the published methods.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from benchmarks.recovery.signals import Signals, doses, read_signals, standardised
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import Tissue
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

#: Trees of a forest of at most so many cells × inputs. Fewer than GENIE3's 1000 and with leaves of at least 10 cells instead of 1, for the time they take; single cells as leaves ranked no better on
#: development seeds, fewer trees worse.
N_TREES, LEAF = {400_000: 100, 100_000_000: 50}, 10
#: Inputs are put into so many bins of equal size, which trees sort faster.
N_LEVELS = 32
#: Stochastic gradient boosting as arboreto publishes it for GRNBoost2. arboreto is unmaintained, so it is re-expressed here.
BOOSTING = {"learning_rate": 0.01, "n_estimators": 5000, "max_features": 0.1, "subsample": 0.9}
WINDOW = 25


def inputs(signals: Signals, *, history: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """(cells, TFs + pairs) and (cells, targets) of the cells with a past; without ``history`` TFs and receptors are those of the cell itself."""
    here = signals.usable
    tf = signals.past(signals.tf, now=False) if history else signals.tf
    receptor = signals.past(signals.receptor, now=True) if history else signals.receptor
    x = np.hstack([tf, np.log1p(doses(signals.exposure, receptor))])[here]
    levels = np.linspace(0, 1, N_LEVELS + 1)[1:-1]
    binned = [np.searchsorted(np.unique(np.quantile(column, levels)), column) for column in x.T]
    return np.stack(binned, axis=1).astype(np.float32), standardised(signals.target[here])


def forest(tissue: Tissue, seed: int) -> Tables:
    """GENIE3: random forests with a square root of the inputs tried at each split; a weight is the variance of the standardised target that an input removes."""
    return _each(tissue, seed, forest_importance, history=True)


def forest_now(tissue: Tissue, seed: int) -> Tables:
    """The same on each cell's own values, as published."""
    return _each(tissue, seed, forest_importance, history=False)


def grnboost2(tissue: Tissue, seed: int) -> Tables:
    """Boosting that stops when the mean out-of-bag improvement of 25 rounds is negative; importances × number of trees, as arboreto ranks them."""
    return _each(tissue, seed, boosting_importance, history=True)


def grnboost2_now(tissue: Tissue, seed: int) -> Tables:
    """The same on each cell's own values, as published."""
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
    """(inputs,) mean over trees of the variance removed, not rescaled to a sum of 1."""
    trees = next(n for size, n in N_TREES.items() if x.size <= size)
    options = {"max_features": "sqrt", "min_samples_leaf": LEAF, "n_jobs": 1, "random_state": seed}
    model = RandomForestRegressor(trees, **options).fit(x, y)
    return np.mean(
        [t.tree_.compute_feature_importances(normalize=False) for t in model.estimators_], axis=0
    )


def boosting_importance(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """(inputs,) importances that sum to the number of trees."""
    model = GradientBoostingRegressor(**BOOSTING, random_state=seed).fit(x, y, monitor=StopEarly(y))
    return model.feature_importances_ * len(model.estimators_)


class StopEarly:
    """Whether the last 25 rounds made the out-of-bag error worse on average.

    Counted here, for each round on the cells that its tree did not see. scikit-learn's ``oob_improvement_``, which arboreto reads, has compared different cells in successive rounds since 1.3:
    with it boosting stops by chance after about 25 trees.
    """

    def __init__(self, y: np.ndarray) -> None:
        self._said = np.full(len(y), y.mean())
        self._improvement: list[float] = []

    def __call__(
        self, round_: int, model: GradientBoostingRegressor, state: dict[str, np.ndarray]
    ) -> bool:
        unseen, y, said = (
            ~state["sample_mask"],
            state["y"],
            np.asarray(state["raw_predictions"]).ravel(),
        )
        before, after = (y[unseen] - self._said[unseen]) ** 2, (y[unseen] - said[unseen]) ** 2
        self._improvement.append(float(np.mean(before - after)))
        self._said = said.copy()
        return round_ >= WINDOW - 1 and float(np.mean(self._improvement[-WINDOW:])) < 0
