"""What the report says of itself: versions, parameters, counts, and how to read q."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from ... import _keys
from ._pack import Packed

#: Packages whose versions are stated.
PACKAGES = ("spatrace-sc", "anndata", "numpy", "pandas", "scipy", "scikit-learn", "torch")

THRESHOLD = f"q ≤ {_keys.MAX_SIGNIFICANT_Q:g}"
NOTES = (
    (
        "What q means",
        "q is the estimated false discovery rate at this rank: the expected share of false rows "
        f"among all rows with at most this q. A row with {THRESHOLD} is significant, and a dot "
        "marks it in tables, networks and matrices. All q are those of the whole data set. Only "
        "in the table of senders and receivers do the values of a stage include a q of that stage.",
    ),
    (
        "What is not significant",
        "Rows with a larger q are a ranking, not findings. The column limited_by states what "
        "keeps a row from being significant. The column group lists regulators that the data "
        "cannot distinguish: one of them acts.",
    ),
    (
        "Limits",
        "Effects are associations over space and time, adjusted for everything measured. A "
        "regulator that was not measured can cause them. A direct effect bypasses only those TFs "
        "that were measured. Activities of single cells carry count noise.",
    ),
    (
        "Values at a stage",
        "Effects and scores of pairs and TFs at a stage are those of the whole data set, "
        "multiplied by the mean level of the regulator at the stage relative to its mean over all "
        "receivers. Senders and receivers are scored at each stage separately.",
    ),
    (
        "Precision",
        "Tables hold single-precision numbers; downloads write seven digits. Positions are "
        "rounded to 1/65 535 of the widest slice. Activities are rounded to 1/254 of the colour "
        "scale, which ends at the 99 % quantile; stronger cells have the last colour.",
    ),
    (
        "Colours",
        "In networks vermilion raises and blue lowers the target. All slices share one colour "
        "scale and one scale of length. The second coordinate points downwards, as in images.",
    ),
)
#: Column → what it holds, for the headings of the tables.
COLUMNS = {
    "score": "Size of the effect; rows are ranked by it",
    "effect": "Change of the target in its standard deviations, signed",
    "q_value": "Estimated false discovery rate at this rank",
    "p_value": "p of this single row",
    "effect_se": "Standard error of the effect",
    "score_se": "Standard error of the score",
    "stability": "Share of refits that select the row",
    "evidence": "Summary of the evidence",
    "limited_by": "Why the row is not significant",
    "group": "Regulators that the data cannot distinguish, this one included",
    "group_q_value": "q of the claim that one regulator of the group acts",
    "mediated": "Effect through measured TFs",
    "direct_share": "Share of the effect that bypasses measured TFs",
    "through": "TFs that carry the mediated effect",
    "lead": "How far the TF changes before the target, −1 to 1",
    "robustness": "Residual variance that a confounder must explain to remove the effect",
    "benchmark": "The same for the strongest measured covariate",
    "rests_on": "Whether the effect holds within or between groups of cells",
}


def about(
    arguments: Mapping[str, Any], tables: Mapping[str, Packed], cells: Packed, stages: list[str]
) -> dict[str, Any]:
    """Return everything that the last section of the page lists.

    Versions are those that computed the result; those that draw the page where none are stored.
    """
    used = arguments.get("versions") or {name: _version(name) for name in PACKAGES}
    others = {name: value for name, value in arguments.items() if name != "versions"}
    return {
        "counts": _counts(tables, cells, stages),
        "notes": [list(note) for note in NOTES],
        "parameters": [[name, _written(value)] for name, value in _flat(others)],
        "versions": [[str(name), str(number)] for name, number in used.items()],
        "columns": COLUMNS,
    }


def summary(tables: Mapping[str, Packed], cells: Packed, stages: list[str]) -> str:
    """Return the line under the title; without ``stages`` it counts only slices."""
    parts = [
        f"{cells['total']:,} cells",
        _plural(len(cells["slices"]), "slice"),
        *([_plural(len(stages), "stage")] if stages else []),
        _plural(len(cells["types"]), "cell type"),
    ]
    significant = ", ".join(
        f"{tables[name]['significant']:,} of {tables[name]['candidates']:,} {words}"
        for name, words in (
            ("lr_pairs", "pairs"),
            ("lr_targets", "pair → target edges"),
            ("tf_targets", "TF → target edges"),
        )
    )
    return f"{', '.join(parts)}. Significant at {THRESHOLD}: {significant}."


def _counts(tables: Mapping[str, Packed], cells: Packed, stages: list[str]) -> list[list[str]]:
    """Return what was counted, and how much of it the page holds."""
    shown = f"{cells['n']:,} of {cells['total']:,}"
    drawn = "" if cells["n"] == cells["total"] else ", drawn at random within each slice"
    rows = [
        ["cells in this page", shown + drawn],
        *([["stages", ", ".join(stages)]] if stages else []),
        ["slices", ", ".join(s["title"] for s in cells["slices"])],
    ]
    rows += [
        [
            f"table “{t['title']}”",
            f"{t['n']:,} of {t['positive']:,} rows with a score above 0, of "
            f"{t['candidates']:,} in all; {t['significant']:,} significant",
        ]
        for t in tables.values()
    ]
    return rows


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested arguments as ``config.evidence.n_resamples`` and value."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _written(value: object) -> str:
    """Return a value as people read it."""
    if isinstance(value, pd.DataFrame):
        return f"table of {len(value)} rows"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _version(name: str) -> str:
    """Return the installed version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _plural(n: int, noun: str) -> str:
    """Return ``"3 stages"``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
