"""Activity by unit, sender type and receiver type, of a scene and of its permutations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .type_shares import unit_sums_of_mixtures

#: Ligands whose exposure is divided among sender types at once, and the most shares at a time.
LIGANDS_AT_ONCE, MAX_SHARES = 16, 4_000_000


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

    @property
    def group(self) -> NDArray[np.intp]:
        """(receivers,) code of the unit and of the main type of a receiver."""
        code: NDArray[np.intp] = self.unit * self.sizes[2] + self.receiver_types.argmax(axis=1)
        return code

    def of_receivers(self, order: NDArray[np.intp]) -> Scene:
        """Return the scene with its receivers in another order."""
        return replace(
            self,
            weights=self.weights[order],
            activity=self.activity[order],
            receiver_types=self.receiver_types[order],
            receiver_block=self.receiver_block[order],
            unit=self.unit[order],
            receptor=None if self.receptor is None else self.receptor[order],
        )

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
    code = scene.group
    order = np.argsort(code, kind="stable")
    ends = np.searchsorted(code[order], np.arange(n_unit * n_receiver + 1))
    groups = [(group, slice(*end)) for group, end in enumerate(pairwise(ends)) if end[1] > end[0]]
    in_order = bool((np.diff(code) >= 0).all())
    activity = scene.activity if in_order else scene.activity[order]
    sums = np.zeros((n_unit * n_receiver, n_sender, len(scene.pair_ligand)))
    for ligands, share in _exposure_shares(scene, np.argsort(order)):
        pairs = np.flatnonzero(np.isin(scene.pair_ligand, ligands))
        own = np.arange(len(pairs)), np.searchsorted(ligands, scene.pair_ligand[pairs])
        of_pairs = activity[:, pairs].T
        for group, cells in groups:
            # products of every pair with every ligand; a pair reads only its own ligand's
            products = of_pairs[:, cells] @ share[:, cells]
            sums[group][:, pairs] = products[:, own[0], own[1]]
    return sums.reshape(n_unit, n_receiver, n_sender, -1).transpose(0, 2, 1, 3), counts


def _exposure_shares(
    scene: Scene, position: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Ligands (L',), ascending, and (A, receivers, L') share of each sender type in the exposure.

    ``position`` (receivers,) are the rows of the receivers in the result. Shares are 0 without
    exposure.
    """
    n, n_sender = len(position), scene.sender_types.shape[1]
    entries = scene.weights.tocoo()
    row = scene.sender_types.argmax(axis=1)[entries.col] * n + position[entries.row]
    of_types = sparse.coo_matrix(
        (entries.data, (row, entries.col)), shape=(n * n_sender, scene.weights.shape[1])
    )
    used = np.unique(scene.pair_ligand)
    step = min(LIGANDS_AT_ONCE, max(1, MAX_SHARES // max(1, n * n_sender)))
    for low in range(0, len(used), step):
        ligands = used[low : low + step]
        exposure = np.asarray(of_types @ scene.expression[:, ligands])
        share = exposure.reshape(n_sender, n, -1)
        total = share.sum(axis=0)
        share /= np.where(total > 0, total, 1.0)
        yield ligands, share
