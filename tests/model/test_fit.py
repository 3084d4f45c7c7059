"""Fitting on a small planted problem."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _helpers import predicted_targets
from _planted import CONFIG, C, G, R, draw_decoys, planted

from spatrace_sc._model.config import Config, EvidenceConfig, TrainingConfig
from spatrace_sc._model.evidence.resample import resample
from spatrace_sc._model.fit import fit, hold_out
from spatrace_sc._model.network.checkpoint import from_arrays, to_arrays
from spatrace_sc._model.records import Weights
from spatrace_sc._model.regression.second_pass import strength_factors


@pytest.fixture(scope="module")
def fitted():
    problem = planted()
    return problem, fit(problem, CONFIG, seed=3)


def test_planted_edges_are_found_with_their_signs(fitted):
    problem, result = fitted
    weights = result.weights.dense(problem.n_regulators)
    assert weights[:, 0].abs().argmax() == 1
    assert weights[1, 0] > 0.5
    assert weights[:, 1].abs().argmax() == C + 2 * R + 0
    assert weights[C + 2 * R, 1] < -0.4
    assert weights[:, 2:].abs().max() < 0.25
    assert result.r2["gates"] > 0.1


def test_same_seed_same_result_other_seed_other_held_out_cells(fitted):
    _, result = fitted
    state = torch.random.get_rng_state()
    again = fit(planted(), CONFIG, seed=3)
    assert torch.equal(state, torch.random.get_rng_state()), "the user's random state was touched"
    assert torch.equal(again.weights.values, result.weights.values)
    assert str(again.history) == str(result.history)
    for one, two in zip(
        again.network.state_dict().values(), result.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two)
    assert not torch.equal(fit(planted(), CONFIG, seed=4).held_out, result.held_out)


def test_held_out_cells_do_not_reach_scales_or_training(fitted):
    problem, result = fitted
    poisoned = problem.targets.clone()
    poisoned[result.held_out] = 50 * torch.randn(
        int(result.held_out.sum()), G, generator=torch.Generator().manual_seed(9)
    )
    off = replace(CONFIG, training=replace(CONFIG.training, max_epochs=0))
    clean, dirty = (
        fit(replace(problem, targets=t), off, seed=3) for t in (problem.targets, poisoned)
    )
    assert torch.equal(clean.target_mean, dirty.target_mean)
    assert torch.equal(clean.target_sd, dirty.target_sd)
    assert clean.weights.penalty == dirty.weights.penalty
    assert torch.equal(clean.network.half_dose, dirty.network.half_dose)


def test_hold_out_takes_whole_blocks():
    block = torch.arange(100) // 7
    mask = hold_out(block, 0.2, np.random.default_rng(0))
    for code in block.unique():
        assert len(mask[block == code].unique()) == 1
    assert 0.1 < mask.float().mean() < 0.4


def test_training_lowers_the_held_out_error(fitted):
    _, result = fitted
    for phase in ("attention", "gates"):
        errors = [row["held_out"] for row in result.history if row["phase"] == phase]
        assert min(errors) <= errors[0]
    assert result.r2["attention"] >= result.r2["initial"] - 0.02
    assert result.r2["covariates"] < 0.05 < result.r2["tfs"] < result.r2["attention"] - 0.03


def test_checkpoint_round_trip(fitted):
    problem, result = fitted
    arrays = to_arrays(result)
    config = Config.from_dict(CONFIG.to_dict())
    assert config == CONFIG
    network, weights = from_arrays(arrays, config.model, torch.device("cpu"))
    torch.testing.assert_close(
        predicted_targets(network, weights, problem),
        predicted_targets(result.network, result.weights, problem),
        atol=0,
        rtol=0,
    )


def test_evidence_separates_planted_from_noise(fitted):
    problem, result = fitted
    evidence = resample(problem, result, draw_decoys(problem), CONFIG, seed=1)
    assert evidence.tf.stability[1 * G + 0] == 1
    assert evidence.lr.stability[2 * R * G + 1] == 1
    assert evidence.pair_score.argmax() == 2 * R
    assert evidence.tf.effect[1 * G + 0] > 0 > evidence.lr.effect[2 * R * G + 1]
    for draw in evidence.draws["pair"]:
        assert draw.score[draw.items == 2 * R] > (
            draw.null_score.max() if len(draw.null_score) else 0
        )
    again = resample(problem, result, draw_decoys(problem), CONFIG, seed=1)
    np.testing.assert_array_equal(evidence.tf.effect, again.tf.effect)
    np.testing.assert_array_equal(evidence.lr.effect, again.lr.effect)


def test_strength_factors_by_hand():
    problem = planted()
    rows = torch.tensor([1, C, C + 3])
    values = torch.zeros(3, G)
    values[0, 0], values[1, 0], values[2, 1] = 0.5, 3.0, 1.0
    factor = strength_factors(Weights(rows, values, 0.1), problem, floor=0.3)
    typical = (9 + 1) / (3 + 1)
    assert factor[C] == pytest.approx(max(0.6, 1 / (0.3 + 3 / typical)))
    assert factor[C + 3] == pytest.approx(1 / (0.3 + 1 / typical))
    assert factor[C + 1] == 3.0
    assert (factor[:C] == 1).all()
    assert (factor[-2:] == 1).all()


def test_config_refuses_values_that_cannot_work():
    with pytest.raises(ValueError, match=r"training\.held_out"):
        Config(training=TrainingConfig(held_out=1.5))
    with pytest.raises(ValueError, match=r"evidence\.n_resamples"):
        Config(evidence=EvidenceConfig(n_resamples=0))
