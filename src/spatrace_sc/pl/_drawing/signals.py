"""What cell types send to each other, as the figures of cell types need it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ... import get
from ..._check import closest, count, find_labels, labels, shorten
from ..._edges import LR_PAIRS, joined
from ..._errors import InvalidArgumentError
from .colours import category_colours
from .labels import readable
from .pair_name import pair_name
from .significance import at_stage, is_significant, up_to


@dataclass(frozen=True)
class Signals:
    """Rows of the communication table that a figure sums.

    ``rows`` has the columns ``sender, receiver, pair, score, q_value, significant``, strongest
    first, with scores above 0. ``senders`` and ``receivers`` are all types in their order, also
    those without a row. ``summed`` says which pairs are summed, ``suffix`` with which limits.
    ``nothing`` says why there is no row.
    """

    rows: pd.DataFrame
    senders: list[str]
    receivers: list[str]
    summed: str
    suffix: str
    nothing: str

    @property
    def types(self) -> list[str]:
        """All types, senders first."""
        return list(dict.fromkeys([*self.senders, *self.receivers]))

    def links(self) -> pd.DataFrame:
        """Return ``sender, receiver, score, n_pairs, significant``, strongest first."""
        grouped = self.rows.groupby(["sender", "receiver"], sort=False)
        table = grouped.agg(
            score=("score", "sum"),
            n_pairs=("pair", "nunique"),
            significant=("significant", "any"),
        ).reset_index()
        return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)

    def matrices(self) -> tuple[pd.DataFrame, NDArray[np.bool_]]:
        """Return senders × receivers: summed scores, and whether a summed row is significant."""
        links = self.links()
        sender = pd.Index(self.senders, name="sender")
        receiver = pd.Index(self.receivers, name="receiver")
        values = np.zeros((len(sender), len(receiver)))
        significant = np.zeros(values.shape, dtype=bool)
        row, column = (
            index.get_indexer(pd.Index(links[index.name])) for index in (sender, receiver)
        )
        values[row, column] = links["score"]
        significant[row, column] = links["significant"]
        return pd.DataFrame(values, index=sender, columns=receiver), significant


def read_signals(
    adata: AnnData,
    key: str,
    *,
    pair: str | tuple[str, str] | None = None,
    top_n: int | None = None,
    max_q: float | None = None,
    stage: str | None = None,
) -> Signals:
    """Read the communication table: of one pair, of the strongest pairs, or of all."""
    count(top_n, "top_n")
    if pair is not None and top_n is not None:
        raise InvalidArgumentError(
            f"`pair={pair!r}` and `top_n={top_n}` exclude each other; leave one of them None."
        )
    table = get.communication(adata, stage, key=key)
    table = table.assign(pair=joined(table, LR_PAIRS.columns), significant=is_significant(table))
    senders, receivers = (_in_order(table[side]) for side in ("sender", "receiver"))
    rows, limit = up_to(table, max_q)
    rows = rows[rows["score"].to_numpy() > 0]
    total = rows["score"].groupby(rows["pair"]).sum().sort_values(ascending=False, kind="stable")
    if pair is not None:
        chosen = [pair_name(pair, table["pair"].unique(), "of the communication table")]
        summed = readable(chosen[0])
    else:
        chosen = list(total.index[:top_n])
        part = "all " if len(chosen) == len(total) else f"{len(chosen)} of "
        summed = f"sum of {part}{len(total)} pairs"
        summed = readable(chosen[0]) if len(chosen) == len(total) == 1 else summed
    rows = rows[rows["pair"].isin(chosen)].astype({"sender": str, "receiver": str})
    rows = rows.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    suffix = limit + at_stage(adata, stage, key)
    name = f" {summed}" if pair is not None else ""
    nothing = ""
    if rows.empty:
        nothing = f"No communication{name}{suffix or ' with a score above 0'}"
        nothing += _reason(adata, table, max_q, key)
    return Signals(rows, senders, receivers, summed, suffix, nothing)


def type_colours(adata: AnnData, types: list[str], key: str) -> dict[str, str]:
    """Return the colours of cell types, those of other figures of the data."""
    return category_colours(adata, get.params(adata, key=key)["cell_type_key"], types)


def chosen_types(value: object, argument: str, available: list[str]) -> list[str]:
    """Return the available types that an argument names; all for None."""
    if value is None:
        return available
    present, missing = find_labels(labels(value, argument), available)
    if missing or not present:
        name = missing[0] if missing else ""
        role = argument.rstrip("s")
        raise InvalidArgumentError(
            f"`{argument}={value!r}`: {name!r} is not a {role} type of the communication table; "
            f"those are {shorten(available)}.{closest(name, available)}"
        )
    return present


def _in_order(types: pd.Series) -> list[str]:
    """Return the types of a column, in the order of its categories or of the alphabet."""
    if isinstance(types.dtype, pd.CategoricalDtype):
        types = types.cat.remove_unused_categories()
        return [str(name) for name in types.cat.categories]
    return [str(name) for name in sorted(types.unique())]


def _reason(adata: AnnData, table: pd.DataFrame, max_q: float | None, key: str) -> str:
    """Return why no row of the table has at most this q."""
    if table.empty:
        return ":\nthe table of communication is empty"
    smallest = float(table["q_value"].min())
    if max_q is None or smallest <= max_q:
        return ""
    pairs = get.lr_pairs(adata, key=key)
    grouped = pairs["group"].astype(str)[pairs["group_q_value"].to_numpy() <= max_q]
    n = grouped[grouped != ""].nunique()
    reason = f":\nthe smallest q is {smallest:.2g}"
    if n:
        groups = "1 group of pairs has" if n == 1 else f"{n} groups of pairs have"
        reason += f"; {groups} q ≤ {max_q:g}, see st.get.lr_pairs, column group"
    return reason
