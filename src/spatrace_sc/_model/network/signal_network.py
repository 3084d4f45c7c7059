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

#: Cells at a time, on a CPU, when the network runs over all of them.
CELL_BATCH = 1024


class AttentionWeights(NamedTuple):
    """Shares of the steps of a path, and the context of each cell that they follow from."""

    tf: Tensor
    """(B, K) shares for TFs."""
    receptor: Tensor
    """(B, K+1) shares for receptors."""
    exposure: Tensor
    """(B, K+1) shares for exposures."""
    context: Tensor
    """(B, d) contexts."""


class Attended(NamedTuple):
    """Input of the signals of each predicted cell, averaged over its path."""

    tf: Tensor
    """(B, 2F) log expression of TFs in earlier cells, then their level now."""
    receptor: Tensor
    """(B, R) receptor expression, linear."""
    exposure: Tensor
    """(B, L) exposure to ligands, linear."""


class TemporalAttention(nn.Module):
    """Shares over the existing steps of a path.

    α_k = softmax over k of bias_k + q(z) · key(token_k) / √d.
    """

    def __init__(self, d_model: int, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias)
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        nn.init.zeros_(self.query.weight)

    def forward(self, context: Tensor, tokens: Tensor, exists: Tensor) -> Tensor:
        """(B, d), (B, S, d), (B, S) → (B, S) shares, all zero where no step exists."""
        products = torch.einsum("bd,bsd->bs", self.query(context), self.key(tokens))
        logits = self.bias + products / math.sqrt(tokens.shape[-1])
        shares = torch.softmax(logits.float().masked_fill(~exists, -1e9), dim=-1)
        return shares * exists


class SignalNetwork(nn.Module):
    """Causal transformer over a cell's past that weighs its steps and modulates regulators.

    For a predicted cell with tokens u_K, ..., u_0 (TFs, receptors and exposures at each lag; lag 0
    has no TFs, and no token ever holds a target):

    - context z = encoder(u) at lag 0;
    - shares α_k = softmax over k of b_k + q(z) · key(u_k) / √d, for TFs and for exposures;
    - TF columns x_f = sum over k ≥ 1 of α_k TF_f(k), and the filtered level now;
    - dose of a pair D = (sum of α_k E_l(k)) × (sum of α_k R_r(k)), signal s = D^n / (D^n + K^n);
    - prediction y_g = sum over r of W_rg (1 + v_r(z)) (x_r - μ_r) / σ_r, with the gate
      v_r(z) = limit × tanh(V_r · m(z)).

    Receptors have fixed shares, proportional to exp(-k/2): averaging them reduces noise and is
    not meant to find a time. W is no parameter. It is solved for exactly
    (:mod:`spatrace_sc._model.regression.lasso`) and given to the objective.
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
        """(B, K+1, d) embedded steps; lag 0 holds no TF."""
        tf = (history.tf - self.tf_mean) / self.tf_sd
        tf = torch.cat([tf, tf.new_zeros(len(tf), 1, tf.shape[2])], dim=1)
        receptor = (torch.log1p(history.receptor) - self.receptor_mean) / self.receptor_sd
        exposure = (torch.log1p(history.exposure) - self.exposure_mean) / self.exposure_sd
        embedded: Tensor = self.embed(torch.cat([tf, receptor, exposure], dim=-1))
        return embedded + self.position

    def encode(self, tokens: Tensor, exists: Tensor, masks: Sequence[Masks] = ()) -> Tensor:
        """(B, K+1, d) contexts; each depends on its own step and earlier ones only.

        ``masks`` are dropout masks that were drawn beforehand.
        """
        steps = tokens.shape[1]
        later = torch.ones(steps, steps, dtype=torch.bool, device=tokens.device).triu(1)
        itself = torch.eye(steps, dtype=torch.bool, device=tokens.device)
        blocked = later | ~exists[:, None, :] & ~itself
        if masks:
            return encode_masked(self.encoder, tokens, blocked, list(masks))
        by_head = blocked.repeat_interleave(self.config.n_heads, dim=0)
        contexts: Tensor = self.encoder(tokens, mask=by_head)
        return contexts

    def draw_masks(self, n_cells: int) -> list[Masks]:
        """Dropout masks of a batch, one record per layer, on the CPU; empty without dropout."""
        return draw_masks(self.encoder, n_cells, self.config.n_lags + 1)

    def attend(self, history: History, masks: Sequence[Masks] = ()) -> AttentionWeights:
        """Attention weights of each predicted cell over its past."""
        tokens, exists = self.tokens(history), history.exists
        z = self.encode(tokens, exists, masks)[:, -1]
        tf = self.attend_tf(z, tokens[:, :-1], exists[:, :-1])
        receptor = self.receptor_share * exists
        receptor = receptor / receptor.sum(1, keepdim=True).clamp_min(1e-12)
        return AttentionWeights(tf, receptor, self.attend_exposure(z, tokens, exists), z)

    @torch.no_grad()
    def attend_all(self, history: History, batch: int | None = None) -> AttentionWeights:
        """Attention weights of all cells, in batches, without dropout or gradients."""
        self.eval()
        cells = torch.arange(len(history), device=history.exists.device)
        batch = batch or rows_at_once(self.floats_per_cell, cells.device, CELL_BATCH)
        pieces = [self.attend(history[i]) for i in cells.split(batch)]
        return AttentionWeights(*(torch.cat(batches) for batches in zip(*pieces, strict=True)))

    @property
    def floats_per_cell(self) -> int:
        """Numbers held for one cell: its steps, their embedding and the layer at work."""
        return (self.config.n_lags + 1) * (4 * self.embed.in_features + 16 * self.config.d_model)

    @staticmethod
    def gather(attention: AttentionWeights, history: History) -> Attended:
        """Averages of a history, which may be that of decoys, over the steps."""
        past_tf = torch.einsum("bs,bsf->bf", attention.tf, history.tf)
        return Attended(
            torch.cat([past_tf, history.tf_now], dim=1),
            torch.einsum("bs,bsr->br", attention.receptor, history.receptor),
            torch.einsum("bs,bsl->bl", attention.exposure, history.exposure),
        )

    def signal(self, exposure: Tensor, receptor: Tensor, pairs: Tensor) -> Tensor:
        """(B, L), (B, R), (A,) → (B, A) saturating signals of the given pairs, 0 to 1."""
        ligand, other = self.pair_ligand[pairs], self.pair_receptor[pairs]
        relative = exposure[:, ligand] * receptor[:, other] / self.half_dose[pairs]
        dose = relative**self.config.hill_exponent
        return dose / (1.0 + dose)

    def gate(self, context: Tensor, regulators: Tensor) -> Tensor:
        """(B, d), (A,) → (B, A) gates of the given TFs and pairs, within ± the limit.

        They are 0 before they are trained.
        """
        projected = self.modulate(context) @ self.gates[regulators].T
        return self.config.gate_limit * torch.tanh(projected)
