"""Training of the network whose tokens are TFs: no step waits for the device."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from _pretend_gpu import on_gpu, pretend_gpu
from torch.overrides import TorchFunctionMode
from torch.profiler import profile

from spatrace_sc._model.config import Config, TrainingConfig
from spatrace_sc._model.network import regulator_reading, regulator_training
from spatrace_sc._model.network.regulator_attention import Readings
from spatrace_sc._model.network.regulator_reading import predict
from spatrace_sc._model.network.regulator_training import BATCH, train
from spatrace_sc._model.runtime import memory

#: One pass over the cells, after which the error is computed once.
CONFIG = Config(training=TrainingConfig(max_epochs=1), progress=False)
#: Numbers of steps that are compared.
FEW, MANY = 2, 5


def readings(device="cpu", n_tfs=4, n_targets=6):
    generator = torch.Generator().manual_seed(0)
    levels = torch.randn(BATCH * MANY, n_tfs, generator=generator)
    targets = torch.randn(BATCH * MANY, n_targets, generator=generator)
    allowed = torch.ones(n_targets, n_tfs, dtype=torch.bool)
    return Readings(*(x.to(device) for x in (levels, targets, allowed)))


def trained(n_steps, data):
    rows = torch.arange(BATCH * n_steps).to(data.levels.device)
    return train(data, rows, rows[:50], CONFIG, torch.Generator().manual_seed(1))


def numbers_read(n_steps):
    """How often a training asks the device for a number."""
    waiting = ("aten::_local_scalar_dense", "aten::nonzero")
    with profile() as attended:
        trained(n_steps, readings())
    return {e.key: e.count for e in attended.key_averages() if e.key in waiting}


def test_no_step_asks_the_device_for_a_number(monkeypatch):
    """AdamW counts its steps on the CPU wherever the parameters are, so it is replaced."""
    descent = partial(torch.optim.SGD, lr=1e-3)
    monkeypatch.setattr(
        torch.optim, "AdamW", lambda parameters, lr, weight_decay: descent(parameters)
    )
    assert numbers_read(FEW) == numbers_read(MANY)
    loss = torch.nn.functional.mse_loss
    with monkeypatch.context() as patch:
        patch.setattr(
            regulator_training.F,
            "mse_loss",
            lambda x, y: loss(x, y) * (1 + 0 * float(x.detach()[0, 0])),
        )
        assert numbers_read(FEW) != numbers_read(MANY), "a step that waits is not noticed"


class WaitingCopies(TorchFunctionMode):
    """Counts the copies to the GPU that the host waits for."""

    n = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        before = on_gpu(args[0]) if function is torch.Tensor.to else True
        result = function(*args, **(kwargs or {}))
        if not before and on_gpu(result) and not (kwargs or {}).get("non_blocking"):
            self.n += 1
        return result


def copies(n_steps):
    data = readings("cuda")
    with WaitingCopies() as counted:
        network = trained(n_steps, data)
    assert on_gpu(network.output)
    return counted.n


@pytest.mark.skipif(
    torch.version.cuda is not None and not torch.cuda.is_available(),
    reason="a CUDA build without a GPU cannot pin memory",
)
def test_no_step_waits_for_a_copy(monkeypatch):
    with monkeypatch.context() as patch, pretend_gpu(patch):
        assert copies(FEW) == copies(MANY)
        patch.setattr(regulator_training, "moved", lambda tensor, device: tensor.to(device))
        assert copies(FEW) < copies(MANY), "a copy that waits is not noticed"


@pytest.mark.parametrize("free", [4e5, 4e7])
def test_a_gpu_predicts_in_blocks_that_fit_its_free_memory(monkeypatch, free):
    """The predictions do not depend on the size of the blocks."""
    data, sizes = readings(), []
    network = trained(1, data)
    expected = predict(network, data, torch.arange(300))
    at_once = memory.rows_at_once

    def noted(floats, device, usual):
        sizes.append((floats, at_once(floats, device, 10)))
        return sizes[-1][1]

    monkeypatch.setattr(memory, "free_on", lambda device: int(free))
    monkeypatch.setattr(regulator_reading, "rows_at_once", noted)
    found = predict(network, data, torch.arange(300))
    torch.testing.assert_close(found, expected)
    ((floats, cells),) = sizes
    assert cells == min(160, int(free / 4 / (4 * floats)))
