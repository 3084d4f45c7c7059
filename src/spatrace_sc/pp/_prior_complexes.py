"""Complexes of a resource that are one ligand or receptor of the data."""

from __future__ import annotations

from itertools import product

import pandas as pd
from anndata import AnnData

from .._data.complexes import stored_complexes
from .._data.gene_names import subunits_of
from .._data.genes import gene_labels, symbols_of

#: Role of each column of a resource of pairs.
ROLES = {"ligand": "ligands", "receptor": "receptors"}


def with_complexes(
    adata: AnnData,
    labels: dict[str, list[str]],
    known: pd.DataFrame,
    allowed: dict[str, set[str]],
    gene_symbols: str | None,
) -> dict[str, list[str]]:
    """Return the labels with those of complexes that :func:`spatrace_sc.pp.gene_roles` listed.

    ``labels`` are those of the genes of the data by their name in the resource, whose rows are
    ``known``. The complexes of a role are added to those ``allowed`` in its column.
    """
    label_of = gene_labels(adata, symbols_of(adata, gene_symbols))
    complexes_of: dict[str, list[str]] = {}
    for column in [column for column in known.columns[:2] if column in ROLES]:
        listed = {
            frozenset(label_of[gene] for gene in genes): name
            for name, genes in stored_complexes(adata, ROLES[column]).items()
        }
        for name in known[column].unique() if listed else ():
            if name in labels:
                continue
            of_parts = [labels.get(part, []) for part in dict.fromkeys(subunits_of(name))]
            genes = [frozenset(chosen) for chosen in product(*of_parts)]
            complexes_of[name] = [listed[chosen] for chosen in genes if chosen in listed]
            allowed[column].update(complexes_of[name])
    return labels | {name: complexes for name, complexes in complexes_of.items() if complexes}
