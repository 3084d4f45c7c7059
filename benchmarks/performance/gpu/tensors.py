"""Tensors of given sizes, made on the device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from spatrace_sc._model.records import History, Problem


class Size(NamedTuple):
    """Sizes of the tensors that are trained on."""

    cells: int
    targets: int
    ligands: int
    receptors: int
    tfs: int
    lags: int = 3


def synthetic(size: Size, device: torch.device, seed: int = 100) -> Problem:
    """Return tensors of the given sizes; the targets are noise."""
    n, g, le, r, f, k = size
    generator = torch.Generator(device).manual_seed(seed)

    def rand(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    exists = torch.ones(n, k + 1, dtype=torch.bool, device=device)
    none = torch.empty((2, 0), dtype=torch.long, device=device)
    numbers = torch.arange(le * r, device=device)
    return Problem(
        history=History(rand(n, k, f), rand(n, f), rand(n, k + 1, r), rand(n, k + 1, le), exists),
        pair_ligand=numbers // r,
        pair_receptor=numbers % r,
        tf_gene=torch.arange(f, device=device).repeat(2),
        tf_count=rand(n, f),
        tf_noise=torch.zeros(f, device=device),
        tf_state=rand(n, f),
        receptor_level=rand(n, r),
        target_past=rand(n, g),
        covariates=rand(n, 4),
        targets=torch.randn((n, g), generator=generator, device=device),
        usable=exists[:, 0],
        block=torch.arange(n, device=device) // max(1, n // 64),
        penalty=torch.ones(2 * f + le * r + 4, device=device),
        tf_penalty=None,
        forbidden=none,
        forbidden_on_tfs=none,
    )
