"""Effects of TFs with count noise taken out, and the test of their size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from .._model.evidence.errors_in_variables import CorrectedEffects, corrected_effects
from .._model.evidence.joint_effects import JointEffects
from .._model.evidence.latent_levels import joint_effects
from .._model.evidence.minimum_effect import EffectTest, minimum_effect_test
from .._model.fit import Fit
from .._model.records import Evidence, Problem

#: TFs enter the regression of a target if at least this share of the refits selects them.
MIN_SELECTION_FREQUENCY = 0.5


@dataclass(frozen=True)
class TFEffects:
    """Effects of TFs on targets in two models that correct for count noise, and their test."""

    corrected: CorrectedEffects
    joint: JointEffects
    test: EffectTest


def tf_effects(problem: Problem, fit: Fit, evidence: Evidence, share: float) -> TFEffects:
    """Return both kinds of effects, and the test that effects exceed a minimum.

    The joint effects are tested, without prior knowledge if there is any. Targets that are TFs
    have none; their corrected effects are tested.
    """
    shape = problem.n_tf_genes, problem.targets.shape[1]
    stability = torch.as_tensor(evidence.tf.stability.reshape(shape))
    corrected = corrected_effects(problem, fit, share, stability >= MIN_SELECTION_FREQUENCY)
    joint = joint_effects(problem, fit)
    to_test = joint
    if problem.tf_penalty is not None:
        to_test = joint_effects(replace(problem, tf_penalty=None), fit)
    n_cells = int(problem.usable.sum())
    test = minimum_effect_test(to_test.effect, to_test.se, share, n_cells)
    by_joint = np.isfinite(to_test.se).any(axis=0)
    return TFEffects(
        corrected,
        joint,
        EffectTest(
            np.where(by_joint, test.p_value, corrected.test.p_value),
            np.where(by_joint, test.minimum, corrected.test.minimum),
            np.where(by_joint, test.tested, corrected.test.tested),
        ),
    )
