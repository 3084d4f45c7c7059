"""Solutions, inverses and determinants against numpy, also with several threads."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from spatrace_sc._model.evidence import positive_definite

MANY_TFS = """
import torch
from spatrace_sc._model.evidence.latent_model import fit_model, likelihood, start_model
torch.set_num_threads(2)
x = torch.randn(400, 196, dtype=torch.float64)
moments = (x.T @ x / 400).expand(4, -1, -1) + torch.eye(196, dtype=torch.float64)
noise = torch.full((192,), 0.3, dtype=torch.float64)
model = start_model(moments, noise, 1)
assert torch.isfinite(model.effect).all()
assert torch.isfinite(likelihood(moments, noise, model)).all()
print("done")
"""


def matrices(n, batch=(3,)):
    x = torch.randn(*batch, n, n + 5, dtype=torch.float64)
    return x @ x.mT / n + 0.1 * torch.eye(n, dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 4, 30])
def test_results_are_those_of_numpy(n):
    a, right = matrices(n), torch.randn(3, n, 2, dtype=torch.float64)
    x = positive_definite.solve(a, right)
    np.testing.assert_allclose(x, np.linalg.solve(a.numpy(), right.numpy()), atol=1e-9)
    np.testing.assert_allclose(
        positive_definite.inverse(a), np.linalg.inv(a.numpy()), rtol=1e-8, atol=1e-8
    )
    np.testing.assert_allclose(
        positive_definite.log_determinant(a), np.linalg.slogdet(a.numpy())[1], atol=1e-9
    )


def test_one_matrix_serves_many_right_sides():
    a, right = matrices(6, ()), torch.randn(5, 6, 2, dtype=torch.float64)
    expected = np.linalg.solve(a.numpy()[None], right.numpy())
    np.testing.assert_allclose(positive_definite.solve(a, right), expected, atol=1e-9)


def test_many_tfs_on_two_threads_neither_fail_nor_wait_for_ever():
    environment = os.environ | {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", MANY_TFS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr[-2000:]
