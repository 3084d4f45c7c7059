"""Figures. Every function returns matplotlib axes, reads :mod:`spatrace_sc.get`, shows nothing."""

from ._activity_map import activity_map
from ._attention import attention
from ._cascades import cascades
from ._communication import communication
from ._comparison import comparison
from ._effect_heatmap import effect_heatmap
from ._evaluation import evaluation
from ._knockout import knockout
from ._modules import modules
from ._report import report
from ._top_edges import top_edges
from ._training_history import training_history

__all__ = [
    "activity_map",
    "attention",
    "cascades",
    "communication",
    "comparison",
    "effect_heatmap",
    "evaluation",
    "knockout",
    "modules",
    "report",
    "top_edges",
    "training_history",
]
