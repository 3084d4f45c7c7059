"""Readers: the only place that knows how results are stored."""

from ._activity import activity
from ._cascades import cascades, lr_tfs
from ._tables import communication, lr_pairs, lr_targets, params, stages, tf_targets, training_history

__all__ = [
    "activity",
    "cascades",
    "communication",
    "lr_pairs",
    "lr_targets",
    "lr_tfs",
    "params",
    "stages",
    "tf_targets",
    "training_history",
]
