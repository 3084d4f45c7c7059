"""A transformer whose tokens are regulators: every target attends to the TFs of the cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..config import ModelConfig

#: Hidden units by which the level of one regulator enters its token.
LEVEL_UNITS = 16
#: Standard deviations of the initial parameters: of units, of embeddings, and of the output.
UNIT_SD, EMBEDDING_SD, OUTPUT_SD = 0.7, 0.5, 0.3
#: Least share of attention that the other tokens have when one is hidden, against rounding.
MIN_REST = 1e-6


@dataclass(frozen=True)
class Readings:
    """Standardised input and output of the transformer.

    ``levels`` (N, F), ``targets`` (N, G), ``allowed`` (G, F) which regulators a target may read.
    """

    levels: Tensor
    targets: Tensor
    allowed: Tensor

    @property
    def every_target(self) -> Tensor:
        """(G,) indices of all targets."""
        return torch.arange(self.targets.shape[1], device=self.targets.device)


class RegulatorAttention(nn.Module):
    """Predict targets from the present levels of regulators.

    A token is the sum of the regulator's identity and of a non-linear embedding of its level.
    Each target is a query that attends to the tokens it is ``allowed`` to read, and to one more
    token that stands for no regulator. A feed-forward layer combines what it has read, so the
    effect of one regulator may depend on the others. Tokens do not attend to one another: the
    level of a gene never reaches its own prediction by way of another token.
    """

    def __init__(self, n_regulators: int, n_targets: int, config: ModelConfig) -> None:
        super().__init__()
        d = config.d_model
        self.n_heads = config.n_heads
        self.slope = nn.Parameter(UNIT_SD * torch.randn(n_regulators, LEVEL_UNITS))
        self.shift = nn.Parameter(UNIT_SD * torch.randn(n_regulators, LEVEL_UNITS))
        self.up = nn.Parameter(torch.randn(n_regulators, LEVEL_UNITS, d) / LEVEL_UNITS**0.5)
        self.regulator = nn.Parameter(EMBEDDING_SD * torch.randn(n_regulators, d))
        self.target = nn.Parameter(EMBEDDING_SD * torch.randn(n_targets, d))
        self.no_regulator = nn.Parameter(torch.zeros(1, d))
        self.normalise_query, self.normalise_hidden, self.normalise_output = (
            nn.LayerNorm(d) for _ in range(3)
        )
        self.query, self.key, self.value, self.mix = (nn.Linear(d, d) for _ in range(4))
        self.feed_forward = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.output = nn.Parameter(OUTPUT_SD * torch.randn(n_targets, d) / d**0.5)
        self.bias = nn.Parameter(torch.zeros(n_targets))

    def forward(self, levels: Tensor, allowed: Tensor, targets: Tensor) -> Tensor:
        """(n, F) standardised levels → (n, T) predictions of some targets.

        ``allowed`` is a mask that broadcasts to (n, T, F), ``targets`` (T,) are their indices.
        """
        return self._predict(self._read(levels, allowed, targets), targets)

    def without_each(
        self, levels: Tensor, allowed: Tensor, targets: Tensor, regulators: range
    ) -> Iterator[Tensor]:
        """Yield (n, T) predictions without one regulator at a time, its token hidden.

        The other tokens keep their proportions in the softmax, so their mean value without a
        token of share s and value v is (mean − s v) / (1 − s), and no attention is computed again.
        """
        share, value = self._attend(levels, allowed, targets)
        read = share @ value
        for regulator in regulators:
            hidden = share[..., regulator, None]
            rest = (1.0 - hidden).clamp_min(MIN_REST)
            yield self._predict((read - hidden * value[:, :, regulator, None]) / rest, targets)

    def attention(self, levels: Tensor, allowed: Tensor, targets: Tensor) -> Tensor:
        """(n, T, F) attention of each target to each regulator, averaged over the heads.

        Over the regulators it sums to at most 1; the rest goes to the token of no regulator.
        """
        share, _ = self._attend(levels, allowed, targets)
        return share.mean(dim=1)[..., :-1]

    def _read(self, levels: Tensor, allowed: Tensor, targets: Tensor) -> Tensor:
        """(n, heads, T, ·) mean values of the tokens, by the attention of each target."""
        share, value = self._attend(levels, allowed, targets)
        return share @ value

    def _predict(self, read: Tensor, targets: Tensor) -> Tensor:
        """(n, heads, T, ·) mean values of the tokens → (n, T) predictions."""
        hidden = self.target[targets] + self.mix(read.transpose(1, 2).flatten(2))
        hidden = hidden + self.feed_forward(self.normalise_hidden(hidden))
        weighted = self.normalise_output(hidden) * self.output[targets]
        predicted: Tensor = weighted.sum(dim=-1) + self.bias[targets]
        return predicted

    def _attend(self, levels: Tensor, allowed: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return (n, heads, T, F + 1) shares of attention and (n, heads, F + 1, ·) values."""
        query, key, value = self._project(levels, targets)
        # one product per head for the tokens of all cells
        rows = key.transpose(0, 1).flatten(1, 2)
        score = rows @ (query / query.shape[-1] ** 0.5).transpose(-1, -2)
        score = score.unflatten(1, (len(levels), -1)).transpose(0, 1)
        mask = F.pad(allowed, (0, 1), value=True).transpose(-1, -2)[:, None]
        hidden = torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -torch.inf)
        # the softmax is over the second last axis: over a short last one it is slow on a CPU
        share = (score + hidden).softmax(dim=-2)
        return share.transpose(-1, -2), value

    def _project(self, levels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (heads, T, ·) queries, and (n, heads, F + 1, ·) keys and values of the tokens."""
        unit = F.gelu(levels[:, :, None] * self.slope + self.shift)
        token = torch.einsum("nfu,fud->nfd", unit, self.up) + self.regulator
        token = torch.cat([token, self.no_regulator.expand(len(levels), 1, -1)], dim=1)
        query = self.query(self.normalise_query(self.target[targets]))
        query, key, value = (
            x.unflatten(-1, (self.n_heads, -1)).transpose(-2, -3)
            for x in (query, self.key(token), self.value(token))
        )
        return query, key, value
