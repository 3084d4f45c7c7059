"""Worlds in which TFs that regulate other TFs are listed as targets, not as TFs.

Lists of TFs are incomplete, and downstream genes are often chosen because they vary. An edge from a
listed TF to a gene upstream of it is then a candidate, and is reversed if it is called.
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


def simulated_upstream(seed: int) -> AnnData:
    """Return the tissue of ``st.datasets.simulated``."""
    adata = st.datasets.simulated(seed, n_cells=N_CELLS)
    adata.uns["arguments"] = dict(TIMED)
    return upstream_as_targets(adata)


def agents_upstream(seed: int) -> AnnData:
    """Return the mechanistic tissue of agents."""
    return upstream_as_targets(agents(seed))


def differentiation_upstream(seed: int) -> AnnData:
    """Return the trajectory that forks, with technical noise."""
    return upstream_as_targets(sergio_differentiation(seed))
