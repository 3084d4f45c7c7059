"""How strong a confounder must be to explain an edge, and how strong the measured ones are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from _planted import planted

from spatrace_sc._inference.robustness import add_robustness
from spatrace_sc._model.evidence import errors_in_variables
from spatrace_sc._model.evidence.errors_in_variables import CorrectedEffects, corrected_effects
from spatrace_sc._model.evidence.minimum_effect import EffectTest
from spatrace_sc._model.evidence.robustness import (
    MIN_RESIDUAL_SHARE,
    covariate_columns,
    residual_variance,
    robustness_value,
)
from spatrace_sc._model.fit import Fit
from spatrace_sc._model.records import Weights

NO_EDGES = torch.empty((2, 0), dtype=torch.long)


class NoFit:
    """What the regression reads of a fit that gave no pair a weight."""

    def __init__(self, problem):
        g = problem.targets.shape[1]
        self.target_mean, self.target_sd = torch.zeros(g), torch.ones(g)
        self.weights = Weights(torch.empty(0, dtype=torch.long), torch.empty(0, g), 0.1)
        self.attended, self.network, self.n = problem.history, self, len(problem.targets)

    def signal(self, exposure, receptor, chosen):
        return torch.empty(self.n, len(chosen))


def strengths(x, y, covariates, *, noise=None, sizes=(), forbidden=NO_EDGES, ridge=0.0):
    """Corrected effects of TFs x on targets y, without a ridge unless one is given."""
    n, f = x.shape
    problem = replace(
        planted(),
        tf_gene=torch.arange(f).repeat(2),
        tf_count=torch.as_tensor(x),
        tf_noise=torch.zeros(f) if noise is None else torch.as_tensor(noise),
        covariates=torch.as_tensor(covariates),
        covariate_sizes=sizes,
        targets=torch.as_tensor(y),
        usable=torch.ones(n, dtype=torch.bool),
        block=torch.arange(n) * 40 // n,
        forbidden=forbidden,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(errors_in_variables, "RIDGE", ridge)
        fit: Fit = NoFit(problem)
        return corrected_effects(problem, fit, 0.2)


def residual(y, x):
    """What least squares on the columns of x and a constant leaves of y."""
    x = np.column_stack([np.ones(len(y)), x])
    return y - x @ np.linalg.lstsq(x, y, rcond=None)[0]


def partial_r2(y, x, others):
    """Share of what the others leave of y that x explains."""
    left, both = residual(y, others), residual(y, np.column_stack([x, others]))
    return 1 - (both**2).sum() / (left**2).sum()


def world(seed=0, n=900):
    """Three TFs, two targets and covariates of three groups that act on both."""
    rng = np.random.default_rng(seed)
    c = rng.normal(size=(n, 5))
    c[:, 1] += c[:, 0]
    x = rng.normal(size=(n, 3)) + c @ rng.normal(0, 0.4, (5, 3))
    y = rng.normal(size=(n, 2)) + c @ rng.normal(0, 0.4, (5, 2)) + x @ rng.normal(0, 0.3, (3, 2))
    return x, y, c


GROUPS = {"sizes": (2, 0, 1, 2)}
SLICES = (slice(0, 2), slice(2, 3), slice(3, 5))


def test_values_by_hand():
    # f² = R² / (1 - R): a confounder of one half on both sides explains f² = 1/4 / 1/2
    f2 = torch.tensor([0.0, 0.5, 0.1 / 9, 1e8, 1e-12], dtype=torch.float64)
    actual = robustness_value(f2).numpy()
    np.testing.assert_allclose(actual[:4], [0.0, 0.5, 0.1, 1.0], atol=1e-7)
    assert actual[4] == pytest.approx(1e-6, rel=1e-5), "no cancellation"
    odds = f2.numpy()[1:3]
    np.testing.assert_allclose(actual[1:3], 0.5 * (np.sqrt(odds**2 + 4 * odds) - odds))


def test_the_study_of_darfur_in_the_paper():
    """Partial R² 2.2 % of direct harm with attitudes, robustness value 13.9 % (their Table 1)."""
    t, freedom = 4.18, 783
    f2 = torch.tensor(t**2 / freedom, dtype=torch.float64)
    assert float(f2 / (1 + f2)) == pytest.approx(0.022, abs=5e-4)
    assert float(robustness_value(f2)) == pytest.approx(0.139, abs=5e-4)


def test_without_noise_it_is_that_of_least_squares():
    x, y, c = world()
    actual = strengths(x, y, c, **GROUPS)
    for f in range(3):
        others = np.column_stack([np.delete(x, f, axis=1), c])
        for g in range(2):
            r2 = partial_r2(y[:, g], x[:, f], others)
            expected = float(robustness_value(torch.tensor(r2 / (1 - r2))))
            assert actual.robustness[f, g] == pytest.approx(expected, rel=1e-5)


def test_the_benchmark_is_that_of_least_squares():
    x, y, c = world()
    actual = strengths(x, y, c, **GROUPS)
    for f in range(3):
        for g in range(2):
            odds = []
            for columns in SLICES:
                rest = np.delete(c, columns, axis=1)
                r2_y = partial_r2(y[:, g], c[:, columns], np.column_stack([x, rest]))
                other_tfs = np.column_stack([np.delete(x, f, axis=1), rest])
                r2_x = partial_r2(x[:, f], c[:, columns], other_tfs)
                odds.append(r2_y * r2_x / (1 - r2_x))
            expected = float(robustness_value(torch.tensor(max(odds))))
            assert actual.benchmark[f, g] == pytest.approx(expected, rel=1e-5)
    one = strengths(x, y, c)
    assert (one.benchmark != actual.benchmark).all(), "without sizes all columns are one covariate"


def confounded(strength, n=40_000, seed=1):
    """A gene that explains a share of both residual variances, and no effect of the TF.

    With x = √R u + √(1-R) e, a share 1-R of u remains given x, so y = u + s e' has partial
    R² (1-R) / (1-R + s²) with u.
    """
    rng = np.random.default_rng(seed)
    u, e, error = rng.normal(size=(3, n))
    x = np.sqrt(strength) * u + np.sqrt(1 - strength) * e
    s2 = (1 - strength) ** 2 / strength
    return u, x, u + np.sqrt(s2) * error


@pytest.mark.parametrize("strength", [0.1, 0.3, 0.5])
def test_a_confounded_edge_is_as_robust_as_its_confounder_is_strong(strength):
    _, x, y = confounded(strength)
    nothing = np.zeros((len(x), 0))
    actual = strengths(x[:, None], y[:, None], nothing)
    assert actual.robustness[0, 0] == pytest.approx(strength, rel=0.05)
    assert np.isnan(actual.benchmark[0, 0]), "nothing was measured"
    usual = strengths(x[:, None], y[:, None], nothing, ridge=0.05)
    assert 0.95 * strength < usual.robustness[0, 0] < actual.robustness[0, 0]


def test_count_noise_of_the_tf_is_no_excuse():
    """The TF is counted with as much noise as there is signal: the robustness is as without."""
    _, x, y = confounded(0.3)
    counted = x + np.random.default_rng(2).normal(size=len(x))
    nothing = np.zeros((len(x), 0))
    noisy = strengths(counted[:, None], y[:, None], nothing, noise=[1.0])
    assert noisy.robustness[0, 0] == pytest.approx(0.3, rel=0.07)
    plain = strengths(counted[:, None], y[:, None], nothing)
    assert plain.robustness[0, 0] < 0.25


def test_a_measured_confounder_is_the_benchmark():
    """u is measured, next to a covariate of noise; then a second gene like u is not measured."""
    u, x, y = confounded(0.3)
    _, x2, y2 = confounded(0.3, seed=3)
    noise = np.random.default_rng(4).normal(size=len(u))
    both = np.column_stack([noise, u])
    alone = strengths(x[:, None], y[:, None], both, sizes=(1, 1))
    assert alone.benchmark[0, 0] == pytest.approx(0.3, rel=0.05)
    assert alone.robustness[0, 0] < 0.02, "u is measured and explains the edge"
    mixed = strengths((x + x2)[:, None], (y + y2)[:, None], both, sizes=(1, 1))
    # u explains .3 / 2 of the TF, the unmeasured gene .3 / 1.7 of what u leaves of it
    assert mixed.benchmark[0, 0] == pytest.approx(0.15, abs=0.03)
    assert 1 < mixed.robustness[0, 0] / mixed.benchmark[0, 0] < 1.6


def test_a_gene_has_no_robustness_on_itself():
    x, y, c = world()
    y = np.column_stack([y, x[:, 1]])
    actual = strengths(x, y, c, forbidden=torch.tensor([[1], [2]]))
    itself = np.zeros((3, 3), dtype=bool)
    itself[1, 2] = True
    for values in (actual.robustness, actual.benchmark):
        np.testing.assert_array_equal(np.isnan(values), itself)
    alone = strengths(x[:, [0, 2]], y[:, 2:], c)
    np.testing.assert_allclose(actual.robustness[[0, 2], 2], alone.robustness[:, 0], rtol=1e-5)
    np.testing.assert_allclose(actual.benchmark[[0, 2], 2], alone.benchmark[:, 0], rtol=1e-5)


def test_units_do_not_matter():
    x, y, c = world()
    actual = strengths(x, y, c, **GROUPS, ridge=0.05)
    other = strengths(3 * x + 1, 1 - 5 * y, 2 * c, **GROUPS, ridge=0.05)
    np.testing.assert_allclose(other.robustness, actual.robustness, rtol=1e-4)
    np.testing.assert_allclose(other.benchmark, actual.benchmark, rtol=1e-4)


def test_too_many_tfs_leave_it_unknown():
    rng = np.random.default_rng(0)
    actual = strengths(rng.normal(size=(40, 25)), rng.normal(size=(40, 2)), np.zeros((40, 0)))
    assert np.isnan(actual.robustness).all()
    assert np.isnan(actual.benchmark).all()


def test_a_residual_variance_is_positive():
    moment = torch.tensor([[0.5, 1.2]])
    actual = residual_variance(torch.ones(2), moment, torch.ones(1, 2))
    np.testing.assert_allclose(actual, [0.5, MIN_RESIDUAL_SHARE])


def test_columns_of_covariates_follow_those_of_the_tfs():
    problem = replace(planted(), covariates=torch.zeros(600, 5), covariate_sizes=(2, 0, 3))
    assert covariate_columns(problem) == [slice(4, 6), slice(6, 9)]
    assert covariate_columns(replace(problem, covariate_sizes=())) == [slice(4, 9)]


def test_no_confounder_is_needed_where_the_signs_differ():
    ones = np.ones((2, 2))
    effect, robustness = np.array([[0.1, -0.1], [0.3, 0.0]]), np.array([[0.2, 0.3], [0.4, 0.0]])
    test = EffectTest(ones, ones[0], ones > 0)
    corrected = CorrectedEffects(effect, ones, test, 1.0, robustness, 0.5 * ones)
    table = pd.DataFrame({"tf": [0, 0, 1, 1], "target": [1, 0, 0, 1], "effect": [0.2] * 4})
    written = add_robustness(table, corrected)
    assert written["robustness"].tolist() == [0.0, 0.2, 0.4, 0.0]
    assert written["benchmark"].tolist() == [0.5] * 4
