from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    assert_unchanged,
    dense,
    is_acyclic,
    slow,
    snapshot,
    tiny_config,
    tissue,
)
from scipy import sparse

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def check(matrix, adata, receiving, time_key="dpt_pseudotime"):
    """Rows of receivers sum to 1, other rows are empty; no step back in time, no cycle."""
    matrix = dense(matrix)
    assert matrix.shape == (adata.n_obs, adata.n_obs)
    np.testing.assert_allclose(matrix.sum(axis=1), receiving.astype(float), atol=1e-5)
    assert (matrix[:, ~receiving] == 0).all()
    assert (matrix >= 0).all()
    off = (matrix > 0) & ~np.eye(len(matrix), dtype=bool)
    time = adata.obs[time_key].to_numpy(dtype=float)
    row, col = np.nonzero(off)
    assert (time[col] >= time[row]).all()
    assert is_acyclic(off)
    stays = np.diag(matrix) > 0
    np.testing.assert_allclose(np.diag(matrix)[stays], 1.0, atol=1e-6)
    return off, time


def is_receiver(adata):
    return adata.obs["cell_type"].str.startswith("receiver").to_numpy()


def untimed():
    """No pseudotime, and a representation in which all cells lie along their latent time."""
    adata = tissue()
    del adata.obs["dpt_pseudotime"]
    rng = np.random.default_rng(0)
    time = np.where(is_receiver(adata), adata.obs["latent_time"], rng.random(adata.n_obs))
    adata.obsm["X_path"] = np.column_stack(
        [5 * time, 2 * np.cos(3 * time), rng.normal(scale=0.1, size=adata.n_obs)]
    )
    return adata


RECEIVERS = ["receiver_0", "receiver_1"]


def test_forward_along_pseudotime():
    adata = tissue()
    assert st.pp.transitions(adata) is None
    off, time = check(adata.obsp["transitions"], adata, is_receiver(adata))
    row, col = np.nonzero(off)
    assert (time[col] > time[row]).all()
    assert isinstance(adata.obsp["transitions"], sparse.csr_matrix)
    assert adata.uns["transitions"]["params"]["time_key"] == "dpt_pseudotime"


def test_forward_along_stages_only():
    adata = tissue()
    st.pp.transitions(adata, time_key="stage_time", receivers=RECEIVERS)
    off, time = check(adata.obsp["transitions"], adata, is_receiver(adata), "stage_time")
    row, col = np.nonzero(off)
    assert set((time[col] - time[row]).tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "Float64"])
def test_time_of_any_numeric_dtype(dtype):
    adata = tissue()
    expected = st.pp.transitions(adata, time_key="stage_time", receivers=RECEIVERS, copy=True)
    adata.obs["stage_time"] = adata.obs["stage_time"].astype(dtype)
    reached = st.pp.transitions(adata, time_key="stage_time", receivers=RECEIVERS, copy=True)
    np.testing.assert_array_equal(dense(reached), dense(expected))


def test_receivers_can_be_chosen():
    adata = tissue()
    st.pp.transitions(adata, receivers=["receiver_1"], key_added="mine")
    check(adata.obsp["mine"], adata, (adata.obs["cell_type"] == "receiver_1").to_numpy())
    assert "transitions" not in adata.obsp


def test_neighbours_are_limited():
    adata = tissue()
    few = st.pp.transitions(adata, n_neighbors=2, copy=True)
    many = st.pp.transitions(adata, n_neighbors=15, copy=True)
    assert few.nnz < many.nnz
    assert few.nnz <= 4 * is_receiver(adata).sum() + 1


def test_representation_can_be_given():
    adata = tissue()
    by_default = st.pp.transitions(adata, copy=True)
    adata.obsm["X_mine"] = np.random.default_rng(0).normal(size=(adata.n_obs, 5))
    adata.obsm["X_mine"][~is_receiver(adata)] = np.nan  # of cells that take no part
    st.pp.transitions(adata, use_rep="X_mine")
    check(adata.obsp["transitions"], adata, is_receiver(adata))
    assert (adata.obsp["transitions"] != by_default).nnz > 0


def test_order_of_genes_does_not_matter():
    adata = tissue()
    moved = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    np.testing.assert_array_equal(
        dense(st.pp.transitions(moved, copy=True)), dense(st.pp.transitions(adata, copy=True))
    )


@pytest.mark.parametrize("flags", ["none", "highly_variable"])
def test_order_of_genes_does_not_matter_without_roles(flags):
    adata = tissue()
    adata.var = adata.var[[]].copy()
    if flags == "highly_variable":
        adata.var["highly_variable"] = np.arange(adata.n_vars) % 2 == 0
    moved = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    np.testing.assert_array_equal(
        dense(st.pp.transitions(moved, copy=True)), dense(st.pp.transitions(adata, copy=True))
    )


def test_order_of_cells_does_not_matter():
    adata = tissue()
    order = np.random.default_rng(0).permutation(adata.n_obs)
    expected = dense(st.pp.transitions(adata, copy=True))[np.ix_(order, order)]
    np.testing.assert_allclose(
        dense(st.pp.transitions(adata[order].copy(), copy=True)), expected, atol=1e-3
    )


def test_dense_and_sparse_expression_agree():
    adata = tissue()
    expected = dense(st.pp.transitions(adata, copy=True))
    adata.X = adata.X.toarray()
    np.testing.assert_array_equal(dense(st.pp.transitions(adata, copy=True)), expected)


def test_expression_of_senders_does_not_matter():
    adata = tissue()
    expected = dense(st.pp.transitions(adata, copy=True))
    matrix = adata.X.toarray()
    matrix[~is_receiver(adata)] = 0.5
    adata.X = matrix
    np.testing.assert_array_equal(dense(st.pp.transitions(adata, copy=True)), expected)


def test_copy_leaves_the_data_alone():
    adata = tissue()
    before = snapshot(adata)
    matrix = st.pp.transitions(adata, copy=True)
    assert_unchanged(adata, before)
    st.pp.transitions(adata)
    np.testing.assert_array_equal(dense(adata.obsp["transitions"]), dense(matrix))


def test_infinite_time_counts_as_missing():
    adata = tissue()
    expected = dense(st.pp.transitions(adata, copy=True))
    adata.obs["dpt_pseudotime"] = adata.obs["dpt_pseudotime"].fillna(
        np.inf
    )  # as diffusion pseudotime marks what it cannot reach
    np.testing.assert_array_equal(dense(st.pp.transitions(adata, copy=True)), expected)


def earliest(adata):
    return adata.obs_names[int(np.nanargmin(adata.obs["latent_time"]))]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_root_by_name_computes_pseudotime():
    adata = untimed()
    root = earliest(adata)
    st.pp.transitions(adata, root=root, receivers=RECEIVERS, use_rep="X_path")
    time = adata.obs["dpt_pseudotime"]
    assert time[root] == 0
    np.testing.assert_array_equal(np.isfinite(time), is_receiver(adata))
    assert time.corr(adata.obs["latent_time"], method="spearman") > 0.9
    check(adata.obsp["transitions"], adata, is_receiver(adata))
    assert adata.uns["transitions"]["params"]["root"] == root


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_root_by_type_takes_a_cell_of_the_type():
    adata = untimed()
    st.pp.transitions(adata, root="receiver_1", receivers=RECEIVERS)
    time = adata.obs["dpt_pseudotime"]
    first = time.idxmin()
    assert time[first] == 0
    assert adata.obs.loc[first, "cell_type"] == "receiver_1"
    check(adata.obsp["transitions"], adata, is_receiver(adata))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_root_writes_the_column_named():
    adata = tissue()
    before = adata.obs["dpt_pseudotime"].copy()
    st.pp.transitions(adata, root=earliest(adata), receivers=RECEIVERS, time_key="mine")
    assert adata.obs["mine"].notna().sum() == is_receiver(adata).sum()
    assert before.equals(adata.obs["dpt_pseudotime"])
    again = st.pp.transitions(adata, time_key="mine", copy=True)  # what was written serves as time
    np.testing.assert_allclose(dense(again), dense(adata.obsp["transitions"]), atol=1e-6)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_cells_that_the_root_cannot_reach_take_no_part():
    adata = untimed()
    far = np.flatnonzero(is_receiver(adata))[-40:]
    adata.obsm["X_path"][far] += 1000.0
    root = adata.obs_names[np.flatnonzero(is_receiver(adata))[0]]
    st.pp.transitions(adata, root=root, receivers=RECEIVERS, use_rep="X_path")
    reached = adata.obs["dpt_pseudotime"].notna().to_numpy()
    assert not reached[far].any()
    assert reached.sum() == is_receiver(adata).sum() - 40
    check(adata.obsp["transitions"], adata, reached)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("n_cells", [500, 9000])
def test_pseudotime_of_few_and_of_many_cells(n_cells):
    """From 8192 cells on, scanpy's own default needs a pynndescent that it can read."""
    rng = np.random.default_rng(0)
    position = np.sort(rng.random(n_cells))
    adata = ad.AnnData(
        rng.random((n_cells, 3), dtype=np.float32),
        obs=pd.DataFrame({"cell_type": "a"}, index=[f"c{k}" for k in range(n_cells)]),
        obsm={"X_line": np.column_stack([position, 0.4 * rng.random((n_cells, 5))])},
    )
    st.pp.transitions(adata, root="c0", use_rep="X_line", n_neighbors=5)
    time = adata.obs["dpt_pseudotime"].to_numpy()
    assert time[0] == 0
    assert np.corrcoef(time, position)[0, 1] > 0.95
    assert adata.obsp["transitions"].shape == (n_cells, n_cells)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("width", "warns"), [(0.02, True), (2.0, False)])
def test_paths_that_scanpy_ignores_are_warned_of(width, warns):
    """A thin line of many cells has diffusion components whose eigenvalues are nearly 1."""
    rng = np.random.default_rng(0)
    line = np.column_stack([np.sort(rng.random(2500)), width * rng.random(2500)])
    adata = ad.AnnData(
        rng.random((2500, 3), dtype=np.float32),
        obs=pd.DataFrame({"cell_type": "a"}, index=[f"c{k}" for k in range(2500)]),
        obsm={"X_line": line},
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", st.SpatraceWarning)
        st.pp.transitions(adata, root="c0", use_rep="X_line", n_neighbors=5)
    messages = [str(w.message) for w in caught if w.category is st.SpatraceWarning]
    assert any("eigenvalues of at least 0.9994" in m for m in messages) == warns


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_pseudotime_is_that_of_scanpy():
    import scanpy as sc

    adata = untimed()
    st.pp.transitions(adata, root=earliest(adata), use_rep="X_path")
    by_scanpy = ad.AnnData(obs=adata.obs[["latent_time"]], obsm={"X_path": adata.obsm["X_path"]})
    sc.pp.neighbors(by_scanpy, use_rep="X_path", method="gauss", n_neighbors=30)
    sc.tl.diffmap(by_scanpy, n_comps=15)
    by_scanpy.uns["iroot"] = int(np.flatnonzero(adata.obs_names == earliest(adata))[0])
    sc.tl.dpt(by_scanpy, n_dcs=10)
    np.testing.assert_allclose(
        adata.obs["dpt_pseudotime"], by_scanpy.obs["dpt_pseudotime"], atol=1e-6
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_root_with_copy_writes_nothing():
    adata = untimed()
    before = snapshot(adata)
    matrix = st.pp.transitions(adata, root=earliest(adata), receivers=RECEIVERS, copy=True)
    assert_unchanged(adata, before)
    np.testing.assert_allclose(
        np.asarray(matrix.sum(axis=1)).ravel(), is_receiver(adata), atol=1e-5
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_root_without_receivers_takes_everyone():
    adata = untimed()
    st.pp.transitions(adata, root=earliest(adata), use_rep="X_path")
    assert np.isfinite(adata.obs["dpt_pseudotime"]).all()
    check(adata.obsp["transitions"], adata, np.ones(adata.n_obs, dtype=bool))


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_survives_being_written(form, tmp_path):
    adata = tissue()
    st.pp.transitions(adata)
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    np.testing.assert_array_equal(dense(back.obsp["transitions"]), dense(adata.obsp["transitions"]))
    assert back.uns["transitions"]["params"]["n_neighbors"] == 30


def test_spatialdata():
    from spatialdata import SpatialData

    adata = tissue()
    expected = st.pp.transitions(adata, copy=True)
    st.pp.transitions(SpatialData(tables={"cells": adata}), table_key="cells")
    np.testing.assert_array_equal(dense(adata.obsp["transitions"]), dense(expected))


OPTIONS = {"sample_key": "sample", "receivers": RECEIVERS}


@pytest.mark.parametrize("time_key", ["dpt_pseudotime", "stage_time"])
def test_inference_computes_the_same_by_default(time_key):
    """Counts per median cell, with few genes without a role, are read as they are."""
    adata = tissue()
    roles = adata.var[["ligand", "receptor", "tf", "target"]].any(axis=1).to_numpy()
    adata = adata[:, roles].copy()
    counts = adata.layers["counts"].toarray()
    total = counts.sum(axis=1, keepdims=True)
    receives = adata.obs["cell_type"].isin(RECEIVERS).to_numpy()
    adata.X = np.log1p(counts / total * np.median(total[receives]))
    by_default, given = adata.copy(), adata.copy()
    options = {"time_key": time_key, "config": tiny_config(), **OPTIONS}
    st.tl.infer_ccc(by_default, **options)
    st.pp.transitions(given, time_key=time_key, receivers=RECEIVERS)
    st.tl.infer_ccc(given, transitions_key="transitions", **options)
    for reader, keys in (
        (st.get.tf_targets, ["tf", "target"]),
        (st.get.lr_targets, ["ligand", "receptor", "target"]),
    ):
        one, other = (reader(adata).set_index(keys).sort_index() for adata in (given, by_default))
        np.testing.assert_allclose(one["effect"], other["effect"], rtol=1e-3, atol=1e-4)
        # p counts decoys, two of which may be exchanged by rounding
        np.testing.assert_allclose(one["p_value"], other["p_value"], atol=0.02)


@pytest.mark.parametrize("time_key", ["dpt_pseudotime", "stage_time"])
def test_inference_takes_transitions_of_another_representation(time_key, caplog):
    adata = tissue()
    adata.obsm["X_mine"] = np.random.default_rng(0).normal(size=(adata.n_obs, 5))
    st.pp.transitions(adata, time_key=time_key, receivers=RECEIVERS, use_rep="X_mine")
    st.tl.infer_ccc(
        adata,
        time_key=time_key,
        transitions_key="transitions",
        config=tiny_config(),
        **TWO_OF_EACH,
        **OPTIONS,
    )
    assert "do not go forward in time" not in caplog.text


def written(adata, caplog, **arguments):
    """What is logged last."""
    with caplog.at_level("INFO", "spatrace_sc"):
        st.pp.transitions(adata, **arguments)
    return caplog.messages[-1]


def test_the_log_names_the_arguments_to_pass(caplog):
    """Word for word: it is put behind ``infer_ccc`` and run."""
    adata = tissue()
    message = written(adata, caplog, time_key="stage_time", receivers=RECEIVERS, key_added="mine")
    assert message.endswith(
        "st.tl.infer_ccc(..., transitions_key='mine', time_key='stage_time', "
        "receivers=['receiver_0', 'receiver_1'])."
    )
    passed = eval(f"dict({message.partition('..., ')[2].removesuffix('.').removesuffix(')')})")
    st.tl.infer_ccc(adata, sample_key="sample", config=tiny_config(), **TWO_OF_EACH, **passed)
    assert st.get.params(adata)["transitions_key"] == "mine"
    assert "transitions_key='transitions')." in written(adata, caplog)
    assert "receivers=['receiver_1'])." in written(adata, caplog, receivers="receiver_1")


def test_a_matrix_that_is_not_used_is_named(caplog):
    adata = tissue()
    adata.obsp["other"] = sparse.eye(adata.n_obs, format="csr")
    adata.uns["other"], adata.uns["text"], adata.uns["array"] = (
        {"a": 1},
        "reach",
        np.array(["reach"]),
    )
    inform = lambda **options: st.tl.infer_ccc(
        adata, config=tiny_config(), **TWO_OF_EACH, **OPTIONS | options
    )
    line = lambda: [m for m in caplog.messages if m.startswith("transitions:")]
    with caplog.at_level("INFO", "spatrace_sc"):
        inform()
        assert line()[-1].endswith("computed here; name your own with `transitions_key`.")
        st.pp.transitions(adata, receivers=RECEIVERS, key_added="mine")
        inform()
        assert line()[-1].endswith(
            "obsp['mine'], which st.pp.transitions wrote, is used only if you name it, "
            "`transitions_key='mine'`."
        )
        n = len(line())
        inform(transitions_key="mine")
        assert len(line()) == n
        del adata.obsp["mine"]
        inform()
        assert "used only" not in line()[-1]


def branching():
    """Three types along a line of expression, sixty cells each: early, middle, late."""
    rng = np.random.default_rng(0)
    place = np.repeat([0.0, 5.0, 10.0], 60) + rng.uniform(0, 5, 180)
    x = np.column_stack(
        [np.exp(-((place[:, None] - np.linspace(0, 15, 30)) ** 2) / 8), rng.random((180, 2))]
    )
    obs = pd.DataFrame(
        {"cell_type": np.repeat(["early", "middle", "late"], 60)},
        index=[f"c{k}" for k in range(180)],
    )
    return ad.AnnData(
        x.astype(np.float32), obs=obs, obsm={"X_line": np.column_stack([place, rng.random(180)])}
    )


def test_a_root_in_the_middle_draws_a_warning():
    with pytest.warns(
        st.SpatraceWarning, match=r"type 'middle', are not the first .* earlier are '?early"
    ):
        st.pp.transitions(branching_with(middle=0.1), root="middle", use_rep="X_line")


def branching_with(middle):
    """The same with part of the middle type before all others, where the root then is found."""
    adata = branching()
    adata.obsm["X_line"][60 : 60 + int(60 * middle), 0] -= 8.0
    return adata


@pytest.mark.parametrize("root", ["early", "c0"])
def test_a_root_at_the_beginning_draws_no_warning(root, recwarn):
    st.pp.transitions(branching(), root=root, use_rep="X_line")
    assert not [w for w in recwarn if issubclass(w.category, st.SpatraceWarning)]


def test_a_type_may_be_named_as_a_cell_that_takes_no_part():
    adata = branching()
    adata.obs_names = [str(k) for k in range(adata.n_obs)]
    adata.obs["cell_type"] = np.repeat(["2", "0", "1"], 60)
    st.pp.transitions(adata, root="0", receivers=["0", "1"], use_rep="X_line")
    assert np.nanmin(adata.obs["dpt_pseudotime"].to_numpy()) == 0
