"""Slopes of targets on their regulators, in every group or replicate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .._core.group_estimates import Estimates, slopes
from .._edges import LR_TARGETS, TF_TARGETS
from .._settings import settings
from .._study.problem import time_powers
from .restore import Restored

#: Strongest untested regulators of a target, of each kind, that are estimated with the tested ones.
N_OTHERS = 5
#: Fewer targets take no progress bar.
MIN_TARGETS_FOR_BAR = 100
#: A column that varies less counts as constant.
MIN_SD = 1e-9


@dataclass(frozen=True)
class Plan:
    """Which receivers are compared, and how.

    ``rows`` (N,) positions among the receivers, ``group`` (N,) codes into ``names``, ``pairs`` of
    codes (group, reference), ``replicate`` (N,) codes or None where blocks are the unit, ``stage``
    (N,) codes, ``share`` the minimum meaningful relative difference, ``max_q``.
    """

    rows: NDArray[np.intp]
    group: NDArray[np.intp]
    names: list[str]
    pairs: list[tuple[int, int]]
    replicate: NDArray[np.intp] | None
    stage: NDArray[np.intp]
    share: float
    max_q: float

    @property
    def unit(self) -> str:
        """The unit of replication behind the standard errors."""
        return "block" if self.replicate is None else "replicate"


def estimate_slopes(
    restored: Restored, edges: dict[str, pd.DataFrame], plan: Plan
) -> dict[str, Estimates]:
    """Return the slopes of every edge in every group, or in every replicate.

    ``edges`` has a table for each kind with the columns ``regulator`` and ``target_index``.
    """
    stratum = plan.group if plan.replicate is None else plan.replicate
    unit = _units(restored.problem.block.numpy()[plan.rows], plan)
    sizes = (int(stratum.max()) + 1, int(unit.max()) + 1)
    nuisance = _nuisance(restored, plan.rows)
    weights = _weights_by_kind(restored)
    estimates = {
        kind: Estimates(
            np.full((len(table), sizes[0]), np.nan), np.full((len(table), *sizes), np.nan)
        )
        for kind, table in edges.items()
    }
    targets = np.unique(np.concatenate([table["target_index"] for table in edges.values()]))
    shown = settings.progress and restored.config.progress and len(targets) >= MIN_TARGETS_FOR_BAR
    for target in tqdm(targets.astype(int), desc="responses", disable=not shown, leave=False):
        rows_of = {
            kind: np.flatnonzero((table["target_index"] == target).to_numpy())
            for kind, table in edges.items()
        }
        regulators = {
            kind: _with_others(
                table["regulator"].to_numpy(dtype=np.intp)[rows_of[kind]],
                weights[kind][:, target],
            )
            for kind, table in edges.items()
        }
        predictors = _standardise(
            _levels(restored, regulators[TF_TARGETS.name], regulators[LR_TARGETS.name])[plan.rows]
        )
        y = _standardise(restored.study.target[plan.rows][:, [target]].astype(float))[:, 0]
        fitted = slopes(y, predictors, nuisance, stratum, unit, sizes)
        start = 0
        for kind in edges:
            tested = slice(start, start + len(rows_of[kind]))
            estimates[kind].value[rows_of[kind]] = fitted.value[tested]
            estimates[kind].influence[rows_of[kind]] = fitted.influence[tested]
            start += len(regulators[kind])
    return estimates


def _weights_by_kind(restored: Restored) -> dict[str, NDArray[np.floating]]:
    """Sizes of the model's weights: of TF genes (F, G) and of pairs (P, G)."""
    problem = restored.problem
    sizes = restored.fit.weights.dense(problem.n_regulators).abs()
    return {
        TF_TARGETS.name: problem.by_tf_gene(sizes[: problem.n_tfs]).numpy(),
        LR_TARGETS.name: sizes[problem.n_tfs : problem.n_tfs + problem.n_pairs].numpy(),
    }


def _units(block: NDArray[np.integer], plan: Plan) -> NDArray[np.intp]:
    """(N,) codes of the blocks, numbered within each replicate.

    With replicates, no block then counts in two of them, and errors of two are never added.
    """
    if plan.replicate is None:
        codes: NDArray[np.intp] = np.unique(block, return_inverse=True)[1]
        return codes
    codes = np.empty(len(block), dtype=np.intp)
    for replicate in np.unique(plan.replicate):
        rows = plan.replicate == replicate
        codes[rows] = np.unique(block[rows], return_inverse=True)[1]
    return codes


def _with_others(tested: NDArray[np.intp], weight: NDArray[np.floating]) -> NDArray[np.intp]:
    """The tested regulators, then the strongest untested ones with a weight."""
    strongest = np.argsort(-weight, kind="stable")[: N_OTHERS + len(tested)]
    others = [k for k in strongest if weight[k] > 0 and k not in set(tested)]
    return np.concatenate([tested, np.array(others[:N_OTHERS], dtype=np.intp)])


@torch.no_grad()
def _levels(
    restored: Restored, tfs: NDArray[np.intp], pairs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(receivers, A) current levels of TFs, filtered, and signals of pairs, without gates."""
    attended, network = restored.fit.attended, restored.fit.network
    signal = network.signal(attended.exposure, attended.receptor, torch.as_tensor(pairs))
    columns = torch.as_tensor(restored.genes.columns_of_current_tfs[tfs])
    return torch.cat([attended.tf[:, columns], signal], dim=1).double().numpy()


def _nuisance(restored: Restored, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """(N, C) samples, cell types, powers of time, and the covariates that the user named."""
    study = restored.study
    samples = pd.get_dummies(study.receiver_sample[rows]).to_numpy(dtype=float)
    types = study.cells.mixture_of(np.flatnonzero(study.receivers)[rows]).values[:, 1:]
    time = _standardise(study.time[rows][:, None])[:, 0]
    named = _standardise(study.named_covariates.to_numpy(dtype=float)[rows])
    return np.hstack([samples, types - types.mean(axis=0), time_powers(time), named])


def _standardise(values: NDArray[np.floating]) -> NDArray[np.float64]:
    sd = values.std(axis=0)
    centred = values - values.mean(axis=0)
    return np.asarray(centred / np.where(sd > MIN_SD, sd, np.inf), dtype=np.float64)
