"""Correlations: nothing competes, nothing saturates."""

from __future__ import annotations

import numpy as np
from benchmarks._pearson import pearson_tables
from benchmarks.recovery.signals import doses, neighbour_ligand, read_signals, standardised
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import Tissue
from scipy.stats import rankdata

EXPOSURE = ("radius", "sample_key", "spatial_key", "cell_type_key", "layer", "senders", "receivers")


def pearson(tissue: Tissue, seed: int) -> Tables:
    """\\|r\\| of a TF, or of log1p(exposure × receptor), with a target in the same cells."""
    receivers = (
        tissue.adata.obs[tissue.arguments.get("time_key", "dpt_pseudotime")].notna().to_numpy()
    )
    return pearson_tables(tissue.adata, receivers, **tissue.given(*EXPOSURE))


def spearman(tissue: Tissue, seed: int) -> Tables:
    """The same of ranks."""
    s = read_signals(tissue)
    tf, pair, target = (
        rankdata(v, axis=0) for v in (s.tf, doses(s.exposure, np.log1p(s.receptor)), s.target)
    )
    return tables(s.names, tf=correlation(tf, target), pair=correlation(pair, target))


def lagged(tissue: Tissue, seed: int) -> Tables:
    """Pearson of the regulators of the expected ancestors one step back with the target now."""
    s = read_signals(tissue)
    tf, pair = s.before(s.tf), s.before(np.log1p(doses(s.exposure, np.log1p(s.receptor))))
    here = s.usable
    return tables(
        s.names,
        tf=correlation(tf[here], s.target[here]),
        pair=correlation(pair[here], s.target[here]),
    )


def neighbour(tissue: Tissue, seed: int) -> Tables:
    """Pearson of log1p(mean ligand of the 10 nearest senders) × log1p(receptor) with the target. Says nothing about TFs."""
    s = read_signals(tissue)
    pair = doses(np.log1p(neighbour_ligand(tissue, s)), np.log1p(s.receptor))
    return tables(s.names, pair=correlation(pair, s.target))


def correlation(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(columns of x, columns of y) Pearson correlation, 0 where a column does not vary."""
    return standardised(x).T @ standardised(y) / len(x)
