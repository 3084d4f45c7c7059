"""Credit where a receptor and the TFs tell the same story."""

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

logger = logging.getLogger("spatrace_sc")

#: Ridge penalties, as shares of a standardised column's variance: of receptors on TFs, and of targets on receptors.
RIDGE_TFS, RIDGE_RECEPTORS = 0.01, 0.3
#: Folds of blocks over which the share is measured.
FOLDS = 3
#: What can be told of a receptor and of all receptors, in shares of the variance of a count added up, is taken for at least this: the ratio of two chances says nothing.
LEAST_TOLD = 0.1
#: Routes that change a target by less than this many standard deviations are left out.
SMALLEST = 0.003
#: Routes computed at a time.
BLOCK = 8_000_000


@torch.no_grad()
def share_credit(
    problem: Problem,
    fit: Fit,
    evidence: Evidence,
    edges: NDArray[np.bool_],
    pairs: NDArray[np.bool_],
) -> Evidence:
    r"""Effects of pairs with the credit that the joint model cannot assign shared out.

    When a receptor's level follows the TFs so closely that either would predict its targets, a sparse model gives everything to one of them. A share :math:`u_r` is then taken from another
    route, exposure → receptor → target:

    .. math::
        \tilde W_{lr,g} = (1 - u_r)\, W_{lr,g} + u_r\, a_{lr}\, b_{rg}, \quad a_{lr} = \max(0, \mathrm{cor}(\log E_l, \log R_r)), \quad
        u_r = D(\varphi)\, D(\rho_r), \quad D(x) = \frac{x^3}{x^3 + (1 - x)^3}, \quad \rho_r = \frac{t_r + \bar t}{\max(0.1, f_r + \bar f)}

    with *b* from a ridge regression of the targets on all receptors without TFs, :math:`t_r` the share of the variance of the receptor's count that TFs predict in held-out blocks, :math:`f_r` the share that TFs and the
    receptor's counts in earlier cells predict together (a ratio, so that the noise of counting, which both cannot predict, does not pass for a course of the receptor's own; means over receptors steady it), and
    :math:`\varphi` the share of the pairs' squared weights that decoys would have got. Co-variation of exposure and receptor decides between ligands only where receptors have no course of
    their own (:math:`\rho_r` near 1) and the joint model cannot tell pairs from decoys (:math:`\varphi` near 1); elsewhere nothing changes.

    What the joint model supports, ``edges`` (E,) among those listed and ``pairs`` (P,), keeps its weight, and all routes are scaled down by one factor until none is stronger than the weakest of these.
    p, q and stability are not touched: they speak of the joint model.
    """
    rows = problem.usable
    share = _decided(_followed(problem, fit)) * _decided(
        torch.tensor(evidence.false_share, device=rows.device)
    )
    if bool((share > 0.5).any()):
        logger.info(
            "%d of %d receptors follow the TFs and pairs do no better than decoys: their ligands are ranked by co-variation with them, which is no evidence.",
            int((share > 0.5).sum()),
            len(share),
        )
    level = standard(problem.receptor_level[rows])
    exposure = standard(torch.log1p(fit.attended.exposure[rows]))
    targets = ((problem.targets - fit.target_mean) / fit.target_sd)[rows]
    onto = _ridge(level, targets, RIDGE_RECEPTORS)
    along = (exposure.T @ level / len(level)).clamp_min(0.0)
    part = share[problem.pair_receptor]
    strength = part * along[problem.pair_ligand, problem.pair_receptor]
    route, norm = _routes(
        problem, strength, onto, torch.as_tensor(evidence.lr.number, device=rows.device)
    )
    kept = (1.0 - part).cpu().numpy()
    effect = _combined(evidence.lr.effect, kept[evidence.lr.regulator], route.cpu().numpy(), edges)
    return replace(
        evidence,
        lr=replace(evidence.lr, effect=effect),
        pair_score=_combined(evidence.pair_score, kept, norm.cpu().numpy(), pairs),
    )


def _routes(
    problem: Problem, strength: Tensor, onto: Tensor, listed: Tensor
) -> tuple[Tensor, Tensor]:
    """(E,) routes of the listed edges, ``strength`` (P,) of the pair times ``onto`` (R, G) of its receptor, without the small and the forbidden; and (P,) the norm of all a pair's."""
    n_targets = onto.shape[1]
    regulator, target = problem.forbidden
    own = (regulator >= problem.n_tfs) & (regulator < problem.n_tfs + problem.n_pairs)
    barred, barred_target = regulator[own] - problem.n_tfs, target[own]
    of_listed, norm = onto.new_zeros(len(listed)), torch.zeros_like(strength)
    for pairs in torch.arange(problem.n_pairs, device=onto.device).split(
        max(1, BLOCK // n_targets)
    ):
        first, last = int(pairs[0]), int(pairs[-1]) + 1
        route = strength[pairs, None] * onto[problem.pair_receptor[pairs]]
        route[route.abs() < SMALLEST] = 0.0
        here = (barred >= first) & (barred < last)
        route[barred[here] - first, barred_target[here]] = 0.0
        norm[pairs] = route.norm(dim=1)
        low, high = torch.searchsorted(
            listed, torch.tensor([first, last], device=listed.device) * n_targets
        ).tolist()
        of_listed[low:high] = route.flatten()[listed[low:high] - first * n_targets]
    return of_listed, norm


def _combined(
    weight: NDArray[np.float32],
    kept: NDArray[np.float32],
    route: NDArray[np.float32],
    supported: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """``kept · weight + route`` where nothing supports the weight, the weight where something does; no route lifts an edge above the weakest supported."""
    limit = np.abs(weight[supported]).min() if supported.any() else np.inf
    scale = min(1.0, float(limit / max(np.abs(route).max(initial=0.0), 1e-12)))
    left = kept * weight
    bound = np.maximum(np.abs(left), np.float32(limit))
    return np.where(supported, weight, np.clip(left + np.float32(scale) * route, -bound, bound))


def _decided(x: Tensor) -> Tensor:
    """A share pushed to 0 or 1: its odds cubed."""
    return x**3 / (x**3 + (1.0 - x) ** 3)


def _followed(problem: Problem, fit: Fit) -> Tensor:
    """(R,) how much of what can be told of a receptor's count the TFs tell, 0 to 1."""
    rows, past = problem.usable, problem.history
    receptor, steps = past.receptor[rows], past.exists[rows].float()[:, :-1]
    before = torch.einsum("ns,nsr->nr", steps, receptor[:, :-1]) / steps.sum(
        1, keepdim=True
    ).clamp_min(1.0)
    now, own = standard(torch.log1p(receptor[:, -1])), standard(torch.log1p(before))
    by_tfs, by_both = explained(now, standard(fit.attended.tf[rows]), own, problem.block[rows])
    return ((by_tfs + by_tfs.mean()) / (by_both + by_both.mean()).clamp_min(LEAST_TOLD)).clamp(
        0.0, 1.0
    )


def explained(values: Tensor, by: Tensor, own: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """(columns,) shares of the variance of standardised columns that ridge regressions predict in held-out blocks, 0 to 1: on ``by``, and on ``by`` and the column of ``own`` at the same place."""
    codes = torch.unique(block)
    fold = torch.searchsorted(codes, block) % min(FOLDS, len(codes))
    error = torch.zeros((2, values.shape[1]), device=values.device)
    for number in torch.unique(fold):
        test = fold == number
        if bool(test.all()):
            return error[0], error[1]
        x, y, o = by[~test], values[~test], own[~test]
        alone, of_own = _ridge(x, y, RIDGE_TFS), _ridge(x, o, RIDGE_TFS)
        # the last step of solving for all coefficients together
        shared = x.T @ o / len(x)
        rest = o.square().mean(0) + RIDGE_TFS - (shared * of_own).sum(0)
        weight = ((o * y).mean(0) - (shared * alone).sum(0)) / rest
        error[0] += (values[test] - by[test] @ alone).square().sum(0)
        error[1] += (
            (values[test] - by[test] @ (alone - of_own * weight) - own[test] * weight)
            .square()
            .sum(0)
        )
    total = values.square().sum(0)
    told = torch.where(total > 0, 1.0 - error / total.clamp_min(1e-12), 0.0).clamp(0.0, 1.0)
    return told[0], told[1]


def _ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    x64 = x.double()
    gram = x64.T @ x64 / len(x) + penalty * torch.eye(x.shape[1], dtype=x64.dtype, device=x.device)
    slopes: Tensor = torch.linalg.solve(gram, x64.T @ y.double() / len(x))
    return slopes.to(y.dtype)
