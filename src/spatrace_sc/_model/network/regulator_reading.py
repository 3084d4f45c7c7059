"""Read a trained transformer: predictions, effects of silencing, and attention."""

from __future__ import annotations

import torch
from torch import Tensor

from ..runtime.memory import rows_at_once
from .regulator_attention import Readings, RegulatorAttention

#: Numbers in the largest intermediate array, on a GPU and on a CPU, where it should stay in the
#: cache; and the number of such arrays that are held at once.
MAX_NUMBERS, MAX_CPU_NUMBERS, ARRAYS_AT_ONCE = 20_000_000, 600_000, 4
#: Cells of a group over which attention is averaged, at most.
MAX_CELLS_PER_GROUP = 500


def parts_of(network: RegulatorAttention, data: Readings, rows: Tensor) -> tuple[Tensor, ...]:
    """Return cells in blocks, which are larger on a GPU with free memory."""
    n_targets, n_regulators = data.allowed.shape
    width = n_targets * (n_regulators * network.n_heads + 4 * network.target.shape[1])
    device = data.levels.device
    usual = (MAX_CPU_NUMBERS if device.type == "cpu" else MAX_NUMBERS) // width
    parts: tuple[Tensor, ...] = rows.split(
        rows_at_once(ARRAYS_AT_ONCE * width, device, max(1, usual))
    )
    return parts


@torch.no_grad()
def predict(network: RegulatorAttention, data: Readings, rows: Tensor) -> Tensor:
    """Return (n, G) predictions of some cells."""
    targets, allowed = data.every_target, data.allowed[None]
    return torch.cat(
        [network(data.levels[part], allowed, targets) for part in parts_of(network, data, rows)]
    )


@torch.no_grad()
def silence(network: RegulatorAttention, data: Readings, rows: Tensor, regulators: range) -> Tensor:
    """(regulators, G) signed effects of silencing each of some regulators, over some cells.

    An effect is the square root of the rise in the mean squared error, with the sign of the
    covariance of the level and the change of the prediction. It is 0 where a target may not
    read the regulator.
    """
    mean = data.levels[rows].mean(0)
    rise = data.targets.new_zeros((len(regulators), data.targets.shape[1]))
    slope = torch.zeros_like(rise)
    targets, allowed = data.every_target, data.allowed[None]
    for part in parts_of(network, data, rows):
        y, level = data.targets[part], data.levels[part]
        whole = network(level, allowed, targets)
        error = (y - whole).square()
        each = network.without_each(level, allowed, targets, regulators)
        for token, without in enumerate(each):
            rise[token] += ((y - without).square() - error).sum(0)
            slope[token] += (level - mean)[:, regulators[token]] @ (whole - without)
    effect = slope.sign() * (rise / len(rows)).clamp_min(0.0).sqrt()
    return effect * data.allowed.T[regulators.start : regulators.stop]


@torch.no_grad()
def attention_by_group(
    network: RegulatorAttention, data: Readings, members: Tensor, regulators: range
) -> Tensor:
    """(groups, regulators, G) mean attention of every target over the cells of each group.

    ``members`` (groups, N) is whether a cell belongs to a group. Of larger groups,
    :data:`MAX_CELLS_PER_GROUP` evenly spaced cells are read, and every cell only once.
    """
    members = torch.stack([_evenly_thinned(group, MAX_CELLS_PER_GROUP) for group in members])
    weight = members.to(data.levels) / members.sum(1, keepdim=True)
    n_targets = data.targets.shape[1]
    total = data.levels.new_zeros((len(members), n_targets * len(regulators)))
    rows = torch.nonzero(members.any(0))[:, 0]
    for part in parts_of(network, data, rows):
        share = network.attention(data.levels[part], data.allowed[None], data.every_target)
        chosen = share[..., regulators.start : regulators.stop]
        total += weight[:, part] @ chosen.reshape(len(part), -1)
    return total.view(len(members), n_targets, len(regulators)).transpose(1, 2)


def _evenly_thinned(member: Tensor, n: int) -> Tensor:
    """(N,) mask of at most ``n`` of the members, evenly spaced in their order."""
    rows = torch.nonzero(member)[:, 0]
    if len(rows) <= n:
        return member
    chosen = torch.zeros_like(member)
    chosen[rows[torch.arange(n, device=rows.device) * len(rows) // n]] = True
    return chosen
