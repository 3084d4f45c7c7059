"""The simulation of the authors of SpaTRACE in several forms of its values."""

from __future__ import annotations

import anndata as ad
import numpy as np
from anndata import AnnData
from benchmarks._data import data_file
from benchmarks.recovery.datasets import bundle, thinned_bundle
from benchmarks.recovery.signals import dense
from benchmarks.recovery.tissue import Tissue
from benchmarks.worlds.tissues_shared import log_normalised, no_edges

#: Molecules per unit of the published levels (328 units a cell) where counts are drawn.
CAPTURE = 2.0


def world_of(tissue: Tissue) -> AnnData:
    """Return the AnnData of a benchmark tissue with its truth and its arguments."""
    adata = tissue.adata
    adata.uns["truth"] = no_edges() | tissue.truth
    adata.uns["arguments"] = dict(tissue.arguments)
    return adata


def levels() -> np.ndarray:
    """Return (cells, genes) the published levels, which are not logged and have no noise."""
    tissue = ad.read_h5ad(data_file("reference_simulation", "simulation_st_adata.h5ad"))
    return dense(tissue.X)


def reference_cp10k(seed: int) -> AnnData:
    """Return receivers as log1p of counts per 10 000, as published; all seeds are the same."""
    return world_of(bundle(seed))


def reference_log1p(seed: int) -> AnnData:
    """Return log1p of the levels themselves, of receivers and senders; all seeds are the same."""
    adata = world_of(bundle(seed))
    adata.X = np.log1p(levels()).astype(np.float32)
    return adata


def reference_poisson(seed: int) -> AnnData:
    """Return Poisson counts of the levels: log1p per 10 000 for receivers, of levels for senders.

    Senders express six genes only, which counts per 10 000 would turn into shares.
    """
    adata = world_of(bundle(seed))
    counts = np.random.default_rng(seed).poisson(CAPTURE * levels())
    receiver = adata.obs["dpt_pseudotime"].notna().to_numpy()[:, None]
    x = np.where(receiver, log_normalised(counts), np.log1p(counts / CAPTURE))
    adata.X, adata.layers["counts"] = x.astype(np.float32), counts.astype(np.float32)
    return adata


def reference_b65(seed: int) -> AnnData:
    """Return thinned counts, 65 % of which are zero."""
    return world_of(thinned_bundle(seed, 0.65))


def reference_b84(seed: int) -> AnnData:
    """Return thinned counts, 84 % of which are zero."""
    return world_of(thinned_bundle(seed, 0.84))
