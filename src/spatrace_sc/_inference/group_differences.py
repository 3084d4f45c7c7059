"""Responses and levels by group, from a restored result to tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .. import _keys
from .._core.comparison import (
    PRESENT_P,
    Estimates,
    group_design,
    level_changes,
    mean_levels,
    moderated,
    p_beyond,
    response_changes,
    slopes,
    with_spread,
)
from .._core.statistics import benjamini_hochberg
from .._settings import settings
from .restore import Restored

#: Strongest other regulators of a target, of each kind, whose slopes are estimated beside those that are tested.
OTHERS = 5
#: Targets below which there is no bar.
FEWEST_FOR_A_BAR = 100


@dataclass(frozen=True)
class Plan:
    """Which receivers are compared, and how.

    ``rows`` (N,) numbers of receivers, ``group`` (N,) code, ``names`` of the groups, ``pairs`` of codes (group, reference), ``replicate`` (N,) code or None where blocks are the unit, ``stage`` (N,) code,
    ``share`` the smallest difference worth naming, ``max_q``.
    """

    rows: NDArray[np.intp]
    group: NDArray[np.intp]
    names: list[str]
    pairs: list[tuple[int, int]]
    replicate: NDArray[np.intp] | None
    stage: NDArray[np.intp]
    share: float
    max_q: float

    @property
    def unit(self) -> str:
        """What the standard errors count."""
        return "block" if self.replicate is None else "replicate"


@dataclass(frozen=True)
class ByGroup:
    """``value`` (E, G), ``covariance`` (E, G, G) and degrees of freedom ``free`` (E,)."""

    value: NDArray[np.float64]
    covariance: NDArray[np.float64]
    free: NDArray[np.float64]


def responses(
    restored: Restored, edges: dict[str, pd.DataFrame], plan: Plan
) -> dict[str, pd.DataFrame]:
    """Tables of the kinds tf_targets, lr_targets, tfs, lr_pairs. ``edges`` has the tables of TF and of pair edges with ``regulator`` and ``at``, numbers of the regulator within its kind and of the target."""
    found = _slopes(restored, edges, plan)
    out = {}
    for kind, whole in (("tf_targets", "tfs"), ("lr_targets", "lr_pairs")):
        table, estimates = edges[kind], found[kind]
        out[kind] = _table(table, _by_group(estimates, plan), plan, kind)
        names = _keys.COMPARED[whole]
        code, first = np.unique(table["regulator"].to_numpy(), return_inverse=True)
        weights = np.zeros((len(code), len(table)))
        weights[first, np.arange(len(table))] = table["effect"]
        norm = np.linalg.norm(weights, axis=1, keepdims=True)
        together = estimates.combined(weights / np.where(norm > 0, norm, 1.0))
        each = (
            table.drop_duplicates("regulator")
            .set_index("regulator")
            .loc[code, names]
            .reset_index(drop=True)
        )
        out[whole] = _table(each, _by_group(together, plan), plan, whole)
    return out


def levels(
    values: NDArray[np.float64],
    names: pd.DataFrame,
    strength: NDArray[np.float64],
    block: NDArray[np.integer],
    plan: Plan,
    kind: str,
) -> pd.DataFrame:
    """Table of mean activities: ``values`` (N, A) of the compared receivers, ``strength`` (A,) by which levels in standard deviations were multiplied."""
    n_groups = len(plan.names)
    if plan.replicate is None:
        unit = np.unique(block, return_inverse=True)[1]
        found = mean_levels(
            values, group_design(plan.group, plan.stage), n_groups, unit, int(unit.max()) + 1
        )
        by_group = ByGroup(found.value, found.covariance, _blocks(found, plan))
    else:
        number = np.bincount(plan.replicate)
        sums = [np.bincount(plan.replicate, v) for v in values.T]
        mean = np.reshape(sums, (len(strength), len(number))) / number
        first = np.unique(plan.replicate, return_index=True)[1]
        one_stage = all(
            len(np.unique(plan.stage[plan.replicate == r])) == 1 for r in range(len(number))
        )
        design = group_design(plan.group[first], plan.stage[first] if one_stage else None)
        if len(design) <= design.shape[1]:
            design = group_design(plan.group[first], None)
        scaled = mean / strength[:, None]
        value, covariance, free = moderated(scaled, np.ones_like(scaled), design, n_groups)
        by_group = ByGroup(
            value * strength[:, None], covariance * strength[:, None, None] ** 2, free
        )
    return _table(names, by_group, plan, kind, strength)


def _slopes(restored: Restored, edges: dict[str, pd.DataFrame], plan: Plan) -> dict[str, Estimates]:
    """Slopes of every edge in every group, or in every replicate."""
    problem, rows = restored.problem, plan.rows
    part = plan.group if plan.replicate is None else plan.replicate
    unit = _units(problem.block.numpy()[rows], plan)
    sizes = (int(part.max()) + 1, int(unit.max()) + 1)
    nuisance = _nuisance(restored, rows)
    weights = restored.fit.weights.dense(problem.n_regulators).abs().numpy()
    by_kind = {
        "tf_targets": problem.by_tf_gene(torch.from_numpy(weights[: problem.n_tfs])).numpy(),
        "lr_targets": weights[problem.n_tfs : problem.n_tfs + problem.n_pairs],
    }
    out = {}
    for kind, table in edges.items():
        shape = (len(table), *sizes)
        out[kind] = Estimates(np.full(shape[:2], np.nan), np.full(shape, np.nan))
    every = np.unique(np.concatenate([table["at"].to_numpy() for table in edges.values()])).astype(
        int
    )
    shown = settings.progress and restored.config.progress and len(every) >= FEWEST_FOR_A_BAR
    for g in tqdm(every, desc="responses", disable=not shown, leave=False):
        mine = {
            kind: np.flatnonzero((table["at"] == g).to_numpy()) for kind, table in edges.items()
        }
        chosen = {
            kind: edges[kind]["regulator"].to_numpy(dtype=np.intp)[mine[kind]] for kind in edges
        }
        all_of = {kind: _with_others(chosen[kind], by_kind[kind][:, g]) for kind in edges}
        columns = _standard(_columns(restored, all_of["tf_targets"], all_of["lr_targets"])[rows])
        y = _standard(restored.study.target[rows][:, [g]].astype(float))[:, 0]
        found = slopes(y, columns, nuisance, part, unit, sizes)
        begin = 0
        for kind in edges:
            here = slice(begin, begin + len(mine[kind]))
            out[kind].value[mine[kind]], out[kind].influence[mine[kind]] = (
                found.value[here],
                found.influence[here],
            )
            begin += len(all_of[kind])
    return out


def _units(block: NDArray[np.integer], plan: Plan) -> NDArray[np.intp]:
    """(N,) code of the block; with replicates numbered within each, for no block counts in two and errors of two are never added."""
    if plan.replicate is None:
        whole: NDArray[np.intp] = np.unique(block, return_inverse=True)[1]
        return whole
    code = np.empty(len(block), dtype=np.intp)
    for r in np.unique(plan.replicate):
        here = plan.replicate == r
        code[here] = np.unique(block[here], return_inverse=True)[1]
    return code


def _with_others(chosen: NDArray[np.intp], weight: NDArray[np.floating]) -> NDArray[np.intp]:
    """The regulators that are tested, and the strongest others with a weight."""
    strongest = np.argsort(-weight, kind="stable")[: OTHERS + len(chosen)]
    rest = [k for k in strongest if weight[k] > 0 and k not in set(chosen)]
    return np.concatenate([chosen, np.array(rest[:OTHERS], dtype=np.intp)])


def _columns(
    restored: Restored, tfs: NDArray[np.intp], pairs: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(receivers, A) levels of TFs now, filtered, and signals of pairs."""
    seen, network, problem = restored.fit.attended, restored.fit.network, restored.problem
    with torch.no_grad():
        signal = network.signal(seen.exposure, seen.receptor, torch.as_tensor(pairs))
        both = torch.cat([seen.tf[:, problem.n_tf_genes + torch.as_tensor(tfs)], signal], dim=1)
    return both.double().numpy()


def _nuisance(restored: Restored, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """(N, C) slices, cell types and time up to its cube."""
    study = restored.study
    slices = pd.get_dummies(study.sample[study.receivers][rows]).to_numpy(dtype=float)
    types = pd.get_dummies(study.types[study.receivers][rows]).to_numpy(dtype=float)[:, 1:]
    time = _standard(study.time[rows][:, None])
    powers = [time**k for k in range(1, min(4, len(np.unique(time))))]
    return np.hstack([slices, types - types.mean(axis=0), *powers])


def _standard(values: NDArray[np.floating]) -> NDArray[np.float64]:
    sd = values.std(axis=0)
    return np.asarray(
        (values - values.mean(axis=0)) / np.where(sd > 1e-9, sd, np.inf), dtype=np.float64
    )


def _by_group(estimates: Estimates, plan: Plan) -> ByGroup:
    if plan.replicate is None:
        return ByGroup(estimates.value, estimates.covariance, _blocks(estimates, plan))
    first = np.unique(plan.replicate, return_index=True)[1]
    design = group_design(plan.group[first], None)
    variance = with_spread(estimates.value, estimates.variance, design)
    return ByGroup(*moderated(estimates.value, variance, design, len(plan.names)))


def _blocks(estimates: Estimates, plan: Plan) -> NDArray[np.float64]:
    """(E,) degrees of freedom: blocks of the group that has fewest, less one."""
    number = (
        (np.nan_to_num(estimates.influence) != 0).sum(axis=2).min(axis=1, initial=plan.rows.size)
    )
    free: NDArray[np.float64] = np.maximum(number - 1.0, 1.0)
    return free


def _table(
    names: pd.DataFrame,
    found: ByGroup,
    plan: Plan,
    kind: str,
    strength: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """One row for every edge and comparison, by p."""
    parts = []
    diagonal = np.einsum("egg->eg", found.covariance)
    se = np.sqrt(diagonal)
    for g, r in plan.pairs:
        value, reference = found.value[:, g], found.value[:, r]
        error = np.sqrt(
            np.maximum(diagonal[:, g] + diagonal[:, r] - 2 * found.covariance[:, g, r], 0.0)
        )
        size = np.maximum(np.abs(value), np.abs(reference)) if strength is None else strength
        zero = np.zeros_like(size)
        part = names[_keys.COMPARED[kind]].assign(
            group=plan.names[g],
            reference=plan.names[r],
            effect=value,
            effect_se=se[:, g],
            effect_reference=reference,
            effect_reference_se=se[:, r],
            difference=value - reference,
            se=error,
            p_value=p_beyond(value - reference, error, plan.share * size, found.free),
            there=p_beyond(value, se[:, g], zero, found.free) <= PRESENT_P,
            before=p_beyond(reference, se[:, r], zero, found.free) <= PRESENT_P,
        )
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table["q_value"] = benjamini_hochberg(table["p_value"].to_numpy())
    different = (table["q_value"] <= plan.max_q).to_numpy()
    sides = table["effect"].to_numpy(), table["effect_reference"].to_numpy()
    if strength is None:
        table["change"] = response_changes(
            *sides, table["there"].to_numpy(), table["before"].to_numpy(), different
        )
    else:
        table["change"] = level_changes(*sides, different, from_zero=kind == "pair_activity")
    table["unit"] = plan.unit
    table = table.sort_values("p_value", kind="stable", ignore_index=True)
    return table[[*_keys.COMPARED[kind], *_keys.COMPARISON]].astype(
        {"change": object, "unit": object}
    )
