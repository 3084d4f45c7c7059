"""Every verb, reader and plot gives the same for every form of columns, positions and order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from _helpers import dense, slow
from _metamorphic import CASES, WITHOUT_PLOTS, assert_same, expected, outcomes
from _same import changes
from _scenes import RECEIVERS, Scene, tissue
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

LABELS = ("cell_type", "sample", "stage")
#: Forms of the columns of labels.
TEXT = {
    "object": lambda c: c.astype(str).astype(object),
    "string": lambda c: c.astype(str).astype("string"),
    "category of string": lambda c: c.astype("string").astype("category"),
    "unused categories": lambda c: c.cat.add_categories(["a", "z"]),
    "other order of categories": lambda c: c.cat.reorder_categories(list(c.cat.categories)[::-1]),
    "ordered": lambda c: c.cat.as_ordered(),
}
#: Forms of the columns of time.
TIME = {
    "float32": lambda c: c.astype(np.float32),
    "Float64": lambda c: c.astype("Float64"),
    "Float32": lambda c: c.astype("Float32"),
}
#: Forms of positions on a grid of whole numbers.
POSITIONS = {
    "float32": lambda p, names: p.astype(np.float32),
    "int64": lambda p, names: p.astype(np.int64),
    "int16": lambda p, names: p.astype(np.int16),
    "columns first": lambda p, names: np.asfortranarray(p),
    "data frame": lambda p, names: pd.DataFrame(p, index=names, columns=["x", "y"]),
    "data frame of whole numbers": lambda p, names: pd.DataFrame(
        p.astype(int), index=names, columns=["x", "y"]
    ),
    "on a plane": lambda p, names: np.column_stack([p, np.full(len(p), 7.0)]),
    "sparse": lambda p, names: sparse.csr_matrix(p),
    "objects": lambda p, names: p.astype(object),
}
#: Maps show the positions themselves, and directions have an axis for each of them.
OF_POSITIONS = {"pl.activity_map", "pl.spatial", "pl.flow", "get.signal_direction"}
FLAT = tuple(name for name in CASES if name not in OF_POSITIONS)


def test_every_column_in_another_form():
    adata = tissue()
    for column, form in zip(LABELS, ("string", "other order of categories", "object"), strict=True):
        adata.obs[column] = TEXT[form](adata.obs[column])
    adata.obs["dpt_pseudotime"] = TIME["Float64"](adata.obs["dpt_pseudotime"])
    adata.obs["stage_time"] = TIME["float32"](adata.obs["stage_time"])
    adata.obsm["spatial"] = POSITIONS["data frame of whole numbers"](
        adata.obsm["spatial"], adata.obs_names
    )
    assert_same(Scene(adata), CASES)


@pytest.mark.slow
def test_the_same_data_twice():
    assert_same(Scene(tissue()), CASES)


@pytest.mark.parametrize("form", [*map(slow, TEXT)])
def test_columns_of_labels(form):
    adata = tissue()
    for column in LABELS:
        adata.obs[column] = TEXT[form](adata.obs[column])
    assert_same(Scene(adata), CASES)


@pytest.mark.parametrize("form", [*map(slow, TIME)])
def test_columns_of_time(form):
    adata = tissue()
    for column in ("dpt_pseudotime", "stage_time", "latent_time"):
        adata.obs[column] = TIME[form](adata.obs[column])
    assert_same(Scene(adata))


@pytest.mark.parametrize("form", [*map(slow, POSITIONS)])
def test_positions(form):
    adata = tissue()
    adata.obsm["spatial"] = POSITIONS[form](adata.obsm["spatial"], adata.obs_names)
    assert_same(Scene(adata), FLAT if form == "on a plane" else CASES)


@pytest.mark.slow
def test_other_names_of_columns_and_slots():
    adata = tissue()
    adata.obs = adata.obs.rename(columns={"sample": "section", "stage": "age"})
    adata.obsm["xy"] = adata.obsm.pop("spatial")
    reading = {"sample_key": "section", "stage_key": "age", "spatial_key": "xy"}
    assert_same(Scene(adata, reading), CASES)


@lru_cache(maxsize=4)
def with_stages_as(kind):
    adata = tissue()
    adata.obs["number"] = adata.obs["number"].astype({"text": str}.get(kind, kind))
    return outcomes(Scene(adata, {"sample_key": "number", "stage_key": "number"}), CASES)


@pytest.mark.parametrize("kind", [*map(slow, ["int8", "Int64", "text", "category"])])
def test_stages_as_numbers(kind):
    assert changes(with_stages_as("int64"), with_stages_as(kind)) == {}


#: Cases that hold no names of cells.
TABLES = ("tl.cascades", "tl.compare", "tl.evaluate", "get.comparison", "get.cascades")


@pytest.mark.slow
def test_names_of_cells_that_are_numbers():
    adata = tissue()
    adata.obs_names = [str(k) for k in range(adata.n_obs)]
    names = {str(k): f"cell{k}" for k in range(adata.n_obs)}
    found = outcomes(Scene(adata), [n for n in WITHOUT_PLOTS if n not in TABLES])
    assert "are not in `adata.obs_names`" in found.pop("pp.Moscot")  # which has names of its own
    found = {name: renamed(outcome, names) for name, outcome in found.items()}
    assert changes(expected(), found) == {}


def renamed(outcome, names):
    """Tables with other names of cells in rows and columns."""
    if isinstance(outcome, list):
        return [renamed(part, names) for part in outcome]
    if isinstance(outcome, pd.DataFrame) and not isinstance(outcome.index, pd.RangeIndex):
        label = lambda name: names.get(name, name)
        return outcome.rename(index=label, columns=label)
    return outcome


def permuted(adata, seed=0):
    return adata[np.random.default_rng(seed).permutation(adata.n_obs)].copy()


def test_order_of_cells():
    assert_same(Scene(permuted(tissue())), (*WITHOUT_PLOTS, "pl.spatial"))


def unsorted(matrix):
    """Rows with their entries in descending order."""
    order = np.concatenate(
        [np.arange(b, a, -1) - 1 for a, b in zip(matrix.indptr, matrix.indptr[1:], strict=False)]
    )
    return sparse.csr_matrix((matrix.data[order], matrix.indices[order], matrix.indptr))


#: Cases that read transitions from ``obsp``.
BETWEEN_CELLS = ("pp.transitions", "pp.CellRank", "tl.infer_ccc", "get.lr_targets", "tl.knockout")


@lru_cache(maxsize=8)
def with_transitions_as(form):
    adata = tissue()
    matrix = adata.obsp["T_fwd"]
    adata.obsp["T_fwd"] = {
        "csr_matrix": sparse.csr_matrix,
        "csr_array": sparse.csr_array,
        "csc_array": sparse.csc_array,
        "dense": dense,
        "unsorted": unsorted,
    }[form](matrix)
    return outcomes(Scene(adata, {"transitions_key": "T_fwd"}), BETWEEN_CELLS)


@pytest.mark.parametrize("form", ["csc_array", *map(slow, ["dense", "unsorted", "csr_array"])])
def test_matrices_between_cells(form):
    assert changes(with_transitions_as("csr_matrix"), with_transitions_as(form)) == {}


def test_a_pseudotime_in_a_nullable_column_is_replaced():
    adata = tissue()
    options = {"time_key": "own", "root": "receiver_0", "receivers": RECEIVERS}
    st.pp.transitions(adata, **options)
    first = adata.obs["own"].to_numpy(copy=True)
    adata.obs["own"] = adata.obs["own"].astype("Float64")
    st.pp.transitions(adata, **options)
    np.testing.assert_array_equal(adata.obs["own"], first)
