"""Read the input of communication tables from data with a stored result."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import shorten
from .._core.exposure import linear
from .._data.cell_types import read_proportions
from .._data.cells import categories, coordinates
from .._data.complexes import Complexes
from .._data.empty_cells import empty_cells, shallow_cells
from .._data.expression import columns, expression_by_slice
from .._data.genes import names_by_label
from .._data.imputation import imputed
from .._data.matrix_forms import InMemory
from .._data.on_disk import OnDisk
from .._data.radius import weights_within
from .._data.size_factors import load_rescaled
from .._data.unmeasured import Unmeasured
from .._errors import DataError
from .._regulators import ROLES
from .._result import Result
from .._result.checks import FIRST_WITH_SIZE_FACTORS
from .._study.data_order import order_of_cells, take_cells
from .._study.records import Cells
from .._study.roles import complexes_of
from .._study.source import Source
from .communication import CommunicationInput, communication_input


def read_communication_input(adata: AnnData, result: Result) -> CommunicationInput:
    """Return what :func:`communication_tables` needs of the data and of the result.

    Cells are in the order that permutations of the inference followed (``in_data_order``). Cells
    that were removed since the inference are missing as senders; the activity of their receivers
    stays as it was.

    Raises
    ------
    DataError
        If other cells receive, ligands are missing, or a stage has no senders.
    """
    source, genes = result.source, result.genes
    matrix, unmeasured = expression_by_slice(adata, source.layer, source.slice_column)
    levels, empty, shallow = _read_levels(adata, result, matrix, unmeasured)
    values = result.per_cell("activity")
    in_file = _read_cells(adata, result, empty)
    receives = in_file.receivers & ~(shallow & ~np.isfinite(values).all(axis=1))
    in_file = in_file._replace(receivers=receives, senders=in_file.senders & ~shallow)
    rows = np.arange(adata.n_obs)
    if result.in_data_order:
        rows = order_of_cells(in_file, adata.obs_names.to_numpy(dtype=str))
    cells = take_cells(in_file, rows)
    _check_receivers(values, in_file.receivers, result)
    activity = values[rows[cells.receivers]]
    if not np.isfinite(activity).all() or not cells.senders.any() or not cells.receivers.any():
        raise DataError(
            "the cells or their types are not those that "
            f"`adata.uns[{result.key!r}]` was inferred from; call "
            f"`st.tl.infer_ccc(adata, key_added={result.key!r})` again."
        )
    _check_senders(cells, result)
    weights = weights_within(
        *(cells.coords, cells.sample, cells.receivers, cells.senders),
        float(source.radius or 0.0),
        own=source.own,
    )
    return communication_input(
        *(cells, result.stages, genes),
        pairs=result.activity_pairs,
        activity=activity,
        sender_ligand=linear(levels["ligands"][rows[cells.senders]]),
        weights=weights[cells.receivers][:, cells.senders],
        rows=rows,
        receiver_receptor=(
            linear(levels["receptors"][rows[cells.receivers]]) if "receptors" in levels else None
        ),
    )


def _read_levels(
    adata: AnnData, result: Result, matrix: InMemory | OnDisk, unmeasured: Unmeasured | None
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return levels as in the inference by role, empty cells and shallow cells.

    Levels are (cells, genes), of ligands and, in mixed spots, of receptors. Values that were not
    measured are means. Genes with another role that were removed since count as genes without one.
    """
    roles = ("ligands",) if result.source.proportions is None else ("ligands", "receptors")
    listed = {role: _genes(adata, result, role) for role in roles}
    complexes = listed["ligands"][0]
    names = [name for _, of_role in listed.values() for name in of_role]
    genes = complexes.genes_of(names)
    position = adata.var_names.get_indexer(genes)
    types = result.source.types(adata)
    if result.form < FIRST_WITH_SIZE_FACTORS:
        empty = empty_cells(matrix)
        levels, shallow = columns(matrix, position), np.zeros_like(empty)
    else:
        used = [n for role in ROLES for n in _genes(adata, result, role, required=False)[1]]
        sample = _samples(adata, result.source)
        index = adata.var_names.get_indexer(complexes.genes_of(used))
        loaded = load_rescaled(matrix, index, sample)
        levels, empty = columns(loaded.matrix, position), loaded.empty
        shallow = shallow_cells(loaded.molecules, sample, types, empty)
    if unmeasured is not None:
        levels = imputed(levels, unmeasured.missing(position), types, ~empty & ~shallow)
    chosen, by_gene = complexes.among(names), pd.Index(genes)
    everything = np.asarray(chosen.appended(levels, by_gene))
    of_role = {
        role: everything[:, chosen.index(by_gene, names)] for role, (_, names) in listed.items()
    }
    return of_role, empty, shallow


def _genes(
    adata: AnnData, result: Result, role: str, *, required: bool = True
) -> tuple[Complexes, list[str]]:
    """Return the complexes of the result, and the names of a role as in ``var_names``.

    All genes of the role must exist if they are required.
    """
    name_of = names_by_label(adata, result.source.gene_symbols)
    complexes = complexes_of(result.source, name_of)
    genes = [str(gene) for gene in result.genes[role]]
    missing = [g for name in genes for g in result.genes.genes_of(name) if g not in name_of]
    if missing and required:
        raise DataError(
            f"the data lack the {role} {shorten(missing)}, with which "
            f"`adata.uns[{result.key!r}]` was inferred. Undo the change, or call "
            f"`st.tl.infer_ccc(adata, key_added={result.key!r})` again."
        )
    known = set(adata.var_names.astype(str))
    names = [name_of.get(name, name) for name in genes]
    return complexes, [n for n in names if known.issuperset(complexes.subunits.get(n, (n,)))]


def _samples(adata: AnnData, source: Source) -> NDArray[np.object_]:
    """Return the slice of every cell; without a key, all cells are one slice."""
    if source.sample_key is None:
        return np.full(adata.n_obs, "all", dtype=object)
    return categories(adata, source.sample_key, "sample_key")


def _read_cells(adata: AnnData, result: Result, empty: NDArray[np.bool_]) -> Cells:
    """Read the columns of ``obs`` that the inference read, and the coordinates.

    ``empty`` cells neither send nor receive, as in the inference.
    """
    source = result.source
    mixture = None if source.proportions is None else read_proportions(adata, source.proportions)
    types = source.types(adata) if mixture is None else mixture.labels
    sends, receives = source.roles(adata, types)
    sample = _samples(adata, source)
    stage = np.full(adata.n_obs, "all", dtype=object)
    if source.stage_column is not None:
        stage = categories(adata, source.stage_column, "stage_key")
    return Cells(
        coords=coordinates(adata, source.spatial_key, sample_key=source.sample_key),
        types=types,
        sample=pd.factorize(sample, sort=True)[0],
        stage=stage.astype(str),
        time=np.full(adata.n_obs, np.nan),
        senders=sends & ~empty,
        receivers=receives & ~empty,
        mixture=mixture,
    )


def _check_receivers(
    values: NDArray[np.float32], receivers: NDArray[np.bool_], result: Result
) -> None:
    """Raise DataError if cells that received in the inference do not receive now.

    ``values`` are the (cells, pairs) activity, ``receivers`` (cells,) the mask of those that do.
    """
    received = np.isfinite(values).all(axis=1)
    lost = received & ~receivers
    if values.shape[1] and lost.any():
        raise DataError(
            f"{int(lost.sum())} of {int(received.sum())} cells that received when "
            f"`adata.uns[{result.key!r}]` was inferred have no counts, or another type, now "
            f"({shorten(result.adata.obs_names[lost], 3)}). Undo the change, or call "
            f"`st.tl.infer_ccc(adata, key_added={result.key!r})` again."
        )


def _check_senders(cells: Cells, result: Result) -> None:
    """Raise DataError unless every stage with receivers has a slice with senders."""
    stage, sample = cells.stage[cells.receivers], cells.sample[cells.receivers]
    has_senders = np.isin(sample, np.unique(cells.sample[cells.senders]))
    with_senders = set(stage[has_senders])
    silent = sorted(set(stage) - with_senders)
    if silent:
        raise DataError(
            f"the stages {shorten(silent)} have receivers but no cell that sends "
            f"({shorten(result.source.senders or ())}) in any of their slices; those with senders "
            f"are {shorten(sorted(with_senders))}. Leave them out (`adata[...]`), or name other "
            "`senders` in `st.tl.infer_ccc`."
        )
