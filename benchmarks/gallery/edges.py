"""Figures of edges and paths in the gallery."""

from __future__ import annotations

from collections.abc import Callable

from anndata import AnnData
from matplotlib.figure import Figure

import spatrace_sc as st


def volcano(adata: AnnData) -> Figure:
    """Effect of every TF edge against its q; significant edges are ringed and named."""
    return st.pl.volcano(adata, "tf_targets").figure


def layers(adata: AnnData) -> Figure:
    """Network in layers: ligand, receptor, TF and target."""
    return st.pl.layers(adata, top_n=20).figure


def sankey(adata: AnnData) -> Figure:
    """Flows from senders through ligand, receptor, TF and target to receivers."""
    st.tl.cascades(adata, max_q=1.0)
    return st.pl.sankey(adata, top_n=15).figure


def edge(adata: AnnData) -> Figure:
    """Evidence for one edge, next to the strongest other regulator of its target."""
    strongest = st.get.tf_targets(adata).iloc[0]
    st.tl.partial_residuals(adata, strongest["tf"], strongest["target"])
    return st.pl.edge(adata, strongest["tf"], strongest["target"])[0].figure


def cascades(adata: AnnData) -> Figure:
    """Strongest paths pair, TF, target; significant steps are solid with a dot."""
    st.tl.cascades(adata, max_q=1.0)
    return st.pl.cascades(adata, top_n=20).figure


def ranges(adata: AnnData) -> Figure:
    """Range of every ligand with a significant edge, with its interval."""
    st.tl.ranges(adata)
    return st.pl.ranges(adata).figure


def top_edges(adata: AnnData) -> Figure:
    """Strongest edges with sign and stability; significant edges are ringed."""
    return st.pl.top_edges(adata, "tf_targets").figure


def effect_heatmap(adata: AnnData) -> Figure:
    """Signed effects of TFs on targets; a dot marks a significant one."""
    return st.pl.effect_heatmap(adata, "tf_targets").figure


FIGURES: dict[str, Callable[[AnnData], Figure]] = {
    "volcano": volcano,
    "layers": layers,
    "sankey": sankey,
    "edge": edge,
    "cascades": cascades,
    "ranges": ranges,
    "top_edges": top_edges,
    "effect_heatmap": effect_heatmap,
}
