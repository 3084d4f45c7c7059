"""Ridge regression whose penalty is chosen by the marginal likelihood of all targets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal

from spatrace_sc._model.regression import pooled_ridge as module
from spatrace_sc._model.regression.pooled_ridge import Moments, pooled_ridge, target_groups


def moments_of(x, y):
    return Moments.of(torch.as_tensor(x), torch.as_tensor(y), len(x))


def everything(x, y):
    return target_groups(torch.ones(y.shape[1], x.shape[1], dtype=torch.bool))


def data(n=30, f=4, g=6, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f))
    return x, x @ rng.normal(size=(f, g)) + noise * rng.normal(size=(n, g))


@pytest.mark.parametrize("n", [30, 3], ids=["more rows than columns", "fewer"])
def test_slopes_and_their_sd_against_the_posterior_by_hand(n):
    x, y = data(n)
    ridge = pooled_ridge(moments_of(x, y), everything(x, y))
    k = ridge.penalty
    kernel = np.linalg.inv(x @ x.T + k * np.eye(n))
    scale = np.einsum("ng,nm,mg->g", y, kernel, y) / n
    np.testing.assert_allclose(ridge.slope, x.T @ kernel @ y, rtol=1e-6)
    posterior = np.eye(4) - x.T @ kernel @ x
    np.testing.assert_allclose(
        ridge.sd, np.sqrt(np.outer(np.diag(posterior), scale)), rtol=1e-5, atol=1e-9
    )


def test_the_penalty_is_the_most_likely_one():
    """The density of the targets is written out and maximised by another method."""
    x, y = data()

    def minus_log_likelihood(log_k):
        shape = x @ x.T + np.exp(log_k) * np.eye(len(x))
        scale = np.einsum("ng,nm,mg->g", y, np.linalg.inv(shape), y) / len(x)
        pairs = zip(scale, y.T, strict=True)
        return -sum(multivariate_normal(cov=s * shape).logpdf(target) for s, target in pairs)

    best = minimize_scalar(minus_log_likelihood, bounds=(-10, 10), method="bounded").x
    step = np.log(module.PENALTIES[1] / module.PENALTIES[0])
    assert abs(np.log(pooled_ridge(moments_of(x, y), everything(x, y)).penalty) - best) <= step


def test_slopes_of_noise_are_shrunk_to_nearly_nothing():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 30))
    ridge = pooled_ridge(moments_of(x, y), everything(x, y))
    least_squares = np.linalg.lstsq(x, y, rcond=None)[0]
    assert ridge.slope.abs().mean() < 0.2 * np.abs(least_squares).mean()


def test_a_target_without_some_columns_is_fitted_as_if_they_did_not_exist():
    x, y = data()
    allowed = torch.ones(6, 4, dtype=torch.bool)
    allowed[2, [0, 3]] = False
    groups = target_groups(allowed)
    assert [targets.tolist() for targets, _ in groups] == [[0, 1, 3, 4, 5], [2]]
    ridge = pooled_ridge(moments_of(x, y), groups)
    assert not ridge.slope[[0, 3], 2].any()
    assert not ridge.sd[[0, 3], 2].any()
    part = x[:, 1:3]
    by_hand = np.linalg.solve(part.T @ part + ridge.penalty * np.eye(2), part.T @ y[:, 2])
    np.testing.assert_allclose(ridge.slope[1:3, 2], by_hand, rtol=1e-6)


def test_nothing_to_estimate_gives_no_slopes():
    x, y = data()
    for moments, groups in (
        (moments_of(0 * x, y), everything(x, y)),
        (moments_of(x, y)._replace(n=0), everything(x, y)),
        (moments_of(x, y), target_groups(torch.zeros(6, 4, dtype=torch.bool))),
    ):
        ridge = pooled_ridge(moments, groups)
        assert ridge.penalty == 0
        assert not ridge.slope.any()
        assert not ridge.sd.any()


def test_a_constant_target_has_no_slope_and_changes_no_other():
    x, y = data()
    constant = np.column_stack([y, np.zeros(len(y))])
    ridge = pooled_ridge(moments_of(x, constant), everything(x, constant))
    alone = pooled_ridge(moments_of(x, y), everything(x, y))
    assert not ridge.slope[:, -1].any()
    np.testing.assert_allclose(ridge.slope[:, :-1], alone.slope)
    assert torch.isfinite(ridge.sd).all()
