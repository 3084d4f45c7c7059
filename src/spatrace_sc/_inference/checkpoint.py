"""Checkpoint of an inference: which computation it belongs to."""

from __future__ import annotations

import json
import os
from typing import Any

from .. import _keys
from .._data.checkpoint_folder import CheckpointFolder, digest, digest_of_tables
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
        "expression": digest(study.target, study.tf, study.receptor, study.sender_ligand),
        "cells": digest(study.time, study.cells.coords, study.cells.types, study.cells.sample),
        "neighbours": digest(study.weights.indices, study.weights.data),
        "transitions": digest(study.backward.indices, study.backward.data),
        "covariates": digest(study.named_covariates.to_numpy(dtype=float)),
        "genes": digest(*study.genes.to_mapping().values()),
        "config": digest(json.dumps(_relevant(config.to_dict()), sort_keys=True, default=str)),
        "prior": digest_of_tables(tables_of(prior)),
        "seed": str(seed),
        "version": _keys.CHECKPOINT_FORM,
    }
    if study.cells.mixture is not None:
        label["proportions"] = digest(*study.cells.mixture)
    return CheckpointFolder(path, label)


def _relevant(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that change the result."""
    return {
        name: _relevant(value) if isinstance(value, dict) else value
        for name, value in options.items()
        if name not in IRRELEVANT
    }
