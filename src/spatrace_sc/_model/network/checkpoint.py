"""A fitted model as plain arrays, so that it can be stored in the user's file, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..config import ModelConfig
from ..fit import Fit
from ..records import Weights
from .signal_network import SignalNetwork

#: Buffers that hold the scales of the network and give it its sizes.
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
    """Network parameters, sparse weights and scales as numpy arrays.

    Dots in parameter names become double underscores.
    """
    network = {
        name.replace(".", "__"): value.cpu().numpy()
        for name, value in fit.network.state_dict().items()
    }
    target_sd = fit.target_sd.cpu().numpy()
    return {
        "network": network,
        "rows": fit.weights.rows.cpu().numpy(),
        "values": fit.weights.values.cpu().numpy(),
        "penalty": float(fit.weights.penalty),
        "target_mean": fit.target_mean.cpu().numpy(),
        "target_sd": np.where(np.isfinite(target_sd), target_sd, 0.0),
    }


def from_arrays(
    arrays: dict[str, Any], config: ModelConfig, device: torch.device
) -> tuple[SignalNetwork, Weights]:
    """Network and weights from :func:`to_arrays`."""
    state = {
        name.replace("__", "."): torch.as_tensor(np.array(value), device=device)
        for name, value in arrays["network"].items()
    }
    pairs = (state["pair_ligand"], state["pair_receptor"])
    n_tf_columns = len(state["gates"]) - len(pairs[0])
    n_tfs, n_receptors, n_ligands = (
        len(state[f"{name}_mean"]) for name in ("tf", "receptor", "exposure")
    )
    sizes = (n_tfs, n_receptors, n_ligands, n_tf_columns)
    network = SignalNetwork(config, sizes, pairs, {k: state[k] for k in SCALES}).to(device)
    network.load_state_dict(state)
    network.eval()
    rows, values = (torch.as_tensor(np.array(arrays[k]), device=device) for k in ("rows", "values"))
    return network, Weights(rows.long(), values, float(arrays["penalty"]))
