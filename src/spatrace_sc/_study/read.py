"""Read a data set from AnnData into arrays."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._core.exposure import ligand_exposure, linear
from .._data.cell_types import warn_of_abundances
from .._data.cells import require_receivers
from .._data.complexes import Complexes
from .._data.copied_cells import find_copies, warn_of_copied_cells
from .._data.covariates import read_covariates, refuse_genes
from .._data.empty_cells import shallow_cells, warn_of_empty_cells, warn_of_shallow_cells
from .._data.expression import columns, expression_by_slice
from .._data.genes import gene_labels, symbols_of
from .._data.imputation import IMPUTED, imputed_matrix
from .._data.load_genes import load_genes
from .._data.matrix_forms import InMemory
from .._data.missing_genes import warn_of_unmeasured_genes
from .._data.on_disk import OnDisk
from .._data.platforms import read_radius, recorded_spacing
from .._data.radius import resolve_radius
from .._data.repeated_cells import repeats, warn_of_repeated_cells
from .._data.size_factors import load_rescaled, log_size_factors
from .._data.stored_exposure import radius_or_stored
from .._data.unmeasured import Unmeasured, warn_of_unmeasured
from .._regulators import Regulators
from .ancestors import Ancestors, find_ancestors
from .count_noise import count_noise
from .data_order import order_of_cells, order_stages, rank_genes, sort_genes, take_cells
from .read_cells import kernel_weights, read_cells
from .records import Cells, Study
from .roles import GivenGenes, resolve_roles
from .source import Source


class Tissue(NamedTuple):
    """Cells, expression and gene names of one data set, before anything is computed from them.

    ``matrix`` (cells, genes and complexes) is in memory, with at least the genes that have a role;
    ``unit`` the linear value of one molecule in every cell, None if the data are not counts.
    ``names`` are the ``var_names`` of every role, and the ``complexes``, in the order of results,
    ``labels`` what results call them.
    ``rows`` (cells,) are the positions of the cells in the file, ``genes`` the ``var_names`` of
    all roles in the order of computation. ``unmeasured`` are the genes that were not measured in
    some slices, cells in the order of the file; ``matrix`` has means in their place.
    """

    cells: Cells
    matrix: InMemory
    complexes: Complexes
    unit: NDArray[np.float64] | None
    names: dict[str, NDArray[np.str_]]
    labels: dict[str, str]
    rows: NDArray[np.intp]
    genes: NDArray[np.str_]
    unmeasured: Unmeasured | None = None


def read_study(adata: AnnData, roles: GivenGenes, source: Source) -> Study:
    """Check the data and read them; nothing is written.

    Cells and genes are in an order that does not depend on the file
    (:mod:`spatrace_sc._study.data_order`).
    """
    matrix, unmeasured = expression_by_slice(adata, source.layer, source.slice_column)
    cells = read_cells(adata, source)
    if source.proportions is not None:
        warn_of_abundances(adata, source.proportions)
    symbols = symbols_of(adata, source.gene_symbols)
    n_measured = None if unmeasured is None else unmeasured.n_measured
    names, subunits = resolve_roles(adata, roles, matrix, symbols, n_measured)
    tissue = load_tissue(
        *(adata, matrix, cells, names, gene_labels(adata, symbols), unmeasured),
        complexes=Complexes(subunits, source.complex_level),
    )
    repeated = repeats(matrix, cells.coords, cells.sample)
    taking_part = tissue.cells.senders | tissue.cells.receivers
    warn_of_repeated_cells(
        *(repeated, adata.obs_names.to_numpy(dtype=str), taking_part),
        spatial_key=source.spatial_key,
        sample_key=source.sample_key,
    )
    copies = find_copies(matrix, cells.sample, taking_part & ~repeated)
    warn_of_copied_cells(copies, adata, source.sample_key, source.layer)
    genes = tissue.complexes.genes_of(tissue.genes)
    index = adata.var_names.get_indexer(genes)
    warn_of_unmeasured(unmeasured, index, IMPUTED, tissue.labels)
    warn_of_unmeasured_genes(
        adata, tissue.matrix, {"all": genes}, source.slice_column, tissue.labels, source.layer
    )
    return assemble_study(adata, in_data_order(adata, tissue), source)


def load_tissue(
    adata: AnnData,
    matrix: InMemory | OnDisk,
    cells: Cells,
    names: dict[str, NDArray[np.str_]],
    labels: dict[str, str],
    unmeasured: Unmeasured | None = None,
    *,
    complexes: Complexes | None = None,
    rescaled: bool = True,
) -> Tissue:
    """Load the genes with a role, and leave out cells without counts, with a warning.

    Counts are divided by size factors, and cells that are far shallower than others of their type
    are left out, too, unless ``rescaled`` is False, as for results up to form 3.
    Genes that were not measured in a slice are imputed there, once the counts have been judged.
    Cells are in the order of the file, genes in the order of their labels.
    """
    complexes = Complexes() if complexes is None else complexes
    genes = np.unique(np.concatenate(list(names.values())))
    index = adata.var_names.get_indexer(complexes.genes_of(genes))
    labels = {name: name for name in complexes.subunits} | labels
    if rescaled:
        loaded, unit, empty, n_others, molecules = load_rescaled(
            matrix, index, cells.sample, cells.receivers
        )
        if unit is not None:
            log_size_factors(n_others)
    else:
        loaded, unit, empty, *_ = load_genes(matrix, index)
        molecules = None
    shallow = shallow_cells(molecules, cells.sample, cells.types, empty)
    loaded = imputed_matrix(loaded, unmeasured, index, cells.types, ~empty & ~shallow)
    loaded = complexes.appended(loaded, adata.var_names)
    obs_names = adata.obs_names.to_numpy(dtype=str)
    warn_of_empty_cells(empty, obs_names, receivers=cells.receivers, senders=cells.senders)
    receivers, senders = (mask & ~empty for mask in (cells.receivers, cells.senders))
    warn_of_shallow_cells(shallow, obs_names, receivers=receivers, senders=senders)
    cells = cells._replace(receivers=receivers & ~shallow, senders=senders & ~shallow)
    require_receivers(cells.receivers)
    by_label = np.array(sorted(genes, key=labels.__getitem__), dtype=str)
    rows = np.arange(adata.n_obs)
    return Tissue(cells, loaded, complexes, unit, names, labels, rows, by_label, unmeasured)


def in_data_order(adata: AnnData, tissue: Tissue, *, names_too: bool = True) -> Tissue:
    """Return the tissue with cells and genes in an order that does not depend on the file.

    Genes of each role keep their order unless ``names_too``.
    """
    columns_of = tissue.complexes.index(adata.var_names, tissue.genes)
    positions = zip(tissue.genes, columns_of, strict=True)
    rank = rank_genes(tissue.matrix, dict(positions), tissue.labels)
    order = order_of_cells(tissue.cells, adata.obs_names.to_numpy(dtype=str))
    sort_names = sort_genes if names_too else lambda genes, rank: genes
    return tissue._replace(
        cells=take_cells(tissue.cells, order),
        matrix=tissue.matrix[order],
        unit=None if tissue.unit is None else tissue.unit[order],
        names={role: sort_names(genes, rank) for role, genes in tissue.names.items()},
        rows=tissue.rows[order],
        genes=sort_genes(tissue.genes, rank),
    )


def assemble_study(
    adata: AnnData,
    tissue: Tissue,
    source: Source,
    ancestors: Ancestors | None = None,
    *,
    overdispersion: float | None = None,
) -> Study:
    """Compute neighbours, ancestors and count noise of a tissue.

    Stored ``ancestors`` are used as they are. None: they are computed along time or read from
    ``obsp``. ``overdispersion`` of the counts; None: it is estimated.
    """
    cells, matrix, names = tissue.cells, tissue.matrix, tissue.names
    radius, um_per_unit = _radius(adata, cells, source)
    weights, own_weights = kernel_weights(cells, radius, source.own)
    column_of = partial(tissue.complexes.index, adata.var_names)
    position = {role: column_of(genes) for role, genes in names.items()}
    receiver_matrix = matrix[np.flatnonzero(cells.receivers)]
    sender_ligand = columns(matrix[np.flatnonzero(cells.senders)], position["ligands"])
    time = cells.time[cells.receivers]
    receiver_rows = tissue.rows[cells.receivers]
    stage, stages = order_stages(cells.stage[cells.receivers], time)
    if ancestors is None:
        ancestors = find_ancestors(
            *(adata, receiver_matrix, column_of(tissue.genes)),
            *(receiver_rows, time, source.transitions_key),
        )
    tf, receptor, target = (
        columns(receiver_matrix, position[role]) for role in ("tfs", "receptors", "targets")
    )
    named = read_covariates(adata, source.covariates, receiver_rows, source.columns)
    exposure = ligand_exposure(weights, sender_ligand)
    refuse_genes(named, {"TF": tf, "receptor": receptor, "target": target})
    imputed = _imputed_in_receivers(tissue, position["tfs"])
    receiver_unit = None if tissue.unit is None else tissue.unit[cells.receivers]
    shown = {role: [tissue.labels[gene] for gene in genes] for role, genes in names.items()}
    return Study(
        genes=Regulators.from_mapping(
            shown, homophilic=source.homophilic, complexes=_shown_complexes(tissue)
        ),
        cells=cells,
        rows=tissue.rows,
        stage=stage,
        stages=stages,
        time=time,
        radius=radius,
        um_per_unit=um_per_unit,
        weights=weights,
        sender_ligand=linear(sender_ligand),
        exposure=exposure,
        receptor=linear(receptor),
        tf=tf,
        noise=count_noise(
            *(tf, receiver_unit, ancestors.state, imputed),
            targets=target,
            overdispersion=overdispersion,
        ),
        unit=tissue.unit,
        target=target,
        named_covariates=named,
        backward=ancestors.backward,
        state=ancestors.state,
        own_weights=own_weights,
    )


def _radius(adata: AnnData, cells: Cells, source: Source) -> tuple[float, float | None]:
    """Return the radius in the units of the coordinates, and µm per unit if known."""
    given = read_radius(
        *(source.radius, source.scale, cells.coords, cells.sample),
        recorded_spacing(adata, source.spatial_key),
    )
    radius = radius_or_stored(
        *(adata, given.units, cells.coords, cells.sample),
        spatial_key=source.spatial_key,
        sample_key=source.sample_key,
    )
    return resolve_radius(radius, cells.coords, cells.sample), given.scale


def _shown_complexes(tissue: Tissue) -> dict[str, tuple[str, ...]]:
    """Return the subunits of every complex by their labels."""
    subunits = tissue.complexes.subunits
    return {name: tuple(tissue.labels[g] for g in genes) for name, genes in subunits.items()}


def _imputed_in_receivers(tissue: Tissue, genes: NDArray[np.intp]) -> NDArray[np.bool_] | None:
    """(receivers, len(genes)) mask of imputed values, None where all were measured."""
    if tissue.unmeasured is None:
        return None
    return tissue.unmeasured.missing(genes, tissue.rows[tissue.cells.receivers])
