"""Histories of the regulators, of real genes and of decoys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .._core.counts import Filter, wiener_filter
from .._core.paths import expected_history
from .._core.statistics import shuffle_within
from .._model.records import History
from .decoy_strata import receiver_strata, sender_strata
from .records import Study

#: (receivers, F) log expression → (receivers, F) current level.
CurrentTF = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def build_history(
    study: Study,
    ligand: NDArray[np.float32],
    receptor: NDArray[np.float32],
    tf: NDArray[np.float32],
    n_lags: int,
    current: CurrentTF,
) -> History:
    """Return the histories of the regulators, without the target of the predicted cell.

    ``ligand`` (senders, L) and ``receptor`` (receivers, R) are linear levels. A receptor that is
    also a target is not read in the predicted cell: its previous step is used again. A complex is a
    target in this sense if one of its subunits is. Ligands: :func:`_exposure_history`. TFs enter
    twice: as counted in earlier cells, and as their ``current`` level (:func:`current_tf_filter`).
    The level of a TF that is also a target is read by the other targets; an edge of the TF on
    itself is forbidden.
    """
    past_tf, exists = expected_history(study.backward, tf, n_lags=n_lags)
    past_receptor, _ = expected_history(study.backward, receptor, n_lags=n_lags)
    genes = study.genes
    is_target = np.flatnonzero(genes.share_gene(genes.receptors, genes.targets).any(axis=1))
    with_past = np.flatnonzero(exists[:, -2])[:, None]
    past_receptor[with_past, n_lags, is_target] = past_receptor[with_past, n_lags - 1, is_target]
    past_exposure = _exposure_history(study, ligand, n_lags)
    arrays = (past_tf[:, :-1], current(tf), past_receptor, past_exposure, exists)
    return History(*(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays))


def _exposure_history(
    study: Study, ligand: NDArray[np.float32], n_lags: int
) -> NDArray[np.float32]:
    """(receivers, n_lags + 1, L) exposures without the target of the predicted cell.

    A ligand that is also a target is not read in the neighbourhoods of ancestors, which may hold
    the predicted cell: what the cell's neighbours send it is used at every step. Where cells signal
    to themselves, the predicted cell's own level of such a ligand is replaced by that of the
    previous step, as for receptors.
    """
    exposure = np.asarray(study.weights @ ligand, dtype=np.float32)
    past, exists = expected_history(study.backward, exposure, n_lags=n_lags)
    genes = study.genes
    is_target = np.flatnonzero(genes.share_gene(genes.ligands, genes.targets).any(axis=1))
    if study.own_weights is None:
        past[:, :, is_target] = past[:, -1:, is_target]
        return past
    levels = ligand[:, is_target]
    others = np.asarray((study.weights - study.own_weights) @ levels, dtype=np.float32)
    own, _ = expected_history(study.backward, np.asarray(study.own_weights @ levels), n_lags=n_lags)
    with_past = np.flatnonzero(exists[:, -2])
    own[with_past, n_lags] = own[with_past, n_lags - 1]
    past[:, :, is_target] = others[:, None] + own
    return past


def recent_past(study: Study, values: NDArray[np.float32], n_lags: int) -> NDArray[np.float32]:
    """(receivers, features) weighted mean over earlier steps; 0 where there are none.

    Each step further back has a weight e times smaller.
    """
    past, exists = expected_history(study.backward, values, n_lags=n_lags)
    share = np.exp(np.arange(-n_lags, 0, dtype=np.float32)) * exists[:, :-1]
    share /= np.maximum(share.sum(1, keepdims=True), 1e-12)
    mean: NDArray[np.float32] = np.einsum("ns,nsf->nf", share, past[:, :-1])
    return mean


def receptor_levels(study: Study, history: History) -> NDArray[np.float32]:
    """(receivers, R) log1p of the mean level of each receptor over the steps of the history.

    A level is the mean of the counted and the denoised one.
    """
    n_lags = history.receptor.shape[1] - 1
    denoised, exists = expected_history(study.backward, study.state @ study.receptor, n_lags=n_lags)
    both = (history.receptor.numpy() + denoised) / 2.0
    steps = exists.astype(np.float32)
    mean: NDArray[np.float32] = np.einsum("ns,nsr->nr", steps, both) / steps.sum(1, keepdims=True)
    return np.log1p(mean)


def current_tf_filter(study: Study, filters: Sequence[Filter] | None = None) -> CurrentTF:
    """Return a function that gives the current level of every TF with less count noise.

    It is a linear filter of two readings of the same TF: its count in the cell, and its mean over
    earlier cells of nearly the same state (:func:`spatrace_sc._core.counts.wiener_filter`). It
    returns standard deviations. No other TF enters, so no TF takes the credit of another, and a TF
    that is also a target is read by all targets but itself. The filters are fitted on real TFs and
    applied to decoys as they are. ``filters`` are those of other cells; None: those of the study.
    """
    fitted = tf_filters(study) if filters is None else filters

    def current(tf: NDArray[np.float32]) -> NDArray[np.float32]:
        columns = zip(fitted, _readings(study, tf), strict=True)
        return np.hstack([wiener(of_tf) for wiener, of_tf in columns])

    return current


def tf_filters(study: Study) -> list[Filter]:
    """Return the filter of every TF, from its count and its mean over earlier cells."""
    return [
        wiener_filter(of_tf, np.array([noise, 0.0]), of_tf[:, :1], np.zeros(1, dtype=np.intp))
        for of_tf, noise in zip(_readings(study, study.tf), study.noise.logged, strict=True)
    ]


def _readings(study: Study, tf: NDArray[np.float32]) -> NDArray[np.float64]:
    """(F, receivers, 2) counts of TFs, and their means over earlier cells of the same state."""
    both = np.stack([tf, study.state @ tf], axis=2).astype(np.float64)
    return both.transpose(1, 0, 2)


def decoy_drawer(study: Study, n_lags: int) -> Callable[[np.random.Generator], History]:
    """Return a function that draws the histories of decoy genes.

    A decoy ligand is a ligand's expression permuted among senders of one type and sample, with the
    exposure recomputed by the same kernel. A decoy receptor or TF is the gene's expression permuted
    among receivers of one type, sample and bin of time. Mixed spots are permuted among spots of
    similar proportions (:mod:`.decoy_strata`). Each gene is permuted on its own; histories follow
    the same transitions.
    """
    of_senders, of_receivers = sender_strata(study), receiver_strata(study)
    current = current_tf_filter(study)

    def draw(rng: np.random.Generator) -> History:
        ligand = shuffle_within(study.sender_ligand, of_senders, rng)
        receptor = shuffle_within(study.receptor, of_receivers, rng)
        tf = shuffle_within(study.tf, of_receivers, rng)
        return build_history(study, ligand, receptor, tf, n_lags, current)

    return draw
