"""The record that holds one data set as arrays."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

logger = logging.getLogger("spatrace_sc")


@dataclass(frozen=True)
class Study:
    """One data set as arrays. Receivers and senders are rows of their own; genes of a role are in alphabetical order.

    ``weights`` (receivers, senders); ``sender_ligand`` (senders, L), ``exposure`` (receivers, L) and ``receptor`` (receivers, R) linear; ``tf`` (receivers, F) and ``target``
    (receivers, G) log-normalised; ``tf_noise`` (F,) what of a TF's variance is counting, ``level_noise`` (F,) the same of its level at ``tf_scale`` (:func:`levels`); ``unit`` (all cells,) linear value
    of one molecule, None if the data are not counts; ``backward`` (receivers, receivers) where a cell came from; ``state`` (receivers, receivers) earlier cells of nearly the same state, by which expression is denoised.
    """

    genes: dict[str, NDArray[np.str_]]
    receivers: NDArray[np.bool_]
    senders: NDArray[np.bool_]
    types: NDArray[np.str_]
    sample: NDArray[np.integer]
    stage: NDArray[np.integer]
    stages: list[str]
    time: NDArray[np.float64]
    coords: NDArray[np.float64]
    sender_coords: NDArray[np.float64]
    radius: float
    weights: sparse.csr_matrix
    sender_ligand: NDArray[np.float32]
    exposure: NDArray[np.float32]
    receptor: NDArray[np.float32]
    tf: NDArray[np.float32]
    tf_noise: NDArray[np.float64]
    level_noise: NDArray[np.float64]
    tf_scale: float
    unit: NDArray[np.float64] | None
    target: NDArray[np.float32]
    backward: sparse.csr_matrix
    state: sparse.csr_matrix
