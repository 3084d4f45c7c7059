"""The transformer encoder with dropout whose masks are drawn beforehand, for a whole batch.

The library's layers draw masks while they run. Here they are drawn first, on the CPU, for all cells of a batch: processes that take a slice of the batch each, and a GPU, then leave out the same numbers as one process on a CPU does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Masks(NamedTuple):
    """What one layer keeps of n cells: of the attention (n, heads, S, S), of what it says (n, S, d), of the hidden numbers (n, S, 2 d) and of their output (n, S, d)."""

    attention: Tensor
    said: Tensor
    hidden: Tensor
    output: Tensor

    def part(self, cells: slice, device: torch.device) -> Masks:
        """Those of some cells, on a device."""
        return Masks(*(_moved(m[cells], device) for m in self))

    def fill(self, masks: Masks) -> None:
        """Take over those of other cells, in place, without waiting for the device."""
        for mine, theirs in zip(self, masks, strict=True):
            mine.copy_(_moved(theirs, mine.device))


def _moved(mask: Tensor, device: torch.device) -> Tensor:
    """On the device, without waiting for it."""
    if device.type != "cuda" or mask.device.type == "cuda":
        return mask
    return mask.contiguous().pin_memory().to(device, non_blocking=True)


def draw_masks(encoder: nn.TransformerEncoder, n_cells: int, n_steps: int) -> list[Masks]:
    """Masks of every layer, on the CPU, in the order in which the library's layers draw theirs on a CPU. None without dropout."""
    drawn = []
    for layer in encoder.layers:
        rate, d, heads = layer.dropout.p, layer.linear1.in_features, layer.self_attn.num_heads
        if rate == 0:
            return []
        shapes = [
            (n_cells, heads, n_steps, n_steps),
            (n_steps, n_cells, d),
            (n_cells, n_steps, layer.linear1.out_features),
            (n_cells, n_steps, d),
        ]
        attention, said, hidden, output = (
            torch.empty(s, dtype=torch.bool).bernoulli_(1.0 - rate) for s in shapes
        )
        drawn.append(Masks(attention, said.transpose(0, 1), hidden, output))
    return drawn


def encode_masked(
    encoder: nn.TransformerEncoder, x: Tensor, blocked: Tensor, masks: list[Masks]
) -> Tensor:
    """(n, S, d), (n, S, S) → (n, S, d): what the encoder computes in training, with these masks. Layers normalise first and take GELU."""
    may = torch.zeros_like(blocked, dtype=x.dtype).masked_fill_(blocked, -math.inf)
    for layer, mask in zip(encoder.layers, masks, strict=True):
        keep = 1.0 - layer.dropout.p
        x = x + _kept(
            _attend(layer.self_attn, layer.norm1(x), may, mask.attention, keep), mask.said, keep
        )
        hidden = _kept(F.gelu(layer.linear1(layer.norm2(x))), mask.hidden, keep)
        x = x + _kept(layer.linear2(hidden), mask.output, keep)
    return x if encoder.norm is None else encoder.norm(x)


def _kept(x: Tensor, mask: Tensor, keep: float) -> Tensor:
    return x * mask.to(x.dtype).div_(keep)


def _attend(
    attention: nn.MultiheadAttention, x: Tensor, may: Tensor, mask: Tensor, keep: float
) -> Tensor:
    """Self-attention of (n, S, d); in the order of operations of the library, so that sums round alike."""
    (n, steps, d), heads = x.shape, attention.num_heads
    qkv = F.linear(x.transpose(0, 1), attention.in_proj_weight, attention.in_proj_bias).unflatten(
        -1, (3, d)
    )
    q, k, v = (
        t.reshape(steps, n * heads, d // heads).transpose(0, 1).view(n, heads, steps, d // heads)
        for t in qkv.unbind(-2)
    )
    scale = math.sqrt(math.sqrt(heads / d))
    weights = torch.softmax((q * scale) @ (k.transpose(-2, -1) * scale) + may[:, None], dim=-1)
    said = (_kept(weights, mask, keep) @ v).permute(2, 0, 1, 3).reshape(steps * n, d)
    out: Tensor = attention.out_proj(said)
    return out.view(steps, n, d).transpose(0, 1)
