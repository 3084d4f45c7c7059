"""Prior knowledge as penalties."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._check import shorten
from .._data.gene_names import complex_hint, find_genes, name_of, subunits_of
from .._edges import ROLE_OF_COLUMN
from .._errors import InvalidArgumentError
from .._regulators import Regulators

logger = logging.getLogger("spatrace_sc")

#: One table, or several under any names.
Prior = pd.DataFrame | Sequence[pd.DataFrame] | Mapping[str, pd.DataFrame]
#: Columns of a prior on pairs and of one on TF edges.
PAIR_COLUMNS, TF_COLUMNS = ("ligand", "receptor"), ("tf", "target")


def prior_penalties(
    prior: Prior | None, genes: Regulators
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return penalties of pairs (P,) and, with a prior on TFs, of TF edges (F, G).

    The penalty is ``1 / (1 + weight)`` where the prior names an edge, 1 elsewhere. Of an edge that
    is named several times the largest weight counts.
    """
    penalty = {
        columns: np.ones([len(genes[ROLE_OF_COLUMN[c]]) for c in columns], dtype=np.float32)
        for columns in (PAIR_COLUMNS, TF_COLUMNS)
    }
    kinds = set()
    for table in tables_of(prior):
        columns = columns_of(table)
        index, weight = _named_edges(table, columns, genes)
        np.minimum.at(penalty[columns], index, (1.0 / (1.0 + weight)).astype(np.float32))
        kinds.add(columns)
    tfs = penalty[TF_COLUMNS] if TF_COLUMNS in kinds else None
    return penalty[PAIR_COLUMNS].ravel(), tfs


def tables_of(prior: Prior | None) -> list[pd.DataFrame]:
    """Return the tables of a prior, checked for their columns."""
    if prior is None:
        return []
    tables = [prior] if isinstance(prior, pd.DataFrame) else list(_several(prior))
    if not tables:
        raise InvalidArgumentError("`prior` holds no table; pass None to go without one.")
    for table in tables:
        columns_of(table)
    return tables


def _several(prior: object) -> Sequence[pd.DataFrame]:
    tables = list(prior.values()) if isinstance(prior, Mapping) else prior
    if not isinstance(tables, list | tuple):
        _refuse(type(prior).__name__)
    wrong = [type(table).__name__ for table in tables if not isinstance(table, pd.DataFrame)]
    if wrong:
        _refuse(f"{type(prior).__name__} of {shorten(dict.fromkeys(wrong))}")
    return tables


def columns_of(table: pd.DataFrame) -> tuple[str, str]:
    """Return the gene columns of a table; those of pairs where it has both kinds."""
    for columns in (PAIR_COLUMNS, TF_COLUMNS):
        if set(columns) <= set(table):
            return columns
    _refuse(str(list(table.columns)))


def _refuse(finding: str) -> NoReturn:
    raise InvalidArgumentError(
        "`prior` must be a table with columns ligand, receptor[, weight] or tf, target[, weight], "
        f"or a list or dictionary of such tables; found {finding}. `st.pp.prior` makes them from "
        "resources."
    )


def _named_edges(
    table: pd.DataFrame, columns: tuple[str, str], genes: Regulators
) -> tuple[tuple[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]:
    """Indices of the genes of the rows whose genes are both in the data, and their weights."""
    if not len(table):
        raise InvalidArgumentError(
            f"`prior`: the table {columns[0]}, {columns[1]} has 0 rows; leave it out."
        )
    weight = np.ones(len(table))
    if "weight" in table:
        numbers = pd.to_numeric(table["weight"], errors="coerce")
        weight = numbers.to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InvalidArgumentError("`prior['weight']` must be numbers of at least 0.")
    names = {column: [name_of(name).strip() for name in table[column]] for column in columns}
    source, target = (_index(genes, column, names[column]) for column in columns)
    known = (source >= 0) & (target >= 0)
    hint = _hint_at_complexes(genes, names)
    if not known.any():
        raise InvalidArgumentError(
            f"`prior`: none of its {len(table)} rows names a {columns[0]} and a {columns[1]} of "
            f"the data ({shorten(dict.fromkeys(names[columns[0]]), 3)}).{hint}"
        )
    logger.log(
        logging.WARNING if hint else logging.INFO,
        "prior: %d of %d rows name a %s and a %s of the data.%s",
        *(int(known.sum()), len(table), *columns, hint),
    )
    return (source[known], target[known]), weight[known]


def _index(genes: Regulators, column: str, names: list[str]) -> NDArray[np.int64]:
    """Return the index of every name among the genes of its role, −1 if it is none of them."""
    role = ROLE_OF_COLUMN[column]
    spelling = find_genes(dict.fromkeys(names), genes[role], f"prior[{column!r}]")
    by_subunits = {frozenset(parts): name for name, parts in genes.complexes.items()}
    for name in set(names) - set(spelling) if by_subunits else ():
        as_complex = by_subunits.get(frozenset(subunits_of(name)))
        if as_complex is not None:
            spelling[name] = as_complex
    return genes.index(role, [spelling.get(name, name) for name in names])


def _hint_at_complexes(genes: Regulators, names: Mapping[str, list[str]]) -> str:
    """Return a hint at the names that are complexes, which `st.pp.prior` resolves; or ``""``."""
    for column, listed in names.items():
        available = genes[ROLE_OF_COLUMN[column]]
        known = {*available.tolist(), *map("_".join, genes.complexes.values())}
        hint = complex_hint(set(listed) - known, available)
        if hint:
            return f"{hint} `st.pp.prior(adata, table)` does so."
    return ""


def describe_prior(prior: Prior | None) -> str:
    """Return the number of rows of each kind, "" without a prior."""
    n_rows = dict.fromkeys((PAIR_COLUMNS, TF_COLUMNS), 0)
    for table in tables_of(prior):
        n_rows[columns_of(table)] += len(table)
    return "; ".join(f"{n} {', '.join(columns)}" for columns, n in n_rows.items() if n)
