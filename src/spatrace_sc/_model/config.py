"""What can be set about the model, its training and its evidence."""

from __future__ import annotations

import math
import numbers
from dataclasses import asdict, dataclass, field
from typing import Any

from .._errors import InvalidArgumentError


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
    """Half-saturation K of a pair, as this quantile of its exposure × receptor over the training cells in which that is positive."""
    gate_rank: int = 4
    """Rank of the modulation of regulators by a cell's context."""
    gate_limit: float = 0.5
    """A gate lies within 1 ± this."""


@dataclass(frozen=True)
class TrainingConfig:
    """How the network and its weights are fitted."""

    max_epochs: int = 40
    """Passes over the training cells, at most, for attention, and again for the gates."""
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
    """In the second pass a pair's penalty is divided by this plus its strength relative to the pairs that act, within 0.6 to 3."""
    past_penalty: float = 1.2
    """Penalty of a TF's level in earlier cells relative to that of its level now."""
    max_iterations: int = 300
    """Proximal-gradient steps per penalty."""
    tolerance: float = 1e-4
    """Largest change of a weight at which the steps stop."""
    precision: str = "float32"
    """``"bf16"``: products of the transformer, and of regulators with their weights, in bfloat16 in the steps of training, on any device. What is measured on held-out cells and every table are computed in single precision from what was trained."""
    cuda_graphs: bool = False
    """Record a step of training on a GPU and play it again, which saves starting its kernels one by one. Changes nothing on a CPU or with several processes."""


@dataclass(frozen=True)
class EvidenceConfig:
    """How p, q and stability are obtained."""

    n_resamples: int = 10
    """Refits on a random share of the spatial blocks, each against newly drawn decoy genes."""
    sample_share: float = 0.75
    """Share of the spatial blocks in a refit. With 1 nothing is resampled, standard errors are NaN, and no pair can be told from one that resembles it."""
    smallest_share: float = 0.2
    """Smallest effect of a TF worth naming, as a share of what TFs do to the target together; tested against."""
    n_workers: int = 0
    """Refits at a time, each on one core of its own; with 0 as many as torch has threads. Changes no result. On a GPU one."""
    n_permutations: int = 99
    """Permutations of cell types within squares of the slice, for :func:`spatrace_sc.get.communication`; :func:`spatrace_sc.tl.communication` takes more."""


WHOLE, COUNT, PLURAL = (
    "a whole number of at least 1",
    "a whole number of at least 0",
    "a whole number of at least 2",
)
POSITIVE, WEIGHT, SHARE, PART = (
    "a positive number",
    "a number of at least 0",
    "above 0 and below 1",
    "at least 0 and below 1",
)
UP_TO_ONE, SWITCH = "above 0 and at most 1", "True or False"
PRECISIONS = ("float32", "bf16")
PRECISION = " or ".join(map(repr, PRECISIONS))

#: What every value must be.
RULES = {
    WHOLE: (
        *(f"model.{k}" for k in ("n_lags", "d_model", "n_heads", "n_layers", "gate_rank")),
        *(f"training.{k}" for k in ("batch_size", "max_iterations")),
        *("evidence.n_permutations", "max_edges", "max_activity"),
    ),
    COUNT: ("training.max_epochs", "training.patience", "evidence.n_workers", "max_pairs"),
    PLURAL: ("training.n_folds", "training.n_penalties", "evidence.n_resamples", "n_blocks"),
    POSITIVE: (
        "model.hill_exponent",
        "training.learning_rate",
        "training.adaptation",
        "training.past_penalty",
        "training.tolerance",
    ),
    WEIGHT: ("training.weight_decay", "training.gate_penalty"),
    SHARE: ("model.hill_quantile", "training.held_out", "training.penalty_ratio"),
    PART: (
        "model.dropout",
        "model.gate_limit",
        "training.penalty_slack",
        "evidence.smallest_share",
    ),
    UP_TO_ONE: ("evidence.sample_share",),
    SWITCH: ("progress", "training.cuda_graphs"),
    PRECISION: ("training.precision",),
}


def _holds(rule: str, value: object) -> bool:
    if rule == SWITCH:
        return isinstance(value, bool)
    if rule == PRECISION:
        return isinstance(value, str) and value in PRECISIONS
    if (
        isinstance(value, bool)
        or not isinstance(value, numbers.Real)
        or not math.isfinite(float(value))
    ):
        return False
    lows = {WHOLE: 1, COUNT: 0, PLURAL: 2}
    if rule in lows:
        return isinstance(value, numbers.Integral) and int(value) >= lows[rule]
    number = float(value)
    return {
        POSITIVE: number > 0,
        WEIGHT: number >= 0,
        SHARE: 0 < number < 1,
        PART: 0 <= number < 1,
        UP_TO_ONE: 0 < number <= 1,
    }[rule]


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
    max_pairs: int = 0
    """With more ligand–receptor pairs than this, the ones that are strongest in a fit of all of them compete, and each of their decoys counts for all that do not. With 0 5 · 10¹¹ / ((targets + TFs) × receivers), about an hour of one core for ten refits, and never fewer than 5 000."""
    max_activity: int = 200
    """Pairs, the strongest first, whose per-cell activity is stored."""
    progress: bool = True
    """Progress bars with a time estimate on what takes longer than a few seconds."""

    def __post_init__(self) -> None:
        parts = {"model": ModelConfig, "training": TrainingConfig, "evidence": EvidenceConfig}
        for name, kind in parts.items():
            if not isinstance(getattr(self, name), kind):
                raise InvalidArgumentError(
                    f"`config`: {name} must be a spatrace_sc.{kind.__name__}, found {getattr(self, name)!r}."
                )
        for rule, names in RULES.items():
            for name in names:
                value: Any = self
                for step in name.split("."):
                    value = getattr(value, step)
                if not _holds(rule, value):
                    raise InvalidArgumentError(
                        f"`config`: {name} must be {rule}, found {value!r}. See spatrace_sc.Config for what each value means."
                    )
        if self.model.d_model % self.model.n_heads:
            raise InvalidArgumentError(
                f"`config`: model.d_model must be a multiple of model.n_heads, found {self.model.d_model} and {self.model.n_heads}. See spatrace_sc.Config."
            )

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionary of plain values."""
        return asdict(self)
