"""The true regulatory network of a simulated tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Wiring:
    """The true network. Rows regulate columns; entries are signed strengths, 0 for no edge."""

    pairs: np.ndarray
    """(P, 2) ligand and receptor of every acting pair."""
    ligand_mimics: np.ndarray
    """(L,) for a decoy the acting ligand whose profile it shares, otherwise -1."""
    receptor_mimics: np.ndarray
    """(R,) the same for receptors."""
    tf_tf: np.ndarray
    """(F, F) acyclic: a TF drives only later ones."""
    pair_tf: np.ndarray
    """(P, F)"""
    tf_target: np.ndarray
    """(F, G)"""
    pair_target: np.ndarray
    """(P, G)"""


def random_wiring(
    rng: np.random.Generator,
    *,
    n_ligands: int,
    n_receptors: int,
    n_pairs: int,
    n_tfs: int,
    n_targets: int,
    decoy_fraction: float,
    signal_strength: float,
) -> Wiring:
    """Draw a network: promiscuous pairs, decoys, TF chains, signed edges, unregulated targets.

    - A fraction ``decoy_fraction`` of ligands and of receptors takes part in no pair (more, if
      there are fewer pairs than genes). Each of them copies the profile of an acting one.
    - The acting ones all have a partner. The remaining pairs are drawn at random among them, so
      several have more than one.
    - 15 % of the targets have no regulator, the others one to three TFs; 60 % of those have one or
      two signals as well.
    - A third of the TFs is driven by a signal.
    """
    acting_l = min(n_pairs, max(1, n_ligands - round(decoy_fraction * n_ligands)))
    acting_r = min(n_pairs, max(1, n_receptors - round(decoy_fraction * n_receptors)))
    pairs = _draw_pairs(rng, acting_l, acting_r, n_pairs)
    n_p = len(pairs)

    tf_tf = np.zeros((n_tfs, n_tfs))
    for f in range(max(2, n_tfs // 3), n_tfs):
        for parent in rng.choice(f, min(f, int(rng.integers(1, 3))), replace=False):
            tf_tf[parent, f] = _draw_strength(rng)
    pair_tf = np.zeros((n_p, n_tfs))
    for f in rng.choice(n_tfs, max(1, n_tfs // 3), replace=False):
        pair_tf[rng.integers(n_p), f] = _draw_strength(rng)
    tf_target = np.zeros((n_tfs, n_targets))
    pair_target = np.zeros((n_p, n_targets))
    deck: list[int] = []
    for g in range(n_targets):
        if rng.random() < 0.15:
            continue
        for f in rng.choice(n_tfs, min(n_tfs, int(rng.integers(1, 4))), replace=False):
            tf_target[f, g] = _draw_strength(rng)
        if rng.random() < 0.6:
            for _ in range(int(rng.integers(1, 3))):
                deck = deck or list(rng.permutation(n_p))
                pair_target[deck.pop(), g] = _draw_strength(rng)
    return Wiring(
        pairs=pairs,
        ligand_mimics=_draw_mimics(rng, n_ligands, acting_l),
        receptor_mimics=_draw_mimics(rng, n_receptors, acting_r),
        tf_tf=tf_tf,
        pair_tf=pair_tf * signal_strength,
        tf_target=tf_target,
        pair_target=pair_target * signal_strength,
    )


def _draw_pairs(rng: np.random.Generator, n_l: int, n_r: int, n_pairs: int) -> np.ndarray:
    """(P, 2) pairs in which every ligand and every receptor has a partner, if ``n_pairs`` allow."""
    n_pairs = min(n_pairs, n_l * n_r)
    size = max(n_l, n_r)
    left = np.concatenate([rng.permutation(n_l), rng.integers(0, n_l, size - n_l)])
    right = np.concatenate([rng.permutation(n_r), rng.integers(0, n_r, size - n_r)])
    chosen = list(dict.fromkeys(zip(left.tolist(), right.tolist(), strict=True)))[:n_pairs]
    unused = [(i, j) for i in range(n_l) for j in range(n_r) if (i, j) not in set(chosen)]
    extra: list[int] | np.ndarray = (
        rng.choice(len(unused), n_pairs - len(chosen), replace=False) if len(unused) else []
    )
    return np.array(sorted(chosen + [unused[k] for k in extra]), dtype=np.intp)


def _draw_mimics(rng: np.random.Generator, n: int, n_acting: int) -> np.ndarray:
    """(n,) for a decoy the acting gene that it copies, otherwise -1."""
    copied = np.full(n, -1, dtype=np.intp)
    copied[n_acting:] = rng.choice(n_acting, n - n_acting, replace=n - n_acting > n_acting)
    return copied


def _draw_strength(rng: np.random.Generator) -> float:
    """A strength of 0.7 to 1.3, negative in 3 of 10 edges."""
    return float(rng.uniform(0.7, 1.3) * (1 if rng.random() < 0.7 else -1))
