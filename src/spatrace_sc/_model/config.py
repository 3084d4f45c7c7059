"""Options of the model, of its training and of its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .._errors import InvalidArgumentError
from ._config_rules import (
    Rule,
    broken_rules,
    choice,
    integer,
    non_negative,
    positive,
    share,
    share_or_one,
    share_or_zero,
    switch,
)


@dataclass(frozen=True)
class ModelConfig:
    """Shape of the network."""

    n_lags: int = integer(3, least=1)
    """Number of earlier steps on the path of a predicted cell."""
    d_model: int = integer(32, least=1)
    """Width of the transformer."""
    n_heads: int = integer(4, least=1)
    """Number of attention heads of the transformer; it divides ``d_model``."""
    n_layers: int = integer(1, least=1)
    """Number of layers of the transformer."""
    dropout: float = share_or_zero(0.1)
    """Dropout rate inside the transformer."""
    hill_exponent: float = positive(1.0)
    """Exponent n of the saturating signal x^n / (x^n + K^n)."""
    hill_quantile: float = share(0.6)
    """Half-saturation K of a pair, as a quantile of its exposure × receptor.

    The quantile is taken over the training cells in which the product is positive.
    """
    gate_rank: int = integer(4, least=1)
    """Rank of the matrix by which a cell's context modulates the regulators."""
    gate_limit: float = share_or_zero(0.5)
    """Gates lie within 1 ± this limit."""
    neighbourhood_covariates: bool = switch(True)
    """Whether the state of a cell's neighbourhood competes with the regulators, as a covariate.

    It protects against hidden fields. Where there are none it can be left out;
    ``st.tl.controls(adata, over={"neighbourhood_covariates": [True, False]})`` compares both.
    """


@dataclass(frozen=True)
class TrainingConfig:
    """Options for fitting the network and the regulatory weights."""

    max_epochs: int = integer(40, least=0)
    """Largest number of passes over the training cells, for the attention and for the gates."""
    patience: int = integer(5, least=0)
    """Number of passes without a lower held-out error before training stops."""
    batch_size: int = integer(256, least=1)
    """Number of cells per gradient step."""
    learning_rate: float = positive(3e-3)
    """Learning rate of Adam."""
    weight_decay: float = non_negative(1e-4)
    """Weight decay of Adam on the transformer."""
    gate_penalty: float = non_negative(1e-2)
    """Weight of the mean squared gate in the objective."""
    held_out: float = share(0.2)
    """Share of the cells, in spatial blocks, that training does not see."""
    n_folds: int = integer(3, least=2)
    """Number of folds of spatial blocks on which the penalty is chosen."""
    n_penalties: int = integer(12, least=2)
    """Number of penalties to try, evenly spaced on a logarithmic scale."""
    penalty_ratio: float = share(0.03)
    """Smallest penalty as a share of the largest one, at which every weight is 0."""
    penalty_slack: float = share_or_zero(0.1)
    """Share of the best held-out gain that may be given up for a larger penalty."""
    adaptation: float = positive(0.3)
    """Floor of the strength of a pair in the second pass.

    The second pass divides the penalty of a pair by this floor plus the strength of the pair,
    relative to the pairs that act. The factor stays within 0.6 to 3.
    """
    past_penalty: float = positive(1.2)
    """Penalty of a TF's level in earlier cells, relative to the penalty of its level now."""
    max_iterations: int = integer(300, least=1)
    """Largest number of proximal-gradient steps per penalty."""
    tolerance: float = positive(1e-4)
    """The proximal-gradient steps stop once no weight changes by more than this."""
    precision: str = choice("float32", "bf16")
    """Precision of the matrix products in training steps, ``"float32"`` or ``"bf16"``.

    With ``"bf16"``, products of the transformer and of regulators with their weights are taken
    in bfloat16, on any device. Held-out errors and all tables are computed in single precision
    from the trained model.
    """
    cuda_graphs: bool = switch(False)
    """Record a training step on a GPU and replay it, to save starting its kernels one by one.

    It changes nothing on a CPU or with several processes.
    """


@dataclass(frozen=True)
class EvidenceConfig:
    """Options for p-values, q-values and stability."""

    n_resamples: int = integer(10, least=2)
    """Number of refits, each on a random share of the spatial blocks with new decoy genes."""
    sample_share: float = share_or_one(0.75)
    """Share of the spatial blocks in a refit.

    With 1 nothing is resampled: standard errors are NaN, and no pair can be distinguished
    from one that resembles it.
    """
    smallest_share: float = share_or_zero(0.3)
    """Minimum meaningful effect of a TF, as a share of the joint effect of all TFs on a target.

    The test of a TF edge asks whether its effect is larger than this minimum.
    """
    smallest_pair_share: float = share_or_zero(0.2)
    """Least strength of a pair that can be significant, as a share of the strength of all pairs
    with the same ligand or the same receptor.
    """
    n_workers: int = integer(0, least=0)
    """Number of refits that run at a time, each on one core; 0 takes as many as torch has threads.

    It changes no result. On a GPU one refit runs at a time.
    """
    n_permutations: int = integer(99, least=1)
    """Number of permutations of cell types for :func:`spatrace_sc.get.communication`.

    Cell types are permuted within squares of the slice.
    :func:`spatrace_sc.tl.communication` takes more permutations.
    """


SECTIONS = {"model": ModelConfig, "training": TrainingConfig, "evidence": EvidenceConfig}


@dataclass(frozen=True)
class Config:
    """Configuration of :func:`spatrace_sc.tl.infer_ccc`.

    The defaults are meant to work unattended. Change a value with :func:`dataclasses.replace`,
    or pass only the part that changes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> config = st.Config(evidence=st.EvidenceConfig(n_resamples=50))
    >>> config.model.n_lags
    3
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    """Shape of the network."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Options for fitting the network and the regulatory weights."""
    evidence: EvidenceConfig = field(default_factory=EvidenceConfig)
    """Options for p-values, q-values and stability."""
    n_blocks: int = integer(8, least=2)
    """Number of spatial blocks along the longer side of a slice.

    Held-out cells and resamples are drawn by block.
    """
    max_edges: int = integer(5_000_000, least=1)
    """With more candidate edges than this, tables list only the strongest."""
    max_pairs: int = integer(0, least=0)
    """Largest number of ligand–receptor pairs that compete in the refits.

    With more pairs than this, the strongest pairs of a fit of all pairs compete, and each of
    their decoys also counts for the pairs that do not. With 0 the limit is
    5 · 10¹¹ / ((targets + TFs) × receivers), about an hour of one core for ten refits, and
    never fewer than 5 000.
    """
    max_activity: int = integer(200, least=1)
    """Number of pairs, the strongest first, whose per-cell activity is stored."""
    progress: bool = switch(True)
    """Show progress bars with a time estimate for steps of more than a few seconds."""

    def __post_init__(self) -> None:
        for name, kind in SECTIONS.items():
            if not isinstance(getattr(self, name), kind):
                raise InvalidArgumentError(
                    f"`config`: {name} must be a spatrace_sc.{kind.__name__}, "
                    f"found {getattr(self, name)!r}."
                )
        for name, rule, value in self._broken_rules():
            raise InvalidArgumentError(
                f"`config`: {name} must be {rule.text}, found {value!r}. "
                "See spatrace_sc.Config for what each value means."
            )
        if self.model.d_model % self.model.n_heads:
            raise InvalidArgumentError(
                "`config`: model.d_model must be a multiple of model.n_heads, "
                f"found {self.model.d_model} and {self.model.n_heads}. See spatrace_sc.Config."
            )

    def _broken_rules(self) -> Iterator[tuple[str, Rule, object]]:
        """Full name, rule and value of every option that breaks its rule."""
        for section in SECTIONS:
            for name, rule, value in broken_rules(getattr(self, section)):
                yield f"{section}.{name}", rule, value
        yield from broken_rules(self)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionary of plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Configuration from the dictionary of :meth:`to_dict`, also after a file was read."""

        def plain(items: Mapping[str, Any]) -> dict[str, Any]:
            return {k: getattr(v, "item", lambda v=v: v)() for k, v in items.items()}

        sections = {name: kind(**plain(values[name])) for name, kind in SECTIONS.items()}
        return cls(**sections, **plain({k: v for k, v in values.items() if k not in SECTIONS}))
