"""From a study to tensors, and the decoys of its genes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._core.exposure import ligand_exposure
from .._core.paths import expected_history
from .._core.statistics import shuffle_within
from .._errors import DataError, InvalidArgumentError
from .._model.config import Config
from .._model.records import History, Problem
from .._validate import shorten
from ._study import Study

#: Receivers per bin of time within which decoys are shuffled, and at most so many bins.
PER_BIN, MAX_BINS = 50, 10


def build_problem(study: Study, config: Config, prior: pd.DataFrame | None) -> Problem:
    """Tensors of a study. Pairs are every ligand with every receptor, ligand by ligand; every TF has two columns, as counted and denoised."""
    genes, n_lags = study.genes, config.model.n_lags
    n_l, n_r, n_f = (len(genes[r]) for r in ("ligands", "receptors", "tfs"))
    covariates = build_covariates(study)
    history = build_history(study, study.exposure, study.receptor, study.tf, n_lags)
    usable = history.exists[:, -2]
    if int(usable.sum()) < 20:
        raise DataError(
            f"only {int(usable.sum())} receivers have an earlier cell to look back on; check `time_key` and the transitions."
        )
    pair_penalty, tf_penalty = prior_penalties(prior, genes)
    denoised = torch.full((n_f,), config.training.denoised_penalty)
    penalty = torch.cat([torch.ones(n_f), denoised, pair_penalty, torch.ones(covariates.shape[1])])
    return Problem(
        history=history,
        pair_ligand=torch.arange(n_l).repeat_interleave(n_r),
        pair_receptor=torch.arange(n_r).repeat(n_l),
        tf_gene=torch.arange(n_f).repeat(2),
        receptor_level=torch.from_numpy(receptor_levels(study, history)),
        target_past=torch.from_numpy(recent_past(study, study.target, n_lags)),
        covariates=covariates,
        targets=torch.from_numpy(study.target),
        usable=usable,
        block=torch.from_numpy(spatial_blocks(study, config.n_blocks)),
        penalty=penalty,
        tf_penalty=tf_penalty,
        forbidden=forbidden_edges(genes),
    )


def build_history(
    study: Study, exposure: NDArray[np.float32], receptor: NDArray[np.float32], tf: NDArray[np.float32], n_lags: int
) -> History:
    """Histories of the regulators, with nothing in them of the targets of the predicted cell.

    A receptor that is a target is not read in the predicted cell itself, and a ligand that is a target not from its ancestors' neighbourhoods, to which the predicted cell
    may belong: there the previous step, and the predicted cell's own exposure (which never counts itself), stand in. TFs come twice: as they were counted, and denoised by
    earlier cells of nearly the same state.
    """
    past_tf, exists = expected_history(study.backward, np.hstack([tf, study.state @ tf]), n_lags=n_lags)
    past_receptor, _ = expected_history(study.backward, receptor, n_lags=n_lags)
    past_exposure, _ = expected_history(study.backward, exposure, n_lags=n_lags)
    targets = study.genes["targets"]
    shared = np.isin(study.genes["receptors"], targets)
    before = np.flatnonzero(exists[:, -2])[:, None]
    past_receptor[before, n_lags, np.flatnonzero(shared)] = past_receptor[before, n_lags - 1, np.flatnonzero(shared)]
    shared = np.isin(study.genes["ligands"], targets)
    past_exposure[:, :, shared] = past_exposure[:, -1:, shared]
    tensors = (past_tf[:, :-1], past_receptor, past_exposure, exists)
    return History(*(torch.from_numpy(np.ascontiguousarray(t)) for t in tensors))


def recent_past(study: Study, values: NDArray[np.float32], n_lags: int) -> NDArray[np.float32]:
    """(receivers, features) mean over the steps before a cell, each step back counting e times less; 0 where there are none."""
    past, exists = expected_history(study.backward, values, n_lags=n_lags)
    share = np.exp(np.arange(-n_lags, 0, dtype=np.float32)) * exists[:, :-1]
    return np.einsum("ns,nsf->nf", share / np.maximum(share.sum(1, keepdims=True), 1e-12), past[:, :-1])


def receptor_levels(study: Study, history: History) -> NDArray[np.float32]:
    """(receivers, R) log1p of a receptor's level, counted and denoised in equal parts, over the steps of the history."""
    n_lags = history.receptor.shape[1] - 1
    denoised, exists = expected_history(study.backward, study.state @ study.receptor, n_lags=n_lags)
    both = (history.receptor.numpy() + denoised) / 2.0
    steps = exists.astype(np.float32)
    return np.log1p(np.einsum("ns,nsr->nr", steps, both) / steps.sum(1, keepdims=True))


def build_covariates(study: Study) -> Tensor:
    """(receivers, C) standardised: cell type, slice, and time up to its cube. They compete with the regulators for what changes with type, place and time alone."""
    types = study.types[study.receivers]
    time = (study.time - study.time.mean()) / study.time.std()
    parts = [
        pd.get_dummies(types).to_numpy(dtype=float),
        pd.get_dummies(study.sample[study.receivers]).to_numpy(dtype=float),
    ]
    parts.append(np.stack([time**power for power in range(1, min(4, len(np.unique(time))))], axis=1))
    raw = np.hstack(parts)
    raw = raw[:, raw.std(axis=0) > 1e-6]
    return torch.from_numpy(((raw - raw.mean(axis=0)) / raw.std(axis=0)).astype(np.float32))


def spatial_blocks(study: Study, n_blocks: int) -> NDArray[np.int64]:
    """(receivers,) code of the square block of the slice; the longer side of a slice holds ``n_blocks``."""
    sample = study.sample[study.receivers]
    code = np.zeros((len(sample), study.coords.shape[1] + 1), dtype=np.int64)
    for s in np.unique(sample):
        here = sample == s
        corner = study.coords[here].min(axis=0)
        side = max(float(np.ptp(study.coords[here], axis=0).max()) / n_blocks, 1e-12)
        code[here, 1:] = np.minimum((study.coords[here] - corner) // side, n_blocks - 1)
        code[here, 0] = s
    return np.unique(code, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def forbidden_edges(genes: dict[str, NDArray[np.str_]]) -> Tensor:
    """(2, edges) regulator and target numbers of a TF (both its columns) on itself and of a pair on its own ligand or receptor."""
    targets = genes["targets"]
    n_tf, n_r = len(genes["tfs"]), len(genes["receptors"])
    n_f = 2 * n_tf
    tf, tf_target = np.nonzero(genes["tfs"][:, None] == targets)
    left, left_target = np.nonzero(genes["ligands"][:, None] == targets)
    right, right_target = np.nonzero(genes["receptors"][:, None] == targets)
    regulators = [
        tf,
        n_tf + tf,
        *(n_f + left * n_r + r for r in range(n_r)),
        *(n_f + k * n_r + right for k in range(len(genes["ligands"]))),
    ]
    regulated = [tf_target, tf_target, *([left_target] * n_r), *([right_target] * len(genes["ligands"]))]
    edges = np.unique(np.stack([np.concatenate(regulators), np.concatenate(regulated)]), axis=1)
    return torch.from_numpy(edges.astype(np.int64))


def prior_penalties(prior: pd.DataFrame | None, genes: dict[str, NDArray[np.str_]]) -> tuple[Tensor, Tensor | None]:
    """Penalties of pairs (P,) and, with a TF prior, of TF edges (F, G): ``1 / (1 + weight)`` where the prior names them, 1 elsewhere."""
    n_r = len(genes["receptors"])
    pairs = torch.ones(len(genes["ligands"]) * n_r)
    if prior is None:
        return pairs, None
    if not isinstance(prior, pd.DataFrame) or not (
        {"ligand", "receptor"} <= set(prior) or {"tf", "target"} <= set(prior)
    ):
        found = list(prior.columns) if isinstance(prior, pd.DataFrame) else type(prior).__name__
        raise InvalidArgumentError(
            f"`prior` must be a table with columns ligand, receptor[, weight] or tf, target[, weight]; found {found}."
        )
    left_name, right_name = ("ligand", "receptor") if {"ligand", "receptor"} <= set(prior) else ("tf", "target")
    weight = (
        pd.to_numeric(prior["weight"], errors="coerce").to_numpy(dtype=float)
        if "weight" in prior
        else np.ones(len(prior))
    )
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InvalidArgumentError("`prior['weight']` must be numbers of at least 0.")
    left = pd.Index(genes[f"{left_name}s"]).get_indexer(pd.Index(prior[left_name].astype(str)))
    right = pd.Index(genes[f"{right_name}s"]).get_indexer(pd.Index(prior[right_name].astype(str)))
    known = (left >= 0) & (right >= 0)
    if not known.any():
        raise InvalidArgumentError(
            f"`prior`: none of its {len(prior)} rows names a {left_name} and a {right_name} of the data ({shorten(prior[left_name].unique(), 3)})."
        )
    factor = torch.from_numpy((1.0 / (1.0 + weight[known])).astype(np.float32))
    if left_name == "ligand":
        pairs[torch.from_numpy(left[known] * n_r + right[known])] = factor
        return pairs, None
    tf = torch.ones(len(genes["tfs"]), len(genes["targets"]))
    tf[torch.from_numpy(left[known]), torch.from_numpy(right[known])] = factor
    return pairs, tf


def decoy_drawer(study: Study, n_lags: int) -> Callable[[np.random.Generator], History]:
    """Draws decoy genes.

    A decoy ligand is a ligand's expression shuffled among senders of one type and slice, its exposure recomputed with the same kernel. A decoy receptor or TF is the gene's expression
    shuffled among receivers of one type, slice and bin of time. Each gene is shuffled on its own; histories follow the same transitions.
    """
    sender_strata = pd.factorize(
        pd.Series(study.types[study.senders]) + "\t" + pd.Series(study.sample[study.senders]).astype(str)
    )[0]
    n_bins = int(np.clip(len(study.time) // PER_BIN, 1, MAX_BINS))
    edges = np.quantile(study.time, np.linspace(0, 1, n_bins + 1)[1:-1])
    bins = pd.Series(np.searchsorted(edges, study.time)).astype(str)
    receiver_strata = pd.factorize(
        pd.Series(study.types[study.receivers])
        + "\t"
        + pd.Series(study.sample[study.receivers]).astype(str)
        + "\t"
        + bins
    )[0]

    def draw(rng: np.random.Generator) -> History:
        ligand = shuffle_within(study.sender_ligand, sender_strata, rng)
        exposure = ligand_exposure(study.weights, np.log1p(ligand))
        receptor = shuffle_within(study.receptor, receiver_strata, rng)
        return build_history(study, exposure, receptor, shuffle_within(study.tf, receiver_strata, rng), n_lags)

    return draw
