"""Scales that turn levels of regulators into standard deviations of the cells of an inference.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .._model.evidence.errors_in_variables import noise_share
from .._model.fit import Fit
from .._model.records import Problem
from .._model.regression.design import Design
from .._regulators import Regulators
from .._result import Result
from .levels import per_standard_deviation, regulator_levels

#: A TF or signal that varies less counts as constant.
MIN_SD = 1e-6


@dataclass(frozen=True)
class LevelScales:
    """Means and standard deviations over the receivers of an inference.

    - ``column_mean``, ``column_sd`` (columns of the model,): of those that may act, over receivers
      with an earlier cell; the standard deviation is 0 where a column is constant or cannot act.
    - ``tf_sd`` (F,): of the counted levels of TFs, without count noise; ``tf_spread`` (F,): of the
      filtered levels; ``noise_share`` (F,): share of count noise in the variance.
    - ``activity`` (A,), ``tf_activity`` (F,): factors that turn a gated level into an activity;
      ``tf_mean`` (F,): mean of the gated levels of TFs.
    """

    column_mean: NDArray[np.float32]
    column_sd: NDArray[np.float32]
    tf_sd: NDArray[np.float64]
    tf_spread: NDArray[np.float64]
    noise_share: NDArray[np.float64]
    activity: NDArray[np.floating]
    tf_mean: NDArray[np.float64]
    tf_activity: NDArray[np.floating]

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        return dict(vars(self))

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any]) -> LevelScales:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        return cls(**{f.name: np.asarray(slots[f.name]) for f in fields(cls)})

    def sd_of(self, columns: NDArray[np.integer]) -> torch.Tensor:
        """(len(columns),) standard deviations, infinite for constant columns."""
        sd = torch.as_tensor(np.array(self.column_sd[columns]))
        return torch.where(sd > MIN_SD, sd, torch.inf)


@torch.no_grad()
def own_scales(
    result: Result, genes: Regulators, problem: Problem, fit: Fit, design: Design
) -> LevelScales:
    """Return the scales of the cells that a model was fitted to."""
    share = noise_share(problem)
    counted = problem.tf_count.double()[problem.usable].std(0, correction=0)
    current = fit.attended.tf[:, problem.n_tf_genes :].double().numpy()
    pairs, tfs = activity_columns(result, genes)
    strength = result.activity_pairs["score"].to_numpy(dtype=float)
    levels = regulator_levels(problem, fit, tfs)
    mean = levels.mean(axis=0)
    sd = design.sd.numpy()
    return LevelScales(
        column_mean=design.mean.numpy(),
        column_sd=np.where(np.isfinite(sd), sd, 0.0).astype(np.float32),
        tf_sd=(counted * torch.sqrt(1.0 - share)).numpy(),
        tf_spread=current.std(axis=0),
        noise_share=share.numpy(),
        activity=per_standard_deviation(regulator_levels(problem, fit, pairs), strength),
        tf_mean=mean.astype(np.float64),
        tf_activity=per_standard_deviation(levels - mean, result.tf_scores),
    )


def activity_columns(
    result: Result, genes: Regulators
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the columns of the model with an activity: pairs as stored, and all TFs."""
    pairs = genes.column_of_pair(genes.pair_of_names(result.activity_pairs))
    return pairs, genes.columns_of_current_tfs


def activities(
    problem: Problem, fit: Fit, scales: LevelScales, columns: tuple[NDArray[Any], NDArray[Any]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(receivers, A) activity of pairs and (receivers, F) of TFs, in given columns of the model."""
    pairs, tfs = (regulator_levels(problem, fit, chosen) for chosen in columns)
    of_tfs = (tfs - scales.tf_mean) * scales.tf_activity
    return (pairs * scales.activity).astype(np.float32), of_tfs.astype(np.float32)
