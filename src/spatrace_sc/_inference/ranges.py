"""How far each ligand reaches: the range that the data prefer.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .. import _keys
from .._core.exposure import (
    ligand_exposure,
    nearest_neighbour_distance,
)
from .._core.held_out_likelihood import (
    held_out_errors,
    log_likelihoods,
    preferred,
    reliability_of_halves,
    without,
)
from .._core.paths import expected_history
from .._data.radius import weights_within
from .._edges import LR_TARGETS
from .._model.evidence.edge_strength import residual_of
from .._regulators import Regulators
from .restore import Restored, restore

logger = logging.getLogger("spatrace_sc")

#: Default radii in median distances between nearest cells: contact, and up to a long range.
SPACINGS = (1.5, 3.0, 5.0, 10.0, 20.0)
#: Folds of blocks, and probability of the interval.
N_FOLDS, LEVEL = 5, 0.95
Array = NDArray[np.float64]


def ranges_of_ligands(
    adata: AnnData,
    key: str,
    radii: list[float] | None,
    max_q: float,
    *,
    seed: int,
    progress: bool,
) -> tuple[pd.DataFrame, ...]:
    """Return the range of every ligand with an edge at ``max_q``, and the likelihood at each.

    For one ligand, the contribution of all of its pairs is added back to the residuals of the
    fitted model. They and the signals of its significant pairs at every radius are freed of
    covariates and TFs by least squares. Signals then predict the residuals of the targets of these
    pairs in spatial blocks where they were not fitted. The log-likelihood is summed over targets.
    Intervals are those of the preferred radius over bootstrap draws of the blocks.

    A short range averages over few senders, so its exposure holds more counting noise and predicts
    less even if it is the true one. Counts of the ligand are split at random into two halves; how
    well signals of both halves agree gives the share of the variance that is not noise.
    """
    model = restore(adata, key)
    radii = _default_radii(model) if radii is None else radii
    table = model.result.table(LR_TARGETS)
    table = table[table["q_value"] <= max_q]
    reader = _Signals(model, radii)
    rng = np.random.default_rng(seed)
    rows, profiles = [], []
    listed = list(table.groupby("ligand", sort=True))
    for ligand, edges in tqdm(listed, "ranges", disable=not progress, leave=False, delay=5):
        name = str(model.genes.ligands[int(ligand)])
        evidence = reader.evidence(int(ligand), edges, rng)
        gain = log_likelihoods(*evidence)
        share = preferred(*evidence, rng)
        rows.append((name, len(edges), *_interval(radii, gain, share)))
        profiles += [
            (name, radius, float(g), float(s))
            for radius, g, s in zip(radii, gain, share, strict=True)
        ]
    types = {"ligand": object, "n_edges": int, "determined": bool}
    types |= dict.fromkeys(("radius", "low", "high", "log_likelihood", "preferred"), float)
    return tuple(
        pd.DataFrame(values, columns=names).astype({name: types[name] for name in names})
        for values, names in ((rows, _keys.RANGES), (profiles, _keys.RANGE_PROFILE))
    )


def _default_radii(model: Restored) -> list[float]:
    """Return multiples of the median distance between nearest cells; they are logged."""
    cells = model.study.cells
    spacing = nearest_neighbour_distance(cells.coords, cells.sample)
    radii = [factor * spacing for factor in SPACINGS]
    logger.info(
        "radii: %s, which are %s × the median distance to the nearest cell.",
        ", ".join(f"{radius:.4g}" for radius in radii),
        ", ".join(f"{factor:g}" for factor in SPACINGS),
    )
    return radii


def _interval(radii: list[float], gain: Array, share: Array) -> tuple[float, float, float, bool]:
    """Return the preferred radius, its interval, and whether it is determined.

    It is not if the interval holds every radius, or if no radius predicts held-out targets.
    """
    tail = (1.0 - LEVEL) / 2.0
    below = np.cumsum(share)
    low = int(np.argmax(below > tail))
    high = int(np.argmax(below >= 1.0 - tail - 1e-12))
    best = int(np.argmax(gain))
    low, high = min(low, best), max(high, best)
    determined = bool(gain[best] > 0) and (low > 0 or high < len(radii) - 1)
    return radii[best], radii[low], radii[high], determined


class _Signals:
    """Signals of pairs at several radii, and what the fitted model leaves of the targets."""

    def __init__(self, model: Restored, radii: list[float]):
        self._model, self._radii = model, radii
        problem = model.problem
        self._usable = problem.usable
        self._design, self._residual = residual_of(problem, model.fit)
        known = [problem.covariates, model.fit.attended.tf]
        self._nuisances = torch.cat(known, dim=1)[problem.usable].double().numpy()
        codes = np.unique(problem.block[problem.usable].numpy(), return_inverse=True)[1]
        self._block = codes.ravel()
        study = model.study
        self._weights = [
            weights_within(
                *(study.cells.coords, study.cells.sample, study.cells.receivers),
                study.cells.senders,
                radius,
                own=model.result.source.own,
            )[study.cells.receivers][:, study.cells.senders]
            for radius in radii
        ]

    @torch.no_grad()
    def evidence(
        self, ligand: int, edges: pd.DataFrame, rng: np.random.Generator
    ) -> tuple[Array, Array, Array, int]:
        """Return (radii, targets, blocks) held-out errors, those without signal, reliabilities, n.

        The reliability (radii, targets) is the mean over the pairs that act on a target.
        """
        genes, study = self._model.genes, self._model.study
        receptors = np.unique(edges["receptor"].to_numpy())
        targets = np.unique(edges["target"].to_numpy())
        acts = np.zeros((len(receptors), len(targets)), dtype=bool)
        acts[
            np.searchsorted(receptors, edges["receptor"]), np.searchsorted(targets, edges["target"])
        ] = True
        y = without(self._partial_residual(ligand, targets, genes), self._nuisances)
        expression = study.sender_ligand[:, ligand]
        signals = list(self._signals(expression, receptors))
        n_folds = min(N_FOLDS, int(self._block.max()) + 1)
        errors, base = held_out_errors(signals, y, acts, self._block, n_folds)
        reliability = np.ones((len(signals), len(receptors)))
        if study.unit is not None:
            unit = study.unit[study.senders]
            counts = np.rint(expression / unit).astype(np.int64)
            half = rng.binomial(counts, 0.5)
            halves = [self._signals(2.0 * part * unit, receptors) for part in (half, counts - half)]
            reliability = np.array(
                [reliability_of_halves(*pair) for pair in zip(*halves, strict=True)]
            )
        return errors, base, reliability @ acts / np.maximum(acts.sum(axis=0), 1), len(y)

    def _partial_residual(
        self, ligand: int, targets: NDArray[np.int64], genes: Regulators
    ) -> Array:
        """(n, targets) residuals plus the contributions of all pairs of the ligand."""
        weights = self._residual.weights
        columns = genes.column_of_pair(genes.pair(ligand, np.arange(genes.n_receptors)))
        of_ligand = torch.isin(weights.rows, torch.as_tensor(columns))
        rows = weights.rows[of_ligand]
        index = torch.as_tensor(targets)
        residual = self._residual.values[:, index]
        if len(rows):
            signal = self._design.at(self._usable)[rows]
            residual = residual + signal.T @ weights.values[of_ligand][:, index]
        return residual.double().numpy()

    def _signals(
        self, expression: NDArray[np.floating], receptors: NDArray[np.int64]
    ) -> Iterator[Array]:
        """Yield (n, receptors) saturating signals at every radius, freed of nuisances.

        ``expression`` (senders,) is the linear level of the ligand.
        """
        model, config = self._model, self._model.config.model
        study, usable = model.study, self._usable.numpy()
        receptor = model.fit.attended.receptor[:, torch.as_tensor(receptors)].double().numpy()
        share = model.fit.attention.exposure.double().numpy()
        for weights in self._weights:
            exposure = ligand_exposure(weights.tocsr(), np.log1p(expression)[:, None])
            history, _ = expected_history(study.backward, exposure, n_lags=config.n_lags)
            attended = np.einsum("ns,nsl->nl", share, history)
            dose = attended * receptor
            half = [
                float(np.quantile(column[column > 0], config.hill_quantile))
                if (column > 0).any()
                else 1.0
                for column in dose.T
            ]
            relative = (dose / np.maximum(half, 1e-12)) ** config.hill_exponent
            yield without((relative / (1.0 + relative))[usable], self._nuisances)
