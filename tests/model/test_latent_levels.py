"""Effects of TFs from all targets together."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from spatrace_sc._model.evidence.joint_effects import JointEffects, combined_effects
from spatrace_sc._model.evidence.latent_levels import PENALTIES, joint_effects
from spatrace_sc._model.evidence.latent_model import (
    MIN_VARIANCE,
    LatentModel,
    fit_model,
    likelihood,
    start_model,
)
from spatrace_sc._model.records import History, Problem, Weights

F, G = 4, 12


def problem_of(z, y, noise, *, forbidden=(), n_blocks=40):
    """TFs with a known share of noise and targets; one pair and one covariate."""
    n, f = z.shape
    edges = torch.tensor(list(forbidden), dtype=torch.long).reshape(-1, 2).T
    g = torch.Generator().manual_seed(0)
    return Problem(
        history=History(
            torch.zeros(n, 1, f),
            torch.zeros(n, f),
            torch.ones(n, 2, 1),
            torch.ones(n, 2, 1),
            torch.ones(n, 2).bool(),
        ),
        pair_ligand=torch.zeros(1, dtype=torch.long),
        pair_receptor=torch.zeros(1, dtype=torch.long),
        tf_gene=torch.arange(f).repeat(2),
        tf_count=torch.as_tensor(z, dtype=torch.float32),
        tf_noise=torch.as_tensor(noise, dtype=torch.float32),
        tf_state=torch.as_tensor(z, dtype=torch.float32),
        receptor_level=torch.zeros(n, 1),
        target_past=torch.zeros(n, y.shape[1]),
        covariates=torch.randn(n, 1, generator=g),
        targets=torch.as_tensor(y, dtype=torch.float32),
        usable=torch.ones(n).bool(),
        block=torch.arange(n) * n_blocks // n,
        penalty=torch.ones(2 * f + 2),
        tf_penalty=None,
        forbidden=edges,
        forbidden_on_tfs=edges[:, :0],
    )


def effects(problem, weights=None, signal=None):
    n, g = problem.targets.shape
    signal = torch.zeros(n, 1) if signal is None else signal
    fit = SimpleNamespace(
        target_mean=problem.targets.mean(0),
        target_sd=problem.targets.std(0, correction=0),
        weights=Weights(torch.empty(0, dtype=torch.long), torch.empty(0, g), 0.1)
        if weights is None
        else weights,
        attended=SimpleNamespace(exposure=None, receptor=None),
        network=SimpleNamespace(signal=lambda exposure, receptor, chosen: signal[:, chosen]),
    )
    return joint_effects(problem, fit)


def noisy(seed=0, n=1500, noise=3.0, hidden=0.0, targets=G):
    """Problem, true effects and levels; every target has one TF or none, and noise dominates.

    Three quarters of the variance of the counts are noise. ``hidden`` is the effect of an
    unmeasured regulator on half of the targets.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, F))
    x[:, 1] = 0.6 * x[:, 0] + 0.8 * x[:, 1]
    true = np.zeros((F, targets))
    true[np.arange(targets) % (F + 1) % F, np.arange(targets)] = 0.8 * (
        np.arange(targets) % (F + 1) < F
    )
    y = (
        x @ true
        + rng.normal(size=(n, targets))
        + hidden * rng.normal(size=(n, 1)) * (np.arange(targets) % 2)
    )
    z = x + np.sqrt(noise) * rng.normal(size=x.shape)
    return problem_of(z, y, np.full(F, noise)), true, x


def moments_of(problem):
    both = np.column_stack([problem.tf_count.numpy(), problem.targets.numpy()]).astype(float)
    both = (both - both.mean(0)) / both.std(0)
    return torch.from_numpy(both.T @ both / len(both)), both


def wrong(actual, true):
    return np.abs(actual - true)[true == 0].max(), np.abs(actual[true != 0]).min()


def test_other_targets_make_up_for_noise():
    problem, true, _ = noisy()
    actual = effects(problem)
    worst, least = wrong(actual.effect, true)
    assert least > 3 * worst
    z, y = moments_of(problem)[1][:, :F], moments_of(problem)[1][:, F:]
    alone = np.linalg.solve(z.T @ z / len(z) - 0.75 * np.eye(F), z.T @ y / len(z)) / 2
    worst_alone, least_alone = wrong(alone, true)
    assert worst / least < 0.7 * worst_alone / least_alone, "corrected for noise target by target"


def test_effects_are_those_of_the_levels():
    problem, _, x = noisy(n=6000)
    y = problem.targets.numpy().astype(float)
    x, y = ((v - v.mean(0)) / v.std(0) for v in (x, y))
    on_levels = np.linalg.solve(x.T @ x, x.T @ y)
    np.testing.assert_allclose(effects(problem).effect, on_levels, atol=0.12)


def test_targets_that_share_an_unmeasured_regulator_get_a_factor():
    problem, true, _ = noisy(hidden=1.5, n=3000, targets=16)
    actual = effects(problem)
    assert actual.n_factors >= 1
    worst, least = wrong(actual.effect, true)
    assert least > 2 * worst


@pytest.mark.parametrize("n_factors", [1, 3])
def test_the_likelihood_is_that_of_a_normal_distribution(n_factors):
    moments, both = moments_of(noisy(n=300)[0])
    noise = torch.full((F,), 0.7).double()
    several = start_model(moments[None], noise, n_factors)
    model = LatentModel(*(part[0] for part in several))
    loadings = np.vstack([np.eye(F, F + n_factors), np.hstack([model.effect, model.factor])])
    inner = np.eye(F + n_factors)
    inner[:F, :F] = model.covariance
    cover = loadings @ inner @ loadings.T + np.diag(np.concatenate([noise, model.residual]))
    slow = multivariate_normal(np.zeros(F + G), cover).logpdf(both).mean() + 0.5 * (F + G) * np.log(
        2 * np.pi
    )
    assert float(likelihood(moments[None], noise, several)) == pytest.approx(slow, rel=1e-9)


def test_every_step_raises_the_likelihood(monkeypatch):
    moments = moments_of(noisy()[0])[0][None]
    noise = torch.full((F,), 0.7).double()
    model, none = start_model(moments, noise, 2), torch.zeros((G, F)).double()
    monkeypatch.setattr("spatrace_sc._model.evidence.latent_model.N_EM_STEPS", 1)
    actual = []
    for _ in range(30):
        actual.append(float(likelihood(moments, noise, model)))
        model = fit_model(moments, noise, none, model)
    assert actual[-1] > actual[0] + 0.01
    assert (np.diff(actual) > -1e-6).all()


def test_a_penalty_removes_effects_and_factors_do_not_hold_levels():
    moments = moments_of(noisy()[0])[0][None]
    noise = torch.full((F,), 0.7).double()
    ones = torch.ones((G, F)).double()
    free, bound = (
        fit_model(moments, noise, lam * ones, start_model(moments, noise, 1))
        for lam in (PENALTIES[-1], 0.05)
    )
    assert int((bound.effect == 0).sum()) > int((free.effect == 0).sum())
    assert isinstance(bound, LatentModel)
    assert (bound.residual >= MIN_VARIANCE).all()


def test_models_of_several_groups_do_not_meet():
    noise, ones = torch.full((F,), 0.7).double(), torch.ones((G, F)).double()
    moments = torch.stack([moments_of(noisy(n=n)[0])[0] for n in (300, 500, 900)])
    together = fit_model(moments, noise, 0.02 * ones, start_model(moments, noise, 2))
    for k in range(len(moments)):
        one = moments[k : k + 1]
        alone = fit_model(one, noise, 0.02 * ones, start_model(one, noise, 2))
        for actual, expected in zip(together, alone, strict=True):
            torch.testing.assert_close(actual[k], expected[0])


def test_genes_and_cells_in_another_order():
    problem, _, _ = noisy(n=600)
    rng = np.random.default_rng(3)
    tf, target, cell = rng.permutation(F), rng.permutation(G), rng.permutation(600)
    moved = replace(
        problem,
        tf_count=problem.tf_count[cell][:, tf],
        tf_noise=problem.tf_noise[tf],
        targets=problem.targets[cell][:, target],
        covariates=problem.covariates[cell],
        block=problem.block[cell],
    )
    first, second = effects(problem), effects(moved)
    np.testing.assert_allclose(second.effect, first.effect[tf][:, target], atol=1e-6)
    np.testing.assert_allclose(second.se, first.se[tf][:, target], atol=1e-6)


def test_what_pairs_and_covariates_do_is_taken_out_first():
    problem, true, x = noisy(n=2000)
    rng = np.random.default_rng(5)
    signal = x[:, [0]] + 0.3 * rng.normal(size=(2000, 1))
    problem = replace(
        problem, targets=problem.targets + 0.9 * torch.as_tensor(signal, dtype=torch.float32)
    )
    sd = problem.targets.std(0, correction=0)
    known = Weights(torch.tensor([2 * F]), 0.9 * signal.std() / sd[None], 0.1)
    with_pairs = effects(problem, known, torch.as_tensor(signal, dtype=torch.float32)).effect
    without = effects(problem).effect
    silent = true[0] == 0
    assert np.abs(without[0, silent]).mean() > 0.15
    assert np.abs(with_pairs[0, silent]).mean() < 0.03


def test_a_prior_lowers_the_penalty_of_its_edges():
    problem, _, _ = noisy(n=200)
    factor = torch.ones(F, G)
    factor[2, 3], factor[1, 1] = 0.0, torch.inf
    believed = effects(replace(problem, tf_penalty=factor))
    assert believed.effect[2, 3] != 0
    assert believed.effect[1, 1] == 0


def test_a_target_that_is_a_tf_has_no_effect_here_and_tells_nothing():
    problem, _, _ = noisy(n=600)
    barred = effects(replace(problem, forbidden=torch.tensor([[1, F + 1], [5, 5]])))
    assert np.isinf(barred.se[:, 5]).all()
    assert (barred.effect[:, 5] == 0).all()
    others = np.delete(np.arange(G), 5)
    changed = problem.targets.clone()
    changed[:, 5] = torch.randn(600)
    again = effects(replace(problem, targets=changed, forbidden=torch.tensor([[1, F + 1], [5, 5]])))
    np.testing.assert_allclose(again.effect[:, others], barred.effect[:, others], atol=1e-6)


def test_nothing_is_said_without_blocks_or_with_too_many_tfs_and_noise_gets_no_weight():
    problem, _, _ = noisy(n=400)
    assert effects(replace(problem, block=torch.zeros(400, dtype=torch.long))).weight == 0
    rng = np.random.default_rng(0)
    many = problem_of(rng.normal(size=(30, 20)), rng.normal(size=(30, 5)), np.zeros(20), n_blocks=8)
    assert effects(many).weight == 0
    null = problem_of(rng.normal(size=(400, F)), rng.normal(size=(400, G)), np.full(F, 0.5))
    assert effects(null).weight < 0.1
    silent = problem.tf_count.clone()
    silent[:, 1] = 0
    assert (effects(replace(problem, tf_count=silent)).effect[1] == 0).all()


def of(effect, se):
    return JointEffects(np.asarray(effect, dtype=float), np.asarray(se, dtype=float), 0.0)


def test_combined_effects_by_hand():
    every = of([[1.0, 0.5], [0.2, 0.2]], [[0.1, 0.3], [0.2, 0.2]])
    within = of([[0.6, 0.1], [0.0, 0.0]], [[0.2, 0.2], [0.0, 0.0]])
    actual = combined_effects(every, within, np.array([0.5, 0.5]))
    # the second TF has no effect within covariates, so only the first one is used
    v_a, v_w = (0.01 + 0.09) / 2, 0.04
    square = (0.36 + 0.01) / 2
    rho = 1 - v_w / square
    bias = (0.16 + 0.16) / 2 - v_a - v_w
    w_a, w_w = 1 / (v_a + bias), rho / v_w
    effect = (w_a * np.array([1.0, 0.5]) + w_w * np.array([0.6, 0.1])) / (w_a + w_w)
    variance = (w_a**2 * (v_a + bias) + w_w**2 * v_w) / (w_a + w_w) ** 2
    np.testing.assert_allclose(actual.effect, [effect, [0.2, 0.2]], rtol=1e-9)
    np.testing.assert_allclose(actual.se, [[np.sqrt(variance + 0.2**2)] * 2, [0.2, 0.2]], rtol=1e-9)
    assert actual.unconfounded == pytest.approx((v_a / (v_a + bias) + 1) / 2)
    mean_square = (effect**2).sum() / 4 + 0.02
    spread = (variance + 0.04) / 2
    assert actual.weight == pytest.approx((mean_square - spread) / mean_square)


def test_effects_within_covariates_are_left_out_where_covariates_explain_the_tf():
    every, within = of([[1.0, 0.5]], [[0.1, 0.1]]), of([[0.2, 0.9]], [[0.1, 0.1]])
    kept, dropped = (combined_effects(every, within, np.array([left])) for left in (0.06, 0.04))
    np.testing.assert_allclose(dropped.effect, every.effect)
    np.testing.assert_allclose(dropped.se, every.se)
    assert dropped.unconfounded == 1
    assert np.abs(kept.effect - every.effect).min() > 0.1


def test_a_hidden_field_that_covariates_show_confounds_nothing():
    """A field drives TF 0 and the targets of no TF; the covariate follows it."""
    problem, true, _ = noisy(n=3000)
    rng = np.random.default_rng(3)
    field = rng.normal(size=(3000, 1))
    silent = true[0] == 0
    targets = problem.targets + torch.as_tensor(1.0 * field * silent, dtype=torch.float32)
    count = problem.tf_count.clone()
    count[:, 0] += torch.as_tensor(1.5 * field[:, 0], dtype=torch.float32)
    known = torch.as_tensor(field + 0.2 * rng.normal(size=field.shape), dtype=torch.float32)
    confounded = replace(problem, targets=targets, tf_count=count)
    seen = effects(replace(confounded, covariates=known))
    blind = effects(confounded)
    assert np.abs(blind.effect[0, silent]).mean() > 0.3
    assert np.abs(seen.effect[0, silent]).mean() < 0.4 * np.abs(blind.effect[0, silent]).mean()
    assert np.abs(seen.effect[0, ~silent]).min() > np.abs(seen.effect[0, silent]).max()
    assert seen.unconfounded < 0.9 < blind.unconfounded
