"""From genes to cells: which cells send to which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .type_shares import unit_sums_of_mixtures


@dataclass(frozen=True)
class Scene:
    """Senders, receivers and the signals that pass between them.

    - ``weights`` (receivers, senders): spatial kernel.
    - ``expression`` (senders, L): linear ligand expression.
    - ``activity`` (receivers, P): activity of every ligand–receptor pair, at least 0.
    - ``pair_ligand`` (P,): column of each pair's ligand in ``expression``.
    - ``sender_types`` (senders, A), ``receiver_types`` (receivers, B): proportions of cell types;
      indicators where a cell has a single type.
    - ``sender_block`` (senders,), ``receiver_block`` (receivers,): codes of the local square
      within which labels or positions are permuted.
    - ``unit`` (receivers,): code of the unit of replication, a slice (and stage).
    - ``unit_stage`` (units,): stage of each unit.
    - ``receptor`` (receivers, R): linear receptor expression, and ``pair_receptor`` (P,): column
      of each pair's receptor in it. They are read where receivers are mixed.
    """

    weights: sparse.csr_matrix
    expression: NDArray[np.float32]
    activity: NDArray[np.float32]
    pair_ligand: NDArray[np.integer]
    sender_types: NDArray[np.floating]
    receiver_types: NDArray[np.floating]
    sender_block: NDArray[np.integer]
    receiver_block: NDArray[np.integer]
    unit: NDArray[np.integer]
    unit_stage: NDArray[np.integer]
    pair_receptor: NDArray[np.integer]
    receptor: NDArray[np.float32] | None = None

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of units, of sender types and of receiver types."""
        return len(self.unit_stage), self.sender_types.shape[1], self.receiver_types.shape[1]

    @property
    def is_mixed(self) -> bool:
        """Whether a sender or receiver has more than one type."""
        both = (self.sender_types, self.receiver_types)
        return any(bool(((types > 0).sum(axis=1) > 1).any()) for types in both)

    def permuted(self, drawn: Permutation) -> Scene:
        """Return the scene after a permutation."""
        return replace(
            self,
            sender_types=self.sender_types[drawn.sender_types],
            receiver_types=self.receiver_types[drawn.receiver_types],
            expression=self.expression if drawn.sender is None else self.expression[drawn.sender],
            activity=self.activity if drawn.activity is None else drawn.activity,
        )


@dataclass(frozen=True)
class Permutation:
    """One draw under the null hypothesis: what replaces the arrays of a scene.

    ``sender_types`` (senders,) and ``receiver_types`` (receivers,) are the indices of the cells
    whose types, or proportions, move to each position; ``sender`` (senders,) those of the senders
    whose expression does. None leaves expression, or activity, as observed.
    """

    sender_types: NDArray[np.intp]
    receiver_types: NDArray[np.intp]
    sender: NDArray[np.intp] | None = None
    activity: NDArray[np.float32] | None = None


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


def unit_sums(
    scene: Scene, permutation: Permutation | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Activity received from every sender type, summed over the receivers of a type in a unit.

    A receiver's activity is divided among sender types by their share of its exposure. In mixed
    spots, both are divided among the types of the spot (:mod:`.type_shares`).

    Returns
    -------
    Sums (units, sender types, receiver types, P), and number of receivers (units, receiver types):
    sums of proportions.
    """
    scene = scene if permutation is None else scene.permuted(permutation)
    n_unit, n_sender, n_receiver = scene.sizes
    of_types = [np.bincount(scene.unit, shares, n_unit) for shares in scene.receiver_types.T]
    counts = np.stack(of_types, axis=1).astype(np.float64)
    if scene.is_mixed:
        return unit_sums_of_mixtures(scene), counts
    exposure = np.asarray(scene.weights @ scene.expression)
    per_exposure = np.divide(1.0, exposure, out=np.zeros_like(exposure), where=exposure > 0)
    code = scene.unit * n_receiver + scene.receiver_types.argmax(axis=1)
    n = len(code)
    group = sparse.csr_matrix(
        (np.ones(n, dtype=np.float32), (code, np.arange(n))), shape=(n_unit * n_receiver, n)
    )
    sums = np.zeros((n_unit, n_sender, n_receiver, len(scene.pair_ligand)))
    for sender_type in range(n_sender):
        members = np.flatnonzero(scene.sender_types[:, sender_type])
        if not len(members):
            continue
        share = np.asarray(scene.weights[:, members] @ scene.expression[members]) * per_exposure
        received = scene.activity * share[:, scene.pair_ligand]
        sums[:, sender_type] = np.asarray(group @ received).reshape(n_unit, n_receiver, -1)
    return sums, counts


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
    shuffled = np.lexsort((rng.random(len(block)), block))
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
