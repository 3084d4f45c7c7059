"""Linear models in which all TFs and all pairs compete, on the signals of infer_ccc at its initial attention.

TFs: mean over the expected history 1 to 3 steps back. Pairs: the cell's own exposure × the receptor averaged over steps 0 to 3, saturating. All standardised; cell type and time to
its cube are regressed out of regulators and targets, which is the same as fitting them jointly without a penalty. Where types are the states that TFs make (A, B) that takes the credit of the TFs;
``l1_1se_pen`` has covariates compete under the same penalty.
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
#: Lasso penalties: how many, and the smallest relative to the one that keeps nothing for any target; with more regulators than LARGE. Cross-validation takes none smaller there.
N_PENALTIES, LEAST, LEAST_LARGE, LARGE = 20, 0.004, 0.03, 500
N_FOLDS, WORKING_SET = 3, 400


def regressors(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """(cells, TFs + pairs) and (cells, targets), standardised, of the cells with a past."""
    here = signals.usable
    tf = signals.past(signals.tf, now=False)[here]
    pair = saturating(doses(signals.exposure, signals.past(signals.receptor, now=True))[here])
    return standardised(np.hstack([tf, pair])), standardised(signals.target[here])


def joint_regressors(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """The same without what covariates explain."""
    x, y = regressors(signals)
    return tuple(without(values, signals.covariates[signals.usable]) for values in (x, y))  # type: ignore[return-value]


def without(values: np.ndarray, covariates: np.ndarray) -> np.ndarray:
    """Residuals of a least-squares fit on the covariates."""
    return values - covariates @ np.linalg.lstsq(covariates, values, rcond=None)[0]


def with_own_counts(signals: Signals) -> tuple[np.ndarray, np.ndarray]:
    """The cell's own counts of TFs beside the same, first; without what covariates explain."""
    x, y = joint_regressors(signals)
    own = standardised(
        without(standardised(signals.tf[signals.usable]), signals.covariates[signals.usable])
    )
    return np.hstack([own, x]), y


def split_both(signals: Signals, weight: np.ndarray) -> Tables:
    """Tables of weights in which every TF has two, the cell's own count first: their sum."""
    n_tf = len(signals.names["tf"])
    return split(signals, np.vstack([weight[:n_tf] + weight[n_tf : 2 * n_tf], weight[2 * n_tf :]]))


def split(signals: Signals, weight: np.ndarray) -> Tables:
    """Tables of (regulators, targets) weights, TFs first."""
    n_tf = len(signals.names["tf"])
    return tables(signals.names, tf=weight[:n_tf], pair=weight[n_tf:])


def ridge(tissue: Tissue, seed: int) -> Tables:
    """\\|coefficient\\| of a ridge regression, the penalty of each target by leave-one-out."""
    signals = read_signals(tissue)
    x, y = joint_regressors(signals)
    return split(
        signals,
        RidgeCV(RIDGE_PENALTIES, fit_intercept=False, alpha_per_target=True).fit(x, y).coef_.T,
    )


def ridge_both(tissue: Tissue, seed: int) -> Tables:
    """The same with TFs read twice, in earlier cells and in the cell itself, as infer_ccc reads them but unfiltered."""
    signals = read_signals(tissue)
    x, y = with_own_counts(signals)
    return split_both(
        signals,
        RidgeCV(RIDGE_PENALTIES, fit_intercept=False, alpha_per_target=True).fit(x, y).coef_.T,
    )


def l1_both(tissue: Tissue, seed: int) -> Tables:
    """The lasso with TFs read twice."""
    signals = read_signals(tissue)
    return split_both(signals, cross_validated(*with_own_counts(signals), seed, errors=0.0))


def l1(tissue: Tissue, seed: int) -> Tables:
    """\\|coefficient\\| of a lasso, the penalty of each target the best over three random folds."""
    signals = read_signals(tissue)
    return split(signals, cross_validated(*joint_regressors(signals), seed, errors=0.0))


def l1_1se(tissue: Tissue, seed: int) -> Tables:
    """The same with the largest penalty within one standard error of the best, the usual rule for selection: sparser."""
    signals = read_signals(tissue)
    return split(signals, cross_validated(*joint_regressors(signals), seed, errors=1.0))


def l1_1se_pen(tissue: Tissue, seed: int) -> Tables:
    """The same with cell type and time among the penalised regressors, as in infer_ccc."""
    signals = read_signals(tissue)
    x, y = regressors(signals)
    both = np.hstack([x, standardised(signals.covariates[signals.usable][:, 1:])])
    return split(signals, cross_validated(both, y, seed, errors=1.0)[: x.shape[1]])


def l1_oracle(tissue: Tissue, seed: int) -> Tables:
    """The lasso at the one penalty with the best LR→TG AUPRC, which only the truth tells: an upper bound."""
    truth = tissue.truth["lr_targets"]
    truth = truth[truth["kind"] == "direct"] if "kind" in truth else truth
    if not len(truth):
        raise SkipMethod("no true LR→TG edge to choose the penalty by")
    signals = read_signals(tissue)
    x, y = joint_regressors(signals)
    weights = paths(x, y, penalties(x, y))
    found = [split(signals, weights[:, :, k]) for k in range(weights.shape[2])]
    scores = [rank_scores(t["lr_targets"], truth, KEYS["lr_targets"])["AUPRC"] for t in found]
    return found[int(np.argmax(scores))]


def cross_validated(x: np.ndarray, y: np.ndarray, seed: int, errors: float) -> np.ndarray:
    """(regulators, targets) lasso weights at each target's own largest penalty within so many standard errors of the best over folds."""
    grid, target = penalties(x, y), np.arange(y.shape[1])
    parts = []
    for train, test in folds(len(x), seed):
        said = np.einsum("cr,rgk->cgk", x[test], paths(x[train], y[train], grid), optimize=True)
        parts.append(((y[test, :, None] - said) ** 2).mean(axis=0))
    mean, spread = np.mean(parts, axis=0), np.std(parts, axis=0, ddof=1) / np.sqrt(N_FOLDS)
    best = mean.argmin(axis=1)
    bound = mean[target, best] + errors * spread[target, best]
    return paths(x, y, grid)[:, target, (mean <= bound[:, None]).argmax(axis=1)]


def penalties(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Descending, shared by the targets."""
    least = LEAST_LARGE if x.shape[1] > LARGE else LEAST
    return float(np.abs(x.T @ y).max() / len(x)) * np.geomspace(1, least, N_PENALTIES)


def folds(n: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random training and test cells."""
    fold = np.random.default_rng(seed).permutation(n) % N_FOLDS
    for k in range(N_FOLDS):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def paths(x: np.ndarray, y: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """(regulators, targets, penalties) lasso weights by coordinate descent on a Gram matrix that all targets share."""
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
    """Regulators and their weights. Solved among the most correlated; any other that would enter at some penalty is let in, until none would."""
    bound = len(x) * grid * (1 + 1e-3)
    rows = np.sort(np.argsort(-np.abs(moment), kind="stable")[:WORKING_SET])
    while True:
        options = {
            "precompute": np.ascontiguousarray(gram[np.ix_(rows, rows)]),
            "Xy": moment[rows],
            "alphas": grid,
        }
        found = lasso_path(
            np.asfortranarray(x[:, rows]), y.copy(), check_input=False, max_iter=2000, **options
        )[1]
        enters = (np.abs(moment[:, None] - gram[:, rows] @ found) > bound).any(axis=1)
        enters[rows] = False
        if not enters.any():
            return rows, found
        rows = np.union1d(rows, np.flatnonzero(enters))
