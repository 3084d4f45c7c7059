"""Complexes of ligands and receptors: one name and one level for several genes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import one_of, shorten
from .._core.counts import MAX_LOG
from .._errors import DataError, warn
from .flags import is_flagged, written_by_gene_roles
from .gene_names import find_genes, listed_names, looks_like_complex, subunits_of
from .genes import flagged, gene_labels, match
from .matrix_forms import InMemory

logger = logging.getLogger("spatrace_sc")

#: Roles in which a complex counts as one regulator.
ROLES = ("ligands", "receptors")
#: How the level of a complex follows from those of its subunits.
MINIMUM, GEOMETRIC_MEAN = "minimum", "geometric mean"
LEVELS = (MINIMUM, GEOMETRIC_MEAN)
#: Columns of the table of complexes in ``uns["gene_roles"]``, one row per subunit.
COLUMNS = ["role", "complex", "subunit"]
#: Number of incomplete complexes that a message shows.
N_SHOWN = 3

#: Name of a complex → ``var_names`` of its subunits.
Subunits = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Complexes:
    """Complexes of one data set, by the ``var_names`` of their subunits.

    Each is an additional column behind the genes of a matrix: the level of the subunit with the
    least linear expression, or the geometric mean of all subunits.
    """

    subunits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    level: str = MINIMUM

    def among(self, names: Iterable[str]) -> Complexes:
        """Return the complexes that are among some names."""
        chosen = {name: self.subunits[name] for name in names if name in self.subunits}
        return Complexes(chosen, self.level)

    def genes_of(self, names: Iterable[str]) -> NDArray[np.str_]:
        """Return the sorted genes behind some names, subunits in place of complexes."""
        genes = {gene for name in names for gene in self.subunits.get(name, (name,))}
        return np.array(sorted(genes), dtype=str)

    def index(self, var_names: pd.Index, names: Sequence[str] | NDArray[np.str_]) -> Positions:
        """Return the columns of genes and complexes in a matrix with :meth:`appended` columns."""
        columns = pd.Index([*var_names.astype(str), *self.subunits])
        return np.asarray(columns.get_indexer(pd.Index(names)), dtype=np.intp)

    def appended(self, matrix: InMemory, var_names: pd.Index) -> InMemory:
        """Return a matrix of log1p expression with the level of every complex behind the genes."""
        if not self.subunits:
            return matrix
        levels = [
            self._level(matrix[:, var_names.get_indexer(pd.Index(genes))])
            for genes in self.subunits.values()
        ]
        added = np.stack(levels, axis=1).astype(matrix.dtype)
        if isinstance(matrix, np.ndarray):
            return np.hstack([matrix, added])
        return sparse.csr_matrix(sparse.hstack([matrix, sparse.csr_matrix(added)], format="csr"))

    def _level(self, subunits: InMemory) -> NDArray[np.floating]:
        """(cells,) log1p level of one complex from (cells, subunits)."""
        values = subunits if isinstance(subunits, np.ndarray) else subunits.toarray()
        if self.level == MINIMUM:
            return np.asarray(values.min(axis=1))
        linear = np.expm1(np.minimum(values.astype(np.float64), MAX_LOG))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log1p(np.exp(np.log(linear).mean(axis=1))))


Positions = NDArray[np.intp]


def match_role(
    adata: AnnData,
    names: Sequence[str],
    role: str,
    symbols: NDArray[np.object_] | None = None,
    column: str | None = None,
    *,
    published: bool = False,
) -> tuple[NDArray[np.bool_], Subunits]:
    """Return the (genes,) mask of the genes in a list, and the complexes in it.

    A name of several genes that is not itself a gene is a complex. It is called as liana does,
    "A_B". A complex with subunits that are not in the data is left out, with a warning unless the
    list is ``published``.
    """
    if role not in ROLES:
        return match(adata, names, role, symbols, column, published=published), {}
    listed = listed_names(names, role)
    available = np.asarray(adata.var_names if symbols is None else symbols, dtype=str)
    known = set(available.tolist())
    complexes = [n for n in listed if n not in known and looks_like_complex(n, known)]
    if not complexes:
        return match(adata, listed, role, symbols, column, published=published), {}
    subunits, single, missing = _resolve(adata, complexes, role, symbols)
    _report(subunits, missing, role, published=published)
    plain = [name for name in listed if name not in set(complexes)] + single
    if not plain and not subunits:
        raise DataError(
            f"`{role}` has only complexes, and none of them has all subunits in the data; name "
            "others, or genes."
        )
    mask = np.zeros(adata.n_vars, dtype=bool)
    if plain:
        mask = match(
            *(adata, plain, role, symbols, column), published=published, needed=not subunits
        )
    return mask, subunits


def _resolve(
    adata: AnnData, complexes: list[str], role: str, symbols: NDArray[np.object_] | None
) -> tuple[Subunits, list[str], dict[str, list[str]]]:
    """Return complexes with all subunits, names of a single gene, and the missing subunits."""
    parts = {name: list(dict.fromkeys(subunits_of(name))) for name in complexes}
    available = np.asarray(adata.var_names if symbols is None else symbols, dtype=str)
    wanted = dict.fromkeys(part for listed in parts.values() for part in listed)
    spelling = find_genes(wanted, available, role)
    labels = gene_labels(adata, symbols)
    names = adata.var_names.to_numpy(dtype=str)
    genes = {part: names[available == name].tolist() for part, name in spelling.items()}
    subunits: Subunits = {}
    single: list[str] = []
    missing: dict[str, list[str]] = {}
    seen: set[frozenset[str]] = set()
    for name, listed in parts.items():
        lacking = [part for part in listed if len(genes.get(part, ())) != 1]
        if len(listed) == 1 and listed[0] in genes:
            single.append(listed[0])
        elif lacking:
            missing[name] = lacking
        elif frozenset(listed) not in seen:
            seen.add(frozenset(listed))
            members = tuple(genes[part][0] for part in listed)
            as_in_liana = "_".join(labels[gene] for gene in members)
            subunits[name if as_in_liana in labels.values() else as_in_liana] = members
    return subunits, single, missing


def _report(
    subunits: Subunits, missing: dict[str, list[str]], role: str, *, published: bool
) -> None:
    """Log the complexes of a list, and warn of those of the user's that are left out."""
    logger.info(
        "%s: %d of %d complexes have all subunits in the data; each counts as one of the %s.",
        *(role, len(subunits), len(subunits) + len(missing), role),
    )
    if missing and not published:
        shown = [f"{name!r} (without {shorten(lacking, 3)})" for name, lacking in missing.items()]
        n_more = len(shown) - N_SHOWN
        warn(
            f"`{role}`: {len(missing)} complexes are left out, because some of their subunits are "
            f"not in the data, or name several genes there: {', '.join(shown[:N_SHOWN])}"
            f"{f' and {n_more} more' if n_more > 0 else ''}."
        )


def table_of(complexes: Mapping[str, Subunits]) -> pd.DataFrame:
    """Return complexes by role as a table with one row per subunit."""
    rows = [
        (role, name, gene)
        for role, subunits in complexes.items()
        for name, genes in subunits.items()
        for gene in genes
    ]
    return pd.DataFrame(rows, columns=COLUMNS, dtype=object)


def stored_complexes(adata: AnnData, role: str) -> Subunits:
    """Return the complexes that :func:`spatrace_sc.pp.gene_roles` stored for a role.

    Complexes whose subunits are not in the data any more are left out, with a warning.
    """
    if not written_by_gene_roles(adata):
        return {}
    table = adata.uns[_keys.GENE_ROLES].get(_keys.COMPLEXES)
    if table is None:
        return {}
    rows = table[table["role"].astype(str) == role].astype(str)
    subunits = {
        str(name): tuple(genes) for name, genes in rows.groupby("complex", sort=False)["subunit"]
    }
    lacking = {n: [g for g in genes if g not in adata.var_names] for n, genes in subunits.items()}
    missing = {name: genes for name, genes in lacking.items() if genes}
    if missing:
        _report(
            {n: g for n, g in subunits.items() if n not in missing}, missing, role, published=False
        )
    return {name: genes for name, genes in subunits.items() if name not in missing}


def flagged_role(adata: AnnData, role: str) -> tuple[list[str], Subunits]:
    """Return the genes that ``var`` flags for a role, and the stored complexes of the role."""
    complexes = stored_complexes(adata, role) if role in ROLES else {}
    column = _keys.ROLES[role]
    if complexes and column in adata.var and not is_flagged(adata, column).any():
        return [], complexes
    return flagged(adata, role), complexes


def check_level(level: object) -> str:
    """Return how the level of a complex is computed, checked."""
    one_of(level, "complex_level", LEVELS)
    return str(level)
