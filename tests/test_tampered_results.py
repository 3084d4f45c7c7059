"""A stored result that somebody edits: every reader gives the same answer or a typed error."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _metamorphic import CASES
from _same import EXACT, changes, plain
from _scenes import Scene, tissue
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings("ignore")

KEY = "spatrace"
#: Verbs whose results are stored, and then edited.
VERBS = ("infer_ccc", "communication", "knockout", "modules", "cascades", "compare", "ranges")
READERS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(st.get, name)
        for name in (
            *("tf_targets", "lr_targets", "lr_pairs", "lr_tfs", "cascades", "communication"),
            *("params", "stages", "training_history", "sent_received", "attention", "trend"),
            *("knockout", "knockout_cells", "modules", "comparison", "ranges", "activity"),
        )
    },
    "attention to pairs": lambda a: st.get.attention(a, kind="lr_targets"),
    "activity of modules": lambda a: st.get.activity(a, "modules"),
    "activity of TFs": lambda a: st.get.activity(a, "tfs"),
    "a stage": lambda a: st.get.lr_targets(a, st.get.stages(a)[1]),
}
CALLS: dict[str, Callable[[Any], Any]] = {
    "knockout": lambda a: st.tl.knockout(a, tf="TF001"),
    "communication": lambda a: st.tl.communication(a, n_permutations=1, progress=False),
    "modules": lambda a: st.tl.modules(a, max_q=1.0, n_modules=1, n_draws=1, progress=False),
    "compare": lambda a: st.tl.compare(a, "half", reference="a", max_q=1.0, top_n=2),
}
FIGURES = sorted(set(st.pl.__all__) - {"evaluation", "trajectory", "report", "controls"})


@lru_cache(maxsize=1)
def stored():
    """A result of several verbs, read from a file; not to be changed."""
    scene = Scene(tissue())
    for verb in VERBS:
        CASES[f"tl.{verb}"](scene)
    return scene.adata


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "a.h5ad"
    stored().write_h5ad(path)
    return ad.read_h5ad(path)


def edited(adata):
    """A copy whose slots can be edited."""
    other = adata.copy()
    other.uns[KEY] = copy.deepcopy(adata.uns[KEY])
    return other


def outcome(call, adata):
    """What a reader returns, or the typed error; any other exception fails the test."""
    try:
        return plain(call(adata))
    except st.SpatraceError as error:
        message = str(error)
        assert "`" in message, message
        assert len(message) < 600, message
        return error
    finally:
        plt.close("all")


# --- edits of one slot; they return False where they cannot be made ---------------------------


def parent(slots, path):
    for name in path[:-1]:
        slots = slots[name]
    return slots, path[-1]


def missing(slots, path):
    holder, name = parent(slots, path)
    del holder[name]


def text(slots, path):
    holder, name = parent(slots, path)
    holder[name] = "abc"


def not_finite(slots, path):
    holder, name = parent(slots, path)
    values = holder[name]
    if sparse.issparse(values):
        values.data[0] = np.nan
    elif isinstance(values, float):
        holder[name] = float("nan")
    elif getattr(values, "dtype", None) is not None and values.dtype.kind == "f" and len(values):
        edited_values = np.array(values)
        edited_values.flat[0] = np.inf
        holder[name] = edited_values
    else:
        return False
    return True


def truncated(slots, path):
    holder, name = parent(slots, path)
    values = holder[name]
    if isinstance(values, pd.Series | str | dict) or np.ndim(values) == 0 or not values.shape[0]:
        return False
    holder[name] = values.iloc[:-1] if isinstance(values, pd.DataFrame) else values[:-1]
    return True


def other_shape(slots, path):
    holder, name = parent(slots, path)
    if not isinstance(holder[name], np.ndarray):
        return False
    holder[name] = holder[name].reshape(-1, 1, 1)
    return True


def out_of_range(slots, path):
    holder, name = parent(slots, path)
    values = holder[name]
    if getattr(values, "dtype", None) is None or np.asarray(values).dtype.kind != "i":
        return False
    edited_values = np.array(values)
    if edited_values.size:
        edited_values.flat[0] = np.iinfo(edited_values.dtype).max
    holder[name] = edited_values
    return True


def number(slots, path):
    holder, name = parent(slots, path)
    if isinstance(holder, pd.DataFrame):
        holder[name] = np.arange(len(holder))
    else:
        holder[name] = 3


def later_form(slots, path):
    slots[path[0]] = 99


EDITS = (missing, text, not_finite, truncated, other_shape, out_of_range, number)
NETWORK = ("model", "network", "embed__weight")
#: Edits, and the readers that must refuse them; every other one must answer as before.
ALL = tuple(READERS)
CHOSEN = [
    (missing, ("tf_targets",), ALL),
    (missing, ("lr_pairs",), ALL),
    (missing, ("tf_targets", "stability"), ALL),
    (missing, ("stage_factors",), ALL),
    (missing, ("form",), ALL),
    (missing, ("obsm_tf",), ALL),
    (truncated, ("lr_targets",), ALL),
    (truncated, ("model", "values"), ALL),
    (truncated, ("genes", "targets"), ALL),
    (truncated, ("communication",), ALL),
    (text, ("lr_targets", "effect"), ALL),
    (text, ("params", "radius"), ALL),
    (text, ("params", "config"), ALL),
    (number, ("lr_targets", "q_value"), ALL),
    (number, ("communication", "ligand"), ALL),
    (not_finite, ("model", "values"), ALL),
    (not_finite, ("tf_targets", "effect_within"), ALL),
    (out_of_range, ("tf_targets", "target"), ALL),
    (out_of_range, ("refits", "edge"), ALL),
    (other_shape, ("stage_factors", "tf"), ALL),
    (later_form, ("form",), ALL),
    (text, ("form",), ALL),
    (missing, ("comparison", "tf_targets"), ("comparison",)),
    (text, ("modules",), ("modules", "activity of modules")),
    (missing, ("modules", "summary"), ("modules", "activity of modules")),
    (truncated, ("knockouts", "tf-TF000", "targets"), ("knockout", "knockout_cells")),
    (text, ("ranges", "radius"), ("ranges",)),
    (missing, ("attention",), ("attention",)),
]


@pytest.fixture(scope="module")
def answers(result):
    return {name: outcome(read, result) for name, read in READERS.items()}


def test_every_reader_answers_before_the_edits(answers):
    assert not [name for name, answer in answers.items() if isinstance(answer, Exception)]


NAMES = [f"{edit.__name__}-{'/'.join(path)}" for edit, path, _ in CHOSEN]


@pytest.mark.parametrize(("edit", "path", "refusing"), CHOSEN, ids=NAMES)
def test_an_edit_is_refused_or_changes_no_answer(result, answers, edit, path, refusing):
    adata = edited(result)
    assert edit(adata.uns[KEY], path) is not False
    few = refusing if refusing is not ALL else ("lr_targets", "activity", "knockout")
    others = () if refusing is ALL else ("tf_targets", "activity")
    for name in {*few, *others}:
        answer = outcome(READERS[name], adata)
        if name in few:
            assert isinstance(answer, st.SpatraceError), name
            assert "st." in str(answer)
        else:
            assert not changes({name: answers[name]}, {name: answer}, EXACT), name


def edit_of_the_network(adata):
    holder, name = parent(adata.uns[KEY], NETWORK)
    holder[name] = np.full_like(holder[name], np.nan)


def edit_of_the_transitions(adata):
    adata.uns[KEY]["restoration"]["backward"].indices[0] = 10**6


@pytest.mark.parametrize("edit", [edit_of_the_network, edit_of_the_transitions])
def test_a_damaged_model_is_not_restored(result, edit):
    adata = edited(result)
    edit(adata)
    with pytest.raises(st.DataError, match=r"is damaged: .*st\.tl\.infer_ccc"):
        st.tl.knockout(adata, tf="TF001")


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values[:, :-1],
        lambda values: values.astype(str),
        lambda values: np.where(np.arange(values.shape[1]) == 0, np.nan, values),
    ],
    ids=["column lost", "text", "NaN in part"],
)
def test_damaged_values_of_cells_are_refused(result, change):
    adata = edited(result)
    adata.obsm["spatrace_activity"] = change(np.asarray(adata.obsm["spatrace_activity"]))
    with pytest.raises(st.DataError, match=r"must hold .* numbers for every cell.*infer_ccc"):
        st.get.activity(adata)


def paths(slots: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every slot, and every column of a table."""
    for name in slots:
        yield (*prefix, name)
        if isinstance(slots[name], dict | pd.DataFrame):
            yield from paths(slots[name], (*prefix, name))


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_no_edit_ends_in_an_error_of_a_library(result, edit):
    """Every slot and column; the configuration is left out, whose older forms may lack options."""
    named = {f"pl.{name}": getattr(st.pl, name) for name in FIGURES} | CALLS | READERS
    for path in paths(result.uns[KEY]):
        adata = edited(result)
        if path[:2] == ("params", "config") or edit(adata.uns[KEY], path) is False:
            continue
        if isinstance(outcome(st.get.params, adata), st.SpatraceError):
            continue  # refused before any reader takes a part
        for name, call in named.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    outcome(call, edited(adata) if name in CALLS else adata)
                except Exception as error:
                    raise AssertionError(f"{edit.__name__} {path}: {name}") from error
