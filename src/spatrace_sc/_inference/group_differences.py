"""Tables of responses and levels by group, from a restored result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from .. import _keys
from .._core.comparison import PRESENT_P, level_changes, p_beyond, response_changes
from .._core.group_estimates import Estimates, mean_levels
from .._core.replicates import add_replicate_spread, group_design, moderated_means
from .._edges import COMPARED_COLUMNS, LR_TARGETS, TF_TARGETS
from .group_slopes import Plan, estimate_slopes
from .restore import Restored

#: Kind of edges → kind of their regulators, all edges of one together.
REGULATORS_OF = {TF_TARGETS.name: "tfs", LR_TARGETS.name: "lr_pairs"}


@dataclass(frozen=True)
class ByGroup:
    """``value`` (E, G), ``covariance`` (E, G, G) and degrees of freedom ``df`` (E,)."""

    value: NDArray[np.float64]
    covariance: NDArray[np.float64]
    df: NDArray[np.float64]


def response_tables(
    restored: Restored, edges: dict[str, pd.DataFrame], plan: Plan
) -> dict[str, pd.DataFrame]:
    """Return the tables of the kinds tf_targets, lr_targets, tfs and lr_pairs.

    ``edges`` has the tables of TF edges and of pair edges with two more columns: ``regulator``, the
    index of the TF or pair, and ``target_index``.
    """
    estimates = estimate_slopes(restored, edges, plan)
    tables = {}
    for kind, regulator_kind in REGULATORS_OF.items():
        table = edges[kind]
        tables[kind] = _table(table, _by_group(estimates[kind], plan), plan, kind)
        regulators, row = np.unique(table["regulator"].to_numpy(), return_inverse=True)
        weights = np.zeros((len(regulators), len(table)))
        weights[row, np.arange(len(table))] = table["effect"]
        norm = np.linalg.norm(weights, axis=1, keepdims=True)
        combined = estimates[kind].combined(weights / np.where(norm > 0, norm, 1.0))
        names = table.drop_duplicates("regulator").set_index("regulator").loc[regulators]
        names = names[COMPARED_COLUMNS[regulator_kind]].reset_index(drop=True)
        tables[regulator_kind] = _table(names, _by_group(combined, plan), plan, regulator_kind)
    return tables


def level_table(
    values: NDArray[np.float64],
    names: pd.DataFrame,
    block: NDArray[np.integer],
    plan: Plan,
    kind: str,
) -> pd.DataFrame:
    """Return the table of mean activities of one kind.

    ``values`` (N, A) are activities of the compared receivers; the column ``score`` of ``names``
    (A,) is the strength by which levels in standard deviations were multiplied.
    """
    strength = names["score"].to_numpy(dtype=float)
    n_groups = len(plan.names)
    if plan.replicate is None:
        unit = np.unique(block, return_inverse=True)[1]
        design = group_design(plan.group, plan.stage)
        means = mean_levels(values, design, n_groups, unit, int(unit.max()) + 1)
        by_group = ByGroup(means.value, means.covariance, _block_df(means, plan))
    else:
        by_group = _replicate_levels(values, strength, plan)
    return _table(names, by_group, plan, kind, strength)


def _replicate_levels(
    values: NDArray[np.float64], strength: NDArray[np.float64], plan: Plan
) -> ByGroup:
    """Means of replicates, compared within stages where each replicate has one stage."""
    replicate = np.asarray(plan.replicate)
    n_cells = np.bincount(replicate)
    sums = [np.bincount(replicate, column) for column in values.T]
    mean = np.reshape(sums, (len(strength), len(n_cells))) / n_cells
    first = np.unique(replicate, return_index=True)[1]
    n_stages = pd.Series(plan.stage).groupby(replicate).nunique()
    design = group_design(plan.group[first], plan.stage[first] if (n_stages == 1).all() else None)
    if len(design) <= design.shape[1]:
        design = group_design(plan.group[first], None)
    scaled = mean / strength[:, None]
    value, covariance, df = moderated_means(scaled, np.ones_like(scaled), design, len(plan.names))
    return ByGroup(value * strength[:, None], covariance * strength[:, None, None] ** 2, df)


def _by_group(estimates: Estimates, plan: Plan) -> ByGroup:
    """Return the estimates of the groups, or the moderated means of their replicates."""
    if plan.replicate is None:
        return ByGroup(estimates.value, estimates.covariance, _block_df(estimates, plan))
    first = np.unique(plan.replicate, return_index=True)[1]
    design = group_design(plan.group[first], None)
    variance = add_replicate_spread(estimates.value, estimates.variance, design)
    return ByGroup(*moderated_means(estimates.value, variance, design, len(plan.names)))


def _block_df(estimates: Estimates, plan: Plan) -> NDArray[np.float64]:
    """(E,) degrees of freedom: blocks of the group that has fewest, less one."""
    informative = np.nan_to_num(estimates.influence) != 0
    n_blocks = informative.sum(axis=2).min(axis=1, initial=plan.rows.size)
    df: NDArray[np.float64] = np.maximum(n_blocks - 1.0, 1.0)
    return df


def _table(
    names: pd.DataFrame,
    by_group: ByGroup,
    plan: Plan,
    kind: str,
    strength: NDArray[np.float64] | None = None,
) -> pd.DataFrame:
    """Return one row for every edge and comparison, smallest p first.

    ``strength`` is given for levels, None for responses.
    """
    columns = COMPARED_COLUMNS[kind]
    rows = [_compared(names[columns], by_group, plan, pair, strength) for pair in plan.pairs]
    table = pd.concat(rows, ignore_index=True)
    table["q_value"] = false_discovery_control(table["p_value"].to_numpy())
    significant = (table["q_value"] <= plan.max_q).to_numpy()
    effects = table["effect"].to_numpy(), table["effect_reference"].to_numpy()
    if strength is None:
        present = table["present"].to_numpy(), table["present_in_reference"].to_numpy()
        table["change"] = response_changes(*effects, *present, significant)
    else:
        from_zero = kind == "lr_pair_activity"
        table["change"] = level_changes(*effects, significant, from_zero=from_zero)
    table["unit"] = plan.unit
    table = table.sort_values("p_value", kind="stable", ignore_index=True)
    return table[[*columns, *_keys.COMPARISON]].astype({"change": object, "unit": object})


def _compared(
    names: pd.DataFrame,
    by_group: ByGroup,
    plan: Plan,
    pair: tuple[int, int],
    strength: NDArray[np.float64] | None,
) -> pd.DataFrame:
    """Estimates of a group and its reference, their difference and its p."""
    group, reference = pair
    variance = np.einsum("egg->eg", by_group.covariance)
    se = np.sqrt(variance)
    effects = by_group.value[:, group], by_group.value[:, reference]
    covariance = by_group.covariance[:, group, reference]
    difference = effects[0] - effects[1]
    squared = variance[:, group] + variance[:, reference] - 2 * covariance
    error = np.sqrt(np.maximum(squared, 0.0))
    size = np.maximum(*np.abs(effects)) if strength is None else strength
    zero = np.zeros_like(size)
    present = [
        p_beyond(effect, se[:, g], zero, by_group.df) <= PRESENT_P
        for effect, g in zip(effects, pair, strict=True)
    ]
    return names.assign(
        group=plan.names[group],
        reference=plan.names[reference],
        effect=effects[0],
        effect_se=se[:, group],
        effect_reference=effects[1],
        effect_reference_se=se[:, reference],
        difference=difference,
        se=error,
        p_value=p_beyond(difference, error, plan.share * size, by_group.df),
        present=present[0],
        present_in_reference=present[1],
    )
