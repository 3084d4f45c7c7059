"""Candidates for sham genes: genes of the tissue that cannot signal, and their features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._core.gene_features import FEATURES, cell_structure, gene_features
from .._data.expression import columns
from .._data.flags import flags_of_role
from .._data.gene_names import stable_id
from .._data.genes import gene_labels
from .._data.matrix_forms import InMemory
from .._data.on_disk import OnDisk, blocks_of
from .data_order import order_of_cells
from .records import Cells

#: Role → the cells over which its genes are described.
GROUP_OF_ROLE = {"ligands": "senders", "receptors": "receivers", "tfs": "receivers"}
#: A sham gene is above 0 in at least this share of those cells.
MIN_DETECTED = 0.01
#: Genes whose values are dense at a time, and the most values, zeros included.
CHUNK_GENES, CHUNK_VALUES = 500, 20_000_000

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ShamCandidates:
    """Genes that cannot signal, and the real genes, with their features.

    ``genes`` (C,) are in alphabetical order, ``is_target`` (C,) marks targets. By role:
    ``detected`` (C,) marks the genes detected in enough cells, ``features`` (C, 4) and
    ``real_features`` (R, 4) describe candidates and the R genes ``real``. ``excluded`` counts the
    other genes by reason.
    """

    genes: NDArray[np.str_]
    is_target: NDArray[np.bool_]
    detected: dict[str, NDArray[np.bool_]]
    features: dict[str, Array]
    real: dict[str, NDArray[np.str_]]
    real_features: dict[str, Array]
    excluded: dict[str, int]


def read_candidates(
    adata: AnnData,
    names: Mapping[str, NDArray[np.str_]],
    cells: Cells,
    matrix: InMemory | OnDisk,
    *,
    known: Iterable[str],
    symbols: NDArray[np.object_] | None = None,
) -> ShamCandidates:
    """Return the genes that cannot signal, and the features of these and of the real genes.

    Parameters
    ----------
    names
        Role → ``var_names``, as :func:`spatrace_sc._study.read.resolve_roles` returns them.
    matrix
        (cells, genes), cells in the order of ``cells``.
    known
        Further genes that can signal. They are compared with ``var_names``, and with ``symbols``
        (genes,) if these are given, without regard to case, blanks and versions of Ensembl ids.
    """
    order = order_of_cells(cells, adata.obs_names.to_numpy(dtype=str))
    rows = {group: order[getattr(cells, group)[order]] for group in ("senders", "receivers")}
    share = _detected_share(matrix, rows)
    var_names = adata.var_names.to_numpy(dtype=str)
    has_role = _has_role(adata, names)
    is_known = _is_known([var_names] if symbols is None else [var_names, symbols], known)
    can_signal = has_role | is_known
    detected = {role: share[group] >= MIN_DETECTED for role, group in GROUP_OF_ROLE.items()}
    chosen = np.flatnonzero(~can_signal & np.any(list(detected.values()), axis=0))
    # the order of labels, so that draws are the same whatever the identifiers
    labels = gene_labels(adata, symbols)
    chosen = np.array(sorted(chosen, key=lambda k: labels[var_names[k]]), dtype=np.intp)
    real = {
        role: np.array(sorted(map(str, names[role]), key=labels.__getitem__), dtype=str)
        for role in GROUP_OF_ROLE
    }
    real_columns = {role: adata.var_names.get_indexer(genes) for role, genes in real.items()}
    described = np.unique(np.concatenate([chosen, *real_columns.values()]))
    features = _features(matrix, described, cells, rows)
    by_role = {role: features[group] for role, group in GROUP_OF_ROLE.items()}
    return ShamCandidates(
        genes=var_names[chosen],
        is_target=np.isin(var_names[chosen], names["targets"]),
        detected={role: mask[chosen] for role, mask in detected.items()},
        features={role: f[np.searchsorted(described, chosen)] for role, f in by_role.items()},
        real=real,
        real_features={
            role: f[np.searchsorted(described, real_columns[role])] for role, f in by_role.items()
        },
        excluded={
            "role": int(has_role.sum()),
            "known": int((is_known & ~has_role).sum()),
            "detection": int((~can_signal).sum()) - len(chosen),
        },
    )


def _has_role(adata: AnnData, names: Mapping[str, NDArray[np.str_]]) -> NDArray[np.bool_]:
    """(genes,) mask of ligands, receptors and TFs, listed or flagged in ``var``."""
    masks = [adata.var_names.isin(names[role]) for role in GROUP_OF_ROLE]
    flags = (flags_of_role(adata, _keys.ROLES[role]) for role in GROUP_OF_ROLE)
    masks += [mask for mask in flags if mask is not None]
    return np.asarray(np.any(masks, axis=0))


def _is_known(columns: list[NDArray[np.generic]], known: Iterable[str]) -> NDArray[np.bool_]:
    """(genes,) mask of the genes with a known name in any of several columns of names."""
    folded = {_folded(name) for name in known}
    masks = [[_folded(name) in folded for name in column] for column in columns]
    return np.asarray(np.any(masks, axis=0))


def _folded(name: object) -> str:
    """Return a name in the form in which it is compared."""
    return stable_id(str(name)).upper()


def _detected_share(
    matrix: InMemory | OnDisk, rows: Mapping[str, NDArray[np.intp]]
) -> dict[str, Array]:
    """Group of cells → (genes,) share of these cells in which a gene is above 0."""
    n_cells, n_genes = matrix.shape
    member = np.zeros((len(rows), n_cells))
    for k, chosen in enumerate(rows.values()):
        member[k, chosen] = 1.0
    count = np.zeros((len(rows), n_genes))
    start = 0
    for block in blocks_of(matrix):
        positive = (block > 0).astype(np.float64)
        count += member[:, start : start + block.shape[0]] @ positive
        start += block.shape[0]
    return {group: count[k] / max(1, len(chosen)) for k, (group, chosen) in enumerate(rows.items())}


def _features(
    matrix: InMemory | OnDisk,
    genes: NDArray[np.intp],
    cells: Cells,
    rows: Mapping[str, NDArray[np.intp]],
) -> dict[str, Array]:
    """Group of cells → (genes, 4) features, read in chunks of genes."""
    structure = {
        group: cell_structure(cells.coords[r], cells.types[r], cells.sample[r], cells.time[r])
        for group, r in rows.items()
    }
    result = {group: np.zeros((len(genes), len(FEATURES))) for group in rows}
    step = max(1, min(CHUNK_GENES, CHUNK_VALUES // max(1, matrix.shape[0])))
    for start in range(0, len(genes), step):
        values = columns(matrix, genes[start : start + step])
        for group, chosen in rows.items():
            result[group][start : start + step] = gene_features(values[chosen], structure[group])
    return result
