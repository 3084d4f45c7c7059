"""Data of the gallery, with everything that its figures read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import scanpy as sc
from anndata import AnnData

import spatrace_sc as st

#: Folder of the analysed data, ignored by git.
RESULTS = Path(__file__).parent / "results"
#: Pairs whose sender → receiver matrices are stored; all main pairs of modules need theirs.
N_PERMUTATIONS = 99


def simulated() -> AnnData:
    """Return the simulated tissue: three stages, two slices each."""
    adata = st.datasets.simulated(n_cells=4000, n_targets=40, n_slices=2)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", device="cpu")
    return adata


def embryo() -> AnnData:
    """Return the somite lineage of the mouse embryos, with four fifths of the cells."""
    from benchmarks.worlds.tissues_atlas import embryo_somite

    adata = embryo_somite(0)
    st.tl.infer_ccc(adata, sample_key="sample", device="cpu")
    return adata


def heart() -> AnnData:
    """Return the spots of the human embryonic heart, with the most variable genes of each role."""
    from benchmarks.worlds.tissues_atlas import heart as heart_spots

    adata = heart_spots(0)
    st.tl.infer_ccc(adata, sample_key="sample", device="cpu")
    return adata


#: Figures of real tissue on the page, a choice of those that show most.
CHOSEN = {
    "embryo": (
        *("spatial", "spatial_target", "flow", "trend_pseudotime", "communication", "dotplot"),
        *("chord", "layers", "top_edges"),
    ),
    "heart": ("spatial", "flow", "roles", "pair_heatmap", "sankey", "edge"),
}
#: Name of the data → how they are made and analysed.
DATA: dict[str, Callable[[], AnnData]] = {
    function.__name__: function for function in (simulated, embryo, heart)
}


def load(name: str) -> AnnData:
    """Return analysed data, from ``results/<name>.h5ad`` if they have been analysed before."""
    path = RESULTS / f"{name}.h5ad"
    if not path.exists():
        RESULTS.mkdir(exist_ok=True)
        add_later_results(DATA[name]()).write_h5ad(path)
    return ad.read_h5ad(path)


def add_later_results(adata: AnnData) -> AnnData:
    """Add what the figures read beside an inference, and return the data."""
    st.tl.modules(adata, max_q=1.0, progress=False)
    pairs = list(st.get.activity(adata).var_names)
    st.tl.communication(adata, pairs=pairs, n_permutations=N_PERMUTATIONS, progress=False)
    if st.get.params(adata)["stage_key"] is not None:
        st.tl.compare(adata, st.get.params(adata)["stage_key"])
    st.tl.cascades(adata)
    st.tl.knockout(adata, tf=str(st.get.tf_targets(adata)["tf"].iloc[0]))
    if "transitions" not in adata.obsp and "dpt_pseudotime" in adata.obs:
        st.pp.transitions(adata, cell_type_key=st.get.params(adata)["cell_type_key"])
    sc.pp.pca(adata, n_comps=min(30, adata.n_vars - 1))
    sc.pp.neighbors(adata, transformer="sklearn")
    sc.tl.umap(adata)
    return adata
