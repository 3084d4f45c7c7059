"""Rivals of single edges: could another regulator explain this target equally well?"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from torch import Tensor

from ..records import Problem, Weights
from ..regression.design import View
from ..runtime.memory import TARGET_BATCH
from .rival_test import Blocks

#: Significance level at which a regulator is distinguished from its rival.
SIGNIFICANCE_LEVEL = 0.01


def contribution(
    view: View, weights: Weights, problem: Problem, regulator: int, targets: NDArray[np.integer]
) -> Tensor:
    """(n, targets) contribution of a regulator to the prediction, of a TF by all its columns."""
    column = weights.rows
    if regulator < problem.n_tf_genes:
        is_tf = column < problem.n_tfs
        selected = torch.zeros_like(is_tf)
        selected[is_tf] = problem.tf_gene[column[is_tf]] == regulator
    else:
        selected = column == problem.n_tfs + regulator - problem.n_tf_genes
    return view[column[selected]].T @ weights.values[selected][:, targets]


def indistinguishable(
    partial: Tensor, x: Tensor, blocks: Blocks, forbidden: Tensor
) -> NDArray[np.bool_]:
    """(rivals, targets) whether a rival that may act explains a target equally well.

    Parameters
    ----------
    partial
        (n, targets) residual with the contribution of the regulator put back.
    x
        (n, 1 + rivals) the regulator and its rivals.
    blocks
        Cells by block, in whose order the rows are.
    forbidden
        (rivals, targets) whether a rival may not act.
    """
    batches = zip(
        partial.split(TARGET_BATCH, dim=1), forbidden.split(TARGET_BATCH, dim=1), strict=True
    )
    equally_good = [
        ~_exceeds(_error_differences(y, x, blocks)) & ~may_not.to(x.device)
        for y, may_not in batches
    ]
    return torch.cat(equally_good, dim=1).cpu().numpy()


def _error_differences(partial: Tensor, x: Tensor, blocks: Blocks) -> Tensor:
    """(blocks, rivals, targets) squared error with a rival less that with the regulator."""
    # (p - w x)² = p² - 2 w x p + w² x², and p² is the same for all
    square = blocks.products(x.square(), torch.ones_like(x[:, :1]))
    cross = blocks.products(x, partial)
    slope = cross.sum(0) / square.sum(0).clamp_min(1e-12)
    error = slope**2 * square - 2.0 * slope * cross
    return error[:, 1:] - error[:, :1]


def _exceeds(difference: Tensor) -> Tensor:
    """(rivals, targets) whether the mean over blocks is significantly larger than 0."""
    n = len(difference)
    mean, sd = difference.mean(0), difference.std(0)
    limit = float(student.isf(SIGNIFICANCE_LEVEL, max(n - 1, 1)))
    exceeds: Tensor = mean > limit * sd / n**0.5
    return exceeds
