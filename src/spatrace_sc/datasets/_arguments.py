"""Checks of the simulator's arguments."""

from __future__ import annotations

from typing import Any

from .._check import at_least_zero, positive, share_below_one, whole
from .._errors import InvalidArgumentError

#: Smallest value of each whole-number argument.
MINIMUM = {
    "n_cells": 50,
    "n_stages": 1,
    "n_slices": 1,
    "n_ligands": 1,
    "n_receptors": 1,
    "n_pairs": 1,
    "n_tfs": 2,
    "n_targets": 1,
    "n_background": 0,
    "n_sender_types": 1,
    "n_receiver_types": 1,
}
#: Smallest number of cells of a slice.
MIN_CELLS_PER_SLICE = 10


def check_arguments(parameters: dict[str, Any]) -> None:
    """Raise if a tissue cannot be simulated; the message names the argument and its value."""
    for name, minimum in MINIMUM.items():
        whole(parameters[name], name, minimum)
    for name in ("receiver_fraction", "decoy_fraction", "decoy_likeness", "dropout"):
        share_below_one(parameters[name], name)
    for name in ("noise", "signal_strength"):
        at_least_zero(parameters[name], name)
    for name in ("depth", "dispersion", "receiver_fraction"):
        positive(parameters[name], name)
    n_slices = parameters["n_stages"] * parameters["n_slices"]
    if parameters["n_cells"] < MIN_CELLS_PER_SLICE * n_slices:
        raise InvalidArgumentError(
            f"`n_cells={parameters['n_cells']}` is too few for `n_stages` × `n_slices` = "
            f"{n_slices} slices of at least {MIN_CELLS_PER_SLICE} cells."
        )
