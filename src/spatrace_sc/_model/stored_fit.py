"""A fit that is stored when it is done, and read instead of done again."""

from __future__ import annotations

from typing import Any

import torch

from .config import Config
from .fit import Fit, fit
from .network.checkpoint import from_arrays, to_arrays
from .network.signal_network import Attended, AttentionWeights
from .records import Problem
from .runtime.stored_steps import ArrayStore, stored_step

#: Records that a stored fit is made of.
RECORDS = {record.__name__: record for record in (AttentionWeights, Attended)}
#: Fields of a fit that are stored as they are.
FIELDS = (
    *("attention", "attended", "target_mean", "target_sd", "held_out", "r2"),
    *("error_without_covariates", "history"),
)


def stored_fit(problem: Problem, config: Config, *, seed: int, store: ArrayStore | None) -> Fit:
    """Return :func:`spatrace_sc._model.fit.fit`, from the store if it is there."""
    if store is None:
        return fit(problem, config, seed=seed)
    new: list[Fit] = []

    def compute() -> dict[str, Any]:
        new.append(fit(problem, config, seed=seed))
        return {"model": to_arrays(new[0]), **{name: getattr(new[0], name) for name in FIELDS}}

    values = stored_step(store, "fit", compute, RECORDS)
    if new:
        return new[0]
    device = problem.targets.device
    network, weights = from_arrays(values.pop("model"), config.model, device)
    return Fit(network, weights, **{name: _on(values[name], device) for name in FIELDS})


def _on(value: Any, device: torch.device) -> Any:
    """Return a tensor, or the tensors of a record, on a device; other values as they are."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, AttentionWeights | Attended):
        return type(value)(*(part.to(device) for part in value))
    return value
