"""Shares of variance that are predicted in held-out blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatrace_sc._model.evidence.shared_credit import (
    N_FOLDS,
    RIDGE_TFS,
    explained,
    held_out_share,
)


def standardised(x):
    return (x - x.mean(0)) / x.std(0, correction=0)


def test_explained_is_held_out():
    g = torch.Generator().manual_seed(1)
    x, independent = torch.randn(300, 5, generator=g), torch.randn(300, 3, generator=g)
    noise = torch.randn(300, 3, generator=g)
    values = standardised(torch.stack([x[:, 0], noise[:, 0], independent[:, 2] + x[:, 1]], 1))
    alone, both = explained(values, x, independent, torch.arange(300) // 10)
    assert alone[0] > 0.99
    assert both[0] > 0.99
    assert max(alone[1], both[1]) < 0.02
    assert 0.4 < alone[2] < 0.6
    assert both[2] > 0.99, "the earlier column explains the remainder"
    one_block = torch.zeros(300, dtype=torch.long)
    assert not torch.stack(explained(values, x, independent, one_block)).any(), (
        "one block: nothing can be held out"
    )


def test_both_together_are_one_ridge_regression():
    g = torch.Generator().manual_seed(2)
    x = torch.randn(120, 4, generator=g)
    independent = standardised(
        x @ torch.randn(4, 2, generator=g) + torch.randn(120, 2, generator=g)
    )
    values = standardised(independent + x[:, :2] + torch.randn(120, 2, generator=g))
    block = torch.arange(120) // 8
    _, both = explained(values, x, independent, block)
    for r in range(2):
        columns, y, error = (
            torch.column_stack([x, independent[:, r]]).double().numpy(),
            values[:, r].double().numpy(),
            0.0,
        )
        for fold in range(N_FOLDS):
            test = (block % N_FOLDS == fold).numpy()
            xt, yt = columns[~test], y[~test]
            weight = np.linalg.solve(
                xt.T @ xt / len(xt) + RIDGE_TFS * np.eye(5), xt.T @ yt / len(xt)
            )
            error += ((y[test] - columns[test] @ weight) ** 2).sum()
        assert float(both[r]) == pytest.approx(1 - error / (y**2).sum(), abs=1e-5)


def test_the_held_out_share_of_a_copy_is_one_and_of_noise_zero():
    g = torch.Generator().manual_seed(6)
    x = torch.randn(300, 3, generator=g)
    values = torch.stack([5 + 2 * x[:, 0], torch.randn(300, generator=g), torch.ones(300)], 1)
    copy, noise, constant = held_out_share(values, x, torch.arange(300) // 10)
    assert copy > 0.99
    assert noise < 0.05
    assert constant == 0
    assert not held_out_share(values, x, torch.zeros(300, dtype=torch.long)).any(), "one block"
