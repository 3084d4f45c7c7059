"""Refits on resampled blocks against decoy genes, and their summary."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm

from ..config import Config
from ..fit import Fit
from ..records import Draw, Edges, Evidence, History, Problem, RefitWeights
from ..runtime.distributed import gather_results, is_active, share_tasks, shows
from ..runtime.estimate import product_speed, refit_seconds
from ..runtime.stored_steps import ArrayStore, stored_step
from ..runtime.threads import usable_threads
from .edge_strength import listed_edges
from .refit import Refit, refit

logger = logging.getLogger("spatrace_sc")

#: Shorter waits are not announced.
MIN_SECONDS_LOGGED = 10.0
#: Records that the result of a refit is made of.
REFIT_RECORDS = {record.__name__: record for record in (Refit, Draw, RefitWeights)}
#: Draws the history of decoy genes, with the shapes and marginal distributions of the real one
#: and no relation to the targets.
DrawDecoys = Callable[[np.random.Generator], History]


@torch.no_grad()
def resample(
    problem: Problem,
    fit: Fit,
    draw_decoys: DrawDecoys,
    config: Config,
    *,
    seed: int,
    store: ArrayStore | None = None,
) -> Evidence:
    """Evidence from refits of the weights on random blocks, real regulators against decoys.

    The network stays fixed. In each refit every TF competes with a decoy TF, and every pair L·R
    with L·R', L'·R and L'·R', where a prime marks a decoy. Decoys pass through the same penalty,
    second pass and selection as real regulators. False LR hits at a threshold are estimated as
    hits(L·R') + hits(L'·R) - hits(L'·R'): false pairs that share a true ligand, plus those that
    share a true receptor, minus those that both count.

    Standard errors are those of the delete-d jackknife, se² = s / (1 - s) × mean over refits b of
    (W_b - mean W)², for a share s of the blocks in each refit.

    Edges of pairs are summarised one by one if
    :func:`spatrace_sc._model.evidence.edge_strength.listed_edges` lists them; all of them compete.

    Several processes take turns (:mod:`spatrace_sc._model.runtime.distributed`). Refits are
    independent tasks on ``config.evidence.n_workers`` threads. Each has its own random stream and
    runs on one core, so the results do not depend on the number of workers. A refit that is in the
    ``store`` is read there.
    """
    options = config.evidence
    streams = np.random.default_rng(seed).spawn(options.n_resamples)
    device = problem.targets.device
    listed = listed_edges(problem, fit, config.max_edges)

    def new(stream: np.random.Generator) -> Refit:
        rows = _random_blocks(problem.block, problem.usable, options.sample_share, stream)
        return refit(problem, fit, draw_decoys(stream).to(device), rows, listed, config)

    def task(index: int) -> Refit:
        return stored_step(store, f"refit_{index}", lambda: new(streams[index]), REFIT_RECORDS)

    local = list(share_tasks(len(streams)))
    n_threads = refits_at_a_time(config, device)
    with _one_core_each(), ThreadPoolExecutor(n_threads) as pool:
        # A thread would keep its own memory, so a single worker runs without one, unless other
        # processes wait for their turns.
        run = map if n_threads == 1 and not is_active() else pool.map
        results = gather_results(run(task, local), len(streams))
        bar = tqdm(
            results,
            total=len(streams),
            desc="refits against decoys",
            disable=not shows(config.progress),
            leave=False,
        )
        _log_estimate(problem, options.sample_share, len(local), n_threads)
        estimated = _with_estimate(bar, len(local), n_threads)
        return _summary(estimated, len(streams), options.sample_share, listed.cpu().numpy())


def _log_estimate(problem: Problem, share: float, n: int, n_at_a_time: int) -> None:
    """Log before the first refit about how long all of them will take on a CPU.

    ``n`` refits belong to this process, and ``n_at_a_time`` of them run together.
    """
    if problem.targets.device.type != "cpu":
        return
    n_pairs = int(problem.may_act[problem.pair_slice].sum())
    sizes = (
        2 * problem.n_tfs + 4 * n_pairs,
        int(share * int(problem.usable.sum())),
        problem.targets.shape[1] + problem.n_tf_genes,
    )
    seconds = -(-n // n_at_a_time) * refit_seconds(*sizes, product_speed())
    if seconds >= MIN_SECONDS_LOGGED:
        logger.info("%d refits against decoys need about %.0f s, judged by their size.", n, seconds)


def _with_estimate(refits: Iterable[Refit], n: int, n_at_a_time: int) -> Iterator[Refit]:
    """Yield the refits, and log after the first one how long the others will take.

    ``n`` is the number of refits of this process, ``n_at_a_time`` that of those that run together.
    """
    started = time.perf_counter()
    for number, result in enumerate(refits):
        if not number:
            spent = time.perf_counter() - started
            remaining = spent * (-(-n // n_at_a_time) - 1)
            if remaining >= MIN_SECONDS_LOGGED:
                logger.info(
                    "Refits against decoys: the first took %.0f s; all %d need about %.0f s more.",
                    *(spent, n, remaining),
                )
        yield result


def refits_at_a_time(config: Config, device: torch.device) -> int:
    """Number of refits that one process runs at a time."""
    options = config.evidence
    share = max(1, len(share_tasks(options.n_resamples)))
    return 1 if device.type == "cuda" else min(options.n_workers or usable_threads(), share)


@contextmanager
def _one_core_each() -> Iterator[None]:
    """Torch on one core per thread, so that sums have one order whatever else runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _EdgeSums:
    """Sums over refits of the weights of a set of edges and of their logarithms of p."""

    def __init__(self, weight: Tensor, log_p: Tensor) -> None:
        self.first, self.log_p = weight, log_p.clone()
        self.total, self.away = weight.clone(), torch.zeros_like(weight)
        # squares are of the distance from the first refit, so that small spreads survive float32
        self.squares = torch.zeros_like(weight)
        self.positive, self.negative = (weight > 0).to(torch.int16), (weight < 0).to(torch.int16)

    def add(self, weight: Tensor, log_p: Tensor) -> None:
        """Add a refit."""
        self.total += weight
        away = weight - self.first
        self.away += away
        self.squares += away.square_()
        self.positive += weight > 0
        self.negative += weight < 0
        self.log_p += log_p

    def edges(self, index: NDArray[np.int64], n_targets: int, n: int, spread: float) -> Edges:
        """Summary of ``n`` refits; ``spread`` turns a standard deviation into a standard error."""
        mean = self.total / n
        sd = (self.squares / n - (self.away / n).square()).clamp_min(0.0).sqrt()
        stability = torch.where(mean >= 0, self.positive, self.negative) / n * (mean != 0)
        p_value = torch.exp(self.log_p / n).double()
        columns = (mean, spread * sd, stability, p_value)
        return Edges(index, n_targets, *(column.numpy() for column in columns))


def _summary(refits: Iterator[Refit], n: int, share: float, listed: NDArray[np.int64]) -> Evidence:
    """Means, spread and counts, summed in the order of the refits as they come."""
    first = next(refits)
    n_targets = first.tf.shape[1]
    tf = _EdgeSums(first.tf.flatten(), first.tf_log_p.flatten())
    lr = _EdgeSums(first.lr, first.lr_log_p)
    on_tfs, pair_log_p = first.on_tfs.clone(), first.pair_log_p.clone()
    strengths, pair_hits, squares = [first.pairs], (first.norms > 0).float(), first.squares.clone()
    draws: dict[str, list[Draw]] = {task: [draw] for task, draw in first.draws.items()}
    weights = [first.weights]
    for result in refits:
        tf.add(result.tf.flatten(), result.tf_log_p.flatten())
        lr.add(result.lr, result.lr_log_p)
        on_tfs += result.on_tfs
        pair_log_p += result.pair_log_p
        pair_hits += result.norms > 0
        strengths.append(result.pairs)
        squares += result.squares
        weights.append(result.weights)
        for task, draw in result.draws.items():
            draws[task].append(draw)
    pair = torch.stack(strengths)
    spread = float(np.sqrt(share / (1.0 - share))) if share < 1 else float("nan")
    false_share = (squares[1] + squares[2] - squares[3]) / squares[0]
    return Evidence(
        tf=tf.edges(np.arange(first.tf.numel()), n_targets, n, spread),
        lr=lr.edges(listed, n_targets, n, spread),
        on_tfs=(on_tfs / n).numpy(),
        pair_score=pair.mean(0).numpy(),
        pair_se=(spread * pair.std(0, correction=0)).numpy(),
        pair_stability=(pair_hits / n).numpy(),
        pair_p_value=torch.exp(pair_log_p / n).double().numpy(),
        false_share=float(false_share.nan_to_num(1.0).clamp(0.0, 1.0)),
        draws=draws,
        refits=weights,
    )


def _random_blocks(block: Tensor, usable: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """(N,) mask of the usable cells of a random share of the blocks."""
    codes = np.unique(block[usable].cpu().numpy())
    chosen = rng.choice(codes, max(1, round(share * len(codes))), replace=False)
    return usable & torch.isin(block, torch.as_tensor(chosen, device=block.device))
