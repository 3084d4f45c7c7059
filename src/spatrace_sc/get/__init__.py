"""Readers: results as tidy tables, AnnData and graphs."""

from ._activity import activity
from ._attention import attention
from ._cascades import cascades, lr_tfs
from ._communication import cell_communication, communication, sent_received
from ._comparison import comparison
from ._controls import controls
from ._exports import to_decoupler, to_liana, to_networkx
from ._knockout import knockout, knockout_cells, knockouts
from ._modules import modules
from ._parameters import params, stages, training_history
from ._partial_residuals import partial_residuals
from ._prediction import prediction
from ._ranges import ranges
from ._sample_features import sample_features
from ._signal_direction import signal_direction
from ._tables import lr_pairs, lr_targets, tf_targets
from ._transitions import transition_reach, transitions
from ._trend import trend

__all__ = [
    "activity",
    "attention",
    "cascades",
    "cell_communication",
    "communication",
    "comparison",
    "controls",
    "knockout",
    "knockout_cells",
    "knockouts",
    "lr_pairs",
    "lr_targets",
    "lr_tfs",
    "modules",
    "params",
    "partial_residuals",
    "prediction",
    "ranges",
    "sample_features",
    "sent_received",
    "signal_direction",
    "stages",
    "tf_targets",
    "to_decoupler",
    "to_liana",
    "to_networkx",
    "training_history",
    "transition_reach",
    "transitions",
    "trend",
]
