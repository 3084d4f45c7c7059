"""Run the inference on many control tissues: in parallel, with progress, resumed where it ended."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from tqdm.auto import tqdm

from ..._edges import TESTED_KINDS
from ..._errors import InvalidArgumentError
from ..._model.config import Config
from ..._result import Result
from ..._study.prior_penalties import Prior
from .draws import ControlTissue
from .outcomes import Outcome, outcome_of

logger = logging.getLogger("spatrace_sc")

#: File of a checkpoint folder that says what it belongs to.
LABEL = "controls.json"


class Checkpoint:
    """A folder that holds the outcome of every draw that is done.

    Every file is written under a temporary name and then moved into place, so that a run that is
    killed leaves whole files only.
    """

    def __init__(self, path: str | os.PathLike[str] | None, fingerprint: str):
        self._path = None if path is None else Path(path)
        if self._path is None:
            return
        if self._path.exists() and not self._path.is_dir():
            raise InvalidArgumentError(
                f"`checkpoint={os.fspath(self._path)!r}` is a file; name a folder."
            )
        label = self._path / LABEL
        if label.exists():
            if _fingerprint_in(label) != fingerprint:
                raise InvalidArgumentError(
                    f"`checkpoint={os.fspath(self._path)!r}` holds the controls of another result "
                    "or of other settings. Name another folder, or delete this one."
                )
        elif self._path.exists() and any(_is_foreign(file) for file in self._path.iterdir()):
            raise InvalidArgumentError(
                f"`checkpoint={os.fspath(self._path)!r}` is a folder with other files; name a new "
                "or an empty one."
            )
        self._path.mkdir(parents=True, exist_ok=True)
        self._write(LABEL, {"fingerprint": fingerprint})

    def done(self) -> dict[str, Outcome]:
        """Return the stored outcomes by name."""
        if self._path is None:
            return {}
        files = sorted(f for f in self._path.glob("draw *.json"))
        outcomes = [Outcome.from_json(json.loads(file.read_text())) for file in files]
        return {outcome.name: outcome for outcome in outcomes}

    def add(self, outcome: Outcome) -> None:
        """Store an outcome."""
        digest = hashlib.sha256(outcome.name.encode()).hexdigest()[:12]
        self._write(f"draw {digest}.json", outcome.to_json())

    def _write(self, name: str, content: object) -> None:
        if self._path is None:
            return
        temporary = self._path / f".{name}.{os.getpid()}"
        temporary.write_text(json.dumps(content))
        temporary.replace(self._path / name)


def _fingerprint_in(label: Path) -> object:
    """Return the fingerprint in a label, None if the file is not a label."""
    try:
        content = json.loads(label.read_text())
    except ValueError:
        return None
    return content.get("fingerprint") if isinstance(content, dict) else None


def _is_foreign(file: Path) -> bool:
    """Whether a file is not what a run leaves that was killed before it had written its label."""
    return not file.name.startswith(f".{LABEL}.")


def fingerprint(result: Result, *settings: object) -> str:
    """Return a digest of a result and of the settings of its controls.

    It is the same after the result has been written to a file and read.
    """
    digest = hashlib.sha256()
    config = replace(result.config, progress=False)
    inference = (result.source, config, result.seed, str(result.params.get("prior") or ""))
    digest.update(repr((inference, settings)).encode())
    digest.update(np.round(result.target_moments, 4).tobytes())
    for kind in TESTED_KINDS:
        table = result.table(kind)
        digest.update(np.round(table["q_value"].to_numpy(dtype=float), 3).tobytes())
    return digest.hexdigest()


def execute(
    tissues: Callable[[set[str]], Iterator[ControlTissue]],
    n_tissues: int,
    config: Config,
    device: str,
    prior: Prior | None,
    checkpoint: Checkpoint,
    *,
    n_jobs: int,
) -> list[Outcome]:
    """Return the outcomes of all control tissues, those of the checkpoint first.

    ``tissues`` yields the tissues whose names are not in its argument. With ``n_jobs`` above 1
    each tissue is run in a process of its own.
    """
    done = checkpoint.done()
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
    bar = tqdm(
        outcomes, "controls", total=n_tissues, initial=len(done), disable=not config.progress
    )
    for number, outcome in enumerate(bar):
        checkpoint.add(outcome)
        done[outcome.name] = outcome
        if number == 0 and len(done) < n_tissues:
            logger.info(
                "One control inference took %.0f s; the other %d take about %.1f min.",
                *(outcome.seconds, n_tissues - len(done)),
                outcome.seconds * (n_tissues - len(done)) / n_jobs / 60.0,
            )
    return [done[name] for name in sorted(done)]
