"""The false discovery rate on a tissue, estimated from its negative controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import gamma

from ..._edges import LR_PAIRS, LR_TARGETS, TESTED_KINDS, TF_TARGETS, EdgeKind
from .draws import MISPLACED, OTHER_SLICE, SHAM, SHAM_ALONE
from .outcomes import Outcome, n_significant

#: Values of q at which the false discovery rate is estimated.
THRESHOLDS = (0.01, 0.05, 0.1, 0.2, 0.3)
#: Roles of the regulators of every table.
SOURCE_ROLES = {
    TF_TARGETS: ("tfs",),
    LR_TARGETS: ("ligands", "receptors"),
    LR_PAIRS: ("ligands", "receptors"),
}
#: Probability of the intervals.
LEVEL = 0.95
COLUMNS = [
    *("table", "control", "threshold", "calls", "control_calls", "n_draws"),
    *("expected_false", "false_share", "low", "high"),
]


def false_discoveries(
    outcomes: Sequence[Outcome], real: dict[str, pd.DataFrame], n_real: dict[str, int]
) -> pd.DataFrame:
    """Return the estimated false share of every table at every threshold, by kind of control.

    *Sham genes* compete beside the real ones. A sham TF that is called stands for as many false
    edges of real TFs as there are real TFs per sham TF. A pair can be false for its ligand or for
    its receptor. Calls of sham ligands with real receptors and of real ligands with sham receptors
    are added, and calls of two sham genes are subtracted, each scaled to the number of real genes.
    The sum is compared with the calls of real genes in the same inferences.

    *Sham genes alone* stand instead of the real genes, so every call is false. Scaled to the number
    of real candidates, calls are compared with those of the result. Real genes that act would
    outcompete them, so this is an upper bound.

    *Misplaced senders*, of the same slice or of another one, make every pair false. Their calls are
    compared with those of the result.

    Intervals follow from Poisson counts and are wider where calls concentrate on few genes.

    Parameters
    ----------
    outcomes
        Of the draws with sham genes and with misplaced senders; others are left out.
    real
        Edges of the result by kind, with names.
    n_real
        Number of real genes by role.

    Returns
    -------
    Table with columns :data:`COLUMNS`, one row per table, control and threshold. ``calls`` and
    ``expected_false`` are means over draws; ``false_share`` is their ratio, NaN without calls.
    """
    rows = []
    for kind in TESTED_KINDS:
        sham = [o for o in outcomes if o.kind == SHAM]
        for threshold in THRESHOLDS:
            if sham:
                rows += of_sham_genes(kind, threshold, sham, n_real).rows
            for control in (SHAM_ALONE, MISPLACED, OTHER_SLICE):
                of_control = [o for o in outcomes if o.kind == control]
                if of_control and (control == SHAM_ALONE or kind is not TF_TARGETS):
                    calls = n_significant(real[kind.name], threshold)
                    rows.append(_all_false(kind, control, threshold, of_control, calls, n_real))
    return pd.DataFrame(rows, columns=COLUMNS)


def _all_false(
    kind: EdgeKind,
    control: str,
    threshold: float,
    outcomes: Sequence[Outcome],
    calls: int,
    n_real: dict[str, int],
) -> tuple[object, ...]:
    """Return the row of a control in which every call is false.

    Its calls are scaled to the number of real candidates.
    """
    roles = [role for role in SOURCE_ROLES[kind] if outcomes[0].n_genes[role]]
    n_candidates = [np.prod([o.n_genes[role] for role in roles]) for o in outcomes]
    real = np.prod([n_real[role] for role in roles])
    n_draws, n_calls = (
        len(outcomes),
        [n_significant(o.edges[kind.name], threshold) for o in outcomes],
    )
    scales = real / np.array(n_candidates) / n_draws
    count = sum(n_calls)
    clusters = [_called(o.edges[kind.name], threshold, kind.columns[0]) for o in outcomes]
    return _row(
        *(kind, control, threshold, calls, n_draws),
        control_calls=count,
        scale=float(np.dot(n_calls, scales)) / count if count else float(scales.mean()),
        dispersion=_dispersion(clusters, sum(o.n_genes[roles[0]] for o in outcomes)),
    )


class ShamEstimate(NamedTuple):
    """What sham genes beside the real ones say of a table at a threshold.

    ``rows``: of each role, and of all together; ``calls`` of real genes per draw; ``expected``:
    how many of these are expected to be false; ``per_call``: by how much one more call of a sham
    gene would raise it.
    """

    rows: list[tuple[object, ...]]
    calls: float
    expected: float
    per_call: float


def of_sham_genes(
    kind: EdgeKind, threshold: float, outcomes: Sequence[Outcome], n_real: dict[str, int]
) -> ShamEstimate:
    """Return the estimate by sham genes that stand beside the real ones."""
    n_draws = len(outcomes)
    numbers: dict[str, list[float]] = {}
    scales: dict[str, list[float]] = {}
    clusters: list[pd.Series] = []
    n_sham_genes, calls = 0, 0
    for outcome in outcomes:
        table = outcome.edges[kind.name]
        table = table[table["q_value"].astype(float) <= threshold]
        is_sham = {c: _is_sham(table[c], outcome, c) for c in kind.columns if c != "target"}
        for name, called, scale in _parts(kind, is_sham, outcome, n_real):
            numbers.setdefault(name, []).append(float(called.sum()))
            scales.setdefault(name, []).append(scale)
        any_sham = np.logical_or.reduce(list(is_sham.values()))
        calls += int((~any_sham).sum())
        clusters += [table[c][mask].value_counts() for c, mask in is_sham.items()]
        if outcome.sham is not None:
            n_sham_genes += int(outcome.sham["role"].isin(list(is_sham)).sum())
    dispersion = _dispersion(clusters, n_sham_genes)
    expected = {name: float(np.dot(numbers[name], scales[name])) / n_draws for name in numbers}
    rows = [
        _row(
            *(kind, f"sham {name}", threshold, calls / n_draws, n_draws),
            control_calls=sum(numbers[name]),
            scale=float(np.mean(scales[name])) / n_draws,
            dispersion=dispersion,
        )
        for name in numbers
    ]
    if kind is TF_TARGETS:
        scale = float(np.mean(scales["TFs"])) / n_draws if scales else 0.0
        return ShamEstimate(rows, calls / n_draws, sum(expected.values()), scale)
    both = expected.get("pairs", 0.0)
    total = max(sum(expected.values()) - 2.0 * both, *expected.values(), 0.0)
    count = sum(sum(n) for n in numbers.values())
    scale = (
        total / count if count else float(np.mean([np.mean(s) for s in scales.values()])) / n_draws
    )
    rows.append(
        _row(
            *(kind, SHAM, threshold, calls / n_draws, n_draws),
            control_calls=count,
            scale=scale,
            dispersion=dispersion,
        )
    )
    return ShamEstimate(rows, calls / n_draws, total, scale)


def _parts(
    kind: EdgeKind,
    is_sham: dict[str, NDArray[np.bool_]],
    outcome: Outcome,
    n_real: dict[str, int],
) -> list[tuple[str, NDArray[np.bool_], float]]:
    """Return name, called edges, and real candidates per candidate, of every kind of sham edge."""
    per = {
        role: n_real[role] / max(outcome.n_genes[role] - n_real[role], 1)
        for role in ("ligands", "receptors", "tfs")
        if outcome.n_genes[role] > n_real[role]
    }
    if kind is TF_TARGETS:
        return [("TFs", is_sham["tf"], per["tfs"])] if "tfs" in per else []
    ligand, receptor = is_sham["ligand"], is_sham["receptor"]
    parts = []
    if "ligands" in per:
        parts.append(("ligands", ligand & ~receptor, per["ligands"]))
    if "receptors" in per:
        parts.append(("receptors", receptor & ~ligand, per["receptors"]))
    if len(per.keys() & {"ligands", "receptors"}) == 2:
        parts.append(("pairs", ligand & receptor, per["ligands"] * per["receptors"]))
    return parts


def _is_sham(names: pd.Series, outcome: Outcome, column: str) -> NDArray[np.bool_]:
    """Return which genes of a column are sham genes of that role."""
    if outcome.sham is None:
        return np.zeros(len(names), dtype=bool)
    sham = outcome.sham
    return names.isin(sham.loc[sham["role"] == column, "gene"]).to_numpy(dtype=bool)


def _called(table: pd.DataFrame, threshold: float, column: str) -> pd.Series:
    """Return how often each gene of a column is called."""
    return table.loc[table["q_value"].astype(float) <= threshold, column].value_counts()


def _dispersion(clusters: Sequence[pd.Series], n_genes: int) -> float:
    """Return variance over mean of the calls per gene, at least 1.

    ``clusters`` count the calls of genes that have any; ``n_genes`` is the number of all genes,
    each of them counted in every draw.
    """
    counts = np.concatenate([np.empty(0), *(c.to_numpy(dtype=float) for c in clusters)])
    n = max(n_genes, len(counts))
    if not counts.sum() or n < 2:
        return 1.0
    mean = counts.sum() / n
    variance = float((counts**2).sum()) / n - float(mean) ** 2
    return max(1.0, variance / float(mean))


def _row(
    kind: EdgeKind,
    control: str,
    threshold: float,
    calls: float,
    n_draws: int,
    *,
    control_calls: float,
    scale: float,
    dispersion: float,
) -> tuple[object, ...]:
    """Return one row, with the interval of a count with a dispersion."""
    low, high = poisson_interval(control_calls, dispersion)
    expected = control_calls * scale
    shares = [value * scale / calls if calls else np.nan for value in (control_calls, low, high)]
    return (
        *(kind.name, control, threshold, calls, int(control_calls), n_draws, expected),
        *np.minimum(shares, 1.0),
    )


def poisson_interval(count: float, dispersion: float = 1.0) -> tuple[float, float]:
    """Return the exact 95 % interval of the mean of a Poisson count, widened by a dispersion."""
    tail = (1.0 - LEVEL) / 2.0
    k = count / dispersion
    low = float(gamma.ppf(tail, k)) if k > 0 else 0.0
    return low * dispersion, float(gamma.ppf(1.0 - tail, k + 1.0)) * dispersion


def summary(table: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """Return per table the kind of control that expects the larger false share.

    Sham genes alone give an upper bound, which counts only where there is nothing else.
    """
    rows = []
    for kind in (TF_TARGETS, LR_TARGETS, LR_PAIRS):
        at = table[(table["table"] == kind.name) & np.isclose(table["threshold"], threshold)]
        judged = at[at["control"].isin(("sham TFs", SHAM, MISPLACED, OTHER_SLICE))]
        at = judged if len(judged) else at[at["control"] == SHAM_ALONE]
        if len(at):
            ranked = at.sort_values(["expected_false", "high"], ascending=False)
            rows.append(ranked.iloc[0])
    return pd.DataFrame(rows).reset_index(drop=True)
