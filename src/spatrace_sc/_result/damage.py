"""A stored result that was edited or cut off: what does not fit is a DataError, never an answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from scipy import sparse

from .. import _keys
from .._edges import TESTED_KINDS
from .._errors import DataError, SpatraceError
from .._model.config import Config
from .._regulators import ROLES, Regulators
from .._study.source import Source, complexes_in
from .slot_checks import is_finite, wrong_arrays, wrong_shapes, wrong_tables
from .table_checks import CONTENTS, DOT, is_list_of_names, outside_range, wrong_columns

T = TypeVar("T")
#: What reading a slot of another kind than expected raises.
RAW = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
#: Slots of names, and of lists of names.
NAMES, LISTS = ("obsp", "obsm", "obsm_se", "obsm_tf"), ("groups", "stages", "cells")
#: Columns that readers need beside those of `wrong_tables`.
REQUIRED_COLUMNS = {
    "tf_targets": ["stability", "group"],
    "lr_targets": ["stability", "group", "group_q_value"],
    "lr_pairs": ["stability", "group", "group_q_value", "score_se"],
}
#: Tables of later verbs, and their columns.
DERIVED = {
    "cascades": _keys.CASCADES,
    "ranges": _keys.RANGES,
    "range_profile": _keys.RANGE_PROFILE,
    "partial_residuals": _keys.PARTIAL_RESIDUALS,
    "communication": _keys.COMMUNICATION,
    "communication_by_stage": ["stage", *_keys.COMMUNICATION],
}


def inference_call(key: str) -> str:
    """Return the call that infers a result again."""
    return f"st.tl.infer_ccc(adata, key_added={key!r})"


def damaged(key: str, finding: str, call: str) -> DataError:
    """Return the error about a damaged result; ``call`` computes the damaged part again."""
    return DataError(
        f"`adata.uns[{key!r}]` is damaged: {finding[:200]}. Read an undamaged copy of the file, or "
        f"call `{call}` again."
    )


def whole(key: str, part: str, call: str, read: Callable[[], T]) -> T:
    """Return what ``read`` returns; whatever a library raises is a DataError that names the part.

    Raises
    ------
    DataError
        If the part is not of the kind that is stored; errors of the package stay as they are.
    """
    try:
        return read()
    except SpatraceError:
        raise
    except RAW as error:
        raise damaged(key, f"{part} cannot be read ({_short(error)})", call) from None


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:100]


def require_whole(slots: Mapping[str, Any], key: str) -> None:
    """Raise DataError unless the slots of an inference fit each other.

    Numbers of rows, shapes, data types, indices and finite values are compared with the genes,
    stages and groups. What later verbs added is checked when it is read.
    """
    call = inference_call(key)
    try:
        for finding in _findings(slots):
            raise damaged(key, finding, call)
    except DataError:
        raise
    except (SpatraceError, *RAW) as error:
        finding = f"a part is missing or of another kind ({_short(error)})"
        raise damaged(key, finding, call) from None


def _findings(slots: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not fit in the slots of an inference."""
    params, genes = slots["params"], _genes(slots)
    for role in ROLES:
        if len(set(genes[role])) < len(genes[role]):
            yield f"a name is repeated among its {role}"
    source, config = Source.from_params(params), Config.from_dict(params["config"])
    if source.radius is None or not 0 < float(source.radius) < math.inf:
        yield "its radius is no length"
    int(params["seed"])
    for name in ("versions", CONTENTS):
        if not isinstance(slots.get(name, {}), Mapping):
            yield f"{name} is no dictionary"
    for name in NAMES:
        if not isinstance(slots.get(name), str):
            yield f"{name} is no name"
    for name in LISTS:
        if not is_list_of_names(slots.get(name, ())):
            yield f"{name} is no list of names"
    if not isinstance(slots.get("noise_known", True), bool | np.bool_):
        yield "noise_known is neither true nor false"
    first = not 1 < int(slots.get("form", 1))
    if first == ("restoration" in slots):
        yield "restoration is there only in part, or its form is not"
    for kind in TESTED_KINDS:
        if int(slots["candidates"][kind.name]) != genes.n_candidates(kind):
            yield f"candidates: the number of {kind.name} does not fit the genes"
        yield from wrong_columns(kind.name, slots[kind.name], (), slots)
        missing = [c for c in REQUIRED_COLUMNS[kind.name] if c not in slots[kind.name]]
        if missing:
            yield f"{kind.name} has no column {missing[0]!r}"
        yield from outside_range(kind.name, slots[kind.name])
    yield from wrong_columns("lr_tfs", slots["lr_tfs"], (), slots)
    yield from wrong_columns("history", slots["history"], _keys.HISTORY, slots)
    yield from wrong_tables(slots, genes)
    yield from wrong_arrays(slots, genes, config)
    for name in ("communication", "communication_by_stage"):
        yield from wrong_columns(name, slots[name], DERIVED[name], slots)
        yield from _unknown(name, slots[name], genes, slots)
    for name in ("attention", "attention_to_pairs"):
        groups = slots.get(name, {}).get("groups")
        if groups is not None:
            columns = ["kind", "name", "n_cells"]
            yield from wrong_columns(f"{name}.groups", groups, columns, slots)
            if not set(groups["kind"]) <= {"all", "stage", "cell_type"}:
                yield f"{name}: groups are of an unknown kind"
    moments = np.asarray(slots["target_moments"])
    shape = (2, max(genes.n_targets, moments.shape[-1]))
    yield from wrong_shapes({"target_moments": (moments, shape, False)})
    if any(math.isinf(float(value)) for value in slots["fit"].values()):
        yield "fit holds infinite values"
    yield from _of_labels(slots)
    if "restoration" in slots:
        yield from _of_restoration(slots["restoration"])


def _genes(slots: Mapping[str, Any]) -> Regulators:
    params, names = slots["params"], slots["genes"]
    if not all(is_list_of_names(names[role]) for role in ROLES):
        raise TypeError("genes have no names")
    homophilic = bool(params.get("homophilic", True))
    return Regulators.from_mapping(names, homophilic=homophilic, complexes=complexes_in(params))


def _unknown(
    path: str, table: pd.DataFrame, genes: Regulators, slots: Mapping[str, Any]
) -> Iterator[str]:
    """Yield columns of a communication table that name what the result does not have."""
    known = {"ligand": genes.ligands, "receptor": genes.receptors, "stage": slots["stages"]}
    for column in known.keys() & set(table):
        if not set(table[column].astype(str).unique()) <= set(map(str, known[column])):
            yield f"{path}: {column} names what the result does not have"


def _of_labels(slots: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the labels of cells."""
    for argument, stored in slots.get("labels", {}).items():
        codes, names = np.asarray(stored["codes"]), stored["names"]
        if codes.dtype.kind != "i" or codes.shape != np.shape(slots.get("cells", codes)):
            yield f"labels: {argument} has no code for every cell"
        elif not is_list_of_names(names) or (codes >= len(names)).any() or (codes < -1).any():
            yield f"labels: {argument} has codes without a name"
        if argument not in slots["params"]:
            yield f"labels: {argument} was no argument"


def _of_restoration(slots: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with what restoring the model needs, the transitions aside."""
    held_out = np.asarray(slots["held_out"])
    if held_out.dtype.kind != "b" or held_out.ndim != 1:
        yield "restoration: held_out holds no truth values"
    if "permute" not in slots["streams"] or any(int(s) < 0 for s in slots["streams"].values()):
        yield "restoration: streams holds no seeds"
    if not float(slots.get("overdispersion", 0.0)) >= 0:
        yield "restoration: overdispersion is below 0"
    for name in ("backward", "state"):
        if name in slots and not sparse.issparse(slots[name]):
            yield f"restoration: {name} is no sparse matrix"


def require_transitions(matrix: sparse.csr_matrix, n: int, key: str) -> None:
    """Raise DataError unless every entry of a stored (n, n) matrix is a number in its place."""

    def check() -> None:
        matrix.check_format(full_check=True)
        values = matrix.data
        if matrix.shape != (n, n) or not is_finite(values) or (values < 0).any():
            raise ValueError("other shape than receivers × receivers, or no numbers from 0")

    whole(key, "restoration: the transitions", inference_call(key), check)


def require_table(
    slots: Mapping[str, Any], path: str, columns: Sequence[str], key: str, call: str
) -> pd.DataFrame:
    """Return the table under a path that a later verb stored.

    Raises
    ------
    DataError
        If it is missing or has other rows, columns or kinds of values.
    """

    def read() -> pd.DataFrame:
        table: Any = slots  # until the end of the path
        for name in path.split("/"):
            table = table[name]
        for finding in wrong_columns(path.replace("/", DOT), table, columns, slots):
            raise damaged(key, finding, call)
        return pd.DataFrame(table)

    return whole(key, path, call, read)
