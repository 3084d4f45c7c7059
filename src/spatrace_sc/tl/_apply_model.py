"""Apply a fitted model to other cells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from .. import _keys
from .._check import positive, shorten
from .._data.table import as_table, check_copy
from .._errors import InvalidArgumentError, warn
from .._result import Model, Result, check_key, write_result

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Held-out R² below which the user is warned.
MIN_R2 = 0.01


def apply_model(
    model: Model,
    data: AnnData | SpatialData,
    *,
    cell_type_key: str | None = None,
    sample_key: str | None = None,
    stage_key: str | None = None,
    time_key: str | None = None,
    spatial_key: str | None = None,
    layer: str | None = None,
    transitions_key: str | None = None,
    gene_symbols: str | None = None,
    proportions: str | None = None,
    senders: Sequence[str] | None = None,
    receivers: Sequence[str] | None = None,
    radius: float | None = None,
    table_key: str = _keys.TABLE,
    key_added: str = _keys.RESULT,
    copy: bool = False,
) -> AnnData | None:
    """Apply a fitted model to other cells: activity, predictions with their R², and knockouts.

    Nothing is fitted. The cells are read as the inference read its own, and their levels are put
    on the scales of the cells that the model was fitted to:

    - *Genes* are matched by name, with upper and lower case distinguished. All ligands, receptors
      and TFs of the model must be present. Targets may be missing, with a warning: their R² is NaN.
    - *Counts* are multiplied by one factor, so that the median of the genes in both files has the
      same mean level over the receivers as in the inference. So sequencing depth does not matter.
      Data that are not counts are used unchanged.
    - *Ancestors and neighbours* come from the new cells. So does the state of a neighbourhood, in
      the principal components of the model.
    - *Time* must be on the time scale of the inference. Beyond its range, time has its effect at
      the nearest end.
    - *Cell types* are matched by name. Cells of an unknown type are left out, with a warning,
      unless you name it in ``senders`` or ``receivers``. An unknown receiving type has the effect
      of the mean receiver.
    - *Slices* are new, and their effects unknown. R² compares cells within slices.
    - *Covariates* that you named are matched by name and category; an unknown category has the
      effect of the mean receiver, with a warning.

    Parameters
    ----------
    model
        From :func:`spatrace_sc.tl.load_model`.
    data
        AnnData, or SpatialData with ``table_key``, with expression in the form of the inference.
    cell_type_key, sample_key, stage_key, time_key, spatial_key, layer, transitions_key, proportions
        As in :func:`spatrace_sc.tl.infer_ccc`. None: as in the inference. ``""``: none, although
        the inference named one.
    gene_symbols
        Column of ``var`` with the names by which the model knows the genes. None: that of the
        inference. ``""``: ``var_names``.
    senders, receivers
        Cell types. None: those of the model that exist here.
    radius
        Radius of the inference in the units of these coordinates. None: the units are the same.
    table_key
        Table of a SpatialData.
    key_added
        Name of the result.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData with a result, as :func:`spatrace_sc.tl.infer_ccc`
    writes it. Of these cells are

    - ``obsm[key_added + "_activity"]``, ``"_activity_se"`` and ``"_tf_activity"``: float32, in
      standard deviations of the cells of the inference, NaN in cells that do not receive;
    - ``obsp[key_added + "_communication"]`` and the tables of communication;
    - ``uns[key_added]["applied"]``: R² of every target (:func:`spatrace_sc.get.prediction`).

    Tables of edges, their p and q, and the training history are copied from the inference. Stages
    come from these cells, whose levels scale the tables by stage. :func:`spatrace_sc.tl.knockout`
    works on the result. Functions that need the cells of the inference raise a DataError.

    Raises
    ------
    DataError
        If regulators or all targets are missing, the model needs counts and the data are not
        counts, or as in :func:`spatrace_sc.tl.infer_ccc`.
    MissingKeyError, InvalidArgumentError
        The message names the argument.

    Warns
    -----
    SpatraceWarning
        If targets are missing, cell types or categories are unknown, or R² is close to 0: the
        model does not hold in these cells.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=900, n_targets=20)
    >>> part = adata[adata.obs["sample"] != "E3_slice1"].copy()
    >>> st.tl.infer_ccc(part, sample_key="sample")
    >>> st.tl.save_model(part, "model.safetensors", overwrite=True)
    >>> model = st.tl.load_model("model.safetensors")
    >>> other = adata[adata.obs["sample"] == "E3_slice1"].copy()
    >>> st.tl.apply_model(model, other)
    >>> list(st.get.prediction(other).columns)
    ['target', 'r2', 'r2_covariates', 'n_cells']
    """
    if not isinstance(model, Model):
        raise InvalidArgumentError(
            f"`model` must be a model from `st.tl.load_model(path)`, found {type(model).__name__}."
        )
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    check_key(adata, key_added)
    if radius is not None:
        positive(radius, "radius")
    from .._inference.apply_model import applied_result
    from .._study.read_other import known_types, read_other, warn_of_unknown_receivers
    from .._study.reading_scales import ReadingScales

    given = {
        "cell_type_key": cell_type_key,
        "sample_key": sample_key,
        "stage_key": stage_key,
        "time_key": time_key,
        "spatial_key": spatial_key,
        "layer": layer,
        "transitions_key": transitions_key,
        "gene_symbols": gene_symbols,
        "proportions": proportions,
        "radius": radius,
    }
    changes: dict[str, Any] = {k: v or None for k, v in given.items() if v is not None}
    if cell_type_key and proportions:
        raise InvalidArgumentError("name `cell_type_key` or `proportions`, not both.")
    if cell_type_key or proportions:
        other_kind = "proportions" if cell_type_key else "cell_type_key"
        changes[other_kind] = None
    source = replace(model.source, **changes)
    source = known_types(adata, source, senders, receivers)
    scales = ReadingScales.from_slots(model.reading_scales)
    other = read_other(adata, model.genes, source, scales)
    warn_of_unknown_receivers(other.study, scales)
    result = applied_result(model, other)
    params = source.resolved(
        *(list(source.senders or ()), list(source.receivers or ())),
        *(other.study.radius, source.complexes),
    ).to_params()
    if copy:
        adata = adata.copy()
    write_result(
        *(adata, key_added, result),
        params
        | {"prior": "", "seed": model.seed, "device": "cpu"}
        | {"config": model.config.to_dict()},
    )
    _report(Result.read(adata, key_added), model)
    return adata if copy else None


def _report(result: Result, model: Model) -> None:
    """Log the R² in the new cells, and warn of missing targets and of an R² close to 0."""
    applied = result.applied
    if applied is None:
        return
    r2, n_targets = applied.summary["r2"], result.genes.n_targets
    if applied.missing:
        warn(
            f"the data lack {len(applied.missing)} of the {n_targets} targets of the model, which "
            f"have no R²: {shorten(applied.missing, 5)}. In neighbourhoods they have the mean of "
            "the inference."
        )
    logger.info(
        "Applied the model to %d cells: R² %.3f within slices (%.3f by covariates alone); held-out "
        "R² at the inference %.3f.",
        *(int(applied.summary["n_cells"]), r2, applied.summary["r2_covariates"], model.r2),
    )
    if r2 < MIN_R2:
        warn(
            "the model predicts targets of these cells barely better than the means of their "
            f"slices (R² {r2:.3f}; {model.r2:.3f} at the inference): do not interpret its activity "
            "here. Check that expression, time and coordinates have the form and units of the "
            "inference."
        )
