"""Refits on resampled blocks against decoy genes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from ..config import Config
from ..fit import Fit
from ..records import Draw, Edges, Evidence, History, Problem
from ..runtime.distributed import gather_results, is_active, share_tasks, shows
from .edge_strength import listed_edges
from .refit import Refit, refit

#: Draws the history of decoy genes: same shapes, same marginal distributions, no relation to the targets.
DrawDecoys = Callable[[np.random.Generator], History]


@torch.no_grad()
def resample(
    problem: Problem, fit: Fit, draw_decoys: DrawDecoys, config: Config, *, seed: int
) -> Evidence:
    r"""Refit the weights on random blocks of cells, real regulators against decoys, the network fixed.

    In each refit every TF competes with a decoy TF, and every pair L·R with L·R', L'·R and L'·R', where a prime marks a decoy. Decoys pass through the same
    penalty, second pass and selection as real regulators. False LR hits at a threshold are estimated as
    hits(L·R') + hits(L'·R) − hits(L'·R'): a false pair that shares a true ligand, plus one that shares a true receptor, minus what both count.

    Standard errors are those of the delete-*d* jackknife, :math:`se^2 = \frac{s}{1 - s} \cdot \frac1B \sum_b (W_b - \bar W)^2` for a share *s* of the blocks in each of *B* refits.

    Edges of pairs are told one by one where :func:`spatrace_sc._model.evidence.edge_strength.listed_edges` names them; all of them compete.

    Several processes take turns (:mod:`spatrace_sc._model.runtime.distributed`). Refits are independent tasks on ``config.evidence.n_workers`` threads. Each has a random stream of its own and runs on one core, so the results do not depend on the number of workers.
    """
    options = config.evidence
    streams = np.random.default_rng(seed).spawn(options.n_resamples)
    device = problem.targets.device
    listed = listed_edges(problem, fit, config.max_edges)

    def task(stream: np.random.Generator) -> Refit:
        rows = _random_blocks(problem.block, problem.usable, options.sample_share, stream)
        return refit(problem, fit, draw_decoys(stream).to(device), rows, listed, config)

    mine = [streams[number] for number in share_tasks(len(streams))]
    at_a_time = refits_at_a_time(config, device)
    with _one_core_each(), ThreadPoolExecutor(at_a_time) as pool:
        # in turn without a thread, which would keep memory of its own; not where other processes wait for their turns
        each = map if at_a_time == 1 and not is_active() else pool.map
        done = gather_results(each(task, mine), len(streams))
        hidden = not shows(config.progress)
        bar = tqdm(
            done, total=len(streams), desc="refits against decoys", disable=hidden, leave=False
        )
        return _summary(iter(bar), len(streams), options.sample_share, listed.cpu().numpy())


def refits_at_a_time(config: Config, device: torch.device) -> int:
    """Refits that one process works on together."""
    options = config.evidence
    share = max(1, len(share_tasks(options.n_resamples)))
    return 1 if device.type == "cuda" else min(options.n_workers or torch.get_num_threads(), share)


@contextmanager
def _one_core_each() -> Iterator[None]:
    """Torch on one core per thread, so that sums have one order whatever else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Sums:
    """Weights and logarithms of p of some edges, added up as the refits come."""

    def __init__(self, weight: Tensor, log_p: Tensor) -> None:
        self.first, self.log_p = weight, log_p.clone()
        self.total, self.away = weight.clone(), torch.zeros_like(weight)
        self.squares = torch.zeros_like(
            weight
        )  # of the distance from the first refit, so that small spreads survive float32
        self.positive, self.negative = (weight > 0).to(torch.int16), (weight < 0).to(torch.int16)

    def add(self, weight: Tensor, log_p: Tensor) -> None:
        """One more refit."""
        self.total += weight
        away = weight - self.first
        self.away += away
        self.squares += away.square_()
        self.positive += weight > 0
        self.negative += weight < 0
        self.log_p += log_p

    def edges(self, number: NDArray[np.int64], n_targets: int, n: int, spread: float) -> Edges:
        """Means over ``n`` refits; ``spread`` turns their standard deviation into a standard error."""
        mean = self.total / n
        sd = (self.squares / n - (self.away / n).square()).clamp_min(0.0).sqrt()
        stability = torch.where(mean >= 0, self.positive, self.negative) / n * (mean != 0)
        p_value = torch.exp(self.log_p / n).double()
        return Edges(
            number, n_targets, *(v.numpy() for v in (mean, spread * sd, stability, p_value))
        )


def _summary(refits: Iterator[Refit], n: int, share: float, listed: NDArray[np.int64]) -> Evidence:
    """Means, spread and counts, added up as the refits come, in their order."""
    first = next(refits)
    n_targets = first.tf.shape[1]
    tf, lr = _Sums(first.tf.flatten(), first.tf_log_p.flatten()), _Sums(first.lr, first.lr_log_p)
    on_tfs, pair_log_p = first.on_tfs.clone(), first.pair_log_p.clone()
    strengths, pair_hits, norms = [first.pairs], (first.norms > 0).float(), first.squares.clone()
    draws: dict[str, list[Draw]] = {task: [draw] for task, draw in first.draws.items()}
    members = [first.member]
    for one in refits:
        tf.add(one.tf.flatten(), one.tf_log_p.flatten())
        lr.add(one.lr, one.lr_log_p)
        on_tfs += one.on_tfs
        pair_log_p += one.pair_log_p
        pair_hits += one.norms > 0
        strengths.append(one.pairs)
        norms += one.squares
        members.append(one.member)
        for task, draw in one.draws.items():
            draws[task].append(draw)
    pair = torch.stack(strengths)
    spread = float(np.sqrt(share / (1.0 - share))) if share < 1 else float("nan")
    return Evidence(
        tf=tf.edges(np.arange(first.tf.numel()), n_targets, n, spread),
        lr=lr.edges(listed, n_targets, n, spread),
        on_tfs=(on_tfs / n).numpy(),
        pair_score=pair.mean(0).numpy(),
        pair_se=(spread * pair.std(0, correction=0)).numpy(),
        pair_stability=(pair_hits / n).numpy(),
        pair_p_value=torch.exp(pair_log_p / n).double().numpy(),
        false_share=float(
            ((norms[1] + norms[2] - norms[3]) / norms[0]).nan_to_num(1.0).clamp(0.0, 1.0)
        ),
        draws=draws,
        members=members,
    )


def _random_blocks(block: Tensor, usable: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    codes = np.unique(block[usable].cpu().numpy())
    chosen = rng.choice(codes, max(1, round(share * len(codes))), replace=False)
    return usable & torch.isin(block, torch.as_tensor(chosen, device=block.device))
