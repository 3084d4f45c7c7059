"""Figures. Every function returns matplotlib axes, reads :mod:`spatrace_sc.get`, shows nothing."""

from ._attention import attention
from ._cascades import cascades
from ._chord import chord
from ._communication import communication
from ._communication_stages import communication_stages
from ._comparison import comparison
from ._controls import controls
from ._dotplot import dotplot
from ._edge import edge
from ._effect_heatmap import effect_heatmap
from ._evaluation import evaluation
from ._flow import flow
from ._knockout import knockout
from ._layers import layers
from ._modules import modules
from ._network import network
from ._pair_heatmap import pair_heatmap
from ._ranges import ranges
from ._report import report
from ._roles import roles
from ._sankey import sankey
from ._spatial import activity_map, spatial
from ._stages import stages
from ._top_edges import top_edges
from ._training_history import training_history
from ._trajectory import trajectory
from ._trend import trend
from ._volcano import volcano

__all__ = [
    "activity_map",
    "attention",
    "cascades",
    "chord",
    "communication",
    "communication_stages",
    "comparison",
    "controls",
    "dotplot",
    "edge",
    "effect_heatmap",
    "evaluation",
    "flow",
    "knockout",
    "layers",
    "modules",
    "network",
    "pair_heatmap",
    "ranges",
    "report",
    "roles",
    "sankey",
    "spatial",
    "stages",
    "top_edges",
    "training_history",
    "trajectory",
    "trend",
    "volcano",
]
