"""Figures of cell types and pairs, as a user would draw them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from anndata import AnnData
from matplotlib.figure import Figure

import spatrace_sc as st


def communication(adata: AnnData) -> Figure:
    """Which types signal to which, summed over pairs."""
    return st.pl.communication(adata).figure


def dotplot(adata: AnnData) -> Figure:
    """Pairs between types: evidence and score."""
    return st.pl.dotplot(adata, top_n=15, top_types=20).figure


def chord(adata: AnnData) -> Figure:
    """Flows from senders to receivers; significant ones are outlined."""
    return st.pl.chord(adata, top_links=40).figure


def network(adata: AnnData) -> Figure:
    """Types on a circle, with arrows from senders to receivers."""
    return st.pl.network(adata, top_links=40).figure


def roles(adata: AnnData) -> Figure:
    """What every type sends and receives."""
    return st.pl.roles(adata).figure


def pair_heatmap(adata: AnnData) -> Figure:
    """Ligands and receptors, with the strongest pairs next to them."""
    axes = st.pl.pair_heatmap(adata, top_n=12)
    return np.ravel(axes)[0].figure


def communication_stages(adata: AnnData) -> Figure:
    """The pairs of the strongest combination of types, stage by stage."""
    axes = st.pl.communication_stages(adata)
    return np.ravel(axes)[0].figure


TITLE = "Cell types and pairs"
FIGURES: dict[str, Callable[[AnnData], Figure]] = {
    "communication": communication,
    "dotplot": dotplot,
    "chord": chord,
    "network": network,
    "roles": roles,
    "pair_heatmap": pair_heatmap,
    "communication_stages": communication_stages,
}
