"""Simulated data that others published, each with the network that generated it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._data import data_file
from benchmarks.recovery.signals import dense
from benchmarks.worlds.tissues_shared import (
    World,
    annotate,
    from_counts,
    from_levels,
    inert_genes,
    quiet_levels,
    with_inert_genes,
)

#: Genes of the network and of the background, and the log standard deviation of library sizes.
DS4_GENES, DS4_BACKGROUND, DS4_LIBRARY = 100, 400, 0.3
#: Cells that are drawn from the published ones.
GSD_CELLS = 1500


def ds4() -> World:
    """Return SERGIO's data set DS4 as it was simulated, before technical noise.

    Candidates are the 10 TFs × the other 90 genes, of which 133 (.148) are true edges. The
    published network names no signs. The 4 edges between TFs count as routes only.
    """
    adata = ad.read_h5ad(data_file("foreign", "sergio_ds4.h5ad"))
    edges = pd.read_csv(data_file("foreign", "sergio_ds4_tf_targets.csv"), dtype=str)
    genes = list(adata.var_names[:DS4_GENES])
    tfs = sorted(edges["tf"].unique())
    return World(
        values=dense(adata.layers["expression_before_noise"])[:, :DS4_GENES],
        genes=genes,
        types=adata.obs["cell_type"].to_numpy(),
        tfs=tfs,
        targets=sorted(set(genes) - set(tfs)),
        edges=edges.assign(sign=np.nan),
    )


def sergio_ds4(seed: int) -> AnnData:
    """Return DS4 with another draw of counts: library sizes, then Poisson."""
    rng, world = np.random.default_rng(seed), ds4()
    level = with_inert_genes(rng, world, background=DS4_BACKGROUND, noise=0.0)
    library = rng.lognormal(0, DS4_LIBRARY, (len(level), 1))
    return from_counts(rng, world, rng.poisson(level * library))


def sergio_ds4_clean(seed: int) -> AnnData:
    """Return DS4 without technical noise; the seed draws positions and inert genes only."""
    return from_levels(np.random.default_rng(seed), ds4())


def beeline_gsd(seed: int) -> AnnData:
    """Return BEELINE's gonadal network: 19 genes, all of which may regulate each other.

    The values are those of the file, which are continuous and are not logged. Slingshot's two
    pseudotimes make the types: cells on both lineages, or on one. The time is their mean. 76 of
    342 candidates (.222) are true edges, without 3 edges of a gene on itself.
    """
    return _gsd(seed, one_type=False)


def beeline_gsd_1type(seed: int) -> AnnData:
    """Return the same with a single cell type."""
    return _gsd(seed, one_type=True)


def _gsd(seed: int, *, one_type: bool) -> AnnData:
    rng = np.random.default_rng(seed)
    adata = ad.read_h5ad(data_file("foreign", "beeline_gsd.h5ad"))
    adata = adata[np.sort(rng.choice(adata.n_obs, GSD_CELLS, replace=False))]
    network = pd.read_csv(data_file("foreign", "beeline_gsd_network.csv"), dtype=str)
    network.columns = ["tf", "target", "sign"]
    times = adata.obs[["pseudotime_0", "pseudotime_1"]].to_numpy(dtype=float)
    reached = np.isfinite(times)
    names = np.where(reached.all(axis=1), "both", np.where(reached[:, 0], "first", "second"))
    values = dense(adata.X)
    genes = sorted(adata.var_names)
    world = World(
        values=values[:, adata.var_names.get_indexer(genes)],
        genes=genes,
        types=np.full(len(names), "cell") if one_type else names,
        tfs=genes,
        targets=genes,
        edges=network.assign(sign=network["sign"].map({"+": 1, "-": -1})),
        time=np.nanmean(times, axis=1),
        time_noise=0.0,
    )
    inert = quiet_levels(rng, values, sum(map(len, inert_genes())), 0.4, 0.4)
    return annotate(rng, world, np.hstack([world.values, inert]))
