"""Linear models in which all TFs and pairs compete, on the signals of infer_ccc before training.

TFs are averaged over the expected history 1 to 3 steps back. Pairs are the saturating product of
the cell's own exposure and the receptor averaged over steps 0 to 3. All are standardised. Cell type
and time up to its cube are regressed out of regulators and targets, which equals a joint fit
without a penalty on them. Where types are the states that TFs make (A, B), this takes the credit of
the TFs; in ``l1_1se_pen`` covariates compete under the same penalty.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
from benchmarks._scores import KEYS, rank_scores
from benchmarks.recovery.signals import Signals, doses, read_signals, saturating, standardised
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import SkipMethod, Tissue
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV, lasso_path

RIDGE_PENALTIES = np.logspace(0, 6, 19)
#: Number of lasso penalties, and the smallest one relative to the largest, which selects nothing.
#: With more than MANY_REGULATORS cross-validation never selects a smaller one than
#: MIN_PENALTY_MANY.
N_PENALTIES, MIN_PENALTY, MIN_PENALTY_MANY, MANY_REGULATORS = 20, 0.004, 0.03, 500
N_FOLDS, WORKING_SET = 3, 400


def regressors(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """Return standardised (cells, TFs + pairs) and (cells, targets) of the cells with a past."""
    usable = signals.usable
    tf = signals.past(signals.tf, now=False)[usable]
    pair = saturating(doses(signals.exposure, signals.past(signals.receptor, now=True))[usable])
    return standardised(np.hstack([tf, pair])), standardised(signals.target[usable])


def joint_regressors(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """Return the same after regression on the covariates."""
    x, y = regressors(signals)
    covariates = signals.covariates[signals.usable]
    return without(x, covariates), without(y, covariates)


def without(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Return the residuals of a least-squares fit on the covariates."""
    return values - covariates @ np.linalg.lstsq(covariates, values, rcond=None)[0]


def with_own_counts(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """Return the same with the cell's own TF counts as first columns."""
    x, y = joint_regressors(signals)
    counts = standardised(
        without(standardised(signals.tf[signals.usable]), signals.covariates[signals.usable])
    )
    return np.hstack([counts, x]), y


def split_both(signals: Signals, weight: np.ndarray) -> Tables:
    """Return tables of weights in which every TF has two columns, which are added."""
    n_tf = len(signals.names["tf"])
    return split(signals, np.vstack([weight[:n_tf] + weight[n_tf : 2 * n_tf], weight[2 * n_tf :]]))


def split(signals: Signals, weight: np.ndarray) -> Tables:
    """Return tables of (regulators, targets) weights, TFs first."""
    n_tf = len(signals.names["tf"])
    return tables(signals.names, tf=weight[:n_tf], pair=weight[n_tf:])


def ridge(tissue: Tissue, seed: int) -> Tables:
    """Return \\|coefficient\\| of a ridge regression, penalties by leave-one-out."""
    signals = read_signals(tissue)
    x, y = joint_regressors(signals)
    return split(
        signals,
        RidgeCV(RIDGE_PENALTIES, fit_intercept=False, alpha_per_target=True).fit(x, y).coef_.T,
    )


def ridge_both(tissue: Tissue, seed: int) -> Tables:
    """Return the same with TFs in earlier cells and, unfiltered, in the cell itself."""
    signals = read_signals(tissue)
    x, y = with_own_counts(signals)
    return split_both(
        signals,
        RidgeCV(RIDGE_PENALTIES, fit_intercept=False, alpha_per_target=True).fit(x, y).coef_.T,
    )


def l1_both(tissue: Tissue, seed: int) -> Tables:
    """Return tables of the lasso with TFs in earlier cells and in the cell itself."""
    signals = read_signals(tissue)
    return split_both(signals, cross_validated(*with_own_counts(signals), seed, errors=0.0))


def l1(tissue: Tissue, seed: int) -> Tables:
    """Return \\|coefficient\\| of a lasso, penalties by three-fold cross-validation."""
    signals = read_signals(tissue)
    return split(signals, cross_validated(*joint_regressors(signals), seed, errors=0.0))


def l1_1se(tissue: Tissue, seed: int) -> Tables:
    """Return the same with the largest penalty within one standard error of the best."""
    signals = read_signals(tissue)
    return split(signals, cross_validated(*joint_regressors(signals), seed, errors=1.0))


def l1_1se_pen(tissue: Tissue, seed: int) -> Tables:
    """Return the same with cell type and time among the penalised regressors."""
    signals = read_signals(tissue)
    x, y = regressors(signals)
    both = np.hstack([x, standardised(signals.covariates[signals.usable][:, 1:])])
    return split(signals, cross_validated(both, y, seed, errors=1.0)[: x.shape[1]])


def l1_oracle(tissue: Tissue, seed: int) -> Tables:
    """Return tables of the lasso at the penalty with the best LR→TG AUPRC, an upper bound."""
    truth = tissue.truth["lr_targets"]
    truth = truth[truth["kind"] == "direct"] if "kind" in truth else truth
    if not len(truth):
        raise SkipMethod("there is no true LR→TG edge, by which the penalty is chosen")
    signals = read_signals(tissue)
    x, y = joint_regressors(signals)
    weights = paths(x, y, penalties(x, y))
    candidates = [split(signals, weights[:, :, k]) for k in range(weights.shape[2])]
    scores = [rank_scores(t["lr_targets"], truth, KEYS["lr_targets"])["AUPRC"] for t in candidates]
    return candidates[int(np.argmax(scores))]


def cross_validated(x: np.ndarray, y: np.ndarray, seed: int, errors: float) -> np.ndarray:
    """Return (regulators, targets) lasso weights, penalties chosen for each target.

    A target takes the largest penalty within ``errors`` standard errors of the best one over folds.
    """
    grid, target = penalties(x, y), np.arange(y.shape[1])
    errors_of_folds = []
    for train, test in folds(len(x), seed):
        predicted = np.einsum(
            "cr,rgk->cgk", x[test], paths(x[train], y[train], grid), optimize=True
        )
        errors_of_folds.append(((y[test, :, None] - predicted) ** 2).mean(axis=0))
    mean, spread = (
        np.mean(errors_of_folds, axis=0),
        np.std(errors_of_folds, axis=0, ddof=1) / np.sqrt(N_FOLDS),
    )
    best = mean.argmin(axis=1)
    bound = mean[target, best] + errors * spread[target, best]
    return paths(x, y, grid)[:, target, (mean <= bound[:, None]).argmax(axis=1)]


def penalties(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return descending penalties, shared by all targets."""
    smallest = MIN_PENALTY_MANY if x.shape[1] > MANY_REGULATORS else MIN_PENALTY
    return float(np.abs(x.T @ y).max() / len(x)) * np.geomspace(1, smallest, N_PENALTIES)


def folds(n: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield random training and test cells."""
    fold = np.random.default_rng(seed).permutation(n) % N_FOLDS
    for k in range(N_FOLDS):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def paths(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Return (regulators, targets, penalties) lasso weights.

    Coordinate descent runs on a Gram matrix that all targets share.
    """
    gram, moment = x.T @ x, x.T @ y
    weight = np.zeros((x.shape[1], y.shape[1], len(grid)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for g in range(y.shape[1]):
            rows, values = _path(x, y[:, g], gram, moment[:, g], grid)
            weight[rows, g] = values
    return weight


def _path(
    x: np.ndarray, y: np.ndarray, gram: np.ndarray, moment: np.ndarray, grid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the regulators of the working set and their weights.

    The set begins with the most correlated regulators. Any other one that violates the optimality
    conditions at some penalty is added, until there is none.
    """
    bound = len(x) * grid * (1 + 1e-3)
    rows = np.sort(np.argsort(-np.abs(moment), kind="stable")[:WORKING_SET])
    while True:
        options = {
            "precompute": np.ascontiguousarray(gram[np.ix_(rows, rows)]),
            "Xy": moment[rows],
            "alphas": grid,
        }
        weights = lasso_path(
            np.asfortranarray(x[:, rows]), y.copy(), check_input=False, max_iter=2000, **options
        )[1]
        violates = (np.abs(moment[:, None] - gram[:, rows] @ weights) > bound).any(axis=1)
        violates[rows] = False
        if not violates.any():
            return rows, weights
        rows = np.union1d(rows, np.flatnonzero(violates))
