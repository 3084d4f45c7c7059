"""Effects of TFs within and between the groups of cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from _planted import planted

from spatrace_sc._model.evidence.within_between import BETWEEN, NEITHER, WITHIN, within_between
from spatrace_sc._model.records import History

BOTH = WITHIN + BETWEEN
N, TYPES, BLOCK = 1600, 16, 20
NO_EDGES = torch.empty((2, 0), dtype=torch.long)


def problem_of(x, y, covariates, block=None, forbidden=NO_EDGES):
    """Problem with given TF levels (cells, F), targets (cells, G) and covariates."""
    n, f = x.shape
    x, y, covariates = (torch.as_tensor(v, dtype=torch.float32) for v in (x, y, covariates))
    lags = torch.zeros(n, 3, 3)
    return replace(
        planted(),
        history=History(lags[:, :2, :1].expand(n, 2, f), x, lags, lags, lags[..., 0] == 0),
        tf_gene=torch.arange(f).repeat(2),
        targets=y,
        covariates=covariates,
        usable=torch.ones(n, dtype=torch.bool),
        block=torch.arange(n) // BLOCK if block is None else block,
        forbidden=forbidden,
    )


def world(seed=0, shift=0.0):
    """Levels, targets and types of four TFs, each with a target of its own.

    TF 0 acts between types only and TF 1 within types only. TF 2 and its target follow a third
    gene that differs between types. TF 3 acts in both ways.
    """
    rng = np.random.default_rng(seed)
    kind = np.arange(N) % TYPES
    types = np.eye(TYPES)[kind]
    level, third = rng.normal(size=(TYPES, 4)), rng.normal(size=TYPES)
    level[:, 2] = third + 0.3 * rng.normal(size=TYPES)
    x = rng.normal(size=(N, 4)) + level[kind]
    mean = types @ (types.T @ x) * TYPES / N
    y = 0.5 * rng.normal(size=(N, 4))
    y[:, 0] += mean[:, 0]
    y[:, 1] += (x - mean)[:, 1]
    y[:, 2] += third[kind]
    y[:, 3] += x[:, 3]
    return x + shift * types[:, :4], y + shift * types[:, 4:8], types


EVERY_EDGE = tuple(np.indices((4, 4)).reshape(2, -1))


def codes(parts, effect):
    """(4, 4) codes of what edges with these effects rest on."""
    return parts.rests_on(effect.ravel(), EVERY_EDGE).reshape(4, 4)


@pytest.fixture(scope="module")
def parts():
    return within_between(problem_of(*world()))


def test_four_ways_to_act(parts):
    within, between = np.diag(parts.within), np.diag(parts.between)
    code = codes(parts, np.ones((4, 4)))
    assert np.diag(code).tolist() == [BETWEEN, WITHIN, BETWEEN, BOTH]
    assert (code[~np.eye(4, dtype=bool)] == NEITHER).mean() > 0.7
    # in standard deviations over all cells, by the slope of 1 that each was made with
    x, y, _ = world()
    unit = x.std(0) / y.std(0)
    np.testing.assert_allclose(within[[1, 3]], unit[[1, 3]], atol=0.1)
    np.testing.assert_allclose(between[[0, 3]], unit[[0, 3]], atol=0.1)
    assert np.abs(within[[0, 2]]).max() < 0.1
    assert abs(between[1]) < 0.2


def test_a_confounder_of_types_is_less_certain_than_a_cause(parts):
    error = np.diag(parts.between_se)
    assert parts.n_directions == TYPES - 1
    assert error[2] > 2 * error[0]


def test_a_part_with_the_other_sign_does_not_count(parts):
    assert (np.diag(codes(parts, -np.ones((4, 4)))) == NEITHER).all()
    opposed = replace(parts, within=-parts.within)
    assert codes(opposed, np.ones((4, 4)))[3, 3] == BETWEEN


def test_two_types_are_too_few_for_the_part_between_them():
    """One difference between types is explained by any TF that differs."""
    rng = np.random.default_rng(0)
    kind = np.arange(400) % 2
    x = rng.normal(size=(400, 5)) + 2 * rng.normal(size=(2, 5))[kind]
    y = rng.normal(size=(400, 3)) + x[:, :1]
    parts = within_between(problem_of(x, y, kind[:, None]))
    assert parts.n_directions == 1
    ratio = np.abs(parts.between / parts.between_se)
    assert ratio.max() < 2
    code = parts.rests_on(np.ones(3), (np.zeros(3, dtype=int), np.arange(3)))
    assert (code == WITHIN).all()


def test_differences_between_types_do_not_reach_the_effects_within(parts):
    moved = within_between(problem_of(*world(shift=3.0)))
    x, y, _ = world()
    x_moved, y_moved, _ = world(shift=3.0)
    unit = (x_moved.std(0)[:, None] / x.std(0)[:, None]) * (y.std(0) / y_moved.std(0))
    # the penalty belongs to standardised levels, so shrinkage differs a little
    np.testing.assert_allclose(moved.within, parts.within * unit, atol=5e-3)
    assert np.abs(moved.between - parts.between * unit).max() > 0.1


def same(one, other, tolerance=1e-4):
    for name in ("within", "within_se", "between", "between_se"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance
        )


def test_order_units_and_coding_of_the_covariates_do_not_matter(parts):
    x, y, types = world()
    order = np.random.default_rng(3).permutation(N)
    block = torch.arange(N)[order] // BLOCK
    same(within_between(problem_of(x[order], y[order], types[order], block)), parts)
    same(within_between(problem_of(5 * x + 1, 0.1 * y - 3, types)), parts)
    mixed = types @ np.random.default_rng(4).normal(size=(TYPES, TYPES)) + 2
    same(within_between(problem_of(x, y, mixed)), parts)
    swapped = within_between(problem_of(x[:, ::-1].copy(), y, types))
    np.testing.assert_allclose(swapped.between[::-1], parts.between, atol=1e-4)


def test_errors_within_are_those_of_blocks():
    """Cells of a block share their deviation, so there are as many observations as blocks."""
    rng = np.random.default_rng(5)
    n_blocks, share = 60, []
    block = np.arange(60 * BLOCK) // BLOCK
    kind = (np.arange(len(block)) % 2)[:, None]
    for _ in range(3):
        x, y = (rng.normal(size=(n_blocks, k))[block] for k in (5, 30))
        x, y = (v + 0.1 * rng.normal(size=v.shape) for v in (x, y))
        parts = within_between(problem_of(x, y, kind, torch.as_tensor(block)))
        share.append((np.abs(parts.within / parts.within_se) > 2).mean())
    assert 0.005 < np.mean(share) < 0.13


def test_a_gene_is_left_out_of_its_own_regression():
    x, y, types = world()
    y[:, 2] = x[:, 0]
    forbidden = torch.tensor([[0], [2]])
    parts = within_between(problem_of(x, y, types, forbidden=forbidden))
    for values in (parts.within, parts.within_se, parts.between, parts.between_se):
        assert np.isnan(values[0, 2])
        assert np.isfinite(np.delete(values.ravel(), 2)).all()
    assert np.abs(parts.within[1:, 2]).max() < 0.1
    assert codes(parts, np.ones((4, 4)))[0, 2] == NEITHER


def test_what_cannot_be_estimated_is_missing():
    x, y, types = world()
    y[:, 1] = 3.0
    alone = within_between(problem_of(x, y, types[:, :0], torch.zeros(N, dtype=torch.long)))
    assert (alone.n_blocks, alone.n_directions) == (1, 0)
    for values in (alone.within, alone.within_se, alone.between, alone.between_se):
        assert np.isnan(values).all()
    assert (codes(alone, np.ones((4, 4))) == NEITHER).all()
    constant = within_between(problem_of(x, y, types))
    assert np.isnan(constant.within[:, 1]).all()
    assert np.isfinite(constant.within[:, 0]).all()
