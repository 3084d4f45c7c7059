"""Shared credit for pairs where a receptor and the TFs carry the same information."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..fit import Fit
from ..records import Evidence, Problem
from ..regression.design import standard
from ..runtime.memory import rows_within

logger = logging.getLogger("spatrace_sc")

#: Ridge penalties, as shares of a standardised column's variance: of receptors on TFs, and of
#: targets on receptors.
RIDGE_TFS, RIDGE_RECEPTORS = 0.01, 0.3
#: Folds of blocks over which the share is measured.
N_FOLDS = 3
#: Smallest sum of explainable shares, of a receptor and of the mean receptor, that is divided
#: by: the ratio of two chance values means nothing.
MIN_EXPLAINABLE = 0.1
#: Smallest held-out R² of the targets that is divided by.
MIN_PREDICTED = 0.01
#: Routes that change a target by fewer standard deviations than this are left out.
MIN_ROUTE = 0.003
#: Largest number of routes that are computed at a time.
MAX_ROUTES = 8_000_000


@torch.no_grad()
def share_credit(
    problem: Problem,
    fit: Fit,
    evidence: Evidence,
    edges: NDArray[np.bool_],
    pairs: NDArray[np.bool_],
) -> Evidence:
    """Evidence in which credit that the joint model cannot assign is shared out among pairs.

    If a receptor's level follows the TFs so closely that either would predict its targets, a
    sparse model gives everything to one of them. A share u_r of the effect then comes from
    another route, exposure → receptor → target:

    - effect = (1 - u_r) W_lr,g + u_r a_lr b_rg, with a_lr = max(0, cor(log E_l, log R_r));
    - u_r = D(φ ρ_r π), with D(x) = x³ / (x³ + (1 - x)³);
    - ρ_r = (t_r + mean t) / max(0.1, f_r + mean f);
    - π = min(1, held-out R² of the targets on receptors / that on TFs in earlier cells).

    Here b comes from a ridge regression of the targets on all receptors without TFs. The share of
    the variance of the receptor's count that TFs predict in held-out blocks is t_r, and f_r is
    the share that TFs and the receptor's counts in earlier cells predict together. It is a ratio,
    so that count noise, which both cannot predict, does not pass for an independent course of the
    receptor; means over receptors stabilise it. φ is the share of the pairs' squared weights that
    decoys would have got. Co-variation of exposure and receptor decides between ligands only if
    receptors have no course of their own (ρ_r near 1), predict the targets as well as TFs do
    (π near 1), and the joint model cannot distinguish pairs from decoys (φ near 1). All three
    must hold, so their product is sharpened. Elsewhere nothing changes.

    Significant edges, ``edges`` (E,) among the listed ones and ``pairs`` (P,), keep their weights.
    All routes are scaled down by one factor until none is stronger than the weakest of these.
    p, q and stability do not change: they belong to the joint model.
    """
    rows = problem.usable
    false_share = torch.tensor(evidence.false_share, device=rows.device)
    share = _sharpened(false_share * _followed(problem, fit) * _substitution(problem, fit))
    n_shared = int((share > 0.5).sum())
    if n_shared:
        logger.info(
            "%d of %d receptors follow the TFs, and pairs do no better than decoys: the ligands "
            "of these receptors are ranked by co-variation, which is no evidence.",
            n_shared,
            len(share),
        )
    level = standard(problem.receptor_level[rows])
    exposure = standard(torch.log1p(fit.attended.exposure[rows]))
    targets = ((problem.targets - fit.target_mean) / fit.target_sd)[rows]
    onto = _ridge(level, targets, RIDGE_RECEPTORS)
    correlation = (exposure.T @ level / len(level)).clamp_min(0.0)
    pair_share = share[problem.pair_receptor] * problem.may_act[problem.pair_slice]
    strength = pair_share * correlation[problem.pair_ligand, problem.pair_receptor]
    listed = torch.as_tensor(evidence.lr.index, device=rows.device)
    route, norm = _routes(problem, strength, onto, listed)
    kept_share = (1.0 - pair_share).cpu().numpy()
    effect = combine_routes(
        evidence.lr.effect, kept_share[evidence.lr.regulator], route.cpu().numpy(), edges
    )
    return replace(
        evidence,
        lr=replace(evidence.lr, effect=effect),
        pair_score=combine_routes(evidence.pair_score, kept_share, norm.cpu().numpy(), pairs),
    )


def _routes(
    problem: Problem, strength: Tensor, onto: Tensor, listed: Tensor
) -> tuple[Tensor, Tensor]:
    """(E,) routes of the listed edges, and (P,) norm of all routes of a pair.

    A route is the ``strength`` (P,) of its pair times ``onto`` (R, G) of its receptor. Small and
    forbidden routes are 0.
    """
    n_targets, columns = onto.shape[1], problem.pair_columns
    regulator, target = problem.forbidden
    is_pair = (regulator >= columns.start) & (regulator < columns.stop)
    barred, barred_target = regulator[is_pair] - columns.start, target[is_pair]
    of_listed, norm = onto.new_zeros(len(listed)), torch.zeros_like(strength)
    every = torch.arange(problem.n_pairs, device=onto.device)
    for pairs in every.split(rows_within(MAX_ROUTES, n_targets)):
        first, last = int(pairs[0]), int(pairs[-1]) + 1
        route = strength[pairs, None] * onto[problem.pair_receptor[pairs]]
        route[route.abs() < MIN_ROUTE] = 0.0
        in_block = (barred >= first) & (barred < last)
        route[barred[in_block] - first, barred_target[in_block]] = 0.0
        norm[pairs] = route.norm(dim=1)
        ends = torch.tensor([first, last], device=listed.device) * n_targets
        low, high = torch.searchsorted(listed, ends).tolist()
        of_listed[low:high] = route.flatten()[listed[low:high] - first * n_targets]
    return of_listed, norm


def combine_routes(
    weight: NDArray[np.float32],
    kept_share: NDArray[np.float32],
    route: NDArray[np.float32],
    significant: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """``kept_share · weight + route``, or the weight itself where it is significant.

    No route lifts an edge above the weakest significant one.
    """
    limit = np.abs(weight[significant]).min() if significant.any() else np.inf
    scale = min(1.0, float(limit / max(np.abs(route).max(initial=0.0), 1e-12)))
    reduced = kept_share * weight
    bound = np.maximum(np.abs(reduced), np.float32(limit))
    shared = np.clip(reduced + np.float32(scale) * route, -bound, bound)
    return np.where(significant, weight, shared)


def _sharpened(x: Tensor) -> Tensor:
    """Shares pushed towards 0 or 1, by cubing their odds."""
    return x**3 / (x**3 + (1.0 - x) ** 3)


def _followed(problem: Problem, fit: Fit) -> Tensor:
    """(R,) share of the explainable variance of a receptor's count that TFs explain, 0 to 1."""
    rows, past = problem.usable, problem.history
    receptor, steps = past.receptor[rows], past.exists[rows].float()[:, :-1]
    n_steps = steps.sum(1, keepdim=True).clamp_min(1.0)
    before = torch.einsum("ns,nsr->nr", steps, receptor[:, :-1]) / n_steps
    now, earlier = standard(torch.log1p(receptor[:, -1])), standard(torch.log1p(before))
    by_tfs, by_both = explained(now, standard(fit.attended.tf[rows]), earlier, problem.block[rows])
    explainable = (by_both + by_both.mean()).clamp_min(MIN_EXPLAINABLE)
    return ((by_tfs + by_tfs.mean()) / explainable).clamp(0.0, 1.0)


def _substitution(problem: Problem, fit: Fit) -> Tensor:
    """Held-out R² of the targets on receptors relative to that on TFs in earlier cells, 0 to 1.

    Both are averages over the path of a cell, so they hold similar noise of counting.
    """
    rows, n_past = problem.usable, problem.history.tf.shape[2]
    block = problem.block[rows]
    targets = ((problem.targets - fit.target_mean) / fit.target_sd)[rows]
    receptor = torch.log1p(fit.attended.receptor[rows])
    tf = fit.attended.tf[rows, :n_past]
    by_receptors, by_tfs = (held_out_share(targets, x, block).mean() for x in (receptor, tf))
    return (by_receptors / by_tfs.clamp_min(MIN_PREDICTED)).clamp_max(1.0)


def held_out_share(values: Tensor, by: Tensor, block: Tensor) -> Tensor:
    """(columns,) share of variance that a ridge regression predicts in held-out blocks, 0 to 1."""
    y, x = values - values.mean(0), standard(by)
    fold = _folds(block)
    error = torch.zeros(y.shape[1], device=y.device)
    for k in torch.unique(fold):
        test = fold == k
        if bool(test.all()):
            return error
        predicted = x[test] @ _ridge(x[~test], y[~test], RIDGE_TFS)
        error += (y[test] - predicted).square().sum(0)
    total = y.square().sum(0)
    return torch.where(total > 0, 1.0 - error / total.clamp_min(1e-12), 0.0).clamp(0.0, 1.0)


def _folds(block: Tensor) -> Tensor:
    """(cells,) fold of each cell; a block is in one fold."""
    codes = torch.unique(block)
    return torch.searchsorted(codes, block) % min(N_FOLDS, len(codes))


def explained(values: Tensor, by: Tensor, earlier: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """(columns,) shares of variance that ridge regressions predict in held-out blocks, 0 to 1.

    The first regression of each standardised column of ``values`` is on ``by`` alone, the second
    on ``by`` and the column of ``earlier`` at the same position.
    """
    fold = _folds(block)
    error = torch.zeros((2, values.shape[1]), device=values.device)
    for k in torch.unique(fold):
        test = fold == k
        if bool(test.all()):
            return error[0], error[1]
        x, y, o = by[~test], values[~test], earlier[~test]
        alone, of_own = _ridge(x, y, RIDGE_TFS), _ridge(x, o, RIDGE_TFS)
        # last step of block elimination for all coefficients together
        shared = x.T @ o / len(x)
        variance = o.square().mean(0) + RIDGE_TFS - (shared * of_own).sum(0)
        weight = ((o * y).mean(0) - (shared * alone).sum(0)) / variance
        by_both = by[test] @ (alone - of_own * weight)
        error[0] += (values[test] - by[test] @ alone).square().sum(0)
        error[1] += (values[test] - by_both - earlier[test] * weight).square().sum(0)
    total = values.square().sum(0)
    share = torch.where(total > 0, 1.0 - error / total.clamp_min(1e-12), 0.0).clamp(0.0, 1.0)
    return share[0], share[1]


def _ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Slopes of a ridge regression, solved in double precision."""
    x64 = x.double()
    gram = x64.T @ x64 / len(x) + penalty * torch.eye(x.shape[1], dtype=x64.dtype, device=x.device)
    slopes: Tensor = torch.linalg.solve(gram, x64.T @ y.double() / len(x))
    return slopes.to(y.dtype)
