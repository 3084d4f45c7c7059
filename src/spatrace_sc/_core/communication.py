"""From genes to cells: which cells send to which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .type_sums import Permutation, Scene, unit_sums


@dataclass(frozen=True)
class PermutationTest:
    """Outcome of :func:`permutation_test`.

    Every array is (stages + 1, sender types, receiver types, P); index 0 of the first axis is all
    stages together.

    - ``score``: mean activity received from the sender type.
    - ``se``: its standard error between units; NaN with one unit.
    - ``n_units``: units that contain the receiver type.
    - ``above``: share of these units that score more than the mean of their null.
    - ``p_value``.
    """

    score: NDArray[np.float64]
    se: NDArray[np.float64]
    n_units: NDArray[np.int64]
    above: NDArray[np.float64]
    p_value: NDArray[np.float64]


def type_scores(
    sums: NDArray[np.float64], counts: NDArray[np.floating], unit_stage: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Means over receivers (stages + 1, sender types, receiver types, P); 0 without receivers."""
    n_stage = int(unit_stage.max()) + 1
    member = np.vstack([np.ones(len(unit_stage)), *(unit_stage == s for s in range(n_stage))])
    total = np.tensordot(member, sums, axes=1)
    return _per_receiver(total, member @ counts)


def _per_receiver(sums: NDArray[np.float64], counts: NDArray[np.floating]) -> NDArray[np.float64]:
    """Divide sums (…, A, B, P) by the number of receivers (…, B), which may be 0."""
    mean: NDArray[np.float64] = sums / np.where(counts > 0, counts, 1.0)[:, None, :, None]
    return mean


def permutation_test(
    scene: Scene, draws: Iterator[Permutation], *, tick: Callable[[], object] = lambda: None
) -> PermutationTest:
    """Compare the observed scores with those of permuted scenes.

    ``p = (1 + draws that score at least the observed) / (1 + draws)``; 1 where the observed score
    is 0. ``tick`` is called after every draw.
    """
    sums, counts = unit_sums(scene)
    score = type_scores(sums, counts, scene.unit_stage)
    exceed, expected, n = np.zeros_like(score), np.zeros_like(sums), 0
    for permutation in draws:
        null_sums, null_counts = unit_sums(scene, permutation)
        exceed += type_scores(null_sums, null_counts, scene.unit_stage) >= score * (1.0 - 1e-6)
        expected += _per_receiver(null_sums, null_counts)
        n += 1
        tick()
    p = np.where(score > 0, (1.0 + exceed) / (1.0 + n), 1.0)
    se, n_units, above = _between_units(scene, sums, counts, score, expected / max(n, 1))
    return PermutationTest(score, se, n_units, above, p)


def permute_labels(scene: Scene, n: int, rng: np.random.Generator) -> Iterator[Permutation]:
    """Permute cell types within blocks, those of senders and of receivers independently.

    Labels, or proportions, move; positions, expression and activity stay with the cell.
    """
    for stream in rng.spawn(n):
        yield Permutation(
            permute_within(scene.sender_block, stream),
            permute_within(scene.receiver_block, stream),
        )


def permute_positions(
    scene: Scene,
    n: int,
    rng: np.random.Generator,
    activity: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Iterator[Permutation]:
    """Permute senders, type and expression together, among the sender positions of their block.

    ``activity`` maps an exposure (receivers, L) to the activity of all pairs (receivers, P).
    """
    for stream in rng.spawn(n):
        moved = permute_within(scene.sender_block, stream)
        exposure = np.asarray(scene.weights @ scene.expression[moved])
        yield Permutation(moved, np.arange(len(scene.unit)), moved, activity(exposure))


def permute_within(block: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) permutation of the indices that leaves every index in its block."""
    by_block = np.argsort(block, kind="stable")
    code = np.unique(block, return_inverse=True)[1]
    shuffled = np.argsort(code + rng.random(len(block)), kind="stable")
    permuted = np.empty(len(block), dtype=np.intp)
    permuted[by_block] = shuffled
    return permuted


def square_blocks(
    coords: NDArray[np.floating], sample: NDArray[np.integer], side: float
) -> NDArray[np.intp]:
    """(cells,) code of the square (in 3D, cube) of this side that contains a cell.

    The squares of a slice start at its lowest corner and never cross slices.
    """
    code = np.zeros((len(sample), coords.shape[1] + 1), dtype=np.int64)
    code[:, 0] = sample
    for s in np.unique(sample):
        members = sample == s
        code[members, 1:] = (coords[members] - coords[members].min(axis=0)) // side
    return np.unique(code, axis=0, return_inverse=True)[1].reshape(-1)


def cell_matrix(
    weights: sparse.csr_matrix,
    expression: NDArray[np.float32],
    by_ligand: NDArray[np.float32],
    exposure: NDArray[np.float32],
    block: int = 2_000_000,
) -> sparse.csr_matrix:
    """(senders, receivers) signal that each sender gives each receiver.

    A receiver's activity is divided among senders by their share of its exposure::

        C[j, i] = sum over l of A[i, l] * weights[i, j] * expression[j, l] / E[i, l]

    ``A`` = ``by_ligand`` (receivers, L) is the activity of all pairs of a ligand. The sum over
    senders is the receiver's activity, from ligands whose exposure is above 0. ``block`` is the
    number of values in memory at a time.
    """
    per_exposure = np.divide(by_ligand, exposure, out=np.zeros_like(exposure), where=exposure > 0)
    entries = weights.tocoo()
    data = np.empty(entries.nnz, dtype=np.float32)
    step = max(1, block // max(1, expression.shape[1]))
    for low in range(0, entries.nnz, step):
        rows = slice(low, low + step)
        data[rows] = entries.data[rows] * np.einsum(
            "el,el->e", per_exposure[entries.row[rows]], expression[entries.col[rows]]
        )
    matrix = sparse.csr_matrix(
        (data, (entries.col, entries.row)), shape=(weights.shape[1], weights.shape[0])
    )
    matrix.eliminate_zeros()
    return matrix


def _between_units(
    scene: Scene,
    sums: NDArray[np.float64],
    counts: NDArray[np.float64],
    score: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Standard error between units, number of units, share of units above their null mean.

    The standard error of a mean weighted by the receivers n_s of S units is
    ``sqrt(S / (S - 1) * sum(n_s² (m_s - m)²)) / sum(n_s)``.
    """
    means = _per_receiver(sums, counts)
    higher = (means > expected) & (counts > 0)[:, None, :, None]
    se, above = np.full_like(score, np.nan), np.zeros_like(score)
    n_units = np.zeros(score.shape, dtype=np.int64)
    for slot in range(len(score)):
        members = (
            np.flatnonzero(scene.unit_stage == slot - 1)
            if slot
            else np.arange(len(scene.unit_stage))
        )
        n = counts[members]
        filled = (n > 0).sum(axis=0)[None, :, None]
        spread = (n[:, None, :, None] ** 2 * (means[members] - score[slot]) ** 2).sum(axis=0)
        factor = np.divide(filled, filled - 1, out=np.full(filled.shape, np.nan), where=filled > 1)
        total = n.sum(axis=0)
        se[slot] = np.sqrt(factor * spread) / np.where(total > 0, total, 1.0)[None, :, None]
        n_units[slot] = filled
        above[slot] = higher[members].sum(axis=0) / np.maximum(filled, 1)
    return se, n_units, above
