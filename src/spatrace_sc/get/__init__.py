"""Readers: the only place that knows how results are stored."""

from ._activity import activity
from ._tables import communication, lr_pairs, lr_targets, params, stages, tf_targets, training_history

__all__ = ["activity", "communication", "lr_pairs", "lr_targets", "params", "stages", "tf_targets", "training_history"]
