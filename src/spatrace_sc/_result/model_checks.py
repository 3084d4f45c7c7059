"""Checks of a model from a file: shapes against its genes, data types, and finite values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._check import shorten
from .._data.tensor_file import TensorFile, unreadable
from .._errors import DataError, SpatraceError
from .._model.config import Config
from .._regulators import ROLES, Regulators
from .._study.source import Source, complexes_in
from .damage import damaged, whole
from .record import Result
from .slot_checks import is_index, wrong_arrays, wrong_shapes, wrong_tables

#: Bytes that a model may take beside its edges, and for each pair of a regulator and a target.
BYTES, BYTES_PER_EDGE = 100_000_000, 2000
#: Largest number of permutations that a file may ask for, so that they end.
MAX_PERMUTATIONS = 100_000
#: Share of the free memory that a file may take.
MAX_MEMORY_SHARE = 0.4


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
    yield from wrong_tables(slots, genes)
    yield from wrong_arrays(slots, genes, config)
    yield from wrong_scales(slots, reading, levels, genes)


def require_scales(result: Result) -> None:
    """Raise DataError unless the scales of a model that was applied fit its genes."""
    applied, key = result.applied, result.key
    if applied is None:
        return
    call = f"st.tl.apply_model(..., key_added={key!r})"

    def check() -> None:
        scales = applied.reading_scales, applied.level_scales
        for finding in wrong_scales(result.slots, *scales, result.genes):
            raise damaged(key, f"applied: {finding}", call)

    whole(key, "applied", call, check)


def wrong_scales(
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
    yield from wrong_shapes(shapes)
    if n_genes != n_g + n_f + genes.n_receptors:
        yield "state/components has another number of genes"
    if not (float(noise["scale"]) > 0 and math.isfinite(float(noise["overdispersion"]))):
        yield "noise/scale is not above 0"
    if not (np.asarray(given["time"])[1] > 0 and (np.diff(given["knots"]) >= 0).all()):
        yield "covariates/time is no scale"
    if not is_index(np.asarray(slots["model"]["rows"]), n_columns, ascending=True):
        yield "model/rows is no index of a column"
