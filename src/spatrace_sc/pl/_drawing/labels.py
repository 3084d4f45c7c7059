"""Names and units of what figures show, keyed by the public word of their kind."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ..._edges import LR_PAIRS, PAIR_SEPARATOR, joined

#: Separates the genes of an edge in a figure.
ARROW = " → "


#: Longest part of a name that is written in full, in characters.
LONGEST_PART = 24
#: What separates the parts of a name.
PARTS, WORDS = re.compile(r"( → |\^|: | \| )"), re.compile(r"( |\^)")


def elided(name: str, longest: int = LONGEST_PART) -> str:
    """Return a name whose long parts have an ellipsis in their middle.

    The parts of an edge are its genes; those of a module are its number, pair and target.
    """
    separators = WORDS if PAIR_SEPARATOR in name else PARTS

    def cut(part: str) -> str:
        if len(part) <= longest:
            return part
        end = (longest - 1) // 2
        return f"{part[: longest - 1 - end]}…{part[-end:]}"

    return "".join(map(cut, separators.split(name)))


@dataclass(frozen=True)
class Label:
    """Noun for what is drawn, and the axis label of its values with their unit."""

    noun: str
    axis: str

    @property
    def plural(self) -> str:
        """Plural of the noun."""
        return f"{self.noun}s"


PER_PAIR = "(SD of the target per SD of the pair's signal)"
PER_TF = "(SD of the target per SD of the TF)"

#: Kinds of edges whose strongest are drawn.
EDGE_LABELS = {
    "lr_targets": Label("ligand–receptor → target edge", f"effect {PER_PAIR}"),
    "tf_targets": Label("TF → target edge", f"effect {PER_TF}"),
    "lr_pairs": Label("ligand–receptor pair", "score (norm of its effects on all targets; SD)"),
}
#: What is compared between groups.
COMPARED_LABELS = {
    "tf_targets": Label("TF → target edge", f"slope {PER_TF}"),
    "lr_targets": Label("ligand–receptor → target edge", f"slope {PER_PAIR}"),
    "tfs": Label("TF response", "slope along the TF's overall effects (SD)"),
    "lr_pairs": Label("pair response", "slope along the pair's overall effects (SD)"),
    "tf_activity": Label("TF level", "mean activity (SD of the targets)"),
    "lr_pair_activity": Label("pair signal", "mean activity (SD of the targets)"),
}
#: What has an activity in every cell.
ACTIVITY_LABELS = {
    "lr_pairs": Label("ligand–receptor pair", "activity (SD of its targets)"),
    "tfs": Label("TF", "activity (SD of its targets;\n0 = mean of the receivers)"),
    "modules": Label("module", "score (SD of its pairs' targets)"),
}


def edge_names(table: pd.DataFrame, columns: Sequence[str] = tuple(LR_PAIRS.columns)) -> pd.Series:
    """Return the genes in some columns of every row, joined by arrows."""
    return joined(table, columns, ARROW)


def readable(name: str) -> str:
    """Return a stored name with arrows in place of ``^``."""
    return name.replace(PAIR_SEPARATOR, ARROW)
