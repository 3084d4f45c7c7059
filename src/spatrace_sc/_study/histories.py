"""Histories of the regulators, of real genes and of decoys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from .._core.counts import wiener_filter
from .._core.exposure import ligand_exposure
from .._core.paths import expected_history
from .._core.statistics import shuffle_within
from .._model.records import History
from .records import Study

#: Receivers per bin of time within which decoys are shuffled, and at most so many bins.
PER_BIN, MAX_BINS = 50, 10
#: (receivers, F) log expression → (receivers, F) level now.
CurrentTF = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def build_history(
    study: Study,
    exposure: NDArray[np.float32],
    receptor: NDArray[np.float32],
    tf: NDArray[np.float32],
    n_lags: int,
    now: CurrentTF,
) -> History:
    """Histories of the regulators, with nothing in them of the targets of the predicted cell.

    A receptor that is a target is not read in the predicted cell itself, and a ligand that is a target not from its ancestors' neighbourhoods, to which the predicted cell
    may belong: there the previous step, and the predicted cell's own exposure (which never counts itself), stand in. TFs come twice: as they were counted in earlier cells,
    and as they are ``now`` (:func:`tf_filter`).
    """
    past_tf, exists = expected_history(study.backward, tf, n_lags=n_lags)
    past_receptor, _ = expected_history(study.backward, receptor, n_lags=n_lags)
    past_exposure, _ = expected_history(study.backward, exposure, n_lags=n_lags)
    targets = study.genes["targets"]
    shared = np.isin(study.genes["receptors"], targets)
    before = np.flatnonzero(exists[:, -2])[:, None]
    past_receptor[before, n_lags, np.flatnonzero(shared)] = past_receptor[
        before, n_lags - 1, np.flatnonzero(shared)
    ]
    shared = np.isin(study.genes["ligands"], targets)
    past_exposure[:, :, shared] = past_exposure[:, -1:, shared]
    tensors = (past_tf[:, :-1], now(tf), past_receptor, past_exposure, exists)
    return History(*(torch.from_numpy(np.ascontiguousarray(t)) for t in tensors))


def recent_past(study: Study, values: NDArray[np.float32], n_lags: int) -> NDArray[np.float32]:
    """(receivers, features) mean over the steps before a cell, each step back counting e times less; 0 where there are none."""
    past, exists = expected_history(study.backward, values, n_lags=n_lags)
    share = np.exp(np.arange(-n_lags, 0, dtype=np.float32)) * exists[:, :-1]
    share /= np.maximum(share.sum(1, keepdims=True), 1e-12)
    mean: NDArray[np.float32] = np.einsum("ns,nsf->nf", share, past[:, :-1])
    return mean


def receptor_levels(study: Study, history: History) -> NDArray[np.float32]:
    """(receivers, R) log1p of a receptor's level, counted and denoised in equal parts, over the steps of the history."""
    n_lags = history.receptor.shape[1] - 1
    denoised, exists = expected_history(study.backward, study.state @ study.receptor, n_lags=n_lags)
    both = (history.receptor.numpy() + denoised) / 2.0
    steps = exists.astype(np.float32)
    mean: NDArray[np.float32] = np.einsum("ns,nsr->nr", steps, both) / steps.sum(1, keepdims=True)
    return np.log1p(mean)


def tf_filter(study: Study, covariates: NDArray[np.float32]) -> CurrentTF:
    """What gives the level of every TF in every receiver now, in standard deviations, without the noise of counting.

    A linear filter of all TFs' counts in the cell, of their means over earlier cells
    of nearly the same state, and of the covariates (:func:`spatrace_sc._core.counts.wiener_filter`).

    The counts of TFs that are targets too are left out, so that no target of a cell reaches its prediction. The filter is fitted on the real TFs and applied to decoys as it is.
    """
    free = np.flatnonzero(~np.isin(study.genes["tfs"], study.genes["targets"]))

    def readings(tf: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.hstack([tf[:, free], study.state @ tf, covariates]).astype(np.float64)

    noise = np.concatenate(
        [study.tf_noise[free], np.zeros(study.tf.shape[1] + covariates.shape[1])]
    )
    own = np.full(study.tf.shape[1], -1)
    own[free] = np.arange(len(free))
    fitted = wiener_filter(readings(study.tf), noise, study.tf.astype(np.float64), own)
    return lambda tf: fitted(readings(tf))


def decoy_drawer(
    study: Study, covariates: NDArray[np.float32], n_lags: int
) -> Callable[[np.random.Generator], History]:
    """Draws decoy genes.

    A decoy ligand is a ligand's expression shuffled among senders of one type and slice, its exposure recomputed with the same kernel. A decoy receptor or TF is the gene's expression
    shuffled among receivers of one type, slice and bin of time. Each gene is shuffled on its own; histories follow the same transitions.
    """
    sender_strata = pd.factorize(
        pd.Series(study.types[study.senders])
        + "\t"
        + pd.Series(study.sample[study.senders]).astype(str)
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

    now = tf_filter(study, covariates)

    def draw(rng: np.random.Generator) -> History:
        ligand = shuffle_within(study.sender_ligand, sender_strata, rng)
        exposure = ligand_exposure(study.weights, np.log1p(ligand))
        receptor = shuffle_within(study.receptor, receiver_strata, rng)
        return build_history(
            study, exposure, receptor, shuffle_within(study.tf, receiver_strata, rng), n_lags, now
        )

    return draw
