"""Checks of a model from a file: shapes against its genes, data types, and finite values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._check import shorten
from .._data.tensor_file import TensorFile, unreadable
from .._edges import LR_PAIRS, LR_TARGETS, LR_TFS, TESTED_KINDS, TF_TARGETS
from .._errors import DataError, SpatraceError
from .._model.config import Config
from .._regulators import ROLES, Regulators
from .._study.source import Source, complexes_in

#: Bytes that a model may take beside its edges, and for each pair of a regulator and a target.
BYTES, BYTES_PER_EDGE = 100_000_000, 2000
#: Largest number of permutations that a file may ask for, so that they end.
MAX_PERMUTATIONS = 100_000
#: Share of the free memory that a file may take.
MAX_MEMORY_SHARE = 0.4
#: Columns that tables of every kind have beside their genes.
COLUMNS = {
    TF_TARGETS.name: ["effect", "score", "p_value", "q_value", "effect_se"],
    LR_TARGETS.name: ["effect", "score", "p_value", "q_value", "effect_se"],
    LR_PAIRS.name: ["score", "p_value", "q_value"],
    LR_TFS.name: ["effect", "q_value"],
}
#: Columns of tables that are indices, and how many values they have.
N_LIMITS, N_RESTS_ON = len(_keys.LIMITS), len(_keys.RESTS_ON)


def check_sizes(file: TensorFile, content: Mapping[str, Any], free: int | None) -> None:
    """Refuse a file that is larger than its genes explain, or than memory; nothing is read yet."""
    try:
        genes = content["slots"]["genes"]
        sizes = {role: len(genes[role]["values"]) for role in ROLES}
    except (KeyError, TypeError):
        raise unreadable(file.name, "it names no genes") from None
    n_regulators = sizes["tfs"] + sizes["ligands"] * sizes["receptors"]
    most = BYTES + BYTES_PER_EDGE * n_regulators * (sizes["targets"] + sizes["tfs"])
    if file.n_bytes > most:
        raise unreadable(
            file.name,
            f"it holds {file.n_bytes / 1e9:.3g} GB, and a model of its genes at most "
            f"{most / 1e9:.3g} GB",
        )
    if free is not None and file.n_bytes > MAX_MEMORY_SHARE * free:
        raise DataError(
            f"{file.name} holds {file.n_bytes / 1e9:.3g} GB, and {free / 1e9:.3g} GB of memory are "
            "free: too few to read and check it."
        )


def check_model(parts: Mapping[str, Any], name: str, known: Sequence[str]) -> None:
    """Raise DataError unless the parts are those of a model that can be applied."""
    slots = parts["slots"]
    lacking = [slot for slot in known if slot not in slots and not slot.startswith("attention")]
    extra = [str(slot) for slot in slots if slot not in known]
    if lacking or extra:
        raise unreadable(
            name, f"slots are missing ({shorten(lacking, 3)}) or extra ({shorten(extra, 3)})"
        )
    try:
        for finding in _findings(slots, parts["reading_scales"], parts["level_scales"]):
            raise unreadable(name, finding)
    except SpatraceError as error:
        if isinstance(error, DataError):
            raise
        raise unreadable(name, str(error)) from None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise unreadable(name, f"a part is missing or of another kind ({error})"[:200]) from None


def _findings(
    slots: Mapping[str, Any], reading: Mapping[str, Any], levels: Mapping[str, Any]
) -> Iterator[str]:
    """Yield what is wrong with a model."""
    genes = Regulators.from_mapping(slots["genes"], complexes=complexes_in(slots["params"]))
    for role in ROLES:
        if not len(genes[role]) and role != "tfs":
            yield f"it has no {role}"
        if len(set(genes[role])) < len(genes[role]):
            yield f"a name is repeated among its {role}"
    source, config = (
        Source.from_params(slots["params"]),
        Config.from_dict(slots["params"]["config"]),
    )
    if config.evidence.n_permutations > MAX_PERMUTATIONS:
        yield "it asks for more permutations than any inference"
    if source.radius is None or not 0 < float(source.radius) < math.inf:
        yield "its radius is no length"
    if not all(math.isfinite(float(v)) for k, v in slots["fit"].items() if k == "r2_gates"):
        yield "its R² is no number"
    yield from _of_tables(slots, genes)
    yield from _of_arrays(slots, genes, config)
    yield from _of_scales(slots, reading, levels, genes)


def _of_tables(slots: Mapping[str, Any], genes: Regulators) -> Iterator[str]:
    """Yield what is wrong with the tables of edges."""
    n_groups = len(slots["groups"])
    of_index = {"group": n_groups, "limited_by": N_LIMITS, "rests_on": N_RESTS_ON}
    for kind in (TF_TARGETS, LR_TARGETS, LR_PAIRS, LR_TFS):
        table: pd.DataFrame = slots[kind.name]
        sizes = dict(zip(kind.columns, (len(genes[role]) for role in kind.roles), strict=True))
        sizes |= {c: n for c, n in of_index.items() if c in table}
        for column, n in sizes.items():
            if not _within(table[column].to_numpy(), n):
                yield f"{kind.name}: {column} is no index of {n} values"
        if any(table[column].dtype.kind != "f" for column in table if column not in sizes):
            yield f"{kind.name}: a column holds no real numbers"
        for column in COLUMNS[kind.name]:
            if not _finite(table[column].to_numpy(), column.endswith("_se")):
                yield f"{kind.name}: {column} is not finite"
        if len(table) > genes.n_indices(kind):
            yield f"{kind.name} has more rows than edges"
    pairs = slots["activity_pairs"]
    if (genes.index("ligands", pairs["ligand"]) < 0).any() or (
        genes.index("receptors", pairs["receptor"]) < 0
    ).any():
        yield "activity_pairs names unknown genes"
    scores = pairs[["score", "p_value", "q_value"]]
    if any(dtype.kind != "f" for dtype in scores.dtypes) or not _finite(scores.to_numpy()):
        yield "activity_pairs: a score is not finite"
    history = slots["history"][_keys.HISTORY]
    if len(history) and any(history[column].dtype.kind != "f" for column in _keys.HISTORY[1:]):
        yield "history: a column holds no real numbers"


def _of_arrays(slots: Mapping[str, Any], genes: Regulators, config: Config) -> Iterator[str]:
    """Yield what is wrong with arrays of the result, those of the network aside."""
    n_f, n_g, n_s = genes.n_tfs, genes.n_targets, len(slots["stages"])
    model, refits, factors = slots["model"], slots["refits"], slots["stage_factors"]
    n_refits, n_rows = config.evidence.n_resamples, len(np.asarray(model["rows"]))
    listed = len(slots["lr_pairs"])
    yield from _wrong(
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
                    (genes.n_indices(kind),),
                    True,
                )
                for kind in TESTED_KINDS
            },
        }
    )
    if not _within(np.asarray(refits["edge"]), genes.n_regulators * (n_g + n_f)):
        yield "refits/edge is no index of an edge"
    if not math.isfinite(float(model["penalty"])):
        yield "model/penalty is not finite"
    for slot, n in (("attention", n_f), ("attention_to_pairs", None)):
        if slot not in slots:
            continue
        stored = slots[slot]
        if stored["groups"]["n_cells"].dtype.kind != "i":
            yield f"{slot}/groups: n_cells holds no whole numbers"
        n = len(stored["pairs"]) if n is None else n
        if "pairs" in stored and not _within(np.asarray(stored["pairs"]), genes.n_pairs):
            yield f"{slot}/pairs is no index of a pair"
        yield from _wrong(
            {
                f"{slot}/share": (stored["share"], (len(stored["groups"]), n, n_g), True),
                f"{slot}/effect": (stored["effect"], (n, n_g), True),
            }
        )


def _of_scales(
    slots: Mapping[str, Any],
    reading: Mapping[str, Any],
    levels: Mapping[str, Any],
    genes: Regulators,
) -> Iterator[str]:
    """Yield what is wrong with the scales on which other cells are read."""
    n_f, n_g = genes.n_tfs, genes.n_targets
    given, state, noise = reading["covariates"], reading["state"], reading["noise"]
    n_state, n_genes = np.shape(state["components"])
    n_time = len(given["knots"]) - 5 if len(given["knots"]) else int(given["n_powers"])
    n_raw = len(given["types"]) + int(given["n_slices"]) + n_time + len(given["named"])
    n_raw += 2 * n_state
    n_columns = 2 * n_f + genes.n_pairs + int((np.asarray(given["sd"]) > 1e-6).sum())
    n_pairs = len(slots["activity_pairs"])
    shapes: dict[str, tuple[Any, tuple[int, ...], bool]] = {
        "levels": (reading["levels"], (len(reading["genes"]),), False),
        "noise/logged": (noise["logged"], (n_f,), False),
        "noise/level": (noise["level"], (n_f,), False),
        "target_mean": (reading["target_mean"], (n_g,), False),
        **{f"filters/{p}": (reading["filters"][p], (n_f, 2), False) for p in ("mean", "sd")},
        "filters/gain": (reading["filters"]["gain"], (n_f, 2, 1), False),
        "covariates/time": (given["time"], (2,), False),
        "covariates/knots": (given["knots"], (len(given["knots"]),), False),
        "covariates/mean": (given["mean"], (n_raw,), False),
        "covariates/sd": (given["sd"], (n_raw,), False),
        "state/components": (state["components"], (n_state, n_genes), False),
        **{f"state/{p}": (state[p], (n_genes,), False) for p in ("mean", "sd", "centre")},
        **{c: (levels[c], (n_columns,), False) for c in ("column_mean", "column_sd")},
        **{c: (levels[c], (n_f,), False) for c in ("tf_sd", "tf_spread", "noise_share")},
        **{c: (levels[c], (n_f,), False) for c in ("tf_mean", "tf_activity")},
        "activity": (levels["activity"], (n_pairs,), False),
    }
    yield from _wrong(shapes)
    if n_genes != n_g + n_f + genes.n_receptors:
        yield "state/components has another number of genes"
    if not (float(noise["scale"]) > 0 and math.isfinite(float(noise["overdispersion"]))):
        yield "noise/scale is not above 0"
    if not (np.asarray(given["time"])[1] > 0 and (np.diff(given["knots"]) >= 0).all()):
        yield "covariates/time is no scale"
    if not _within(np.asarray(slots["model"]["rows"]), n_columns, ascending=True):
        yield "model/rows is no index of a column"


def _wrong(arrays: Mapping[str, tuple[Any, tuple[int, ...], bool]]) -> Iterator[str]:
    """Yield arrays of another shape or type, or with values that are not finite.

    Arrays are given with their shape, and whether NaN is allowed.
    """
    for path, (value, shape, may_be_nan) in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind != "f":
            yield f"{path} holds no real numbers"
        elif array.shape != shape:
            yield f"{path} has the shape {array.shape} in place of {shape}"
        elif not _finite(array, may_be_nan):
            yield f"{path} holds NaN or infinite values"


def _finite(values: NDArray[Any], may_be_nan: bool = False) -> bool:
    check: Callable[[NDArray[Any]], NDArray[np.bool_]] = np.isinf if may_be_nan else np.isfinite
    return bool((~check(values)).all() if may_be_nan else check(values).all())


def _within(index: NDArray[Any], n: int, *, ascending: bool = False) -> bool:
    """Whether values are whole numbers from 0 to n − 1, and ascend if they must."""
    if index.dtype.kind != "i" or index.ndim != 1:
        return False
    if len(index) and not (index.min() >= 0 and index.max() < n):
        return False
    return not ascending or bool((np.diff(index) > 0).all())
