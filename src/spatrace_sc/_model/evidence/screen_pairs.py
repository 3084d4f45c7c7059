"""Which of many pairs compete."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import Tensor

from ..config import Config
from ..fit import Fit
from ..records import Problem
from .edge_strength import left_by, strengths

logger = logging.getLogger("spatrace_sc")

#: Pairs × regulated genes × cells of ten refits, at most, unless the configuration says otherwise, and pairs that always are refitted.
WORK, ALWAYS = 5e11, 5_000
#: An edge counts as far as its strength exceeds this share of the penalty at which it enters the fit.
FROM = 0.5


@torch.no_grad()
def screen(problem: Problem, fit: Fit, config: Config) -> Problem:
    r"""The problem of the refits, with the :func:`most_pairs` pairs that are strongest in the fit of all; without more pairs than that, the problem itself.

    A pair is kept for

    .. math::
        \frac{1}{pen_{lr}} \Big\| \max\big(0,\ |W_{lr,g} + \tfrac1n \tilde s_{lr}^\top e_g| - \tfrac12 \lambda\, pen_{lr} \big)_{g} \Big\|_2

    with :math:`e_g` what the fit leaves of target *g*; the others get an infinite penalty. Pairs are chosen by the data on which they then compete, decoys are not. Were only the decoys of the pairs that are kept counted, chance would
    win: of *P* pairs *M* are kept, so each of their decoys stands for *P / M* false hits (:attr:`Problem.decoy_weight`). What this keeps, and what it does to q, was measured: ``docs/performance.md``.

    Slopes on what TFs alone leave of the targets are no substitute for the fit: pairs share ligands and receptors, and those beside a strong one crowd out a weak one that acts (same page).
    """
    pairs = slice(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    may = torch.isfinite(problem.penalty[pairs])
    n_candidates, most = int(may.sum()), most_pairs(problem, config)
    if n_candidates <= most:
        return problem
    score = torch.where(may, relevance(problem, fit), -1.0)
    kept = torch.zeros_like(may)
    kept[torch.argsort(score, descending=True, stable=True)[:most]] = True
    penalty = problem.penalty.clone()
    penalty[pairs][~kept] = torch.inf
    logger.info(
        "%d pairs: the %d strongest in the fit are refitted against decoys, for all; `config.max_pairs=%d` refits all, in %.0f times the time.",
        n_candidates,
        most,
        n_candidates,
        n_candidates / most,
    )
    return replace(problem, penalty=penalty, decoy_weight=n_candidates / most)


def most_pairs(problem: Problem, config: Config) -> int:
    """Pairs that are refitted at most: ``config.max_pairs`` or, where that is 0, as many as :data:`WORK` allows, and :data:`ALWAYS` at least. Targets and TFs are regulated."""
    if config.max_pairs:
        return config.max_pairs
    genes, cells = problem.targets.shape[1] + problem.n_tf_genes, max(1, int(problem.usable.sum()))
    return max(ALWAYS, int(WORK / (genes * cells * config.evidence.n_resamples / 10)))


def relevance(problem: Problem, fit: Fit) -> Tensor:
    """(P,) norm over targets of what a pair's strengths exceed half the penalty by, in units of its penalty; 0 for those that may not act."""
    design, rest = left_by(problem, fit)
    score = rest.residual.new_zeros(problem.n_pairs)
    for columns, found in strengths(
        design, range(problem.n_tfs, problem.n_tfs + problem.n_pairs), rest
    ):
        penalty = problem.penalty[columns]
        over = found.abs_().sub_(FROM * fit.weights.penalty * penalty[:, None]).clamp_min_(0.0)
        score[columns - problem.n_tfs] = over.norm(dim=1) / penalty
    return score
