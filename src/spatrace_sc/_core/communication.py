"""From genes to cells: who sends to whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Scene:
    """Senders, receivers and what passes between them.

    ``weights`` (receivers, senders) kernel; ``expression`` (senders, L) linear; ``activity`` (receivers, P) of every pair, 0 or more; ``pair_ligand`` (P,) column of each pair's ligand;
    ``sender_type`` (senders,) and ``receiver_type`` (receivers,) codes; ``sender_block`` and ``receiver_block`` codes of the place within which labels or positions are exchanged;
    ``unit`` (receivers,) code of the slice (and stage) that is counted as one; ``unit_stage`` (units,) its stage.
    """

    weights: sparse.csr_matrix
    expression: NDArray[np.float32]
    activity: NDArray[np.float32]
    pair_ligand: NDArray[np.integer]
    sender_type: NDArray[np.integer]
    receiver_type: NDArray[np.integer]
    sender_block: NDArray[np.integer]
    receiver_block: NDArray[np.integer]
    unit: NDArray[np.integer]
    unit_stage: NDArray[np.integer]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Units, sender types, receiver types."""
        return (
            len(self.unit_stage),
            int(self.sender_type.max()) + 1,
            int(self.receiver_type.max()) + 1,
        )


@dataclass(frozen=True)
class Shuffled:
    """One draw under the null: what replaces the observed in a scene. ``sender`` (senders,) says which sender's expression stands at each position."""

    sender_type: NDArray[np.integer]
    receiver_type: NDArray[np.integer]
    sender: NDArray[np.intp] | None = None
    activity: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Tested:
    """Outcome, all (stages + 1, sender types, receiver types, P), index 0 of the first axis all stages together.

    ``score``; ``se`` its standard error between units (NaN with one); ``n_units`` in which the receiver type stands; ``above`` share of them that score more than the mean of their null; ``p_value``.
    """

    score: NDArray[np.float64]
    se: NDArray[np.float64]
    n_units: NDArray[np.int64]
    above: NDArray[np.float64]
    p_value: NDArray[np.float64]


def unit_sums(
    scene: Scene, drawn: Shuffled | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums over receivers of activity × share of the exposure that comes from the sender type (units, sender types, receiver types, P), and how many receivers there are (units, receiver types)."""
    drawn = drawn or Shuffled(scene.sender_type, scene.receiver_type)
    expression = scene.expression if drawn.sender is None else scene.expression[drawn.sender]
    activity = scene.activity if drawn.activity is None else drawn.activity
    n_unit, n_sender, n_receiver = scene.sizes
    exposure = np.asarray(scene.weights @ expression)
    per_exposure = np.divide(1.0, exposure, out=np.zeros_like(exposure), where=exposure > 0)
    code = scene.unit * n_receiver + drawn.receiver_type
    n = len(code)
    group = sparse.csr_matrix(
        (np.ones(n, dtype=np.float32), (code, np.arange(n))), shape=(n_unit * n_receiver, n)
    )
    sums = np.zeros((n_unit, n_sender, n_receiver, len(scene.pair_ligand)))
    for kind in range(n_sender):
        members = np.flatnonzero(drawn.sender_type == kind)
        if not len(members):
            continue
        share = np.asarray(scene.weights[:, members] @ expression[members]) * per_exposure
        received = activity * share[:, scene.pair_ligand]
        sums[:, kind] = np.asarray(group @ received).reshape(n_unit, n_receiver, -1)
    return sums, np.bincount(code, minlength=n_unit * n_receiver).reshape(n_unit, n_receiver)


def type_scores(
    sums: NDArray[np.float64], counts: NDArray[np.integer], unit_stage: NDArray[np.integer]
) -> NDArray[np.float64]:
    """(stages + 1, sender types, receiver types, P) means over receivers; 0 where there are none."""
    n_stage = int(unit_stage.max()) + 1
    member = np.vstack([np.ones(len(unit_stage)), *(unit_stage == s for s in range(n_stage))])
    total = np.tensordot(member, sums, axes=1)
    mean: NDArray[np.float64] = total / np.maximum(member @ counts, 1)[:, None, :, None]
    return mean


def judge_types(
    scene: Scene, draws: Iterator[Shuffled], *, tick: Callable[[], object] = lambda: None
) -> Tested:
    """``p = (1 + draws that score at least the observed) / (1 + draws)``; 1 where the observed score is 0."""
    sums, counts = unit_sums(scene)
    score = type_scores(sums, counts, scene.unit_stage)
    exceed, expected, n = np.zeros_like(score), np.zeros_like(sums), 0
    for drawn in draws:
        null_sums, null_counts = unit_sums(scene, drawn)
        exceed += type_scores(null_sums, null_counts, scene.unit_stage) >= score * (1.0 - 1e-6)
        expected += null_sums / np.maximum(null_counts, 1)[:, None, :, None]
        n += 1
        tick()
    p = np.where(score > 0, (1.0 + exceed) / (1.0 + n), 1.0)
    se, n_units, above = _between_units(scene, sums, counts, score, expected / max(n, 1))
    return Tested(score, se, n_units, above, p)


def exchanged_labels(scene: Scene, n: int, rng: np.random.Generator) -> Iterator[Shuffled]:
    """Labels of senders, and those of receivers, exchanged within their blocks: place, expression and activity stay, what a cell is called does not."""
    for stream in rng.spawn(n):
        yield Shuffled(
            scene.sender_type[permuted_within(scene.sender_block, stream)],
            scene.receiver_type[permuted_within(scene.receiver_block, stream)],
        )


def exchanged_positions(
    scene: Scene,
    n: int,
    rng: np.random.Generator,
    activity: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> Iterator[Shuffled]:
    """Senders, type and expression together, moved among the sender positions of their block: what they are stays, where they stand does not. ``activity`` (receivers, L) exposure → (receivers, P)."""
    for stream in rng.spawn(n):
        moved = permuted_within(scene.sender_block, stream)
        exposure = np.asarray(scene.weights @ scene.expression[moved])
        yield Shuffled(scene.sender_type[moved], scene.receiver_type, moved, activity(exposure))


def permuted_within(block: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.intp]:
    """(n,) permutation of the positions that leaves every position in its block."""
    home = np.argsort(block, kind="stable")
    visitors = np.lexsort((rng.random(len(block)), block))
    moved = np.empty(len(block), dtype=np.intp)
    moved[home] = visitors
    return moved


def square_blocks(
    coords: NDArray[np.floating], sample: NDArray[np.integer], side: float
) -> NDArray[np.intp]:
    """(cells,) code of the square (cube) of this side in which a cell stands; squares of a slice start at its lowest corner and never cross slices."""
    code = np.zeros((len(sample), coords.shape[1] + 1), dtype=np.int64)
    code[:, 0] = sample
    for s in np.unique(sample):
        here = sample == s
        code[here, 1:] = (coords[here] - coords[here].min(axis=0)) // side
    return np.unique(code, axis=0, return_inverse=True)[1].reshape(-1)


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
    matrix = sparse.csr_matrix(
        (data, (entries.col, entries.row)), shape=(weights.shape[1], weights.shape[0])
    )
    matrix.eliminate_zeros()
    return matrix


def _between_units(
    scene: Scene,
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
    score: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Standard error of the scores with units as what varies, ``[S / (S - 1) · Σ_s n_s² (m_s - m)²]^½ / Σ_s n_s``; the number of units; the share of them above what the null expects there."""
    means = sums / np.maximum(counts, 1)[:, None, :, None]
    higher = (means > expected) & (counts > 0)[:, None, :, None]
    se, above = np.full_like(score, np.nan), np.zeros_like(score)
    n_units = np.zeros(score.shape, dtype=np.int64)
    for slot in range(len(score)):
        chosen = (
            np.flatnonzero(scene.unit_stage == slot - 1)
            if slot
            else np.arange(len(scene.unit_stage))
        )
        n = counts[chosen]
        there = (n > 0).sum(axis=0)[None, :, None]
        spread = (n[:, None, :, None] ** 2 * (means[chosen] - score[slot]) ** 2).sum(axis=0)
        factor = np.divide(there, there - 1, out=np.full(there.shape, np.nan), where=there > 1)
        se[slot] = np.sqrt(factor * spread) / np.maximum(n.sum(axis=0), 1)[None, :, None]
        n_units[slot] = there
        above[slot] = higher[chosen].sum(axis=0) / np.maximum(there, 1)
    return se, n_units, above
