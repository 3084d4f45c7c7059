"""Restore the fitted model of a stored result on the data it was fitted to."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .._check import shorten
from .._data.expression import expression_by_slice
from .._data.genes import names_by_label
from .._errors import DataError, SpatraceWarning
from .._model.config import Config
from .._model.fit import Fit, hold_out
from .._model.network.checkpoint import from_arrays
from .._model.network.observe import observe
from .._model.records import Problem
from .._regulators import ROLES, Regulators
from .._result import Restoration, Result
from .._result.checks import FIRST_WITH_SIZE_FACTORS
from .._study.ancestors import Ancestors
from .._study.problem import Scaled, build_problem
from .._study.read import assemble_study, in_data_order, load_tissue
from .._study.read_cells import read_cells
from .._study.read_other import read_other
from .._study.reading_scales import ReadingScales
from .._study.records import Study
from .._study.roles import complexes_of
from .damaged_model import require_whole_model
from .level_scales import LevelScales, activities, activity_columns, own_scales

logger = logging.getLogger("spatrace_sc")

#: Largest difference of a recomputed level from the stored one, in standard deviations: another
#: device or another order of sums gives 1e-3 at most.
TOLERANCE = 0.02
#: Transitions are stored up to this many entries (8 bytes each); beyond it restoring finds the
#: ancestors again.
MAX_STORED_TRANSITIONS = 20_000_000


@dataclass(frozen=True)
class Restored:
    """A result with the data and the model behind it, on the CPU.

    Receivers are in the order of the inference; ``rows`` (receivers,) are their positions in the
    data now. ``fit`` has no history and no R². ``scales`` are those of the cells that the model was
    fitted to.
    """

    result: Result
    study: Study
    rows: NDArray[np.intp]
    problem: Problem
    fit: Fit
    scales: LevelScales

    @property
    def config(self) -> Config:
        """The configuration of the inference."""
        return self.result.config

    @property
    def genes(self) -> Regulators:
        """Genes by role and their numbering."""
        return self.study.genes


def restore(adata: AnnData, key: str, *, applied: bool = False) -> Restored:
    """Restore the fitted model of a result on the data it was fitted to.

    The data are read again as the inference read them. Cells may have another order; for a result
    of version 0.1.0 their names must be the same then.

    With ``applied``, the result may be that of a model that was applied to the data.

    Raises
    ------
    DataError
        If the data are not those of the inference: other genes or cells, or values that give other
        levels of the regulators or other means of the targets. Also if a model was applied to
        them, unless ``applied``.
    """
    result = Result.read(adata, key, of_cells=None)
    if result.applied is not None and not applied:
        raise DataError(
            f"`adata.uns[{key!r}]` is a model of other cells, applied to these, and this "
            "computation needs the cells that the model was fitted to. Call it on their result, or "
            f"infer a result of these cells: `st.tl.infer_ccc(adata, key_added=...)`."
        )
    order = np.arange(adata.n_obs) if result.in_data_order else _order_by_name(result)
    moved = not np.array_equal(order, np.arange(adata.n_obs))
    with quiet():
        restored = _restored(replace(result, adata=adata[order]) if moved else result, order)
    logger.info(
        "Restored the fitted model of `uns[%r]`: %d receivers%s.",
        *(key, len(restored.rows), ", cells in the order of the inference" if moved else ""),
    )
    return replace(restored, result=result)


def _order_by_name(result: Result) -> NDArray[np.intp]:
    """Return the positions of the cells in the order of the inference.

    This is the present order if the names have changed or are not unique.
    """
    now, then = result.adata.obs_names, result.cells
    present = np.arange(len(now))
    if len(now) != len(then) or not (now.is_unique and then.is_unique):
        return present
    position: NDArray[np.intp] = now.get_indexer(then)
    return position if (position >= 0).all() else present


@contextmanager
def quiet() -> Iterator[None]:
    """Silence this thread's log and the warnings of the package: the inference has given them."""
    thread = threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        return threading.get_ident() != thread or record.levelno >= logging.ERROR

    logger.addFilter(passes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpatraceWarning)
            yield
    finally:
        logger.removeFilter(passes)


def _restored(result: Result, order: NDArray[np.intp]) -> Restored:
    """Restore from data in the order of the inference."""
    require_whole_model(result)
    study, scaled = _read_again(result)
    problem = build_problem(study, result.config, None, scaled)
    network, weights = from_arrays(result.model, result.config.model, torch.device("cpu"))
    design, attention, attended = observe(network, problem, problem.usable)
    mean, sd = (torch.as_tensor(np.array(result.model[f"target_{m}"])) for m in ("mean", "sd"))
    fit = Fit(
        *(network, weights, attention, attended, mean),
        target_sd=torch.where(sd > 0, sd, torch.inf),
        held_out=_held_out(result, problem),
    )
    if result.applied is None:
        scales = own_scales(result, study.genes, problem, fit, design)
    else:
        scales = LevelScales.from_slots(result.applied.level_scales)
    restored = Restored(result, study, order[study.receiver_rows], problem, fit, scales)
    _check_values(restored)
    return restored


def _held_out(result: Result, problem: Problem) -> torch.Tensor:
    """(receivers,) mask of the cells that training did not see."""
    if result.restoration is not None:
        return torch.from_numpy(result.restoration.held_out)
    # Form 1 stored no mask: draw it as the fit did, after the seed of torch.
    rng = np.random.default_rng(int(np.random.default_rng(result.seed).integers(2**31, size=3)[0]))
    rng.integers(2**31)
    return hold_out(problem.block, result.config.training.held_out, rng) & problem.usable


def _read_again(result: Result) -> tuple[Study, Scaled | None]:
    """Read the study with the stored keys and genes, on other scales if a model was applied."""
    if result.applied is None:
        return _read_own(result), None
    scales = ReadingScales.from_slots(result.applied.reading_scales)
    ancestors = _stored_ancestors(result.restoration)
    study = read_other(result.adata, result.genes, result.source, scales, ancestors).study
    _check_receivers(result, study.receivers[np.argsort(study.rows)])
    _check_stages(result, study)
    return study, scales.scaled(study)


def _read_own(result: Result) -> Study:
    """Read the study of the cells that a model was fitted to."""
    adata, source, genes = result.adata, result.source, result.genes
    name_of = names_by_label(adata, source.gene_symbols)
    required = {
        gene for role in ROLES for name in genes[role] for gene in genes.genes_of(str(name))
    }
    missing = sorted(required - set(name_of))
    if missing:
        raise _changed(result, f"the genes {shorten(missing, 5)} are missing")
    names = {
        role: np.array([name_of.get(str(g), str(g)) for g in genes[role]], dtype=str)
        for role in ROLES
    }
    labels = {name: label for label, name in name_of.items()}
    if result.form == 1:  # which ordered genes by their names in `var_names`
        labels = {name: name for name in labels}
    matrix, unmeasured = expression_by_slice(adata, source.layer, source.slice_column)
    cells = read_cells(adata, source)
    tissue = load_tissue(
        *(adata, matrix, cells, names, labels, unmeasured),
        complexes=complexes_of(source, name_of),
        rescaled=result.form >= FIRST_WITH_SIZE_FACTORS,
    )
    _check_receivers(result, tissue.cells.receivers)
    if result.in_data_order:
        tissue = in_data_order(adata, tissue, names_too=False)
    stored = result.restoration
    study = assemble_study(
        *(adata, tissue, source, _stored_ancestors(stored)),
        overdispersion=0.0 if stored is None else stored.overdispersion,
    )
    _check_stages(result, study)
    return replace(
        study,
        genes=genes,
        reads_tfs_alone=result.in_data_order,
        former_covariates=result.form < FIRST_WITH_SIZE_FACTORS,
    )


def _check_stages(result: Result, study: Study) -> None:
    """Raise DataError if the receivers have other stages than at the time of the inference."""
    if result.stages != study.stages:
        stages = f"its stages were {shorten(result.stages)}, now they are {shorten(study.stages)}"
        raise _changed(result, stages)


def _stored_ancestors(stored: Restoration | None) -> Ancestors | None:
    """Return the stored transitions, None where there are none."""
    if stored is None or stored.backward is None or stored.state is None:
        return None
    return Ancestors(stored.backward, stored.state)


def _check_receivers(result: Result, receivers: NDArray[np.bool_]) -> None:
    """Raise DataError if other cells receive than at the time of the inference."""
    slot = result.cell_slots["tf_activity"]
    if slot not in result.adata.obsm:
        finding = f"`adata.obsm[{slot!r}]`, which the inference wrote, has been removed"
        raise _changed(result, finding)
    before = np.isfinite(result.per_cell("tf_activity")).all(axis=1)
    n_before, n_now = int(before.sum()), int(receivers.sum())
    differ = bool(result.genes.n_tfs) and not np.array_equal(before, receivers)
    if result.restoration is not None and len(result.restoration.held_out) != n_now:
        n_before, differ = len(result.restoration.held_out), True
    if differ:
        raise _changed(result, f"it had {n_before} receivers, now there are {n_now}")


def _check_values(restored: Restored) -> None:
    """Raise DataError if levels of regulators or moments of targets differ from the stored ones."""
    result, rows = restored.result, restored.study.receiver_rows
    columns = activity_columns(result, restored.genes)
    pairs, tfs = activities(restored.problem, restored.fit, restored.scales, columns)
    strength = result.activity_pairs["score"].to_numpy(dtype=float)
    for values, now, largest in (
        ("tf_activity", tfs, result.tf_scores),
        ("activity", pairs, strength),
    ):
        difference = np.abs(now - result.per_cell(values)[rows])
        if (difference > TOLERANCE * largest).any():
            raise _changed(
                result,
                "regulators have other levels: expression, coordinates, types or time have changed",
            )
    moments = target_moments(restored.study)
    then, n_targets = result.target_moments, restored.genes.n_targets
    parts = [(m[:, :n_targets], m[:, n_targets:]) for m in (then, moments)]
    for noun, before, after in zip(("targets", "covariates"), *parts, strict=True):
        if before.shape != after.shape or not np.allclose(before, after, rtol=1e-3, atol=1e-5):
            raise _changed(result, f"{noun} have other levels")


def target_moments(study: Study) -> NDArray[np.float64]:
    """(2, G + C) mean over the receivers, and of the product with time, of targets and covariates.

    The covariates are those that the user named, and proportions of cell types.
    """
    named = study.named_covariates.to_numpy(dtype=float).reshape(len(study.time), -1)
    if study.cells.mixture is not None:
        named = np.hstack([named, study.receiver_mixture.values])
    target = np.hstack([study.target.astype(np.float64), named])
    return np.stack([target.mean(axis=0), study.time @ target / len(target)])


def _changed(result: Result, finding: str) -> DataError:
    """Return the error about data that have changed since the inference."""
    return DataError(
        f"the data are not those that `adata.uns[{result.key!r}]` was inferred from ({finding}). "
        f"Undo the change, or call `st.tl.infer_ccc(adata, key_added={result.key!r})` again."
    )
