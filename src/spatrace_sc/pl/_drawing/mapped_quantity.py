"""The quantity that a map of the cells shows: activity of a pair or a TF, or score of a module."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from ... import get
from ..._check import closest, shorten
from ..._edges import LR_PAIRS, PAIR_SEPARATOR, joined
from ..._errors import InvalidArgumentError
from .labels import ACTIVITY_LABELS, readable
from .pair_name import pair_name, written_name
from .significance import THRESHOLD, is_significant


@dataclass(frozen=True)
class Quantity:
    """Values to draw, one per cell, with their name, significance and unit.

    ``value`` is NaN where there is none, which ``missing`` explains: in cells that do not receive.
    ``signed`` values have a meaning below 0. ``column`` is the name in the result, "" for none.
    """

    name: str
    significance: str
    unit: str
    signed: bool
    value: NDArray[np.float64]
    missing: str = "not a receiver"
    column: str = ""


def quantity(
    adata: AnnData, cells: AnnData, kind: str, name: str | tuple[str, str] | None, key: str
) -> Quantity:
    """Return one column of the activity ``cells``; the first, which is the strongest, for None."""
    if kind == LR_PAIRS.name:
        selected = _pair(adata, cells, name, key)
        significance = _q_of_pair(adata, cells, selected, key)
    else:
        selected = _tf_or_module(adata, cells, kind, name, key)
        count = _targets_of_tf if kind == "tfs" else _pairs_of_module
        significance = count(adata, selected, key)
    value = np.asarray(cells[:, selected].X, dtype=np.float64).ravel()
    unit = ACTIVITY_LABELS[kind].axis
    signed = kind == "tfs"
    return Quantity(readable(selected), significance, unit, signed, value, column=selected)


def _pair(adata: AnnData, cells: AnnData, name: str | tuple[str, str] | None, key: str) -> str:
    """Return the name of the column of a pair."""
    names = [str(n) for n in cells.var_names]
    if name is None:
        return names[0]
    _refuse_other_kinds(adata, written_name(name), names, key)
    return pair_name(name, names, "whose activity is stored")


def _q_of_pair(adata: AnnData, cells: AnnData, name: str, key: str) -> str:
    """Return the q of a pair in words, and that of its group where only the group is significant.

    Where neither is, say so.
    """
    table = get.lr_pairs(adata, key=key)
    rows = np.logical_and.reduce([table[c] == str(cells.var[c][name]) for c in LR_PAIRS.columns])
    row = table[rows].iloc[0]
    notes = {"supported": "", "group": f", q of its group = {row['group_q_value']:.2g}"}
    return f"q = {row['q_value']:.2g}{notes.get(str(row['evidence']), ' (not significant)')}"


def _refuse_other_kinds(adata: AnnData, name: str, names: list[str], key: str) -> None:
    """Raise an error that says what a name is instead, if it is not a pair with an activity."""
    if name in names:
        return
    table = get.lr_pairs(adata, key=key)
    tfs = [str(n) for n in get.activity(adata, "tfs", key=key).var_names]
    if name in tfs:
        raise InvalidArgumentError(
            f"`pair={name!r}` is a TF, not a pair; "
            f"its map is `st.pl.spatial(adata, {name!r}, kind='tfs')`."
        )
    is_gene = PAIR_SEPARATOR not in name
    for side, role in enumerate(LR_PAIRS.columns):
        if is_gene and name in set(table[role].astype(str)):
            pairs = [n for n in names if name == n.split(PAIR_SEPARATOR)[side]]
            note = f"its pairs are {shorten(pairs)}" if pairs else "none of its pairs has an effect"
            raise InvalidArgumentError(
                f"`pair={name!r}` is a {role}, not a pair; {note}. Give 'ligand^receptor'."
            )
    candidates = set(joined(table, LR_PAIRS.columns))
    if is_gene and not closest(name, candidates):
        genes = [str(gene) for role in LR_PAIRS.columns for gene in table[role]]
        raise InvalidArgumentError(
            f"`pair={name!r}` is not a ligand, receptor or TF of the "
            f"result.{closest(name, dict.fromkeys([*genes, *tfs]))} Give 'ligand^receptor' or "
            "(ligand, receptor), or the name of a TF and `kind='tfs'`."
        )
    if name in candidates:
        raise InvalidArgumentError(
            f"`pair={name!r}` has no activity to draw: it has no effect on any target, "
            "or is not among the `config.max_activity` strongest pairs."
        )


def _tf_or_module(
    adata: AnnData, cells: AnnData, kind: str, name: str | tuple[str, str] | None, key: str
) -> str:
    """Return the name of the column of a TF or a module; a module may be named by its number."""
    names = [str(n) for n in cells.var_names]
    if name is None or str(name) in names:
        return names[0] if name is None else str(name)
    numbered = [n for n in names if n.split(" ")[0] == str(name)]
    if kind == "modules" and numbered:
        return numbered[0]
    hint = closest(str(name), names)
    if kind == "tfs":
        table = get.lr_pairs(adata, key=key)
        roles = [role for role in LR_PAIRS.columns if str(name) in set(table[role].astype(str))]
        hint = f" It is a {roles[0]}." if roles else hint
    raise InvalidArgumentError(
        f"{name!r} is not a {ACTIVITY_LABELS[kind].noun} of the result; it has "
        f"{shorten(names)}.{hint}"
    )


def _targets_of_tf(adata: AnnData, name: str, key: str) -> str:
    """Return the number of significant targets of a TF in words."""
    edges = get.tf_targets(adata, key=key)
    n = int(is_significant(edges[edges["tf"].astype(str) == name]).sum())
    return f"{n or 'no'} significant target{'' if n == 1 else 's'} ({THRESHOLD})"


def _pairs_of_module(adata: AnnData, name: str, key: str) -> str:
    """Return the number of significant main pairs of a module in words."""
    table = get.modules(adata, key=key)
    main = table[(table["module"].astype(str) == name) & table["main"].astype(bool)]
    pairs = get.lr_pairs(adata, key=key)
    significant = joined(pairs[is_significant(pairs)], LR_PAIRS.columns)
    n = int(joined(main, LR_PAIRS.columns).isin(significant).sum())
    return f"{n or 'none'} of its {len(main)} pairs significant ({THRESHOLD})"


def every_value(cells: AnnData) -> NDArray[np.float64]:
    """Return the (cells, columns) values that :func:`spatrace_sc.get.activity` has built."""
    return np.asarray(cells.X, dtype=np.float64)
