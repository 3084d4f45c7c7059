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
    with torch.random.fork_rng(devices=[]):  # the first weights, replaced below, are drawn
        network = SignalNetwork(config, sizes, pairs, {k: state[k] for k in SCALES}).to(device)
    network.load_state_dict(state)
    network.eval()
    rows, values = (torch.as_tensor(np.array(arrays[k]), device=device) for k in ("rows", "values"))
    return network, Weights(rows.long(), values, float(arrays["penalty"]))


def check_parameters(
    arrays: dict[str, Any], config: ModelConfig, sizes: tuple[int, int, int, int]
) -> str:
    """Return what is wrong with stored parameters, "" if nothing is.

    ``sizes`` are the numbers of TFs, receptors, ligands, and columns of TFs. Nothing is allocated
    for the network that the configuration describes, whose sizes are compared first.
    """
    layers = {name.split("__")[2] for name in arrays if name.startswith("encoder__layers__")}
    described = (config.n_layers, config.d_model, config.n_lags + 1, config.gate_rank)
    stored = (len(layers), *(len(arrays.get(n, ())) for n in ("embed__bias", "position")))
    if described != (*stored, len(arrays.get("modulate__bias", ()))):
        return "the network is not the one that its configuration describes"
    n_pairs = sizes[1] * sizes[2]
    with torch.device("meta"):
        pairs = (torch.empty(n_pairs, dtype=torch.long), torch.empty(n_pairs, dtype=torch.long))
        lengths = {"tf": sizes[0], "receptor": sizes[1], "exposure": sizes[2]}
        scales = {name: torch.empty(lengths.get(name.split("_")[0], n_pairs)) for name in SCALES}
        expected = SignalNetwork(config, sizes, pairs, scales).state_dict()
    names = {name.replace(".", "__"): value for name, value in expected.items()}
    if set(names) != set(arrays):
        return f"the network has other parameters ({sorted(set(names) ^ set(arrays))[:3]})"
    for name, wanted in names.items():
        values = torch.as_tensor(np.asarray(arrays[name]))
        if values.shape != wanted.shape or values.dtype != wanted.dtype:
            return f"{name} is {tuple(values.shape)} {values.dtype}, not {tuple(wanted.shape)}"
        if not torch.isfinite(values).all():
            return f"{name} holds NaN or infinite values"
    ligand, receptor = (np.asarray(arrays[f"pair_{role}"]) for role in ("ligand", "receptor"))
    index = np.arange(n_pairs)
    if (ligand != index // sizes[1]).any() or (receptor != index % sizes[1]).any():
        return "the pairs are in another order"
    return ""
