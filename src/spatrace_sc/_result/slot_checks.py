"""Checks of slots against the genes of a result: shapes, data types, indices, finite values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._edges import LR_PAIRS, LR_TARGETS, LR_TFS, TESTED_KINDS, TF_TARGETS
from .._model.config import Config
from .._regulators import Regulators

#: Columns that tables of every kind have beside their genes.
COLUMNS = {
    TF_TARGETS.name: ["effect", "score", "p_value", "q_value", "effect_se"],
    LR_TARGETS.name: ["effect", "score", "p_value", "q_value", "effect_se"],
    LR_PAIRS.name: ["score", "p_value", "q_value"],
    LR_TFS.name: ["effect", "q_value"],
}
#: Columns of tables that are indices, and how many values they have.
N_LIMITS, N_RESTS_ON = len(_keys.LIMITS), len(_keys.RESTS_ON)


def wrong_tables(slots: Mapping[str, Any], genes: Regulators) -> Iterator[str]:
    """Yield what is wrong with the tables of edges."""
    n_groups = len(slots["groups"])
    of_index = {"group": n_groups, "limited_by": N_LIMITS, "rests_on": N_RESTS_ON}
    for kind in (TF_TARGETS, LR_TARGETS, LR_PAIRS, LR_TFS):
        table: pd.DataFrame = slots[kind.name]
        sizes = dict(zip(kind.columns, (len(genes[role]) for role in kind.roles), strict=True))
        sizes |= {c: n for c, n in of_index.items() if c in table}
        for column, n in sizes.items():
            if not is_index(table[column].to_numpy(), n):
                yield f"{kind.name}: {column} is no index of {n} values"
        if any(table[column].dtype.kind != "f" for column in table if column not in sizes):
            yield f"{kind.name}: a column holds no real numbers"
        for column in COLUMNS[kind.name]:
            if not is_finite(table[column].to_numpy(), column.endswith("_se")):
                yield f"{kind.name}: {column} is not finite"
        if len(table) > genes.n_indices(kind):
            yield f"{kind.name} has more rows than edges"
    pairs = slots["activity_pairs"]
    if (genes.index("ligands", pairs["ligand"]) < 0).any() or (
        genes.index("receptors", pairs["receptor"]) < 0
    ).any():
        yield "activity_pairs names unknown genes"
    scores = pairs[["score", "p_value", "q_value"]]
    if any(dtype.kind != "f" for dtype in scores.dtypes) or not is_finite(scores.to_numpy()):
        yield "activity_pairs: a score is not finite"
    history = slots["history"][_keys.HISTORY]
    if len(history) and any(history[column].dtype.kind != "f" for column in _keys.HISTORY[1:]):
        yield "history: a column holds no real numbers"


def wrong_arrays(slots: Mapping[str, Any], genes: Regulators, config: Config) -> Iterator[str]:
    """Yield what is wrong with arrays of the result, those of the network aside."""
    n_f, n_g, n_s = genes.n_tfs, genes.n_targets, len(slots["stages"])
    model, refits, factors = slots["model"], slots["refits"], slots["stage_factors"]
    n_refits, n_rows = config.evidence.n_resamples, len(np.asarray(model["rows"]))
    listed = len(slots["lr_pairs"])
    # those of more candidates than can be listed are not stored
    n_p_values = {
        kind.name: genes.n_indices(kind) if genes.n_candidates(kind) <= config.max_edges else 0
        for kind in TESTED_KINDS
    }
    yield from wrong_shapes(
        {
            "minimum_effect": (slots["minimum_effect"], (n_g,), True),
            "tf_scores": (slots["tf_scores"], (n_f,), False),
            "refits/weight": (refits["weight"], (n_refits, len(refits["edge"])), False),
            "stage_factors/tf": (factors["tf"], (n_s, n_f), True),
            "stage_factors/tf_se": (factors["tf_se"], (n_s, n_f), True),
            "stage_factors/pair": (factors["pair"], (n_s, listed), True),
            "stage_factors/pair_se": (factors["pair_se"], (n_s, listed), True),
            "model/values": (model["values"], (n_rows, n_g), False),
            "model/target_mean": (model["target_mean"], (n_g,), False),
            "model/target_sd": (model["target_sd"], (n_g,), False),
            **{
                f"p_values/{kind.name}": (
                    slots["p_values"][kind.name],
                    (n_p_values[kind.name],),
                    True,
                )
                for kind in TESTED_KINDS
            },
        }
    )
    if not is_index(np.asarray(refits["edge"]), genes.n_regulators * (n_g + n_f)):
        yield "refits/edge is no index of an edge"
    if not math.isfinite(float(model["penalty"])):
        yield "model/penalty is not finite"
    for slot, n in (("attention", n_f), ("attention_to_pairs", None)):
        if not slots.get(slot):
            continue
        stored = slots[slot]
        if stored["groups"]["n_cells"].dtype.kind != "i":
            yield f"{slot}/groups: n_cells holds no whole numbers"
        n = len(stored["pairs"]) if n is None else n
        if "pairs" in stored and not is_index(np.asarray(stored["pairs"]), genes.n_pairs):
            yield f"{slot}/pairs is no index of a pair"
        yield from wrong_shapes(
            {
                f"{slot}/share": (stored["share"], (len(stored["groups"]), n, n_g), True),
                f"{slot}/effect": (stored["effect"], (n, n_g), True),
            }
        )


def wrong_shapes(arrays: Mapping[str, tuple[Any, tuple[int, ...], bool]]) -> Iterator[str]:
    """Yield arrays of another shape or type, or with values that are not finite.

    Arrays are given with their shape, and whether NaN is allowed.
    """
    for path, (value, shape, may_be_nan) in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind != "f":
            yield f"{path} holds no real numbers"
        elif array.shape != shape:
            yield f"{path} has the shape {array.shape} in place of {shape}"
        elif not is_finite(array, may_be_nan):
            yield f"{path} holds NaN or infinite values"


def is_finite(values: NDArray[Any], may_be_nan: bool = False) -> bool:
    check: Callable[[NDArray[Any]], NDArray[np.bool_]] = np.isinf if may_be_nan else np.isfinite
    return bool((~check(values)).all() if may_be_nan else check(values).all())


def is_index(index: NDArray[Any], n: int, *, ascending: bool = False) -> bool:
    """Whether values are whole numbers from 0 to n − 1, and ascend if they must."""
    if index.dtype.kind != "i" or index.ndim != 1:
        return False
    if len(index) and not (index.min() >= 0 and index.max() < n):
        return False
    return not ascending or bool((np.diff(index) > 0).all())
