"""Run an inference on data that have been read, and describe how it was run.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from .._inference.checkpoint import open_checkpoint
from .._inference.run import run
from .._model.config import Config
from .._model.runtime.distributed import shows
from .._result import NewResult
from .._settings import settings
from .._study.prior_penalties import Prior, describe_prior
from .._study.records import Study
from .._study.source import Source

logger = logging.getLogger("spatrace_sc")


def inferred(
    study: Study,
    source: Source,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    prior: Prior | None,
    checkpoint: str | os.PathLike[str] | None,
) -> tuple[NewResult, dict[str, Any]]:
    """Return the result of an inference, and its arguments as they are stored."""
    store = open_checkpoint(checkpoint, study, config, seed, prior)
    shown = replace(config, progress=shows(config.progress and settings.progress))
    started = time.perf_counter()
    try:
        result = run(study, shown, seed, device, prior, store)
    except KeyboardInterrupt:
        how = (
            "Name a folder with `checkpoint=` to be able to continue."
            if store is None
            else f"The same call continues with what `checkpoint={str(store.path)!r}` holds."
        )
        logger.warning("Interrupted: the data are unchanged. %s", how)
        raise
    logger.info("Inference took %.1f s on %s.", time.perf_counter() - started, device)
    used = source.resolved(
        np.unique(study.sender_types).tolist(),
        np.unique(study.receiver_types).tolist(),
        *(study.radius, study.genes.complexes),
    )
    return result, used.to_params() | _stated_radius(source.radius, study) | {
        "prior": describe_prior(prior),
        "seed": seed,
        "device": str(device),
        "config": config.to_dict(),
    }


def _stated_radius(radius: float | str | None, study: Study) -> dict[str, Any]:
    """Return the radius as it was given, and in µm if the size of a unit is known; "" for None."""
    scale, given = study.um_per_unit, "" if radius is None else radius
    return {
        "radius_given": given if isinstance(given, str) else float(given),
        "radius_um": "" if scale is None else float(study.radius * scale),
        "um_per_unit": "" if scale is None else float(scale),
    }
