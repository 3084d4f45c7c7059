"""What can be set about the model, its training and its evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the network."""

    n_lags: int = 3
    """Steps of a path before the predicted cell."""
    d_model: int = 32
    """Width of the transformer."""
    n_heads: int = 4
    """Heads of the transformer; divides ``d_model``."""
    n_layers: int = 1
    """Layers of the transformer."""
    dropout: float = 0.1
    """Dropout inside the transformer."""
    hill_exponent: float = 1.0
    """Exponent n of the saturating signal x^n / (x^n + K^n)."""
    hill_quantile: float = 0.6
    """K starts at this quantile of exposure × receptor over training cells."""
    gate_rank: int = 4
    """Rank of the modulation of regulators by a cell's context."""
    gate_limit: float = 0.5
    """A gate lies within 1 ± this."""


@dataclass(frozen=True)
class TrainingConfig:
    """How the network and its weights are fitted."""

    max_epochs: int = 40
    """Passes over the training cells, at most, for attention and saturation, and again for the gates."""
    patience: int = 5
    """Passes without a lower held-out error before training stops."""
    batch_size: int = 256
    """Cells per step."""
    learning_rate: float = 3e-3
    """Of Adam."""
    weight_decay: float = 1e-4
    """Of Adam, on the transformer."""
    gate_penalty: float = 1e-2
    """Weight of the mean squared gate in the objective."""
    shape_penalty: float = 1e-2
    """Weight of the squared logarithms of learnt half-saturation constants."""
    held_out: float = 0.2
    """Share of the cells, in spatial blocks, that training does not see."""
    n_folds: int = 3
    """Folds of blocks on which the penalty is chosen."""
    n_penalties: int = 12
    """Penalties tried, spaced evenly on a logarithmic scale."""
    penalty_ratio: float = 0.03
    """Smallest penalty as a share of the largest, the one that keeps nothing."""
    penalty_slack: float = 0.1
    """The largest penalty is taken that gives up at most this share of the best held-out gain."""
    adaptation: float = 0.3
    """Second pass: a regulator's penalty is divided by this plus its strength relative to those that act, within 0.6 to 3."""
    max_iterations: int = 300
    """Proximal-gradient steps per penalty."""
    tolerance: float = 1e-4
    """Largest change of a weight at which the steps stop."""


@dataclass(frozen=True)
class EvidenceConfig:
    """How p, q and stability are obtained."""

    n_resamples: int = 10
    """Refits on a random share of the spatial blocks, each against newly drawn decoy genes."""
    sample_share: float = 0.75
    """Share of the spatial blocks in a refit."""
    n_permutations: int = 99
    """Permutations of senders within slices, for :func:`spatrace_sc.get.communication`."""


@dataclass(frozen=True)
class Config:
    """Configuration of :func:`spatrace_sc.tl.infer_ccc`.

    The defaults are meant to work unattended. Change a value with :func:`dataclasses.replace` or by giving only the part you change.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> config = st.Config(evidence=st.EvidenceConfig(n_resamples=50))
    >>> config.model.n_lags
    3
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    n_blocks: int = 8
    """Spatial blocks along the longer side of a slice; held-out cells and resamples are drawn by block."""
    max_edges: int = 5_000_000
    """With more candidate edges than this, tables list the strongest only."""
    max_activity: int = 200
    """Pairs, the strongest first, whose per-cell activity is stored."""
    progress: bool = True
    """Progress bars with a time estimate on what takes longer than a few seconds."""

    def __post_init__(self) -> None:
        model, training, evidence = self.model, self.training, self.evidence
        rules = {
            "model.n_lags": model.n_lags >= 1,
            "model.d_model": model.d_model >= 1 and model.d_model % model.n_heads == 0,
            "model.dropout": 0 <= model.dropout < 1,
            "model.hill_exponent": model.hill_exponent > 0,
            "model.hill_quantile": 0 < model.hill_quantile < 1,
            "model.gate_rank": model.gate_rank >= 1,
            "model.gate_limit": 0 <= model.gate_limit < 1,
            "training.max_epochs": training.max_epochs >= 0,
            "training.batch_size": training.batch_size >= 1,
            "training.held_out": 0 < training.held_out < 1,
            "training.n_folds": training.n_folds >= 2,
            "training.n_penalties": training.n_penalties >= 2,
            "training.penalty_ratio": 0 < training.penalty_ratio < 1,
            "training.penalty_slack": 0 <= training.penalty_slack < 1,
            "training.adaptation": training.adaptation > 0,
            "training.max_iterations": training.max_iterations >= 1,
            "evidence.n_resamples": evidence.n_resamples >= 2,
            "evidence.sample_share": 0 < evidence.sample_share <= 1,
            "evidence.n_permutations": evidence.n_permutations >= 1,
            "n_blocks": self.n_blocks >= 2,
            "max_edges": self.max_edges >= 1,
            "max_activity": self.max_activity >= 1,
        }
        wrong = [name for name, holds in rules.items() if not holds]
        if wrong:
            raise ValueError(
                f"`config` has values that cannot be used: {', '.join(wrong)}. See spatrace_sc.Config for what each means."
            )

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionary of plain values."""
        return asdict(self)
