"""Kinds of edges: one public word each, with its columns, genes and labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from . import _keys
from ._check import closest, shorten
from ._errors import InvalidArgumentError, warn

#: Separates a ligand from its receptor in the name of a pair.
PAIR_SEPARATOR = "^"
#: Separates several names in one cell of a table.
NAME_SEPARATOR = " | "
#: Role of the genes in a column.
ROLE_OF_COLUMN = {column: f"{column}s" for column in ("ligand", "receptor", "tf", "target")}
#: Spellings of version 0.1, which work for one version more.
FORMER_SPELLINGS = {
    "lr": "lr_targets",
    "tf": "tf_targets",
    "pairs": "lr_pairs",
    "pair_activity": "lr_pair_activity",
}


@dataclass(frozen=True)
class EdgeKind:
    """One kind of edge.

    ``name`` is the public word: the name of its reader in :mod:`spatrace_sc.get` and of its table
    in the stored result. ``source`` names the columns where an edge begins, ``target`` the column
    where it ends; ``table_columns`` are those of the table that users read.
    """

    name: str
    source: tuple[str, ...]
    target: str
    title: str
    signed: bool
    table_columns: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Columns that identify an edge."""
        return [*self.source, self.target]

    @property
    def roles(self) -> list[str]:
        """Roles of the genes in these columns."""
        return [ROLE_OF_COLUMN[column] for column in self.columns]

    @property
    def of_pairs(self) -> bool:
        """Whether ligand–receptor pairs are the regulators."""
        return len(self.source) > 1

    @property
    def regulator(self) -> str:
        """Noun for what acts: ``"pair"``, ``"TF"`` or ``"ligand"``."""
        return "pair" if self.of_pairs else {"tf": "TF"}.get(self.source[0], self.source[0])

    @property
    def size(self) -> str:
        """Column with the size of an edge."""
        return "effect" if self.signed else "score"

    def source_names(self, table: pd.DataFrame) -> pd.Series:
        """Return the name of the regulator of every row; a pair is ``ligand^receptor``."""
        return joined(table, self.source)


TF_TARGETS = EdgeKind(
    *("tf_targets", ("tf",), "target", "TF → target", True),
    tuple(_keys.TF_TARGETS),
)
LR_TARGETS = EdgeKind(
    *("lr_targets", ("ligand", "receptor"), "target", "pair → target", True),
    tuple(_keys.LR_TARGETS),
)
LR_TFS = EdgeKind("lr_tfs", ("ligand", "receptor"), "tf", "pair → TF", True, tuple(_keys.LR_TFS))
LR_PAIRS = EdgeKind(
    "lr_pairs", ("ligand",), "receptor", "ligand → receptor", False, tuple(_keys.LR_PAIRS)
)

#: Every kind by its public word.
EDGE_KINDS = {kind.name: kind for kind in (TF_TARGETS, LR_TARGETS, LR_TFS, LR_PAIRS)}
#: Kinds with a p-value and a q-value of their own, in the order in which they are reported.
TESTED_KINDS = (TF_TARGETS, LR_TARGETS, LR_PAIRS)
#: Kinds whose edges end at a target.
TARGET_KINDS = (TF_TARGETS, LR_TARGETS)
#: Kinds with an activity in every cell.
ACTIVITY_KINDS = ("lr_pairs", "tfs", "modules")
#: Columns that identify what is compared between groups: four responses, then two levels.
COMPARED_COLUMNS = {
    "tf_targets": TF_TARGETS.columns,
    "lr_targets": LR_TARGETS.columns,
    "tfs": ["tf"],
    "lr_pairs": LR_PAIRS.columns,
    "tf_activity": ["tf"],
    "lr_pair_activity": LR_PAIRS.columns,
}
#: Compared level → the activity it is the mean of.
LEVELS = {"tf_activity": "tfs", "lr_pair_activity": "lr_pairs"}


def public_word(kind: object, allowed: Iterable[str], argument: str = "kind") -> str:
    """Return ``kind`` as one of the ``allowed`` words; a former spelling gives a FutureWarning.

    Raises
    ------
    InvalidArgumentError
        For an unknown word; the message lists the allowed ones.
    """
    words = list(allowed)
    if isinstance(kind, str):
        if kind in words:
            return kind
        renamed = FORMER_SPELLINGS.get(kind)
        if renamed in words:
            warn(
                f"`{argument}={kind!r}` is now spelled {renamed!r}; "
                "the former spelling stops working in the next version.",
                FutureWarning,
            )
            return str(renamed)
    raise InvalidArgumentError(
        f"`{argument}` must be one of {shorten(words)}, found {kind!r}.{closest(str(kind), words)}"
    )


def joined(
    table: pd.DataFrame, columns: Sequence[str], separator: str = PAIR_SEPARATOR
) -> pd.Series:
    """Return the names in some columns of every row, by default as ``ligand^receptor``."""
    names = table[columns[0]].astype(str)
    for column in columns[1:]:
        names = names + separator + table[column].astype(str)
    return names.astype(object)
