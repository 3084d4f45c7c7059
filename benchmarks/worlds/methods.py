"""The methods by name: functions (tissue, seed) → tables.

Baselines read the same log-normalised matrix as the package, of the receivers, each cell on its
own: a regulator is a TF, or a pair as ``log1p(exposure × receptor)``. A gene never regulates
itself.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
from benchmarks.recovery.methods.correlation import correlation
from benchmarks.recovery.methods.linear import RIDGE_PENALTIES
from benchmarks.recovery.signals import Signals, dense, doses, read_signals, standardised
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import Tissue
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import RidgeCV

#: Trees, and cells in a leaf.
N_TREES, LEAF = 100, 2
Method = Callable[[Tissue, int], Tables]
METHODS = {
    "ours": "benchmarks.recovery.methods.own:ours",
    "pearson": "benchmarks.recovery.methods.correlation:pearson",
    "spearman": "benchmarks.recovery.methods.correlation:spearman",
    "within": "benchmarks.worlds.methods:within",
    "ridge": "benchmarks.worlds.methods:ridge",
    "trees": "benchmarks.worlds.methods:trees",
    "mean_product": "benchmarks.worlds.methods:mean_product",
    "colocalised": "benchmarks.worlds.methods:colocalised",
}
NOTES = {
    "ours": "one call of infer_ccc, defaults",
    "pearson": "absolute Pearson correlation",
    "spearman": "absolute Spearman correlation",
    "within": "absolute Pearson correlation after subtracting the means of cell types",
    "ridge": "ridge regression on all TFs and pairs, penalty by leave-one-out",
    "trees": "GENIE3 with extra trees, on all TFs and pairs",
    "mean_product": "mean ligand of the senders × mean receptor of the receivers",
    "colocalised": "correlation of exposure and receptor within cell types",
}


def load(name: str) -> Method:
    """Import a method."""
    module, function = METHODS[name].split(":")
    method: Method = getattr(import_module(module), function)
    return method


def regulators(signals: Signals) -> np.ndarray:
    """Return (receivers, TFs + pairs) of each cell itself."""
    pair = np.log1p(doses(signals.exposure, np.log1p(signals.receptor)))
    return np.hstack([signals.tf, pair])


def of_types(tissue: Tissue, signals: Signals) -> np.ndarray:
    """Return (receivers,) cell types."""
    key = tissue.arguments.get("cell_type_key", "cell_type")
    types: np.ndarray = np.asarray(tissue.adata.obs[key].astype(str))[signals.receivers]
    return types


def centred(values: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Return values without the mean of their cell type."""
    result = np.array(values, dtype=float)
    for kind in np.unique(types):
        result[types == kind] -= result[types == kind].mean(axis=0)
    return result


def split(signals: Signals, weight: np.ndarray, *, signed: bool = True) -> Tables:
    """Return tables of (TFs + pairs, targets) weights."""
    n_tf = len(signals.names["tf"])
    return tables(signals.names, tf=weight[:n_tf], pair=weight[n_tf:], signed=signed)


def allowed(signals: Signals) -> np.ndarray:
    """Return (TFs + pairs, targets) whether the regulator holds no level of the target."""
    names, target = signals.names, signals.names["target"]
    tf = names["tf"][:, None] != target
    ligand = names["ligand"][:, None, None] != target
    receptor = names["receptor"][None, :, None] != target
    return np.vstack([tf, (ligand & receptor).reshape(-1, len(target))])


def each_target(
    signals: Signals, fit: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return (TFs + pairs, targets) weights, by ``fit`` of groups of targets.

    Targets that may have the same regulators are fitted at once; x and y are standardised.
    """
    x, y, may = standardised(regulators(signals)), standardised(signals.target), allowed(signals)
    weight = np.zeros(may.shape)
    groups, index = np.unique(may, axis=1, return_inverse=True)
    for k in range(groups.shape[1]):
        rows, columns = np.flatnonzero(groups[:, k]), np.flatnonzero(index.ravel() == k)
        weight[np.ix_(rows, columns)] = fit(x[:, rows], y[:, columns])
    return weight


def within(tissue: Tissue, seed: int) -> Tables:
    """Return Pearson correlations within cell types."""
    signals = read_signals(tissue)
    types = of_types(tissue, signals)
    x, y = centred(regulators(signals), types), centred(signals.target, types)
    return split(signals, correlation(x, y))


def ridge(tissue: Tissue, seed: int) -> Tables:
    """Return the coefficients of a ridge regression."""

    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        model = RidgeCV(RIDGE_PENALTIES, fit_intercept=False, alpha_per_target=True).fit(x, y)
        return np.asarray(model.coef_).reshape(y.shape[1], -1).T

    signals = read_signals(tissue)
    return split(signals, each_target(signals, fit))


def trees(tissue: Tissue, seed: int) -> Tables:
    """Return the importances of extra trees, which try the square root of the regulators."""

    def fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        options = {"max_features": "sqrt", "min_samples_leaf": LEAF, "random_state": seed}
        models = (ExtraTreesRegressor(N_TREES, **options).fit(x, target) for target in y.T)
        return np.stack([model.feature_importances_ for model in models], axis=1)

    signals = read_signals(tissue)
    return split(signals, each_target(signals, fit), signed=False)


def mean_product(tissue: Tissue, seed: int) -> Tables:
    """Return pairs scored by mean ligand × mean receptor, linear expression."""
    signals = read_signals(tissue)
    adata, senders = tissue.adata, tissue.arguments.get("senders")
    types = adata.obs[tissue.arguments.get("cell_type_key", "cell_type")].astype(str)
    sends = types.isin(senders).to_numpy() if senders else np.ones(adata.n_obs, dtype=bool)
    ligand = np.expm1(dense(adata[sends, signals.names["ligand"]].X)).mean(axis=0)
    score = np.outer(ligand, signals.receptor.mean(axis=0)).ravel()
    return tables(signals.names, pair_score=score)


def colocalised(tissue: Tissue, seed: int) -> Tables:
    """Return pairs scored by the correlation of log exposure and log receptor within types."""
    signals = read_signals(tissue)
    types = of_types(tissue, signals)
    exposure, receptor = (centred(np.log1p(v), types) for v in (signals.exposure, signals.receptor))
    return tables(signals.names, pair_score=correlation(exposure, receptor).ravel())
