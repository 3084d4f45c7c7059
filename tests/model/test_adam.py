"""Steps of Adam by torch's functional form."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from spatrace_sc._model.network import adam
from spatrace_sc._model.network.adam import Adam


def steps(optimiser, parameters, n=25):
    torch.manual_seed(1)
    wanted = [torch.randn_like(p) for p in parameters]
    for _ in range(n):
        for p in parameters:
            p.grad = None
        sum((p - w).pow(4).sum() for p, w in zip(parameters, wanted, strict=True)).backward()
        optimiser.step()
    return [p.detach().clone() for p in parameters]


def made():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (5,), ())]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_are_those_of_adamw(decay):
    functional, reference = made(), made()
    actual = steps(Adam(functional, 0.03, decay), functional)
    expected = steps(
        torch.optim.AdamW(reference, lr=0.03, weight_decay=decay, foreach=False), reference
    )
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(actual[0], made()[0])


def test_a_parameter_without_gradient_stays():
    moved, still = made()[:2]
    before = still.detach().clone()
    optimiser = Adam([moved, still], 0.03, 0.1)
    moved.sum().backward()
    optimiser.step()
    assert torch.equal(still, before)
    assert not torch.equal(moved, made()[0])
    optimiser.clear_gradients()
    assert moved.grad is None


def test_torchs_compiler_is_not_imported():
    """The file is run alone: the rest of the package takes seconds to import."""
    code = """
import runpy, sys, torch
Adam = runpy.run_path(sys.argv[1])["Adam"]
p = torch.nn.Parameter(torch.ones(2))
optimiser = Adam([p], 0.1, 0.0)
p.sum().backward()
torch.nn.utils.clip_grad_norm_([p], 1.0)
optimiser.step()
sys.exit("torch._dynamo" in sys.modules)
"""
    command = [sys.executable, "-c", code, adam.__file__]
    assert subprocess.run(command, check=False).returncode == 0
