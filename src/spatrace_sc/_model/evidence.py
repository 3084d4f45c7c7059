"""Refits on resampled blocks against decoy genes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from .config import Config
from .fit import Fit
from .records import Draw, Evidence, History, Member, Problem
from .refit import Refit, refit

#: Draws the history of decoy genes: same shapes, same marginal distributions, no relation to the targets.
DrawDecoys = Callable[[np.random.Generator], History]


@torch.no_grad()
def resample(problem: Problem, fit: Fit, draw_decoys: DrawDecoys, config: Config, *, seed: int) -> Evidence:
    r"""Refit the weights on random blocks of cells, real regulators against decoys, the network fixed.

    In each refit every TF competes with a decoy TF, and every pair L·R with L·R', L'·R and L'·R', where a prime marks a decoy. Decoys pass through the same
    penalty, second pass and selection as real regulators. False LR hits at a threshold are estimated as
    hits(L·R') + hits(L'·R) − hits(L'·R'): a false pair that shares a true ligand, plus one that shares a true receptor, minus what both count.

    Standard errors are those of the delete-*d* jackknife, :math:`se^2 = \frac{s}{1 - s} \cdot \frac1B \sum_b (W_b - \bar W)^2` for a share *s* of the blocks in each of *B* refits.

    Refits are independent tasks on ``config.evidence.n_workers`` threads. Each has a random stream of its own and runs on one core, so the results do not depend on the number of workers.
    """
    options = config.evidence
    streams = np.random.default_rng(seed).spawn(options.n_resamples)
    device = problem.targets.device

    def task(stream: np.random.Generator) -> Refit:
        rows = _random_blocks(problem.block, problem.usable, options.sample_share, stream)
        return refit(problem, fit, draw_decoys(stream).to(device), rows, config)

    workers = 1 if device.type == "cuda" else min(options.n_workers or torch.get_num_threads(), len(streams))
    with _one_core_each(), ThreadPoolExecutor(workers) as pool:
        done = pool.map(task, streams)
        bar = tqdm(done, total=len(streams), desc="refits against decoys", disable=not config.progress, leave=False)
        return _summary(iter(bar), len(streams), options.sample_share)


@contextmanager
def _one_core_each() -> Iterator[None]:
    """Torch on one core per thread, so that sums have one order whatever else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _summary(refits: Iterator[Refit], n: int, share: float) -> Evidence:
    """Means, spread and counts, added up as the refits come, in their order."""
    first = next(refits)
    on_tfs = first.on_tfs.clone()
    total, away = first.real.clone(), torch.zeros_like(first.real)
    squares = torch.zeros_like(away)  # of the distance from the first refit, so that small spreads survive float32
    positive, negative = (first.real > 0).to(torch.int16), (first.real < 0).to(torch.int16)
    log_p, pair_log_p = first.log_p.clone(), first.pair_log_p.clone()
    n_genes = len(first.real) - len(first.norms)
    strengths, pair_hits, norms = [first.real[n_genes:].norm(dim=1)], (first.norms > 0).float(), first.squares.clone()
    draws: dict[str, list[Draw]] = {task: [draw] for task, draw in first.draws.items()}
    members = [_member(first)]
    for one in refits:
        total += one.real
        on_tfs += one.on_tfs
        away += one.real - first.real
        squares += (one.real - first.real).square()
        positive += one.real > 0
        negative += one.real < 0
        log_p += one.log_p
        pair_log_p += one.pair_log_p
        pair_hits += one.norms > 0
        strengths.append(one.real[n_genes:].norm(dim=1))
        norms += one.squares
        members.append(_member(one))
        for task, draw in one.draws.items():
            draws[task].append(draw)
    mean, pair = total / n, torch.stack(strengths)
    spread = np.sqrt(share / (1.0 - share)) if share < 1 else np.nan
    return Evidence(
        effect=mean.numpy(),
        on_tfs=(on_tfs / n).numpy(),
        effect_se=(spread * (squares / n - (away / n).square()).clamp_min(0.0).sqrt()).numpy(),
        stability=(torch.where(mean >= 0, positive, negative) / n * (mean != 0)).numpy(),
        p_value=torch.exp(log_p / n).double().numpy(),
        pair_score=pair.mean(0).numpy(),
        pair_se=(spread * pair.std(0, correction=0)).numpy(),
        pair_stability=(pair_hits / n).numpy(),
        pair_p_value=torch.exp(pair_log_p / n).double().numpy(),
        false_share=float(((norms[1] + norms[2] - norms[3]) / norms[0]).nan_to_num(1.0).clamp(0.0, 1.0)),
        draws=draws,
        members=members,
    )


def _member(one: Refit) -> Member:
    """What a refit weighs, without the zeros."""
    weights = torch.cat([one.real, torch.cat([one.among_tfs, one.on_tfs])], dim=1).flatten()
    edge = torch.nonzero(weights)[:, 0]
    return Member(edge.numpy(), weights[edge].numpy())


def _random_blocks(block: Tensor, usable: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    codes = np.unique(block[usable].cpu().numpy())
    chosen = rng.choice(codes, max(1, round(share * len(codes))), replace=False)
    return usable & torch.isin(block, torch.as_tensor(chosen, device=block.device))
