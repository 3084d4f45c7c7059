"""The state of a fit that a phase of training starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ..config import Config
from ..records import Problem, Weights
from ..regression.design import Design
from .signal_network import SignalNetwork


@dataclass(frozen=True)
class FitState:
    """Network, weights and data of a fit between two of its steps.

    Training changes ``network`` and ``log`` in place and nothing else.
    """

    network: SignalNetwork
    problem: Problem
    design: Design
    """Regulators under the present attention."""
    targets: Tensor
    """(N, G) standardised targets whose error training lowers."""
    weights: Weights
    """Regulatory weights on the design."""
    training: Tensor
    """(N,) mask of the training cells."""
    held_out: Tensor
    """(N,) mask of the held-out cells, by which training stops."""
    config: Config
    log: list[dict[str, float | str]] = field(default_factory=list)
    """Errors of every epoch, by phase."""

    @property
    def floats_per_cell(self) -> int:
        """Numbers held for one cell while its error is computed."""
        n_regulators, n_targets = self.weights.values.shape
        return self.network.floats_per_cell + 6 * n_regulators + 3 * n_targets
