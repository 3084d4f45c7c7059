"""Worlds in which edges from a TF to a gene upstream of it are candidates.

Either every TF is a target, too. Or TFs that regulate other TFs are targets only: lists of TFs are
incomplete, and targets are often chosen because they vary. In both, an edge that is called from a
TF to a gene upstream of it is reversed.
"""

from __future__ import annotations

import pandas as pd
from anndata import AnnData
from benchmarks.recovery.datasets import TIMED
from benchmarks.worlds.tissues_agents import agents
from benchmarks.worlds.tissues_sergio import sergio_differentiation

import spatrace_sc as st

#: Cells of the simulated tissue, as in ``C-medium`` of the recovery benchmark.
N_CELLS = 8300


def upstream_as_targets(adata: AnnData) -> AnnData:
    """Return the world with every TF that regulates a TF as a target only.

    Their own edges are true routes, no candidates.
    """
    truth = dict(adata.uns["truth"])
    moved = truth["tf_tfs"]["tf"].astype(str).unique()
    is_moved = adata.var_names.isin(moved)
    adata.var["tf"] = adata.var["tf"].to_numpy(bool) & ~is_moved
    adata.var["target"] = adata.var["target"].to_numpy(bool) | is_moved
    of_moved = truth["tf_targets"]["tf"].astype(str).isin(moved)
    truth["tf_tfs"] = pd.concat([truth["tf_tfs"], truth["tf_targets"][of_moved]], ignore_index=True)
    truth["tf_targets"] = truth["tf_targets"][~of_moved].reset_index(drop=True)
    adata.uns["truth"] = truth
    return adata


def tfs_as_targets(adata: AnnData) -> AnnData:
    """Return the world with every TF as a target, too."""
    truth = dict(adata.uns["truth"])
    adata.var["target"] = adata.var["target"].to_numpy(bool) | adata.var["tf"].to_numpy(bool)
    both = [truth["tf_targets"], truth["tf_tfs"]]
    truth["tf_targets"] = pd.concat(both, ignore_index=True)
    adata.uns["truth"] = truth
    return adata


def simulated(seed: int) -> AnnData:
    """Return the tissue of ``st.datasets.simulated``, with all its TFs."""
    adata = st.datasets.simulated(seed, n_cells=N_CELLS)
    adata.uns["arguments"] = dict(TIMED)
    return adata


def simulated_upstream(seed: int) -> AnnData:
    """Return the same tissue with its upstream TFs as targets only."""
    return upstream_as_targets(simulated(seed))


def simulated_tfs(seed: int) -> AnnData:
    """Return the same tissue, in which TFs regulate each other."""
    return tfs_as_targets(simulated(seed))


def agents_tfs(seed: int) -> AnnData:
    """Return the mechanistic tissue of agents with TFs as targets."""
    return tfs_as_targets(agents(seed))


def agents_upstream(seed: int) -> AnnData:
    """Return the mechanistic tissue of agents with its upstream TFs as targets only."""
    return upstream_as_targets(agents(seed))


def differentiation_upstream(seed: int) -> AnnData:
    """Return the trajectory that forks, with technical noise."""
    return upstream_as_targets(sergio_differentiation(seed))
