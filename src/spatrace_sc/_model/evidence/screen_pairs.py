"""Choice of the pairs that compete in the refits, if there are many."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import Tensor

from ..config import Config
from ..fit import Fit
from ..records import Problem
from .edge_strength import residual_of, strengths

logger = logging.getLogger("spatrace_sc")

#: Largest product of pairs, regulated genes and cells of ten refits, unless the configuration
#: sets the number of pairs.
MAX_REFIT_WORK = 5e11
#: Number of pairs that are always refitted.
MIN_REFITTED_PAIRS = 5_000
#: An edge counts as far as its strength exceeds this share of its penalty in the fit.
MIN_STRENGTH_SHARE = 0.5


@torch.no_grad()
def screen(problem: Problem, fit: Fit, config: Config) -> Problem:
    """The problem of the refits, with the :func:`max_pairs` strongest pairs of the fit.

    The problem itself is returned if there are no more pairs than that. Pairs are ranked by
    :func:`relevance`; the others get an infinite penalty. Pairs are chosen by the data on which
    they then compete, decoys are not. If only the decoys of the chosen pairs counted, chance
    would win. Of P pairs M are kept, so each of their decoys counts for P / M false hits
    (:attr:`Problem.decoy_weight`). ``docs/performance_scale.md`` measures what is kept and
    the effect on q.

    Slopes on the residual of TFs alone cannot replace the fit: pairs share ligands and
    receptors, and the neighbours of a strong pair crowd out a weak one that acts (same page).
    """
    pairs = problem.pair_slice
    may_act = torch.isfinite(problem.penalty[pairs])
    n_candidates, limit = int(may_act.sum()), max_pairs(problem, config)
    if n_candidates <= limit:
        return problem
    score = torch.where(may_act, relevance(problem, fit), -1.0)
    chosen = torch.zeros_like(may_act)
    chosen[torch.argsort(score, descending=True, stable=True)[:limit]] = True
    penalty = problem.penalty.clone()
    penalty[pairs][~chosen] = torch.inf
    logger.info(
        "Of %d pairs, the %d strongest in the fit are refitted against decoys, on behalf of all. "
        "`config.max_pairs=%d` refits all of them, in %.0f times the time.",
        n_candidates,
        limit,
        n_candidates,
        n_candidates / limit,
    )
    return replace(problem, penalty=penalty, decoy_weight=n_candidates / limit)


def max_pairs(problem: Problem, config: Config) -> int:
    """Largest number of pairs to refit: ``config.max_pairs``, or a limit on the work if it is 0.

    The limit is the number that :data:`MAX_REFIT_WORK` allows, :data:`MIN_REFITTED_PAIRS` at
    least. Targets and TFs are the regulated genes.
    """
    if config.max_pairs:
        return config.max_pairs
    genes, cells = problem.targets.shape[1] + problem.n_tf_genes, max(1, int(problem.usable.sum()))
    work_per_pair = genes * cells * config.evidence.n_resamples / 10
    return max(MIN_REFITTED_PAIRS, int(MAX_REFIT_WORK / work_per_pair))


def relevance(problem: Problem, fit: Fit) -> Tensor:
    """(P,) scores by which pairs are chosen; 0 for pairs that may not act.

    The score of a pair is || max(0, |strength_g| - λ penalty / 2) || / penalty, with the norm over
    targets g and the penalty of the pair.
    """
    design, residual = residual_of(problem, fit)
    score = residual.values.new_zeros(problem.n_pairs)
    for columns, strength in strengths(design, problem.pair_columns, residual):
        penalty = problem.penalty[columns]
        threshold = MIN_STRENGTH_SHARE * fit.weights.penalty * penalty[:, None]
        excess = strength.abs_().sub_(threshold).clamp_min_(0.0)
        score[columns - problem.n_tfs] = excess.norm(dim=1) / penalty
    return score
