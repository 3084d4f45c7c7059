"""A study of fewer receivers, or of fewer molecules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._core.exposure import ligand_exposure
from .count_noise import count_noise
from .records import Study


def half_of_receivers(study: Study, rng: np.random.Generator) -> Study:
    """Return the study of one half of the receivers of every slice, cut by a random line.

    All senders stay, so the neighbourhoods of the receivers are those of the tissue.
    """
    keep = np.zeros(len(study.time), dtype=bool)
    for code in np.unique(study.receiver_sample):
        rows = np.flatnonzero(study.receiver_sample == code)
        direction = rng.normal(size=study.coords.shape[1])
        keep[rows[np.argsort(study.coords[rows] @ direction)[: (len(rows) + 1) // 2]]] = True
    return take_receivers(study, keep)


def take_receivers(study: Study, keep: NDArray[np.bool_]) -> Study:
    """Return the study of some of the receivers, a mask of all receivers."""
    receivers = study.cells.receivers.copy()
    receivers[np.flatnonzero(receivers)[~keep]] = False
    state = _rescaled(study.state[keep][:, keep])
    alone = np.flatnonzero(np.diff(state.indptr) == 0)
    itself = sparse.csr_matrix((np.ones(len(alone)), (alone, alone)), shape=state.shape)
    return replace(
        study,
        cells=study.cells._replace(receivers=receivers),
        stage=study.stage[keep],
        time=study.time[keep],
        weights=study.weights[keep].tocsr(),
        own_weights=None if study.own_weights is None else study.own_weights[keep].tocsr(),
        exposure=study.exposure[keep],
        receptor=study.receptor[keep],
        tf=study.tf[keep],
        target=study.target[keep],
        backward=_rescaled(study.backward[keep][:, keep]),
        state=(state + itself).tocsr().astype(np.float32),
        named_covariates=study.named_covariates.iloc[np.flatnonzero(keep)],
    )


def half_of_molecules(study: Study, rng: np.random.Generator) -> Study:
    """Return the study in which every molecule is lost with probability ½.

    Only for data that are counts. Earlier cells and earlier cells of the same state stay.
    """
    if study.unit is None:
        raise ValueError("the study does not hold counts")
    of_receivers, of_senders = study.unit[study.receivers], study.unit[study.senders]

    def thin(linear: NDArray[np.floating], unit: NDArray[np.float64]) -> NDArray[np.float32]:
        kept = rng.binomial(np.rint(linear / unit[:, None]).astype(np.int64), 0.5)
        return np.asarray(kept * 2.0 * unit[:, None], dtype=np.float32)

    sender_ligand = thin(study.sender_ligand, of_senders)
    tf, target = (
        np.log1p(thin(np.expm1(values), of_receivers)) for values in (study.tf, study.target)
    )
    noise = count_noise(
        *(tf, 2.0 * of_receivers, study.state),
        targets=target,
        overdispersion=study.noise.overdispersion,
    )
    return replace(
        study,
        unit=2.0 * study.unit,
        sender_ligand=sender_ligand,
        exposure=ligand_exposure(study.weights, np.log1p(sender_ligand)),
        receptor=thin(study.receptor, of_receivers),
        tf=tf,
        target=target,
        noise=noise,
    )


def _rescaled(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the matrix with rows that sum to 1, or to 0 where nothing is left."""
    matrix = matrix.tocsr()
    total = np.asarray(matrix.sum(axis=1)).ravel()
    scale = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)
    return (sparse.diags(scale) @ matrix).tocsr().astype(np.float32)
