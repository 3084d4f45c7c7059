"""Genes and complexes of every role, from arguments or from flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._data.complexes import Complexes, Subunits, flagged_role, match_role
from .._data.genes import default_targets
from .._data.matrix_forms import InMemory
from .._data.on_disk import OnDisk
from .._regulators import ROLES
from .source import Source

#: Genes of each role as the user gave them; None: the flags in ``var``.
GivenGenes = dict[str, Sequence[str] | None]


def resolve_roles(
    adata: AnnData,
    roles: GivenGenes,
    matrix: InMemory | OnDisk,
    symbols: NDArray[np.object_] | None = None,
    n_measured: NDArray[np.integer] | None = None,
) -> tuple[dict[str, NDArray[np.str_]], Subunits]:
    """Return the names of every role, from the arguments or the flags in ``var``.

    Genes are named as in ``var_names``. The second value holds the subunits of the complexes.
    """
    names: dict[str, NDArray[np.str_]] = {}
    subunits: Subunits = {}
    for role in ROLES:
        genes, complexes = roles[role], Subunits()
        by_symbol = symbols if genes is not None else None
        if genes is None and role == "targets" and _keys.ROLES["targets"] not in adata.var:
            used = [name for listed in names.values() for name in listed]
            regulators = set(Complexes(subunits).genes_of(used).tolist())
            genes = default_targets(adata, regulators, matrix, n_measured)
        if genes is None:
            genes, complexes = flagged_role(adata, role)
        matched = np.zeros(adata.n_vars, dtype=bool)
        if len(genes) or not complexes:
            matched, listed_complexes = match_role(adata, genes, role, by_symbol)
            complexes = complexes | listed_complexes
        subunits |= complexes
        names[role] = np.sort([*adata.var_names[matched].astype(str), *complexes]).astype(str)
    return names, subunits


def complexes_of(source: Source, name_of: Mapping[str, str]) -> Complexes:
    """Return the complexes of a result; ``name_of`` are the ``var_names`` by label.

    Subunits that are not in the data keep their label.
    """
    subunits = {
        name: tuple(name_of.get(label, label) for label in labels)
        for name, labels in source.complexes.items()
    }
    return Complexes(subunits, source.complex_level)
