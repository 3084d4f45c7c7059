"""Senders and receivers at random, for tests of communication."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from spatrace_sc._core.type_sums import Scene


def random_scene(
    seed, *, n_senders=25, n_receivers=30, n_ligands=3, n_types=(3, 2), n_stages=2, density=0.3
):
    """Two slices in every stage; all of a slice are one block."""
    rng = np.random.default_rng(seed)
    weights = rng.random((n_receivers, n_senders)) * (
        rng.random((n_receivers, n_senders)) < density
    )
    weights[0] = 0  # a receiver that nobody reaches
    pair_ligand = np.array([0, 0, 1, 2, 2, 1])
    unit = rng.permutation(np.arange(n_receivers) % (2 * n_stages))
    return Scene(
        weights=sparse.csr_matrix(weights.astype(np.float32)),
        expression=(
            rng.poisson(1.5, (n_senders, n_ligands)) * rng.random((n_senders, n_ligands))
        ).astype(np.float32),
        activity=rng.random((n_receivers, len(pair_ligand))).astype(np.float32),
        pair_ligand=pair_ligand,
        sender_types=np.eye(n_types[0])[rng.permutation(np.arange(n_senders) % n_types[0])],
        receiver_types=np.eye(n_types[1])[rng.permutation(np.arange(n_receivers) % n_types[1])],
        sender_block=rng.integers(0, 2, n_senders),
        receiver_block=unit,
        unit=unit,
        unit_stage=np.arange(2 * n_stages) // 2,
        pair_receptor=np.array([0, 1, 0, 1, 0, 1]),
    )
