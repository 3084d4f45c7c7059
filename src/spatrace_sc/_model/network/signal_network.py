"""The whole network on one screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..config import ModelConfig
from ..records import History
from ..runtime.memory import rows_at_once
from .encoder import Masks, draw_masks, encode_masked


class Look(NamedTuple):
    """When to look: weights over the steps for TFs (B, K), receptors and exposures (B, K+1), and the ``context`` (B, d) they follow from."""

    tf: Tensor
    receptor: Tensor
    exposure: Tensor
    context: Tensor


class Attended(NamedTuple):
    """What reaches a predicted cell: ``tf`` (B, 2F) log expression in earlier cells and level now, ``receptor`` (B, R) and ``exposure`` (B, L) linear."""

    tf: Tensor
    receptor: Tensor
    exposure: Tensor


class TemporalAttention(nn.Module):
    """Weights over the steps of a path: ``α_k = softmax_k(bias_k + q(z)·key(token_k) / √d)`` over the steps that exist."""

    def __init__(self, d_model: int, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias)
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        nn.init.zeros_(self.query.weight)

    def forward(self, context: Tensor, tokens: Tensor, exists: Tensor) -> Tensor:
        """(B, d), (B, S, d), (B, S) → (B, S); all zero where no step exists."""
        logits = self.bias + torch.einsum(
            "bd,bsd->bs", self.query(context), self.key(tokens)
        ) / math.sqrt(tokens.shape[-1])
        weights = torch.softmax(logits.float().masked_fill(~exists, -1e9), dim=-1)
        return weights * exists


class SignalNetwork(nn.Module):
    r"""Causal transformer over a cell's past that says when to look and how regulators are modulated.

    For a predicted cell with tokens :math:`u_K, \dots, u_0` (TFs, receptors, exposures at each lag; lag 0 has no TFs and never a target):

    .. math::
        z &= \mathrm{encoder}(u)_0, \quad \alpha^c_k = \mathrm{softmax}_k(b^c_k + q^c(z) \cdot key^c(u_k) / \sqrt d) \\
        x_f &= \textstyle\sum_{k \ge 1} \alpha^{tf}_k\, TF_f(k) \text{ and } \hat{TF}_f(0), \quad
        D_{lr} = (\sum_k \alpha^{E}_k E_l(k)) (\sum_k \alpha^{R}_k R_r(k)), \quad
        s_{lr} = \frac{D^n}{D^n + K_{lr}^n} \\
        \hat y_g &= \textstyle\sum_r W_{rg}\, (1 + v_r(z))\, \frac{x_r - \mu_r}{\sigma_r}, \quad v_r(z) = limit \cdot \tanh(V_r \cdot m(z))

    Receptors have fixed weights, :math:`\alpha^R_k \propto e^{-k/2}`: averaging them is denoising, not timing. *W* is not a parameter: it is solved for exactly (:mod:`spatrace_sc._model.regression.lasso`) and given to the objective.
    """

    pair_ligand: Tensor
    pair_receptor: Tensor
    receptor_share: Tensor
    half_dose: Tensor
    tf_mean: Tensor
    tf_sd: Tensor
    receptor_mean: Tensor
    receptor_sd: Tensor
    exposure_mean: Tensor
    exposure_sd: Tensor

    def __init__(
        self,
        config: ModelConfig,
        sizes: tuple[int, int, int, int],
        pairs: tuple[Tensor, Tensor],
        scale: dict[str, Tensor],
    ) -> None:
        super().__init__()
        self.config = config
        n_tf, n_receptor, n_ligand, n_tf_columns = sizes
        d, lags = config.d_model, config.n_lags
        for name, value in scale.items():
            self.register_buffer(name, value)
        self.register_buffer("pair_ligand", pairs[0])
        self.register_buffer("pair_receptor", pairs[1])
        self.register_buffer("receptor_share", torch.exp(0.5 * torch.arange(-lags, 1.0)))
        self.embed = nn.Linear(n_tf + n_receptor + n_ligand, d)
        self.position = nn.Parameter(0.02 * torch.randn(lags + 1, d))
        layer = nn.TransformerEncoderLayer(
            d, config.n_heads, 2 * d, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, config.n_layers, nn.LayerNorm(d), enable_nested_tensor=False
        )
        recent = -torch.arange(lags, -1, -1.0)  # lag K … 0: -K … 0
        self.attend_tf = TemporalAttention(d, recent[:-1].clone())
        self.attend_exposure = TemporalAttention(d, 3.0 * recent)
        self.modulate = nn.Linear(d, config.gate_rank)
        self.gates = nn.Parameter(torch.zeros(n_tf_columns + len(pairs[0]), config.gate_rank))

    def tokens(self, history: History) -> Tensor:
        """(B, K+1, d) embedded steps. Lag 0 holds no TF."""
        tf = (history.tf - self.tf_mean) / self.tf_sd
        tf = torch.cat([tf, tf.new_zeros(len(tf), 1, tf.shape[2])], dim=1)
        receptor = (torch.log1p(history.receptor) - self.receptor_mean) / self.receptor_sd
        exposure = (torch.log1p(history.exposure) - self.exposure_mean) / self.exposure_sd
        embedded: Tensor = self.embed(torch.cat([tf, receptor, exposure], dim=-1))
        return embedded + self.position

    def encode(self, tokens: Tensor, exists: Tensor, masks: Sequence[Masks] = ()) -> Tensor:
        """(B, K+1, d) contexts; the one at a step depends on that step and earlier ones only. ``masks``: what dropout keeps, drawn beforehand."""
        steps = tokens.shape[1]
        later = torch.ones(steps, steps, dtype=torch.bool, device=tokens.device).triu(1)
        blocked = later | ~exists[:, None, :] & ~torch.eye(
            steps, dtype=torch.bool, device=tokens.device
        )
        if masks:
            return encode_masked(self.encoder, tokens, blocked, list(masks))
        contexts: Tensor = self.encoder(
            tokens, mask=blocked.repeat_interleave(self.config.n_heads, dim=0)
        )
        return contexts

    def draw_masks(self, n_cells: int) -> list[Masks]:
        """What dropout keeps of a batch, one record a layer, drawn on the CPU; empty without dropout."""
        return draw_masks(self.encoder, n_cells, self.config.n_lags + 1)

    def look(self, history: History, masks: Sequence[Masks] = ()) -> Look:
        """Where in its past each predicted cell looks."""
        tokens, exists = self.tokens(history), history.exists
        z = self.encode(tokens, exists, masks)[:, -1]
        tf = self.attend_tf(z, tokens[:, :-1], exists[:, :-1])
        receptor = self.receptor_share * exists
        receptor = receptor / receptor.sum(1, keepdim=True).clamp_min(1e-12)
        return Look(tf, receptor, self.attend_exposure(z, tokens, exists), z)

    @torch.no_grad()
    def look_all(self, history: History, batch: int | None = None) -> Look:
        """Where every cell looks, in batches, without dropout or gradients."""
        self.eval()
        every = torch.arange(len(history), device=history.exists.device)
        batch = batch or rows_at_once(self.floats_per_cell, every.device, 1024)
        parts = [self.look(history[i]) for i in every.split(batch)]
        return Look(*(torch.cat(p) for p in zip(*parts, strict=True)))

    @property
    def floats_per_cell(self) -> int:
        """Numbers held for one cell while it is looked at: its steps, their embedding and the layer at work."""
        return (self.config.n_lags + 1) * (4 * self.embed.in_features + 16 * self.config.d_model)

    @staticmethod
    def gather(look: Look, history: History) -> Attended:
        """What it sees there; ``history`` may be that of decoys."""
        return Attended(
            torch.cat([torch.einsum("bs,bsf->bf", look.tf, history.tf), history.tf_now], dim=1),
            torch.einsum("bs,bsr->br", look.receptor, history.receptor),
            torch.einsum("bs,bsl->bl", look.exposure, history.exposure),
        )

    def signal(self, exposure: Tensor, receptor: Tensor, pairs: Tensor) -> Tensor:
        """(B, L), (B, R), (A,) → (B, A) saturating signal of the given pairs, 0 to 1."""
        left, right = self.pair_ligand[pairs], self.pair_receptor[pairs]
        dose = (
            exposure[:, left] * receptor[:, right] / self.half_dose[pairs]
        ) ** self.config.hill_exponent
        return dose / (1.0 + dose)

    def gate(self, context: Tensor, regulators: Tensor) -> Tensor:
        """(B, d), (A,) → (B, A) modulation of the given TFs and pairs, within ± the limit; 0 before it is trained."""
        return self.config.gate_limit * torch.tanh(
            self.modulate(context) @ self.gates[regulators].T
        )
