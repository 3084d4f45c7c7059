"""Run the inference on many control tissues: in parallel, with progress, resumed where it ended."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from ... import _keys
from ..._data.checkpoint_folder import CheckpointFolder, digest, digest_of_tables
from ..._edges import TESTED_KINDS
from ..._model.config import Config
from ..._result import Result
from ..._study.prior_penalties import Prior, tables_of
from .draws import ControlTissue
from .outcomes import Outcome, outcome_of

logger = logging.getLogger("spatrace_sc")


def open_outcomes(
    path: str | os.PathLike[str] | None, result: Result, prior: Prior | None, *settings: object
) -> CheckpointFolder | None:
    """Return the folder of a checkpoint of controls, None without a path."""
    return None if path is None else CheckpointFolder(path, label_of(result, prior, *settings))


def label_of(result: Result, prior: Prior | None, *settings: object) -> dict[str, str]:
    """Return what the controls of a result are recognised by.

    It is the same after the result has been written to a file and read.
    """
    described = str(result.params.get("prior") or "")
    inference = (result.source, replace(result.config, progress=False), result.seed, described)
    q_values = [result.table(kind)["q_value"].to_numpy(dtype=float) for kind in TESTED_KINDS]
    return {
        "kind": "controls",
        "result": digest(
            repr(inference),
            np.round(result.target_moments, 4),
            *(np.round(values, 3) for values in q_values),
        ),
        "prior": digest_of_tables(tables_of(prior)),
        "settings": digest(repr(settings)),
        "version": _keys.CHECKPOINT_FORM,
    }


def _stored(folder: CheckpointFolder | None) -> dict[str, Outcome]:
    """Return the stored outcomes by name."""
    if folder is None:
        return {}
    contents = (folder.read_json(name) for name in folder.names(".draw.json"))
    outcomes = [Outcome.from_json(content) for content in contents if content is not None]
    return {outcome.name: outcome for outcome in outcomes}


def _store(folder: CheckpointFolder | None, outcome: Outcome) -> None:
    if folder is not None:
        folder.write_json(f"{digest(outcome.name)}.draw.json", outcome.to_json())


def execute(
    tissues: Callable[[set[str]], Iterator[ControlTissue]],
    n_tissues: int,
    config: Config,
    device: str,
    prior: Prior | None,
    folder: CheckpointFolder | None,
    *,
    n_jobs: int,
    progress: bool,
) -> list[Outcome]:
    """Return the outcomes of all control tissues, those of the checkpoint first.

    ``tissues`` yields the tissues whose names are not in its argument. With ``n_jobs`` above 1
    each tissue is run in a process of its own.
    """
    done = _stored(folder)
    if done:
        logger.info(
            "%d of %d control inferences are taken from the checkpoint.", *(len(done), n_tissues)
        )
    silent = replace(config, progress=False)
    waiting = tissues(set(done))
    outcomes = (
        (outcome_of(tissue, silent, device, prior) for tissue in waiting)
        if n_jobs == 1
        else Parallel(n_jobs=n_jobs, return_as="generator_unordered", pre_dispatch="n_jobs")(
            delayed(outcome_of)(tissue, silent, device, prior) for tissue in waiting
        )
    )
    bar = tqdm(outcomes, "controls", total=n_tissues, initial=len(done), disable=not progress)
    for number, outcome in enumerate(bar):
        _store(folder, outcome)
        done[outcome.name] = outcome
        if number == 0 and len(done) < n_tissues:
            logger.info(
                "One control inference took %.0f s; the other %d take about %.1f min.",
                *(outcome.seconds, n_tissues - len(done)),
                outcome.seconds * (n_tissues - len(done)) / n_jobs / 60.0,
            )
    return [done[name] for name in sorted(done)]
