"""Prior knowledge as penalties."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._check import shorten
from .._errors import InvalidArgumentError

logger = logging.getLogger("spatrace_sc")

#: One table, or several under any names.
Prior = pd.DataFrame | Sequence[pd.DataFrame] | Mapping[str, pd.DataFrame]

#: Columns of the two kinds of table, and the roles of their genes.
KINDS = {("ligand", "receptor"): ("ligands", "receptors"), ("tf", "target"): ("tfs", "targets")}


def prior_penalties(
    prior: Prior | None, genes: dict[str, NDArray[np.str_]]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Penalties of pairs (P,) and, with a TF prior, of TF edges (F, G): ``1 / (1 + weight)`` where the prior names them, 1 elsewhere.

    An edge that is named several times has its largest weight.
    """
    factor = {
        kind: np.ones([len(genes[role]) for role in roles], dtype=np.float32)
        for kind, roles in KINDS.items()
    }
    named = set()
    for table in tables_of(prior):
        kind = kind_of(table)
        index, weight = _edges(table, kind, genes)
        np.minimum.at(factor[kind], index, (1.0 / (1.0 + weight)).astype(np.float32))
        named.add(kind)
    pairs, tfs = (factor[kind] for kind in KINDS)
    return pairs.ravel(), tfs if ("tf", "target") in named else None


def tables_of(prior: Prior | None) -> list[pd.DataFrame]:
    """The tables of a prior, checked for their columns."""
    if prior is None:
        return []
    found = [prior] if isinstance(prior, pd.DataFrame) else list(_several(prior))
    if not found:
        raise InvalidArgumentError("`prior` holds no table; pass None to go without one.")
    for table in found:
        kind_of(table)
    return found


def _several(prior: object) -> Sequence[pd.DataFrame]:
    given = list(prior.values()) if isinstance(prior, Mapping) else prior
    if not isinstance(given, list | tuple):
        _refuse(type(prior).__name__)
    bad = [type(t).__name__ for t in given if not isinstance(t, pd.DataFrame)]
    if bad:
        _refuse(f"{type(prior).__name__} of {shorten(dict.fromkeys(bad))}")
    return given


def kind_of(table: pd.DataFrame) -> tuple[str, str]:
    """``("ligand", "receptor")`` or ``("tf", "target")``, whichever columns a table has; the first where it has both."""
    for kind in KINDS:
        if set(kind) <= set(table):
            return kind
    _refuse(str(list(table.columns)))


def _refuse(found: str) -> NoReturn:
    raise InvalidArgumentError(
        f"`prior` must be a table with columns ligand, receptor[, weight] or tf, target[, weight], or a list or dictionary of such tables; found {found}. `st.pp.prior` makes them from resources."
    )


def _edges(
    table: pd.DataFrame, kind: tuple[str, str], genes: dict[str, NDArray[np.str_]]
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]]:
    """Numbers of the genes of the rows that name genes of the data, and their weights."""
    weight = (
        pd.to_numeric(table["weight"], errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        if "weight" in table
        else np.ones(len(table))
    )
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InvalidArgumentError("`prior['weight']` must be numbers of at least 0.")
    left, right = (
        pd.Index(genes[role]).get_indexer(pd.Index(table[column].astype(str)))
        for column, role in zip(kind, KINDS[kind], strict=True)
    )
    known = (left >= 0) & (right >= 0)
    if not known.any():
        raise InvalidArgumentError(
            f"`prior`: none of its {len(table)} rows names a {kind[0]} and a {kind[1]} of the data ({shorten(table[kind[0]].unique(), 3)})."
        )
    logger.info(
        "prior: %d of %d rows name a %s and a %s of the data.", int(known.sum()), len(table), *kind
    )
    return (left[known], right[known]), weight[known]


def described(prior: Prior | None) -> str:
    """Rows of each kind, "" without a prior."""
    size = dict.fromkeys(KINDS, 0)
    for table in tables_of(prior):
        size[kind_of(table)] += len(table)
    return "; ".join(f"{n} {', '.join(kind)}" for kind, n in size.items() if n)
