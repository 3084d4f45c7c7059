"""Shares of cell types in what a mixed spot sends and receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .type_sums import Scene

#: Most sweeps of the non-negative regression, and the relative change that ends it.
MAX_SWEEPS, TOLERANCE = 200, 1e-6

Array = NDArray[np.float64]


def type_levels(proportions: NDArray[np.floating], levels: NDArray[np.floating]) -> Array:
    """(K, G) mean level of every gene in every type, from (n, K) proportions and (n, G) levels.

    It is the non-negative least-squares regression of the level of a spot on its proportions, by
    coordinate descent. Every type has one pure spot with the mean level of the gene added, so that
    a type which is rare, or always goes with another, has about that level.
    """
    p, x = np.asarray(proportions, dtype=np.float64), np.asarray(levels, dtype=np.float64)
    gram, mean = p.T @ p + np.eye(p.shape[1]), x.mean(axis=0)
    moment, size = p.T @ x + mean, np.diag(gram)
    result = np.tile(mean, (len(gram), 1))
    for _ in range(MAX_SWEEPS):
        before = result.copy()
        for k in range(len(gram)):
            result[k] = np.maximum(result[k] + (moment[k] - gram[k] @ result) / size[k], 0.0)
        if np.abs(result - before).max(initial=0.0) <= TOLERANCE * result.max(initial=0.0):
            break
    return result


def shares(proportions: NDArray[np.floating], level: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n, K) share of every type in the level of a gene in a spot, by (K,) levels of the types.

    ``share[j, a] = p[j, a] m[a] / sum over b of p[j, b] m[b]``; the proportions where no type of
    the spot has the gene.
    """
    part = np.asarray(proportions * level, dtype=np.float64)
    total = part.sum(axis=1, keepdims=True)
    divided = np.divide(part, total, out=np.array(proportions, dtype=np.float64), where=total > 0)
    return np.asarray(divided, dtype=np.float32)


def unit_sums_of_mixtures(scene: Scene) -> NDArray[np.float64]:
    """Sums (units, sender types, receiver types, P), where senders or receivers are mixed spots.

    The ligand of a spot comes from its types by :func:`shares`, and so does its receptor, by which
    the activity of the spot is divided among its types.
    """
    n_unit, n_sender, n_receiver = scene.sizes
    exposure = np.asarray(scene.weights @ scene.expression)
    per_exposure = np.divide(1.0, exposure, out=np.zeros_like(exposure), where=exposure > 0)
    ligand_level = type_levels(scene.sender_types, scene.expression)
    receptor_level = np.ones((n_receiver, int(scene.pair_receptor.max(initial=-1)) + 1))
    if scene.receptor is not None:
        receptor_level = type_levels(scene.receiver_types, scene.receptor)
    of_unit = [np.flatnonzero(scene.unit == u) for u in range(n_unit)]
    sums = np.zeros((n_unit, n_sender, n_receiver, len(scene.pair_ligand)))
    for ligand in np.unique(scene.pair_ligand):
        sent = shares(scene.sender_types, ligand_level[:, ligand])
        sent *= scene.expression[:, [ligand]]
        received = np.asarray(scene.weights @ sent) * per_exposure[:, [ligand]]
        for pair in np.flatnonzero(scene.pair_ligand == ligand):
            level = receptor_level[:, scene.pair_receptor[pair]]
            taken = shares(scene.receiver_types, level) * scene.activity[:, [pair]]
            for unit, rows in enumerate(of_unit):
                sums[unit, :, :, pair] = received[rows].T @ taken[rows]
    return sums
