"""A fitted model without its cells, and its result in other cells.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import DataError
from .._model.fit import Fit
from .._model.network.checkpoint import check_parameters, from_arrays
from .._model.network.observe import attend
from .._model.predict import predict
from .._model.records import Problem
from .._result import Applied, Model, NewResult, Restoration, model_of
from .._result.checks import FIRST_WITH_SIZE_FACTORS
from .._study.problem import build_problem
from .._study.read_other import OtherStudy
from .._study.reading_scales import ReadingScales, reading_scales
from .._study.records import Study
from .activity import signal_errors
from .communication import BLOCK_SIDE_IN_RADII, cells_matrix, communication_tables
from .communication import communication_input as read_input
from .level_scales import LevelScales, activities
from .restore import MAX_STORED_TRANSITIONS, quiet, restore, target_moments
from .stage_levels import stage_factors_of

#: A target that varies less is constant.
MIN_VARIANCE = 1e-12


def saved_model(adata: AnnData, key: str) -> Model:
    """Return the model of a result, with the scales of the cells that it was fitted to.

    Raises
    ------
    DataError
        If the data have changed since the inference, or an earlier version wrote the result.
    """
    restored = restore(adata, key)
    result = restored.result
    if result.form < FIRST_WITH_SIZE_FACTORS:
        raise DataError(
            f"`adata.uns[{key!r}]` was written by an earlier version of spatrace-sc, which read "
            f"levels in another way; call `st.tl.infer_ccc(adata, key_added={key!r})` again."
        )
    with quiet():
        scales = reading_scales(
            *(adata, restored.study, result.source),
            neighbourhood=result.config.model.neighbourhood_covariates,
        )
    return model_of(result, scales.to_slots(), restored.scales.to_slots())


def check_network(model: Model) -> str:
    """Return what is wrong with the parameters of the network of a model, "" if nothing is."""
    genes = model.genes
    sizes = (genes.n_tfs, genes.n_receptors, genes.n_ligands, 2 * genes.n_tfs)
    return check_parameters(dict(model.arrays["network"]), model.config.model, sizes)


def applied_result(model: Model, other: OtherStudy) -> NewResult:
    """Return the result of a model in other cells.

    Tables of edges are those of the model; activity, communication and prediction those of the
    cells.
    """
    genes, study, config = model.genes, other.study, model.config
    reading = ReadingScales.from_slots(model.reading_scales)
    levels = LevelScales.from_slots(model.level_scales)
    problem = build_problem(study, config, None, reading.scaled(study))
    fit = _fit(model, problem)
    pairs = model.activity_pairs
    index = genes.pair_of_names(pairs)
    columns = (genes.column_of_pair(index), genes.columns_of_current_tfs)
    activity, tf_activity = activities(problem, fit, levels, columns)
    errors = signal_errors(study, problem, fit, index) * levels.activity
    scene = read_input(
        *(study.cells, study.stages, genes),
        pairs=pairs,
        activity=activity,
        sender_ligand=study.sender_ligand,
        weights=study.weights,
        rows=study.rows,
        receiver_receptor=study.receptor,
    )
    streams = {"permute": model.seed}
    communication = communication_tables(
        scene,
        block_size=BLOCK_SIDE_IN_RADII * study.radius,
        n_permutations=config.evidence.n_permutations,
        rng=np.random.default_rng(streams["permute"]),
        progress=config.progress,
    )
    table, summary = prediction_table(study, problem, fit, levels, other.missing)
    applied = Applied(
        reading_scales=deepcopy(model.reading_scales),
        level_scales=deepcopy(model.level_scales),
        prediction=table,
        summary=summary,
        missing=sorted(str(name) for name in genes.targets[other.missing]),
    )
    return NewResult(
        genes=genes,
        stages=study.stages,
        senders=study.sender_rows,
        receivers=study.receiver_rows,
        tables=communication,
        groups=model.group_names,
        activity=activity,
        activity_se=errors.astype(np.float32),
        tf_activity=tf_activity,
        matrix=cells_matrix(scene),
        restoration=_restoration(study, streams),
        values=model.values()
        | {
            "stage_factors": stage_factors_of(study, problem, fit, model.pairs),
            "target_moments": target_moments(study),
            "applied": applied.to_slots(),
        },
    )


def _fit(model: Model, problem: Problem) -> Fit:
    """Return the model on the cells of a problem."""
    arrays = model.arrays
    network, weights = from_arrays(arrays, model.config.model, torch.device("cpu"))
    attention, attended = attend(network, problem)
    sd = torch.as_tensor(np.array(arrays["target_sd"]))
    return Fit(
        *(network, weights, attention, attended),
        target_mean=torch.as_tensor(np.array(arrays["target_mean"])),
        target_sd=torch.where(sd > 0, sd, torch.inf),
        held_out=problem.usable,
    )


def _restoration(study: Study, streams: dict[str, int]) -> Restoration:
    """Return what reading the cells again needs besides the data; all of them are held out."""
    stored = study.backward.nnz + study.state.nnz <= MAX_STORED_TRANSITIONS
    return Restoration(
        held_out=np.ones(len(study.time), dtype=bool),
        backward=study.backward if stored else None,
        state=study.state if stored else None,
        streams=streams,
        overdispersion=study.noise.overdispersion,
    )


def prediction_table(
    study: Study,
    problem: Problem,
    fit: Fit,
    levels: LevelScales,
    missing: NDArray[np.bool_],
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return R² of every target in the cells with an earlier one, and over all targets.

    Observed and predicted levels are centred in every slice, so the effect of a slice, which the
    model cannot know, does not count. NaN for targets that are missing or constant.
    """
    scales = tuple(torch.as_tensor(np.array(v)) for v in (levels.column_mean, levels.column_sd))
    sd = torch.where(scales[1] > 0, scales[1], torch.inf)
    predicted = predict(
        *(fit.network, fit.weights, problem),
        *((fit.attention, fit.attended), (scales[0], sd)),
    )
    usable = problem.usable.numpy()
    y = ((problem.targets - fit.target_mean) / fit.target_sd).numpy()[usable].astype(np.float64)
    sample = study.receiver_sample[usable]
    variance = np.square(_within_slices(y, sample)).mean(axis=0)
    unexplained = [
        np.square(_within_slices(y - part.numpy()[usable], sample)).mean(axis=0)
        for part in predicted
    ]
    judged = ~missing & (variance > MIN_VARIANCE)
    r2, r2_covariates = (
        np.where(judged, 1.0 - error / np.where(judged, variance, 1.0), np.nan)
        for error in unexplained
    )
    n = int(usable.sum())
    table = pd.DataFrame(
        {
            "target": study.genes.targets.astype(object),
            "r2": r2,
            "r2_covariates": r2_covariates,
            "n_cells": np.where(judged, n, 0),
        }
    )[_keys.PREDICTION]
    total = max(float(variance[judged].sum()), MIN_VARIANCE)
    over_all = [1.0 - float(error[judged].sum()) / total for error in unexplained]
    summary = {"r2": over_all[0], "r2_covariates": over_all[1], "n_cells": float(n)}
    return table, summary


def _within_slices(
    values: NDArray[np.floating], sample: NDArray[np.integer]
) -> NDArray[np.float64]:
    """(cells, G) values less their mean over the cells of the slice."""
    result = np.array(values, dtype=np.float64)
    for code in np.unique(sample):
        rows = sample == code
        result[rows] -= result[rows].mean(axis=0)
    return result
