"""A fitted model as plain arrays, so that it lives in the user's file, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..config import Config, EvidenceConfig, ModelConfig, TrainingConfig
from ..fit import Fit, observe
from ..records import Problem, Weights
from ..regression.design import Design
from .signal_network import SignalNetwork
from .training import gates_of

#: Buffers that give the network its sizes.
SCALES = (
    "tf_mean",
    "tf_sd",
    "receptor_mean",
    "receptor_sd",
    "exposure_mean",
    "exposure_sd",
    "half_dose",
)


def to_arrays(fit: Fit) -> dict[str, Any]:
    """Network parameters, sparse weights and scales as numpy arrays; dots in parameter names become double underscores."""
    network = {
        name.replace(".", "__"): value.cpu().numpy()
        for name, value in fit.network.state_dict().items()
    }
    return {
        "network": network,
        "rows": fit.weights.rows.cpu().numpy(),
        "values": fit.weights.values.cpu().numpy(),
        "penalty": float(fit.weights.penalty),
        "target_mean": fit.target_mean.cpu().numpy(),
        "target_sd": np.where(
            np.isfinite(fit.target_sd.cpu().numpy()), fit.target_sd.cpu().numpy(), 0.0
        ),
    }


def from_arrays(
    arrays: dict[str, Any], config: ModelConfig, device: torch.device
) -> tuple[SignalNetwork, Weights]:
    """Network and weights from :func:`to_arrays`."""
    state = {
        name.replace("__", "."): torch.as_tensor(np.array(value), device=device)
        for name, value in arrays["network"].items()
    }
    n_columns = len(state["gates"]) - len(state["pair_ligand"])
    sizes = (
        len(state["tf_mean"]),
        len(state["receptor_mean"]),
        len(state["exposure_mean"]),
        n_columns,
    )
    network = SignalNetwork(
        config, sizes, (state["pair_ligand"], state["pair_receptor"]), {k: state[k] for k in SCALES}
    ).to(device)
    network.load_state_dict(state)
    network.eval()
    rows, values = (torch.as_tensor(np.array(arrays[k]), device=device) for k in ("rows", "values"))
    return network, Weights(rows.long(), values, float(arrays["penalty"]))


def config_from(stored: dict[str, Any]) -> Config:
    """Configuration from its nested dictionary, as it comes back from a file."""

    def plain(values: dict[str, Any]) -> dict[str, Any]:
        return {
            k: v.item() if isinstance(v, np.generic | np.ndarray) else v for k, v in values.items()
        }

    parts = {"model": ModelConfig, "training": TrainingConfig, "evidence": EvidenceConfig}
    rest = plain({k: v for k, v in stored.items() if k not in parts})
    return Config(**{k: kind(**plain(dict(stored[k]))) for k, kind in parts.items()}, **rest)


@torch.no_grad()
def predict(network: SignalNetwork, weights: Weights, problem: Problem) -> Tensor:
    """(N, G) predicted targets, standardised, with gates."""
    design: Design
    design, look, _ = observe(network, problem, problem.usable)
    gate = gates_of(network, look.context, weights.rows, problem)
    return (design[weights.rows] * (1.0 + gate)) @ weights.values
