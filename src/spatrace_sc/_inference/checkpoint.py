"""Checkpoint of an inference: which computation it belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._data.checkpoint_folder import CheckpointFolder
from .._errors import InvalidArgumentError
from .._model.config import Config
from .._model.runtime.distributed import is_active
from .._study.prior_penalties import Prior, tables_of
from .._study.records import Study

#: Options that do not change the result.
IRRELEVANT = ("progress", "n_workers")


def open_checkpoint(
    path: str | os.PathLike[str] | None,
    study: Study,
    config: Config,
    seed: int,
    prior: Prior | None,
) -> CheckpointFolder | None:
    """Return the folder of a checkpoint, None without a path.

    Raises
    ------
    InvalidArgumentError
        If the folder belongs to other data or settings (the message says which differ), cannot be
        written, or several processes share the inference.
    """
    if path is None:
        return None
    if is_active():
        raise InvalidArgumentError(
            "`checkpoint` works in one process only; several processes share this inference."
        )
    label = {
        "kind": "inference",
        "expression": _digest(study.target, study.tf, study.receptor, study.sender_ligand),
        "cells": _digest(study.time, study.cells.coords, study.cells.types, study.cells.sample),
        "neighbours": _digest(study.weights.indices, study.weights.data),
        "transitions": _digest(study.backward.indices, study.backward.data),
        "covariates": _digest(study.named_covariates.to_numpy(dtype=float)),
        "genes": _digest(*(names for names in study.genes.to_mapping().values())),
        "config": _text(_relevant(config.to_dict())),
        "prior": _digest(*(_of_table(table) for table in tables_of(prior))),
        "seed": str(seed),
        "version": _keys.CHECKPOINT_FORM,
    }
    return CheckpointFolder(path, label)


def _digest(*arrays: NDArray[Any]) -> str:
    """Return a digest of arrays of numbers or names."""
    digest = hashlib.sha256()
    for array in arrays:
        values = np.asarray(array)
        if values.dtype.kind in "OUS":
            digest.update("\x1f".join(map(str, values.ravel())).encode())
        else:
            digest.update(np.ascontiguousarray(values).tobytes())
        digest.update(str(values.shape).encode())
    return digest.hexdigest()[:24]


def _of_table(table: pd.DataFrame) -> NDArray[Any]:
    return np.asarray(pd.util.hash_pandas_object(table.astype(str), index=False))


def _text(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:24]


def _relevant(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that change the result."""
    return {
        name: _relevant(value) if isinstance(value, dict) else value
        for name, value in options.items()
        if name not in IRRELEVANT
    }
