"""Targets that a fitted model predicts in any cells, on given scales."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .network.losses import split_columns
from .network.signal_network import Attended, AttentionWeights, SignalNetwork
from .records import Problem, Weights
from .runtime.memory import rows_at_once

#: Cells whose regulators are computed at a time, on a CPU.
CELL_BATCH = 4096


class Prediction(NamedTuple):
    """(N, G) predictions in standard deviations of the targets, and the part of covariates."""

    total: Tensor
    covariates: Tensor


@torch.no_grad()
def predict(
    network: SignalNetwork,
    weights: Weights,
    problem: Problem,
    observed: tuple[AttentionWeights, Attended],
    scales: tuple[Tensor, Tensor],
) -> Prediction:
    """Return the targets that a model predicts.

    ``observed`` are its attention and the attended levels of all cells, ``scales`` the means and
    standard deviations of all columns, by which they are standardised.
    """
    attention, attended = observed
    rows, device = weights.rows, problem.targets.device
    tfs, pairs, covariates = split_columns(problem, rows)
    gated = rows[: len(rows) - len(covariates)]
    mean, sd = (values[rows] for values in scales)
    totals, parts = [], []
    cells = torch.arange(len(problem.targets), device=device)
    for batch in cells.split(rows_at_once(4 * max(1, len(rows)), device, CELL_BATCH)):
        signal = network.signal(attended.exposure[batch], attended.receptor[batch], pairs)
        columns = [attended.tf[batch][:, tfs], signal, problem.covariates[batch][:, covariates]]
        x = (torch.cat(columns, dim=1) - mean) / sd
        part = x[:, len(gated) :] @ weights.values[len(gated) :]
        gate = 1.0 + network.gate(attention.context[batch], gated)
        totals.append((x[:, : len(gated)] * gate) @ weights.values[: len(gated)] + part)
        parts.append(part)
    return Prediction(torch.cat(totals), torch.cat(parts))
