"""Which of many pairs compete."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import Tensor

from .config import Config
from .fit import build_network, observe
from .records import Problem

logger = logging.getLogger("spatrace_sc")

#: A slope counts as far as it exceeds so many times its standard deviation were there nothing, :math:`1 / \sqrt n`.
NOISE = 2.0
#: Ridge penalty of TFs and covariates, as a share of a standardised column's variance.
RIDGE = 0.01


@torch.no_grad()
def screen(problem: Problem, config: Config) -> Problem:
    r"""The problem with the ``config.max_pairs`` pairs that go best with what TFs and covariates leave of the targets; without more pairs than that, the problem itself.

    With :math:`e_g` the residual of target *g* after a ridge regression on TFs and covariates, and :math:`\tilde s_{lr}` a pair's standardised signal before the network is trained, a pair is kept for

    .. math::
        \frac{1}{pen_{lr}} \Big\| \max\big(0,\ \big|\tfrac1n \tilde s_{lr}^\top e_g\big| - \tfrac{2}{\sqrt n}\big)_{g} \Big\|_2

    computed in blocks of pairs; the others get an infinite penalty. Pairs are chosen by the data on which they then compete, decoys are not. Were only the decoys of the pairs that are kept counted, chance would win: of *P* pairs *M* are kept, so
    each of their decoys stands for *P / M* false hits (:attr:`Problem.decoy_weight`). What this keeps, and what it does to q, was measured: ``docs/performance.md``.
    """
    pairs = slice(problem.n_tfs, problem.n_tfs + problem.n_pairs)
    may = torch.isfinite(problem.penalty[pairs])
    n_candidates, most = int(may.sum()), config.max_pairs
    if n_candidates <= most:
        return problem
    score = torch.where(may, relevance(problem, config) / problem.penalty[pairs], -1.0)
    kept = torch.zeros_like(may)
    kept[torch.argsort(score, descending=True, stable=True)[:most]] = True
    penalty = problem.penalty.clone()
    penalty[pairs][~kept] = torch.inf
    logger.info(
        "%d pairs are more than `config.max_pairs`: the %d that go best with what TFs leave of the targets compete, for all.",
        n_candidates,
        most,
    )
    return replace(problem, penalty=penalty, decoy_weight=n_candidates / most)


def relevance(problem: Problem, config: Config) -> Tensor:
    """(P,) norm over targets of what slopes of pairs on the targets' residuals exceed noise by."""
    rows = problem.usable
    with torch.random.fork_rng(devices=[rows.device] if rows.device.type == "cuda" else []):
        torch.manual_seed(0)
        network = build_network(problem, config, rows)
    design, _, _ = observe(network, problem, rows)
    view, n_f = design.at(rows), problem.n_tfs
    y = problem.targets[rows]
    sd = y.std(0, correction=0)
    y = (y - y.mean(0)) / torch.where(sd > 1e-6, sd, torch.inf)
    others = torch.cat([torch.arange(n_f), torch.arange(n_f + problem.n_pairs, design.n_columns)]).to(rows.device)
    z = view[others].double()
    gram = z @ z.T / z.shape[1] + RIDGE * torch.eye(len(z), dtype=z.dtype, device=z.device)
    slope = torch.linalg.solve(gram, z @ y.double() / z.shape[1])
    residual = y - (z.T @ slope).to(y.dtype)
    noise = NOISE / len(residual) ** 0.5
    score = y.new_zeros(problem.n_pairs)
    for columns in design.blocks(torch.arange(n_f, n_f + problem.n_pairs, device=rows.device)):
        found = view.slopes(columns, residual).abs_().sub_(noise).clamp_min_(0.0)
        regulator, target = problem.forbidden
        here = (regulator >= columns[0]) & (regulator <= columns[-1])
        found[regulator[here] - columns[0], target[here]] = 0.0
        score[columns - n_f] = found.norm(dim=1)
    return score
