"""Correlations, without competition between regulators and without saturation."""

from __future__ import annotations

import numpy as np
from benchmarks._pearson import pearson_tables
from benchmarks.recovery.signals import doses, neighbour_ligand, read_signals, standardised
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import Tissue
from scipy.stats import rankdata

EXPOSURE = ("radius", "sample_key", "spatial_key", "cell_type_key", "layer", "senders", "receivers")


def pearson(tissue: Tissue, seed: int) -> Tables:
    """Return \\|r\\| of a TF, or of log1p(exposure × receptor), with a target in the same cells."""
    receivers = (
        tissue.adata.obs[tissue.arguments.get("time_key", "dpt_pseudotime")].notna().to_numpy()
    )
    return pearson_tables(tissue.adata, receivers, **tissue.given(*EXPOSURE))


def spearman(tissue: Tissue, seed: int) -> Tables:
    """Return the correlations of ranks."""
    s = read_signals(tissue)
    tf, pair, target = (
        rankdata(v, axis=0) for v in (s.tf, doses(s.exposure, np.log1p(s.receptor)), s.target)
    )
    return tables(s.names, tf=correlation(tf, target), pair=correlation(pair, target))


def lagged(tissue: Tissue, seed: int) -> Tables:
    """Return Pearson correlations of regulators one expected step back with the target now."""
    s = read_signals(tissue)
    tf, pair = s.before(s.tf), s.before(np.log1p(doses(s.exposure, np.log1p(s.receptor))))
    usable = s.usable
    return tables(
        s.names,
        tf=correlation(tf[usable], s.target[usable]),
        pair=correlation(pair[usable], s.target[usable]),
    )


def neighbour(tissue: Tissue, seed: int) -> Tables:
    """Return Pearson correlations of pairs with targets, from the 10 nearest senders.

    The signal is log1p(mean ligand of these senders) × log1p(receptor). TFs have no score.
    """
    s = read_signals(tissue)
    pair = doses(np.log1p(neighbour_ligand(tissue, s)), np.log1p(s.receptor))
    return tables(s.names, pair=correlation(pair, s.target))


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return (columns of x, columns of y) Pearson correlations, 0 for constant columns."""
    return standardised(x).T @ standardised(y) / len(x)
