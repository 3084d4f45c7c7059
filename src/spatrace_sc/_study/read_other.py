"""Read cells on the scales of an inference of other cells."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import shorten
from .._data.covariates import read_covariates
from .._data.expression import expression_by_slice
from .._data.gene_levels import on_scale
from .._data.genes import explain_no_match, names_by_label
from .._data.missing_genes import warn_of_unmeasured_genes
from .._errors import DataError, InvalidArgumentError, warn
from .._regulators import ROLES, Regulators
from .ancestors import Ancestors
from .read import Tissue, assemble_study, in_data_order, load_tissue
from .read_cells import read_cells
from .reading_scales import ReadingScales, levels_by_label
from .records import Study
from .roles import complexes_of
from .source import Source

logger = logging.getLogger("spatrace_sc")

#: Names that a message shows.
N_SHOWN = 5
#: Least mean linear level, in molecules of the median cell, of genes that give the scale.
MIN_LEVEL = 0.02
#: A factor that differs less from 1 is rounding.
ROUNDING = 1e-6


class OtherStudy(NamedTuple):
    """A study of other cells, the source with what was used, and the mask (G,) of missing targets.

    Missing targets have their mean over the cells of the inference in every cell.
    """

    study: Study
    source: Source
    missing: NDArray[np.bool_]


def read_other(
    adata: AnnData,
    genes: Regulators,
    source: Source,
    scales: ReadingScales,
    ancestors: Ancestors | None = None,
) -> OtherStudy:
    """Read other cells for a model of these genes; nothing is written.

    Raises
    ------
    DataError
        If ligands, receptors or TFs are missing, or all targets; if the values are counts and
        those of the inference were not, or the reverse; and as :func:`read_study`.
    """
    name_of = names_by_label(adata, source.gene_symbols)
    missing = _missing_targets(adata, genes, name_of)
    present = {role: genes[role] for role in ROLES} | {"targets": genes.targets[~missing]}
    names = {
        role: np.array([name_of.get(str(g), str(g)) for g in listed], dtype=str)
        for role, listed in present.items()
    }
    matrix, unmeasured = expression_by_slice(adata, source.layer, source.slice_column)
    cells = read_cells(adata, source)
    tissue = load_tissue(
        *(adata, matrix, cells, names, {name: label for label, name in name_of.items()}),
        unmeasured,
        complexes=complexes_of(source, name_of),
        rescaled=scales.of_counts,
    )
    warn_of_unmeasured_genes(
        *(adata, tissue.matrix, {"all": tissue.complexes.genes_of(tissue.genes)}),
        *(source.slice_column, tissue.labels, source.layer),
    )
    tissue = _on_scale(adata, tissue, source, scales)
    tissue = in_data_order(adata, tissue, names_too=False)
    study = assemble_study(
        *(adata, tissue, replace(source, covariates=()), ancestors),
        overdispersion=scales.noise.overdispersion,
    )
    target = np.tile(scales.target_mean.astype(np.float32), (len(study.time), 1))
    target[:, ~missing] = study.target
    named = _named(adata, source, study.receiver_rows, scales)
    study = replace(study, genes=genes, noise=scales.noise, target=target, named_covariates=named)
    return OtherStudy(study, source, missing)


def known_types(
    adata: AnnData,
    source: Source,
    senders: Sequence[str] | None,
    receivers: Sequence[str] | None,
) -> Source:
    """Return the source with the cell types that send and receive in other cells.

    None stands for those of the inference that exist. Cells of other types take no part, with a
    warning.

    Raises
    ------
    DataError
        If no type of a role exists.
    """
    present = set(source.types(adata).astype(str).tolist())
    chosen = {"senders": senders, "receivers": receivers}
    for role, given in chosen.items():
        if given is not None:
            continue
        trained = [str(name) for name in getattr(source, role) or ()]
        chosen[role] = [name for name in trained if name in present]
        if not chosen[role]:
            raise DataError(
                f"none of the {role} of the model ({shorten(trained)}) is among the cell types, "
                f"which are {shorten(sorted(present))}. Rename them, or name some in `{role}`."
            )
    if senders is None and receivers is None:
        trained_types = {*(source.senders or ()), *(source.receivers or ())}
        unknown = sorted(present - trained_types)
        if unknown:
            warn(
                f"the model does not know {len(unknown)} cell types, whose cells neither send nor "
                f"receive: {shorten(unknown, N_SHOWN)}. Rename them like a type of the model, or "
                "name them in `senders` or `receivers`."
            )
    return replace(source, senders=chosen["senders"], receivers=chosen["receivers"])


def warn_of_unknown_receivers(study: Study, scales: ReadingScales) -> None:
    """Warn of receivers of a type that was not a receiver of the inference."""
    unknown = np.setdiff1d(study.receiver_mixture.names, scales.covariates.types)
    if len(unknown):
        warn(
            f"the receivers of {len(unknown)} cell types did not receive in the inference "
            f"({shorten(unknown, N_SHOWN)}): the effect of their type is taken as that of the "
            "mean receiver."
        )


def _missing_targets(
    adata: AnnData, genes: Regulators, name_of: dict[str, str]
) -> NDArray[np.bool_]:
    """(G,) mask of the targets that the data lack; regulators must all be there."""
    required = {
        gene
        for role in ("ligands", "receptors", "tfs")
        for name in genes[role]
        for gene in genes.genes_of(str(name))
    }
    lacking = sorted(required - set(name_of))
    if lacking:
        reason = explain_no_match(
            *(adata, set(lacking), np.array(list(name_of), dtype=str)), "st.tl.apply_model"
        )
        raise DataError(
            f"the data lack {len(lacking)} of the {len(required)} ligands, receptors and TFs of "
            f"the model: {shorten(lacking, N_SHOWN)}.{reason} Where they were not measured, infer "
            "a model without them."
        )
    missing = ~np.isin(genes.targets, list(name_of))
    if missing.all():
        raise DataError(
            f"the data lack all {genes.n_targets} targets of the model "
            f"({shorten(genes.targets, N_SHOWN)}); pass `gene_symbols` if `var` has these names."
        )
    return np.asarray(missing)


def _on_scale(adata: AnnData, tissue: Tissue, source: Source, scales: ReadingScales) -> Tissue:
    """Return the tissue with levels on the scale of the inference.

    The median gene of those that both have then has the same mean level over the receivers. A few
    genes that change a lot do not move the median, as they would move the total.
    """
    if not scales.of_counts:
        return tissue._replace(unit=None)
    if tissue.unit is None:
        raise DataError(
            "the model was inferred from log1p of normalised counts, and these data are something "
            "else. Pass the layer that holds them as `layer`."
        )
    names, levels = levels_by_label(
        *(adata, tissue.rows, tissue.unit, tissue.cells.receivers, source)
    )
    both = pd.Series(levels, index=names)
    then = pd.Series(scales.levels, index=scales.genes)
    shared = both.index[both.index.isin(then.index)]
    measured = shared[(then[shared] >= MIN_LEVEL) & (both[shared] > 0)]
    if not len(measured):
        raise DataError(
            "no gene that the receivers of the inference express is expressed by these receivers; "
            "check the gene names and the layer."
        )
    factor = float((then[measured] / both[measured]).median())
    logger.info(
        "Counts are multiplied by %.3g, by which %d genes of both have the levels of the "
        "inference.",
        *(factor, len(measured)),
    )
    if abs(factor - 1.0) < ROUNDING:
        return tissue
    return tissue._replace(matrix=on_scale(tissue.matrix, factor), unit=tissue.unit * factor)


def _named(
    adata: AnnData, source: Source, rows: NDArray[np.intp], scales: ReadingScales
) -> pd.DataFrame:
    """Return the covariates that the user named, in the columns of the inference.

    A category that the inference did not have takes the mean of all its columns, with a warning.
    """
    columns = [str(name) for name in scales.covariates.named]
    if not columns:
        return pd.DataFrame(index=range(len(rows)))
    table = read_covariates(adata, source.covariates, rows, source.columns, of_other_cells=True)
    n_before = len(scales.covariates.mean) - len(columns)
    mean = pd.Series(scales.covariates.mean[n_before:], index=columns)
    unknown = [str(name) for name in table.columns if str(name) not in mean.index]
    for covariate in source.covariates:
        own = [name for name in columns if name.split("=")[0] == covariate]
        lacking = [name for name in own if name not in table.columns]
        if lacking and covariate in adata.obsm:
            raise InvalidArgumentError(
                f"`covariates`: `adata.obsm[{covariate!r}]` lacks the columns {shorten(lacking)}."
            )
        table[lacking] = 0.0
        other = [name for name in unknown if name.split("=")[0] == covariate]
        of_other = table[other].to_numpy(dtype=float).any(axis=1)
        table.loc[of_other, own] = mean[own].to_numpy()
    if unknown:
        warn(
            f"the inference did not have {shorten(unknown, N_SHOWN)}: their effect is taken as "
            "that of the mean receiver."
        )
    return table[columns]
