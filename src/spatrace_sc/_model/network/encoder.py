"""Transformer encoder with dropout whose masks are drawn beforehand, for a whole batch.

The layers of torch draw masks while they run. Here masks are drawn first, on the CPU, for all
cells of a batch. Processes that take a slice of the batch each, and a GPU, then drop the same
numbers as one process on a CPU does.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Masks(NamedTuple):
    """Dropout masks of one layer for n cells and S steps, True where a number is kept."""

    attention: Tensor
    """(n, heads, S, S) attention weights."""
    attention_output: Tensor
    """(n, S, d) output of the attention."""
    hidden: Tensor
    """(n, S, 2 d) hidden units of the feed-forward network."""
    output: Tensor
    """(n, S, d) output of the feed-forward network."""

    def subset(self, cells: slice, device: torch.device) -> Masks:
        """Masks of a slice of the cells, on a device."""
        return Masks(*(moved(m[cells], device) for m in self))

    def fill(self, masks: Masks) -> None:
        """Copy the masks of other cells, in place, without waiting for the device."""
        for target, source in zip(self, masks, strict=True):
            target.copy_(moved(source, target.device))


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """A mask or indices drawn on the CPU, on a device, without waiting for it."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor
    return tensor.contiguous().pin_memory().to(device, non_blocking=True)


def draw_masks(encoder: nn.TransformerEncoder, n_cells: int, n_steps: int) -> list[Masks]:
    """Masks of every layer, on the CPU; an empty list without dropout.

    They are drawn in the order in which the layers of torch draw theirs on a CPU.
    """
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
        attention, attention_output, hidden, output = (
            torch.empty(shape, dtype=torch.bool).bernoulli_(1.0 - rate) for shape in shapes
        )
        drawn.append(Masks(attention, attention_output.transpose(0, 1), hidden, output))
    return drawn


def encode_masked(
    encoder: nn.TransformerEncoder, x: Tensor, blocked: Tensor, masks: list[Masks]
) -> Tensor:
    """(n, S, d), (n, S, S) → (n, S, d) output of the encoder in training, with these masks.

    Layers normalise first and use GELU.
    """
    bias = torch.zeros_like(blocked, dtype=x.dtype).masked_fill_(blocked, -math.inf)
    for layer, mask in zip(encoder.layers, masks, strict=True):
        keep = 1.0 - layer.dropout.p
        attended = _attend(layer.self_attn, layer.norm1(x), bias, mask.attention, keep)
        x = x + _drop(attended, mask.attention_output, keep)
        hidden = _drop(F.gelu(layer.linear1(layer.norm2(x))), mask.hidden, keep)
        x = x + _drop(layer.linear2(hidden), mask.output, keep)
    return x if encoder.norm is None else encoder.norm(x)


def _drop(x: Tensor, mask: Tensor, keep: float) -> Tensor:
    return x * mask.to(x.dtype).div_(keep)


def _attend(
    attention: nn.MultiheadAttention, x: Tensor, bias: Tensor, mask: Tensor, keep: float
) -> Tensor:
    """Self-attention of (n, S, d), in torch's order of operations, so that sums round alike."""
    (n, steps, d), heads = x.shape, attention.num_heads
    projected = F.linear(x.transpose(0, 1), attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = (
        t.reshape(steps, n * heads, d // heads).transpose(0, 1).view(n, heads, steps, d // heads)
        for t in projected.unflatten(-1, (3, d)).unbind(-2)
    )
    scale = math.sqrt(math.sqrt(heads / d))
    logits = (q * scale) @ (k.transpose(-2, -1) * scale) + bias[:, None]
    weights = _drop(torch.softmax(logits, dim=-1), mask, keep)
    attended = (weights @ v).permute(2, 0, 1, 3).reshape(steps * n, d)
    out: Tensor = attention.out_proj(attended)
    return out.view(steps, n, d).transpose(0, 1)
