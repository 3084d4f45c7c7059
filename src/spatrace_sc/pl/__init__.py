"""Figures. Every function returns matplotlib axes, reads :mod:`spatrace_sc.get`, shows nothing."""

from ._activity_map import activity_map
from ._attention import attention
from ._cascades import cascades
from ._communication import communication
from ._comparison import comparison
from ._edge import edge
from ._effect_heatmap import effect_heatmap
from ._evaluation import evaluation
from ._knockout import knockout
from ._layers import layers
from ._modules import modules
from ._sankey import sankey
from ._top_edges import top_edges
from ._training_history import training_history
from ._volcano import volcano

__all__ = [
    "activity_map",
    "attention",
    "cascades",
    "communication",
    "comparison",
    "edge",
    "effect_heatmap",
    "evaluation",
    "knockout",
    "layers",
    "modules",
    "sankey",
    "top_edges",
    "training_history",
    "volcano",
]
