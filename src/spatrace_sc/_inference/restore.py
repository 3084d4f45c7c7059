"""The model of a stored result, on the data it was fitted on."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .._check import shorten
from .._data.genes import names_by_label
from .._errors import DataError, SpatraceWarning
from .._model.config import Config
from .._model.fit import Fit, hold_out, observe
from .._model.network.checkpoint import config_from, from_arrays
from .._model.records import Problem
from .._result import stored
from .._study.problem import build_problem
from .._study.read import read_study
from .._study.records import Study
from .edge_tables import regulator_levels

logger = logging.getLogger("spatrace_sc")

#: Largest difference of a recomputed value from the stored one, in its standard deviations: on another device or with sums in another order it is 1e-3 at most.
TOLERANCE = 0.02
#: Parameters that are handed to :func:`read_study` as they are.
KEYS = (
    *("cell_type_key", "sample_key", "stage_key", "time_key"),
    *("spatial_key", "layer", "transitions_key"),
)


@dataclass(frozen=True)
class Restored:
    """A result with all that it came from, on the CPU, cells in the order of the inference. ``rows`` (receivers,): where in the data at hand they are now. ``fit`` holds the network, weights, where cells look and what reaches them; its ``history`` and ``r2`` are empty. ``result`` is ``uns[key]``."""

    study: Study
    rows: NDArray[np.intp]
    problem: Problem
    fit: Fit
    config: Config
    result: dict[str, Any]


def restore(adata: AnnData, key: str) -> Restored:
    """Read the data as the inference did and put its model back on them. Cells may stand in another order than then, if their names are what they were.

    Raises DataError where the data are not those of the inference: other genes or cells, or values that give other levels of the regulators or other means of the targets.
    """
    result = stored(adata, key)
    if "target_moments" not in result:
        raise DataError(
            f"`adata.uns[{key!r}]` was written by an earlier version of spatrace-sc; call `st.tl.infer_ccc(adata, key_added={key!r})` again."
        )
    order = _order_then(adata, result)
    moved = not np.array_equal(order, np.arange(adata.n_obs))
    with _quiet():
        restored = _restored(adata[order] if moved else adata, result, key, order)
    logger.info(
        "The model of `uns[%r]` is on its data again: %d receivers%s.",
        *(key, len(restored.rows), ", read in the order that the cells had then" if moved else ""),
    )
    return restored


def _order_then(adata: AnnData, result: dict[str, Any]) -> NDArray[np.intp]:
    """Numbers of the cells in the order of the inference; as they stand where their names do not say it (others, repeated, or not stored by an earlier version)."""
    here, then = adata.obs_names, pd.Index(np.asarray(result.get("cells", ()), dtype=object))
    if len(here) != len(then) or not (here.is_unique and then.is_unique):
        return np.arange(adata.n_obs)
    place: NDArray[np.intp] = here.get_indexer(then)
    return place if (place >= 0).all() else np.arange(adata.n_obs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing of what this thread logs: the inference said it."""
    me = threading.get_ident()

    def others(record: logging.LogRecord) -> bool:
        return threading.get_ident() != me or record.levelno >= logging.ERROR

    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)


def _restored(
    adata: AnnData, result: dict[str, Any], key: str, order: NDArray[np.intp]
) -> Restored:
    """From data in the order of the inference."""
    config = config_from(result["params"]["config"])
    study = _study(adata, result, key)
    _check_cells(adata, study, result, key)
    problem = build_problem(study, config, None)
    network, weights = from_arrays(result["model"], config.model, torch.device("cpu"))
    _, look, attended = observe(network, problem, problem.usable)
    mean, sd = (torch.as_tensor(np.array(result["model"][f"target_{k}"])) for k in ("mean", "sd"))
    seed = int(np.random.default_rng(int(result["params"]["seed"])).integers(2**31, size=3)[0])
    held_out = (
        hold_out(problem.block, config.training.held_out, np.random.default_rng(seed))
        & problem.usable
    )
    fit = Fit(network, weights, look, attended, mean, torch.where(sd > 0, sd, torch.inf), held_out)
    _check_values(adata, study, problem, fit, result, key)
    return Restored(study, order[study.receivers], problem, fit, config, result)


def _study(adata: AnnData, result: dict[str, Any], key: str) -> Study:
    """The study of the stored parameters; genes by the names they are shown with."""
    params, shown = (
        result["params"],
        {role: list(map(str, names)) for role, names in result["genes"].items()},
    )
    chosen: dict[str, Any] = {k: str(params[k]) or None for k in KEYS}
    chosen |= {k: [str(name) for name in params[k]] for k in ("senders", "receivers")}
    name = names_by_label(adata, str(params["gene_symbols"]) or None)
    label = {gene: text for text, gene in name.items()}
    lost = sorted({g for names in shown.values() for g in names} - set(name))
    if lost:
        raise _changed(key, f"the genes {shorten(lost, 5)} are gone")
    roles: dict[str, Sequence[str] | None] = {
        role: [name[g] for g in names] for role, names in shown.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpatraceWarning)  # the inference gave them
        study = read_study(adata, roles, radius=float(params["radius"]), **chosen)
    return replace(
        study,
        genes={
            role: np.array([label[g] for g in names], dtype=str)
            for role, names in study.genes.items()
        },
    )


def _check_cells(adata: AnnData, study: Study, result: dict[str, Any], key: str) -> None:
    slot = result["obsm_tf"]
    if slot not in adata.obsm:
        raise _changed(key, f"`adata.obsm[{slot!r}]`, which the inference wrote, is gone")
    before = np.isfinite(np.asarray(adata.obsm[slot])).all(axis=1)
    if len(result["genes"]["tfs"]) and not np.array_equal(before, study.receivers):
        raise _changed(
            key, f"it had {int(before.sum())} receivers, now there are {int(study.receivers.sum())}"
        )
    if list(map(str, result["stages"])) != study.stages:
        raise _changed(
            key,
            f"its stages were {shorten(result['stages'])}, now they are {shorten(study.stages)}",
        )


def _check_values(
    adata: AnnData, study: Study, problem: Problem, fit: Fit, result: dict[str, Any], key: str
) -> None:
    """Levels of the regulators, as stored per cell, and moments of the targets."""
    tfs = regulator_levels(problem, fit, np.arange(problem.n_tf_genes, problem.n_tfs))
    n_r = len(study.genes["receptors"])
    pairs = result["activity_pairs"]
    place = [
        np.array([list(study.genes[role]).index(str(g)) for g in pairs[role[:-1]]], dtype=np.int64)
        for role in ("ligands", "receptors")
    ]
    levels = regulator_levels(problem, fit, problem.n_tfs + place[0] * n_r + place[1])
    for slot, now, centre, strength in (
        ("obsm_tf", tfs, tfs.mean(axis=0), result["tf_scores"]),
        ("obsm", levels, 0.0, pairs["score"]),
    ):
        strength = np.asarray(strength, dtype=float)
        spread = now.std(axis=0)
        scaled = (now - centre) * np.divide(
            strength, spread, out=np.zeros_like(strength), where=spread > 0
        )
        away = np.abs(scaled - np.asarray(adata.obsm[result[slot]])[study.receivers])
        if (away > TOLERANCE * strength).any():
            raise _changed(
                key,
                "regulators have other levels: expression, coordinates, types or time have changed",
            )
    before = np.asarray(result["target_moments"], dtype=float)
    if not np.allclose(before, target_moments(study), rtol=1e-3, atol=1e-5):
        raise _changed(key, "targets have other levels")


def target_moments(study: Study) -> NDArray[np.float64]:
    """(2, G) mean of every target over the receivers, and of its product with time: to see whether the data have changed."""
    target = study.target.astype(np.float64)
    return np.stack([target.mean(axis=0), study.time @ target / len(target)])


def _changed(key: str, how: str) -> DataError:
    return DataError(
        f"the data are not those that `adata.uns[{key!r}]` was inferred from ({how}). Undo the change, or call `st.tl.infer_ccc(adata, key_added={key!r})` again."
    )
