"""Parts of the effects of TFs and of their test, switched off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np

from spatrace_sc._inference import edge_tables, tf_effects
from spatrace_sc._inference import edge_tests as inference
from spatrace_sc._model.evidence import latent_levels, silencing
from spatrace_sc._model.evidence.joint_effects import JointEffects, combined_effects
from spatrace_sc._study import count_noise


@contextmanager
def tf_weights_only() -> Iterator[None]:
    """Use the TF effects of the sparse model alone."""
    with patch.object(inference, "combine_effects", lambda evidence, *_: evidence):
        yield


@contextmanager
def tfs_by_single_targets() -> Iterator[None]:
    """Leave the joint estimate from all targets out of the TF effects."""
    with patch.object(JointEffects, "weight", 0.0):
        yield


@contextmanager
def without_silencing() -> Iterator[None]:
    """Leave the models of the TFs alone out of the TF effects."""
    with patch.object(silencing, "_weight", lambda counts, sparse: 0.0):
        yield


@contextmanager
def tfs_against_decoys_only() -> Iterator[None]:
    """Drop the requirement that TF edges exceed the minimum effect."""
    with patch.object(edge_tables, "false_discovery_control", np.zeros_like):
        yield


@contextmanager
def poisson_counts() -> Iterator[None]:
    """Take the noise of counting for that of Poisson counts."""
    with patch.object(count_noise, "common_overdispersion", lambda *_: 0.0):
        yield


@contextmanager
def all_variation_only() -> Iterator[None]:
    """Estimate joint effects without those within covariates."""

    def every(a: JointEffects, w: JointEffects, left: np.ndarray) -> JointEffects:
        return combined_effects(a, w, np.zeros_like(left))

    with patch.object(latent_levels, "combined_effects", every):
        yield


@contextmanager
def silencing_in_full() -> Iterator[None]:
    """Give the models of the TFs alone their weight even where covariates confound."""

    def unconfounded(*arguments: np.ndarray) -> JointEffects:
        return replace(combined_effects(*arguments), unconfounded=1.0)

    with patch.object(latent_levels, "combined_effects", unconfounded):
        yield


@contextmanager
def regression_tested() -> Iterator[None]:
    """Test the effects of the noise-corrected regression, as before there were joint effects."""
    estimate = tf_effects.tf_effects

    def by_regression(*arguments: object) -> tf_effects.TFEffects:
        effects = estimate(*arguments)
        return replace(effects, test=effects.corrected.test)

    with patch.object(inference, "tf_effects", by_regression):
        yield


@contextmanager
def all_tfs_in_the_regression() -> Iterator[None]:
    """Let every TF enter the noise-corrected regression of every target."""
    with patch.object(tf_effects, "MIN_SELECTION_FREQUENCY", 0.0):
        yield
