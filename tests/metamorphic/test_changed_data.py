"""Data that have changed since the inference, or that lack something, are said with a number."""

from __future__ import annotations

import warnings
from functools import lru_cache
from tempfile import mkdtemp

import numpy as np
import pandas as pd
import pytest
from _controls import run_measured
from _helpers import NOTHING_SIGNIFICANT, OTHER_CELLS, dense, slow
from _metamorphic import CASES, infer, outcomes
from _same import changes
from _scenes import RECEIVERS, Scene, tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._result import Result

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, "ignore::FutureWarning")

#: Verbs and readers of values per cell, which must belong to the cells of the data.
PER_CELL = {
    "tl.communication": lambda a: st.tl.communication(a, n_permutations=3, progress=False),
    "tl.knockout": lambda a: st.tl.knockout(a, tf="TF000"),
    "tl.modules": lambda a: st.tl.modules(a, max_q=1.0, n_modules=2, progress=False),
    "tl.compare": lambda a: st.tl.compare(a, "half", max_q=1.0),
    "tl.controls": run_measured,
    "tl.ranges": lambda a: st.tl.ranges(a, max_q=1.0),
    "tl.partial_residuals": lambda a: st.tl.partial_residuals(a, "TF000", "TG000"),
    "tl.save_model": lambda a: st.tl.save_model(a, f"{mkdtemp()}/model"),
    "get.activity": st.get.activity,
    "get.sent_received": st.get.sent_received,
    "get.cell_communication": st.get.cell_communication,
    "get.signal_direction": st.get.signal_direction,
    "get.trend": st.get.trend,
    "get.sample_features": st.get.sample_features,
    "get.knockout_cells": st.get.knockout_cells,
    "pl.report": lambda a: st.pl.report(a, f"{mkdtemp()}/report.html"),
    "pl.activity_map": st.pl.activity_map,
    "pl.flow": st.pl.flow,
    "pl.spatial": lambda a: st.pl.spatial(a, sample_key="sample"),
    "pl.trend": st.pl.trend,
}
#: Readers and plots of transitions, which need no result.
OF_TRANSITIONS = {"get.transition_reach", "get.transitions", "pl.trajectory"}
#: Readers and plots of stored tables, which need neither cells nor genes.
TABLES = tuple(
    n
    for n in CASES
    if n.startswith(("get.", "pl.")) and n not in PER_CELL and n not in OF_TRANSITIONS
)
GETTERS = tuple(n for n in TABLES if n.startswith("get."))
RESTORING = (
    *("tl.knockout", "tl.compare", "tl.controls", "tl.partial_residuals", "tl.ranges"),
    "tl.save_model",
)


@lru_cache(maxsize=1)
def _analysed():
    adata = tissue()
    scene = Scene(adata)
    infer(scene)
    outcomes(scene, [n for n in CASES if n.startswith("tl.") and n != "tl.infer_ccc"])
    return adata


@pytest.fixture
def adata():
    """The tissue with a result and everything that later verbs add to it."""
    return _analysed().copy()


@lru_cache(maxsize=2)
def tables(names):
    return outcomes(Scene(_analysed().copy()), names)


def exchanged(adata, column, one, two):
    """Two labels exchanged among the cells."""
    return adata.obs[column].astype(str).replace({one: two, two: one}).astype("category")


@pytest.mark.parametrize("verb", PER_CELL)
@pytest.mark.parametrize(
    ("column", "one", "two"),
    [("sample", "E1_slice1", "E3_slice1"), ("stage", "E1", "E2"), ("cell_type", *RECEIVERS)],
)
def test_exchanged_labels(adata, verb, column, one, two):
    n = int(adata.obs[column].isin([one, two]).sum())
    adata.obs[column] = exchanged(adata, column, one, two)
    says = rf"`adata\.obs\['{column}'\]` has changed .*: {n} of 200 cells .*\('cell\d+' was '"
    with pytest.raises(st.DataError, match=says):
        PER_CELL[verb](adata)


def test_labels_of_a_part_of_the_cells_in_another_order(adata):
    part = adata[np.random.default_rng(0).permutation(200)[:150]].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        st.get.activity(part)
    part.obs["stage"] = exchanged(part, "stage", "E1", "E2")
    with pytest.raises(st.DataError, match=r"obs\['stage'\]` has changed .* of 150 cells"):
        st.get.activity(part, stage="E1")


@pytest.mark.parametrize("change", ["new names", "numbers as text", "split", "other column gone"])
def test_labels_that_are_new_are_no_exchange(adata, change):
    types = adata.obs["cell_type"].astype(str)
    if change == "new names":
        adata.obs["cell_type"] = ("my " + types).astype("category")
    elif change == "numbers as text":
        adata.obs["stage"] = adata.obs["stage"].astype("string")
    elif change == "split":
        half = adata.obs["half"].astype(str)
        adata.obs["cell_type"] = types.where(types != "receiver_0", types + half)
    else:
        del adata.obs["sample"]
    expected = st.get.activity(_analysed().copy())
    np.testing.assert_array_equal(st.get.activity(adata).X, expected.X)


@pytest.mark.parametrize("verb", ["tl.communication", *RESTORING])
@pytest.mark.parametrize("gene", ["LIG002", "TF001", "TG003", "REC001"])
def test_lost_genes(adata, verb, gene):
    """Verbs that need the gene name it; everything else works."""
    left = adata[:, adata.var_names != gene].copy()
    if verb == "tl.communication" and not gene.startswith("LIG"):
        PER_CELL[verb](left)
        return
    with pytest.raises(st.DataError, match=rf"'{gene}'"):
        PER_CELL[verb](left)


@pytest.mark.parametrize("names", [GETTERS, slow(TABLES)], ids=["readers", "and plots"])
def test_tables_do_not_need_the_genes(adata, names):
    left = adata[:, ~adata.var_names.str.startswith(("LIG", "TF", "TG"))].copy()
    assert changes(tables(names), outcomes(Scene(left), names)) == {}


@pytest.mark.parametrize("verb", RESTORING)
def test_exchanged_names_of_genes(adata, verb):
    names = {"TF000": "TF001", "TF001": "TF000"}
    adata.var_names = [names.get(name, name) for name in adata.var_names]
    with pytest.raises(st.DataError, match=r"are not those .*regulators have other levels"):
        PER_CELL[verb](adata)


@pytest.mark.parametrize(
    "verb", ["pp.ligand_exposure", "pp.scale_positions", "tl.infer_ccc", *RESTORING]
)
def test_positions_missing_in_one_slice(adata, verb):
    missing = (adata.obs["sample"] == "E2_slice1").to_numpy()
    adata.obsm["spatial"][missing] = np.nan
    call = (
        PER_CELL.get(verb)
        or {
            "pp.ligand_exposure": lambda a: st.pp.ligand_exposure(a, sample_key="sample"),
            "pp.scale_positions": lambda a: st.pp.scale_positions(a, 1, sample_key="sample"),
            "tl.infer_ccc": lambda a: infer(Scene(a)),
        }[verb]
    )
    n = int(missing.sum())
    with pytest.raises(st.DataError, match=rf"in {n} of 200 cells \('E2_slice1: {n} of {n}'\)"):
        call(adata)


@pytest.mark.parametrize("verb", ["tl.communication", *RESTORING])
def test_cells_that_have_lost_their_counts(adata, verb):
    values = dense(adata.X)
    values[np.flatnonzero(adata.obs["cell_type"] == "receiver_0")[:5]] = 0
    adata.X = sparse.csr_matrix(values)
    with pytest.raises(
        st.DataError, match=r"5 of 129 cells that received|129 receivers, now .*124"
    ):
        PER_CELL[verb](adata)


@pytest.mark.parametrize("verb", PER_CELL)
def test_some_names_of_cells_have_changed(adata, verb):
    adata.obs_names = [f"new{k}" if k < 7 else name for k, name in enumerate(adata.obs_names)]
    with pytest.raises(st.DataError, match=r"7 of 200 cells were not part .*'new0'"):
        PER_CELL[verb](adata)


@pytest.mark.filterwarnings(OTHER_CELLS)
def test_every_table_of_a_part_says_so():
    part = _analysed()[::2].copy()
    silent = {"get.stages", "get.params", "get.knockouts", "get.training_history"}
    silent |= {"pl.training_history", "get.communication", "get.to_liana", "pl.communication"}
    silent |= {"pl.chord", "pl.communication_stages", "pl.dotplot", "pl.network", "pl.roles"}
    for name in sorted(set(TABLES) - silent):
        with pytest.warns(st.SpatraceWarning, match="had 200 cells, the data have 100"):
            CASES[name](Scene(part))


# Version


def test_the_version_is_stored(adata, tmp_path):
    import anndata as ad

    assert st.get.params(adata)["version"] == st.__version__
    adata.write_h5ad(tmp_path / "data.h5ad")
    assert st.get.params(ad.read_h5ad(tmp_path / "data.h5ad"))["version"] == st.__version__


@pytest.mark.parametrize("name", ["get.lr_targets", "get.activity", "tl.knockout"])
def test_a_result_of_a_later_version_names_it(adata, name):
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"form": 99, "version": "9.8.7"}
    says = rf"a later version of spatrace-sc \(9\.8\.7; this is {st.__version__}\); install that"
    with pytest.raises(st.DataError, match=says):
        CASES[name](Scene(adata))


def test_a_result_without_labels_and_version_is_read(adata):
    stored = dict(adata.uns["spatrace"])
    del stored["labels"], stored["version"]
    adata.uns["spatrace"] = stored
    assert st.get.params(adata)["version"] is None
    assert Result.read(adata, "spatrace", of_cells=True).stages == ["E1", "E2", "E3"]
    pd.testing.assert_frame_equal(st.get.lr_pairs(adata), st.get.lr_pairs(_analysed()))


def message_of(call, adata):
    """Message of a typed error; "" if there is none."""
    try:
        call(adata)
    except st.SpatraceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("column", ["cell_type", "sample", "stage", "dpt_pseudotime"])
def test_lost_columns(adata, column):
    """What needs the column says so; everything else works."""
    del adata.obs[column]
    messages = {name: message_of(call, adata) for name, call in PER_CELL.items()}
    assert {m for m in messages.values() if m and f"{column!r}" not in m} == set()
    assert messages["tl.knockout"]
    assert message_of(lambda a: st.get.activity(a, stage="E1"), adata) == (
        "`stage_key='stage'` is not in `adata.obs`; it has 'cell_type', 'sample', 'stage_time', "
        "'latent_time', 'dpt_pseudotime', 'half', 'number', 'spatrace_knockout_tf-TF000'. "
        "Did you mean 'stage_time'?"
        if column == "stage"
        else ""
    )


@pytest.mark.parametrize("values", ["activity", "activity_se", "tf_activity"])
def test_lost_values_of_cells(adata, values):
    del adata.obsm[f"spatrace_{values}"]
    messages = {name: message_of(call, adata) for name, call in PER_CELL.items()}
    assert {m for m in messages.values() if m and f"spatrace_{values}" not in m} == set()


def test_lost_scores_of_modules(adata):
    del adata.obsm["spatrace_modules"]
    with pytest.raises(st.MissingKeyError, match=r"which `st\.tl\.modules` wrote, has been remo"):
        st.get.activity(adata, "modules")
