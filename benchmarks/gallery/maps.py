"""Figures over tissue, time and embeddings."""

from __future__ import annotations

from collections.abc import Callable

from anndata import AnnData
from matplotlib.figure import Figure

import spatrace_sc as st

#: Title of the section in the gallery.
TITLE = "Maps, directions and time"


def spatial(adata: AnnData) -> Figure:
    """Activity of the strongest pair in every slice, in order of time."""
    return st.pl.spatial(adata)[0].figure


def spatial_tf(adata: AnnData) -> Figure:
    """Activity of a TF: red above, blue below its level in the mean receiver."""
    return st.pl.spatial(adata, kind="tfs")[0].figure


def spatial_target(adata: AnnData) -> Figure:
    """Observed expression of the target of the strongest edge."""
    return st.pl.spatial(adata, kind="targets")[0].figure


def flow(adata: AnnData) -> Figure:
    """Where the signals of all pairs come from, beyond what the positions of senders imply."""
    return st.pl.flow(adata)[0].figure


def flow_stream(adata: AnnData) -> Figure:
    """The same for the strongest pair, as streamlines."""
    pair = st.get.activity(adata).var_names[0]
    return st.pl.flow(adata, pair, style="stream")[0].figure


def trend(adata: AnnData) -> Figure:
    """Mean activity of the strongest pairs by stage; a ring marks significant pairs."""
    return st.pl.trend(adata).figure


def trend_pseudotime(adata: AnnData) -> Figure:
    """Mean activity of the strongest TFs along pseudotime."""
    return st.pl.trend(adata, kind="tfs", time_key="dpt_pseudotime").figure


def stages(adata: AnnData) -> Figure:
    """Pairs that are gained, kept and lost from stage to stage; dots mark significant pairs."""
    return st.pl.stages(adata).figure


def stages_communication(adata: AnnData) -> Figure:
    """The same for sender → receiver and pair, which are tested at every stage."""
    return st.pl.stages(adata, "communication").figure


def trajectory(adata: AnnData) -> Figure:
    """Transitions over a UMAP, cells coloured by pseudotime."""
    return st.pl.trajectory(adata, "umap").figure


def trajectory_stream(adata: AnnData) -> Figure:
    """The same over principal components as streamlines, cells coloured by type."""
    column = st.get.params(adata)["cell_type_key"]
    return st.pl.trajectory(adata, "pca", style="stream", color=column).figure


FIGURES: dict[str, Callable[[AnnData], Figure]] = {
    function.__name__: function
    for function in (
        *(spatial, spatial_tf, spatial_target, flow, flow_stream, trend, trend_pseudotime),
        *(stages, stages_communication, trajectory, trajectory_stream),
    )
}
