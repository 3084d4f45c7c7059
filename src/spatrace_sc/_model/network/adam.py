"""AdamW by the functional form of torch.

The class :class:`torch.optim.AdamW` imports torch's compiler when it is first made (70 MB, one
second), and nothing here uses the compiler.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

#: Defaults of torch: decay rates of the mean gradient and the mean squared gradient, and the
#: term that keeps their ratio finite.
BETAS, EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Steps of AdamW as :class:`torch.optim.AdamW` takes them.

    A parameter without a gradient does not move.
    """

    def __init__(
        self, parameters: Sequence[Tensor], learning_rate: float, weight_decay: float
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.fused = all(p.device.type == "cuda" for p in self.parameters)
        self.mean = [torch.zeros_like(p) for p in self.parameters]
        self.squared = [torch.zeros_like(p) for p in self.parameters]
        self.steps = [
            torch.zeros((), dtype=torch.float32, device=p.device if self.fused else "cpu")
            for p in self.parameters
        ]

    def clear_gradients(self) -> None:
        """Drop the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step along the gradients."""
        state = zip(self.parameters, self.mean, self.squared, self.steps, strict=True)
        moving = [(p, p.grad, *of_p) for p, *of_p in state if p.grad is not None]
        parameters, gradients, mean, squared, steps = (
            list(column) for column in zip(*moving, strict=True)
        )
        adamw(
            parameters,
            gradients,
            mean,
            squared,
            [],
            steps,
            fused=self.fused,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )
