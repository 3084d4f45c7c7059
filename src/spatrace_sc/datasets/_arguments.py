"""Checks of the simulator's arguments."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from .._check import positive, whole
from .._errors import InvalidArgumentError

SMALLEST = {"n_cells": 50, "n_tfs": 2, "n_background": 0, "seed": 0}
SMALLEST |= dict.fromkeys(
    ("n_stages", "n_slices", "n_ligands", "n_receptors", "n_pairs", "n_targets"), 1
)
SMALLEST |= dict.fromkeys(("n_sender_types", "n_receiver_types"), 1)
#: Cells that a slice needs at least.
PER_SLICE = 10


def check_arguments(parameters: dict[str, Any]) -> None:
    """Refuse what cannot be simulated, naming the argument and what was found."""
    for name, low in SMALLEST.items():
        value = parameters[name]
        if isinstance(value, numbers.Integral) and not isinstance(value, bool) and value < low:
            raise InvalidArgumentError(f"`{name}` must be at least {low}, found {value!r}.")
        whole(value, name, low)
    for name in ("receiver_fraction", "decoy_fraction", "decoy_likeness", "dropout"):
        if not _number(parameters[name]) or not 0 <= parameters[name] < 1:
            raise InvalidArgumentError(f"`{name}` must be in [0, 1), found {parameters[name]!r}.")
    for name in ("noise", "signal_strength"):
        if not _number(parameters[name]) or parameters[name] < 0:
            raise InvalidArgumentError(
                f"`{name}` must be a number of at least 0, found {parameters[name]!r}."
            )
    for name in ("depth", "dispersion", "receiver_fraction"):
        positive(parameters[name], name)
    slices = parameters["n_stages"] * parameters["n_slices"]
    if parameters["n_cells"] < PER_SLICE * slices:
        raise InvalidArgumentError(
            f"`n_cells={parameters['n_cells']}` is too few for `n_stages` × `n_slices` = {slices} slices of at least {PER_SLICE} cells."
        )


def _number(value: object) -> bool:
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and bool(np.isfinite(float(value)))
    )
