"""From genes to cells: who sends to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Scene:
    """Senders, receivers and what passes between them.

    ``weights`` (receivers, senders) kernel; ``expression`` (senders, L) linear; ``sender_type`` (senders,) and ``receiver_type`` (receivers,) codes;
    ``sender_sample`` (senders,) code of the slice; ``stage`` (receivers,) code; ``pair_ligand`` (P,) column of each pair's ligand;
    ``signal`` (receivers, L) exposure → (receivers, P) activity of each pair at that exposure.
    """

    weights: sparse.csr_matrix
    expression: NDArray[np.float32]
    sender_type: NDArray[np.integer]
    sender_sample: NDArray[np.integer]
    receiver_type: NDArray[np.integer]
    stage: NDArray[np.integer]
    pair_ligand: NDArray[np.integer]
    signal: Callable[[NDArray[np.float32]], NDArray[np.float32]]


def type_scores(scene: Scene, expression: NDArray[np.float32], sender_type: NDArray[np.integer]) -> NDArray[np.float64]:
    """(stages + 1, sender types, receiver types, P) mean over receivers of activity × share of the exposure that comes from the sender type.

    Index 0 of the first axis is all stages together.
    """
    n_sender, n_receiver, n_stage = (
        int(codes.max()) + 1 for codes in (scene.sender_type, scene.receiver_type, scene.stage)
    )
    exposure = np.asarray(scene.weights @ expression)
    activity = scene.signal(exposure)
    per_exposure = np.divide(1.0, exposure, out=np.zeros_like(exposure), where=exposure > 0)
    group = _averager(scene.receiver_type + n_receiver * (scene.stage + 1), n_receiver * (n_stage + 1))
    pooled = _averager(scene.receiver_type, n_receiver)
    scores = np.zeros((n_stage + 1, n_sender, n_receiver, len(scene.pair_ligand)))
    for kind in range(n_sender):
        members = np.flatnonzero(sender_type == kind)
        if not len(members):
            continue
        share = np.asarray(scene.weights[:, members] @ expression[members]) * per_exposure
        received = activity * share[:, scene.pair_ligand]
        scores[1:, kind] = np.asarray(group @ received).reshape(n_stage + 1, n_receiver, -1)[1:]
        scores[0, kind] = pooled @ received
    return scores


def permutation_p_values(
    scene: Scene,
    observed: NDArray[np.float64],
    *,
    n_permutations: int,
    rng: np.random.Generator,
    tick: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """``p = (1 + permutations that score at least the observed) / (1 + permutations)``.

    A permutation moves senders, type and expression together, among the sender positions of their slice: it keeps what the senders are and breaks where they
    stand. 1 where the observed score is 0.
    """
    exceed = np.zeros_like(observed)
    by_sample = [np.flatnonzero(scene.sender_sample == code) for code in np.unique(scene.sender_sample)]
    for stream in rng.spawn(n_permutations):
        moved = np.arange(len(scene.sender_type))
        for members in by_sample:
            moved[members] = stream.permutation(members)
        exceed += type_scores(scene, scene.expression[moved], scene.sender_type[moved]) >= observed
        tick()
    return np.where(observed > 0, (1.0 + exceed) / (1.0 + n_permutations), 1.0)


def cell_matrix(
    weights: sparse.csr_matrix,
    expression: NDArray[np.float32],
    by_ligand: NDArray[np.float32],
    exposure: NDArray[np.float32],
    block: int = 2_000_000,
) -> sparse.csr_matrix:
    """(senders, receivers) signal that each sender gives each receiver: a receiver's activity divided among senders by their share of its exposure.

    ``C[j, i] = Σ_l A[i, l] · weights[i, j] · expression[j, l] / E[i, l]``, where ``A`` (receivers, L) is the activity of all pairs of a ligand. The sum over senders
    is the activity the receiver gets, as far as its exposure is not 0.
    """
    per_exposure = np.divide(by_ligand, exposure, out=np.zeros_like(exposure), where=exposure > 0)
    entries = weights.tocoo()
    data = np.empty(entries.nnz, dtype=np.float32)
    step = max(1, block // max(1, expression.shape[1]))
    for low in range(0, entries.nnz, step):
        part = slice(low, low + step)
        data[part] = entries.data[part] * np.einsum(
            "el,el->e", per_exposure[entries.row[part]], expression[entries.col[part]]
        )
    matrix = sparse.csr_matrix((data, (entries.col, entries.row)), shape=(weights.shape[1], weights.shape[0]))
    matrix.eliminate_zeros()
    return matrix


def _averager(code: NDArray[np.integer], n_groups: int) -> sparse.csr_matrix:
    """(groups, items) matrix whose product is the mean of each group; 0 for an empty one."""
    counts = np.bincount(code, minlength=n_groups)
    return sparse.csr_matrix((1.0 / counts[code], (code, np.arange(len(code)))), shape=(n_groups, len(code)))
