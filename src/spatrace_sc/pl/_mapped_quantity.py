"""What a map of the cells shows: a pair, a TF or a module."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import get
from .._check import closest, shorten
from .._errors import InvalidArgumentError
from ._shared import ARROW, pair_name
from ._significance import SUPPORTED, is_supported


@dataclass(frozen=True)
class Subject:
    """What is drawn, per cell, NaN where a cell does not receive; how it is called, what the data say of it, and in which unit it is.

    ``signed`` values have a meaning below 0.
    """

    title: str
    support: str
    unit: str
    signed: bool
    value: NDArray[np.float64]


def subject(
    adata: AnnData, cells: AnnData, kind: str, name: str | tuple[str, str] | None, key: str
) -> Subject:
    """One column of the activity ``cells``; the first, the strongest, for None."""
    if kind == "pairs":
        chosen, support = _pair(adata, cells, name, key)
    else:
        chosen = _named(adata, cells, kind, name, key)
        support = _of_tf(adata, chosen, key) if kind == "tfs" else _of_module(adata, chosen, key)
    unit = {
        "pairs": "activity (SD of its targets)",
        "tfs": "activity (SD of its targets;\n0: the mean receiver)",
        "modules": "score (SD of its pairs' targets)",
    }[kind]
    value = np.asarray(cells[:, chosen].X, dtype=np.float64).ravel()
    return Subject(chosen.replace("^", ARROW), support, unit, kind == "tfs", value)


def _pair(
    adata: AnnData, cells: AnnData, name: str | tuple[str, str] | None, key: str
) -> tuple[str, str]:
    names = [str(n) for n in cells.var_names]
    table = get.lr_pairs(adata, key=key)
    if name is None:
        chosen = names[0]
    else:
        _refuse_other_kinds(adata, name, table, names, key)
        chosen = pair_name(name, names, "whose activity is stored")
    ligand, receptor = (str(cells.var[c][chosen]) for c in ("ligand", "receptor"))
    row = table[(table["ligand"] == ligand) & (table["receptor"] == receptor)].iloc[0]
    but = {"supported": "", "group": f", that of its group {row['group_q_value']:.2g}"}
    return chosen, f"q = {row['q_value']:.2g}{but.get(str(row['evidence']), ' (not supported)')}"


def _refuse_other_kinds(
    adata: AnnData, name: str | tuple[str, str], table: pd.DataFrame, names: list[str], key: str
) -> None:
    """Say what a name that is no pair with an activity is instead."""
    if not isinstance(name, str):
        name = "^".join(map(str, name))
    if name in names:
        return
    tfs = [str(n) for n in get.activity(adata, "tfs", key=key).var_names]
    if name in tfs:
        raise InvalidArgumentError(
            f"`pair={name!r}` is a TF, not a pair; its map is `st.pl.activity_map(adata, {name!r}, kind='tfs')`."
        )
    for role in ("ligand", "receptor"):
        mine = [n for n in names if name == n.split("^")[role == "receptor"]]
        if "^" not in name and name in set(table[role].astype(str)):
            found = f"its pairs are {shorten(mine)}" if mine else "none of its pairs has an effect"
            raise InvalidArgumentError(
                f"`pair={name!r}` is a {role}, not a pair; {found}. Give 'ligand^receptor'."
            )
    pairs = set(table["ligand"].astype(str) + "^" + table["receptor"].astype(str))
    if "^" not in name and not closest(name, pairs):
        genes = dict.fromkeys([*table["ligand"].astype(str), *table["receptor"].astype(str), *tfs])
        raise InvalidArgumentError(
            f"`pair={name!r}` is no ligand, receptor or TF of the result.{closest(name, genes)} Give 'ligand^receptor' or (ligand, receptor), or the name of a TF and `kind='tfs'`."
        )
    if name in pairs:
        raise InvalidArgumentError(
            f"`pair={name!r}` has no effect on any target, or is not among the `config.max_activity` strongest pairs: it has no activity to draw."
        )


def _named(
    adata: AnnData, cells: AnnData, kind: str, name: str | tuple[str, str] | None, key: str
) -> str:
    """A TF or a module."""
    names = [str(n) for n in cells.var_names]
    if name is None or str(name) in names:
        return names[0] if name is None else str(name)
    short = [n for n in names if n.split(" ")[0] == str(name)]
    if kind == "modules" and short:
        return short[0]
    what = "TF" if kind == "tfs" else "module"
    table = get.lr_pairs(adata, key=key)
    elsewhere = [r for r in ("ligand", "receptor") if str(name) in set(table[r].astype(str))]
    hint = f" It is a {elsewhere[0]}." if elsewhere and kind == "tfs" else closest(str(name), names)
    raise InvalidArgumentError(
        f"{name!r} is no {what} of the result; it has {shorten(names)}.{hint}"
    )


def _of_tf(adata: AnnData, name: str, key: str) -> str:
    edges = get.tf_targets(adata, key=key)
    n = int(is_supported(edges[edges["tf"].astype(str) == name]).sum())
    return f"{n or 'no'} target{'' if n == 1 else 's'} with {SUPPORTED}"


def _of_module(adata: AnnData, name: str, key: str) -> str:
    table = get.modules(adata, key=key)
    mine = table[(table["module"].astype(str) == name) & table["main"].astype(bool)]
    known = get.lr_pairs(adata, key=key)
    known = known[is_supported(known)]
    pairs = (pd.MultiIndex.from_frame(t[["ligand", "receptor"]].astype(str)) for t in (mine, known))
    first, second = pairs
    n = int(first.isin(second).sum())
    return f"{n or 'none'} of its {len(mine)} pairs with {SUPPORTED}"
