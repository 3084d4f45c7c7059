from __future__ import annotations

import dataclasses
import logging
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
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

RECEIVERS = ["receiver_0", "receiver_1"]
STAGES = {"time_key": "stage_time", "receivers": RECEIVERS}
NAMED = {"time_key": "dpt_pseudotime", "stage_key": "stage"}


def receiving(adata):
    return adata.obs["cell_type"].isin(RECEIVERS).to_numpy()


def transport(adata, options=STAGES, **rule):
    return dense(
        st.pp.transitions(adata, method=st.pp.OptimalTransport(**rule), copy=True, **options)
    )


def valid(matrix, adata, time_key="stage_time"):
    matrix, mask = dense(matrix), receiving(adata)
    np.testing.assert_allclose(matrix.sum(axis=1), mask.astype(float), atol=1e-5)
    assert (matrix >= 0).all()
    assert (matrix[:, ~mask] == 0).all()
    off = (matrix > 0) & ~np.eye(len(matrix), dtype=bool)
    time = adata.obs[time_key].to_numpy()
    row, col = np.nonzero(off)
    assert (time[col] >= time[row]).all()
    assert is_acyclic(off)
    return time[col] - time[row]


# Optimal transport


def test_transport_goes_to_the_next_stage_and_within():
    adata = tissue()
    assert st.pp.transitions(adata, method="optimal_transport", **STAGES) is None
    assert set(valid(adata.obsp["transitions"], adata)) == {0.0, 1.0}
    assert isinstance(adata.obsp["transitions"], sparse.csr_matrix)
    stored = adata.uns["transitions"]
    assert stored["params"]["method"] == "OptimalTransport"
    assert stored["rule"] == dataclasses.asdict(st.pp.OptimalTransport())
    assert 0 < stored["checks"]["least_kept_mass"] <= 1
    assert stored["checks"]["largest_source_error"] < 0.01


def test_transport_between_stages_only():
    adata = tissue()
    matrix = transport(adata, within=0)
    assert set(valid(matrix, adata)) == {1.0}
    stage = adata.obs["stage_time"].to_numpy()
    past = (matrix - np.diag(np.diag(matrix))).sum(axis=0) > 0
    np.testing.assert_array_equal(past, receiving(adata) & (stage > stage.min()))


def test_share_within_a_stage():
    adata = tissue()
    matrix, stage = transport(adata, within=0.25), adata.obs["stage_time"].to_numpy()
    both = receiving(adata) & (stage < stage.max())
    inside = np.array([matrix[i, (stage == stage[i])].sum() for i in np.flatnonzero(both)])
    assert np.isin(np.round(inside, 4), [0.0, 0.25]).all()  # 0 in the last cell of a stage
    assert (inside > 0).mean() > 0.9


def test_transport_between_named_stages_goes_forward_in_time():
    adata = tissue()
    matrix = transport(adata, NAMED)
    gaps = valid(matrix, adata, "dpt_pseudotime")
    assert (gaps > 0).all()
    stage = adata.obs["stage_time"].to_numpy()
    row, col = np.nonzero(matrix - np.diag(np.diag(matrix)))
    assert set(stage[col] - stage[row]) == {0.0, 1.0}


def test_names_of_stages_do_not_order_them():
    adata = tissue()
    expected = transport(adata, NAMED)
    stage = adata.obs["stage"].astype(str)
    adata.obs["stage"] = stage.map(dict(zip(sorted(stage.unique()), ["z", "b", "a"], strict=True)))
    np.testing.assert_allclose(transport(adata, NAMED), expected, atol=1e-6)


def test_growth_changes_the_couplings():
    adata = tissue()
    assert np.abs(transport(adata, tau=0.5) - transport(adata)).max() > 0.01


def test_all_candidates_equal_the_dense_solution():
    adata = tissue()
    np.testing.assert_allclose(
        transport(adata, n_candidates=100), transport(adata, n_candidates=10_000), atol=1e-4
    )


def test_space_counts_when_it_is_given(caplog):
    adata = tissue()
    near, plain = transport(adata, within=0, space=10.0), transport(adata, within=0)
    assert "aligned to one frame" in caplog.text
    place, off = adata.obsm["spatial"], ~np.eye(adata.n_obs, dtype=bool)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    assert (near * off * distance).sum() < 0.6 * (plain * off * distance).sum()


def test_units_of_space_do_not_matter():
    adata = tissue()
    expected = transport(adata, space=1.0)
    adata.obsm["spatial"] = adata.obsm["spatial"] * 1000
    np.testing.assert_allclose(transport(adata, space=1.0), expected, atol=1e-6)


def test_positions_are_not_looked_at_by_default():
    adata = tissue()
    expected = transport(adata)
    del adata.obsm["spatial"]
    np.testing.assert_array_equal(transport(adata), expected)


def test_order_of_cells_and_genes_does_not_matter():
    adata = tissue()
    rng = np.random.default_rng(0)
    cells, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    expected = transport(adata)[np.ix_(cells, cells)]
    np.testing.assert_allclose(transport(adata[cells, genes].copy()), expected, atol=1e-3)


def test_transport_does_not_see_the_senders():
    adata = tissue()
    expected = transport(adata)
    matrix = adata.X.toarray()
    matrix[~receiving(adata)] = 0.5
    adata.X = matrix
    np.testing.assert_array_equal(transport(adata), expected)


def test_transport_without_stages_is_refused():
    with pytest.raises(ValueError, match="stage_key"):
        st.pp.transitions(tissue(), method="optimal_transport")


def test_one_stage_is_refused():
    adata = tissue()
    adata.obs["all"] = "one"
    with pytest.raises(ValueError, match="need two"):
        st.pp.transitions(adata, method="optimal_transport", stage_key="all")


def test_stages_of_the_same_time_are_refused():
    adata = tissue()
    mask = np.flatnonzero(receiving(adata))
    mask = mask[: len(mask) // 4 * 4]
    adata.obs["clock"], adata.obs["half"] = np.nan, "c"
    adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    adata.obs.iloc[mask, adata.obs.columns.get_loc("clock")] = np.resize([1.0, 2.0], len(mask))
    adata.obs.iloc[mask, adata.obs.columns.get_loc("half")] = np.resize(
        ["a", "a", "b", "b"], len(mask)
    )
    adata.obs.iloc[mask, adata.obs.columns.get_loc("cell_type")] = "timed"
    with pytest.raises(ValueError, match="order is unknown"):
        st.pp.transitions(
            adata,
            method="optimal_transport",
            time_key="clock",
            stage_key="half",
            receivers=["timed"],
        )


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"epsilon": 0},
            {"epsilon": None},
            {"epsilon": "a"},
            {"tau": 0},
            {"tau": 1.5},
            {"within": 1},
        ),
        *({"within": -0.1}, {"n_candidates": 0}, {"space": -1}, {"space": np.nan}, {"space": True}),
    ],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        st.pp.OptimalTransport(**options)


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="use larger values"):
        transport(tissue(), epsilon=1e-4, tau=0.001)


def test_transport_that_does_not_converge_is_logged(caplog):
    transport(tissue(), n_candidates=1, within=0)
    assert "did not converge in" in caplog.text


# Neighbours of the next stage


def test_stages_are_the_neighbours_along_time_without_those_of_the_same_stage():
    adata = tissue()
    both = dense(st.pp.transitions(adata, copy=True, **STAGES))
    stage = adata.obs["stage_time"].to_numpy()
    both[stage[None] == stage[:, None]] = 0
    expected = both / np.maximum(both.sum(axis=1, keepdims=True), 1e-12)
    expected += np.diag((receiving(adata) & (both.sum(axis=1) == 0)).astype(float))
    result = st.pp.transitions(adata, method="stages", copy=True, **STAGES)
    np.testing.assert_allclose(dense(result), expected, atol=1e-6)
    assert set(valid(result, adata)) == {1.0}


def test_stages_by_name():
    adata = tissue()
    expected = dense(st.pp.transitions(adata, method="stages", copy=True, **STAGES))
    result = dense(st.pp.transitions(adata, method="stages", copy=True, **NAMED))
    time = adata.obs["dpt_pseudotime"].to_numpy()
    expected[time[None] < time[:, None]] = 0
    rows = (expected - np.diag(np.diag(expected))).sum(axis=1) > 0
    expected = expected[rows] / expected[rows].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(result[rows], expected, atol=1e-5)


def test_stages_can_have_neighbours_within():
    adata = tissue()
    result = st.pp.transitions(adata, method=st.pp.Stages(within=0.5), copy=True, **STAGES)
    assert set(valid(result, adata)) == {0.0, 1.0}
    with pytest.raises(ValueError, match="within"):
        st.pp.Stages(within=1.0)


# A matrix of the user's


def forward_links(adata, seed=0):
    """Random transitions of receivers to later ones, rows sum to 1."""
    rng = np.random.default_rng(seed)
    time, mask = adata.obs["dpt_pseudotime"].to_numpy(), receiving(adata)
    matrix = (rng.random((adata.n_obs,) * 2) < 0.1) * rng.random((adata.n_obs,) * 2)
    matrix[~(time[None] > time[:, None]) | ~mask[:, None] | ~mask[None]] = 0
    matrix = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)
    return matrix


@pytest.mark.parametrize(
    "form", [np.asarray, sparse.csr_matrix, sparse.csc_array, sparse.coo_matrix]
)
def test_a_good_matrix_is_taken_as_it_is(form, caplog):
    adata = tissue()
    given = forward_links(adata)
    st.pp.transitions(adata, method=form(given))
    ends = receiving(adata) & (given.sum(axis=1) == 0)
    np.testing.assert_allclose(
        dense(adata.obsp["transitions"]), given + np.diag(ends.astype(float)), atol=1e-6
    )
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert adata.uns["transitions"]["params"]["method"] == "Given"


def test_a_key_in_obsp():
    adata = tissue()
    adata.obsp["mine"] = sparse.csr_matrix(forward_links(adata))
    expected = st.pp.transitions(adata, method=adata.obsp["mine"], copy=True)
    np.testing.assert_array_equal(
        dense(st.pp.transitions(adata, method="mine", copy=True)), dense(expected)
    )


def test_written_transitions_are_read_unchanged():
    adata = tissue()
    st.pp.transitions(adata)
    before = dense(adata.obsp["transitions"])
    st.pp.transitions(adata, method="transitions", key_added="again")
    np.testing.assert_allclose(dense(adata.obsp["again"]), before, atol=1e-7)


def test_rows_are_rescaled_and_steps_that_do_not_lead_forward_are_left_out(caplog):
    adata = tissue()
    good = forward_links(adata)
    time = adata.obs["dpt_pseudotime"].to_numpy()
    bad = 3.0 * good + np.diag(receiving(adata).astype(float))
    first, last = np.nanargmin(time), np.nanargmax(time)
    sender = np.flatnonzero(~receiving(adata))[0]
    bad[last, first], bad[first, sender] = 2.0, 1.0
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.transitions(adata, method=bad)
    expected = dense(st.pp.transitions(adata, method=good, copy=True))
    np.testing.assert_allclose(dense(adata.obsp["transitions"]), expected, atol=1e-6)
    checks = adata.uns["transitions"]["checks"]
    mass = bad[receiving(adata)]
    assert checks["outside"] == pytest.approx(1.0 / mass.sum())
    inside = mass[:, receiving(adata)]
    rows = inside / inside.sum(axis=1, keepdims=True)
    assert checks["own"] == pytest.approx(np.diag(rows).mean())
    assert checks["backward"] == pytest.approx((2 / 3) / receiving(adata).sum())
    assert checks["rescaled_rows"] > 0.9
    assert "lead from a cell to itself" in caplog.text
    assert "rescaled" in caplog.text


@pytest.mark.parametrize(
    "method", [forward_links, lambda a: dense(st.pp.transitions(a, copy=True))]
)
def test_a_transposed_matrix_is_refused(method):
    adata = tissue()
    with pytest.raises(ValueError, match=r"lead back in time.*matrix\.T"):
        st.pp.transitions(adata, method=np.array(method(adata)).T)


def test_a_matrix_without_direction_is_refused():
    adata = tissue()
    only = np.diag(receiving(adata).astype(float))
    with pytest.raises(ValueError, match="none forward"):
        st.pp.transitions(adata, method=only)


def test_circles_within_a_stage_are_opened():
    adata = tissue()
    stage, mask = adata.obs["stage_time"].to_numpy(), receiving(adata)
    rng = np.random.default_rng(0)
    matrix = rng.random((adata.n_obs,) * 2) * (rng.random((adata.n_obs,) * 2) < 0.2)
    matrix[(stage[None] < stage[:, None]) | ~mask[:, None] | ~mask[None]] = 0
    st.pp.transitions(adata, method=matrix, **STAGES)
    gaps = valid(adata.obsp["transitions"], adata)
    assert set(gaps) == {0.0, 1.0, 2.0}
    assert 0.1 < adata.uns["transitions"]["checks"]["circular"] < 0.4


BAD = {
    "shape": (lambda m: m[:-1], "shape"),
    "negative": (lambda m: -m, "negative"),
    "nan": (lambda m: np.where(m > 0, np.nan, m), "non-finite"),
    "inf": (lambda m: np.where(m > 0, np.inf, m), "non-finite"),
    "text": (lambda m: m.astype(str), "matrix of numbers"),
    "vector": (lambda m: m[0], "matrix of numbers"),
    "empty": (lambda m: 0 * m, "no transition"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_matrices(name):
    adata = tissue()
    before = snapshot(adata)
    change, text = BAD[name]
    with pytest.raises(ValueError, match=text):
        st.pp.transitions(adata, method=change(forward_links(adata)))
    assert_unchanged(adata, before)


def test_large_dense_matrices_are_refused(monkeypatch):
    from spatrace_sc._data import cell_matrices

    monkeypatch.setattr(cell_matrices, "MAX_DENSE", 100)
    adata = tissue()
    with pytest.raises(ValueError, match="only sparse"):
        st.pp.transitions(adata, method=forward_links(adata))
    st.pp.transitions(adata, method=sparse.csr_matrix(forward_links(adata)))


@pytest.mark.parametrize(
    "method", ["velocity", None, 3, [[0, 1], [0, 0]], object(), st.pp.OptimalTransport]
)
def test_unknown_methods(method):
    with pytest.raises(ValueError, match=r"optimal_transport"):
        st.pp.transitions(tissue(), method=method)


# CellRank


def kernel(adata, matrix, backward=False):
    return SimpleNamespace(transition_matrix=matrix, adata=adata, backward=backward)


def test_a_kernel_on_some_cells_in_another_order():
    adata = tissue()
    given = forward_links(adata)
    order = np.random.default_rng(0).permutation(np.flatnonzero(receiving(adata)))
    subset = kernel(adata[order], sparse.csr_matrix(given[np.ix_(order, order)]))
    result = st.pp.transitions(adata, method=subset, copy=True)
    np.testing.assert_allclose(
        dense(result), dense(st.pp.transitions(adata, method=given, copy=True)), atol=1e-6
    )


def test_the_matrix_that_a_kernel_wrote():
    adata = tissue()
    adata.obsp["T_fwd"] = sparse.csr_matrix(forward_links(adata))
    st.pp.transitions(adata, method="cellrank")
    assert adata.uns["transitions"]["params"]["method"] == "CellRank"
    expected = st.pp.transitions(adata, method="T_fwd", copy=True)
    np.testing.assert_array_equal(dense(adata.obsp["transitions"]), dense(expected))


def test_kernels_that_cannot_be_used():
    adata = tissue()
    links = sparse.csr_matrix(forward_links(adata))
    with pytest.raises(KeyError, match="write_to_adata"):
        st.pp.transitions(adata, method="cellrank")
    with pytest.raises(ValueError, match="compute_transition_matrix"):
        st.pp.transitions(adata, method=kernel(adata, None))
    with pytest.raises(ValueError, match="backward"):
        st.pp.transitions(adata, method=kernel(adata, links, backward=True))
    other = adata.copy()
    other.obs_names = [f"x{n}" for n in other.obs_names]
    with pytest.raises(ValueError, match="other cells"):
        st.pp.transitions(adata, method=kernel(other, links))


def test_cellrank_itself():
    kernels = pytest.importorskip("cellrank.kernels")
    adata = tissue()
    subset = adata[receiving(adata)].copy()
    import scanpy as sc

    sc.pp.pca(subset, n_comps=10)
    sc.pp.neighbors(subset, method="gauss")
    soft = kernels.PseudotimeKernel(subset, time_key="dpt_pseudotime").compute_transition_matrix(
        threshold_scheme="soft"
    )
    both = 0.8 * soft + 0.2 * kernels.ConnectivityKernel(subset).compute_transition_matrix()
    for given in (soft, both):
        st.pp.transitions(adata, method=given)
        valid(adata.obsp["transitions"], adata, "dpt_pseudotime")
        assert 0 < adata.uns["transitions"]["checks"]["backward"] < 0.5
    soft.write_to_adata()
    adata.obsp["T_fwd"] = st.pp.transitions(adata, method=soft, copy=True)
    st.pp.transitions(adata, method="cellrank")


# moscot


class Solution:
    """What moscot's solutions offer."""

    def __init__(self, matrix):
        self.transport_matrix, self.shape, self.widest = matrix, matrix.shape, 0

    def push(self, x):
        self.widest = max(self.widest, x.shape[1])
        return self.transport_matrix.T @ x

    def pull(self, x):
        self.widest = max(self.widest, x.shape[1])
        return self.transport_matrix @ x


def problem(adata, seed=0):
    rng = np.random.default_rng(seed)
    stage = adata.obs["stage_time"].to_numpy()
    groups = {
        s: rng.permutation(np.flatnonzero(receiving(adata) & (stage == s)))
        for s in np.unique(stage)
    }
    problems, solutions, complete = {}, {}, np.zeros((adata.n_obs,) * 2)
    for now, then in ((1.0, 2.0), (2.0, 3.0)):
        matrix = rng.random((len(groups[now]), len(groups[then]))) ** 8
        matrix /= matrix.sum()
        complete[np.ix_(groups[now], groups[then])] = matrix
        problems[now, then] = SimpleNamespace(
            adata_src=adata[groups[now]], adata_tgt=adata[groups[then]]
        )
        solutions[now, then] = Solution(matrix)
    return SimpleNamespace(problems=problems, solutions=solutions), complete


def test_a_solved_problem():
    adata = tissue()
    given, complete = problem(adata)
    st.pp.transitions(adata, method=st.pp.Moscot(given, within=0), n_neighbors=200, **STAGES)
    expected = complete + np.diag((receiving(adata) & (complete.sum(axis=1) == 0)).astype(float))
    expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(dense(adata.obsp["transitions"]), expected, atol=1e-5)
    assert adata.uns["transitions"]["checks"]["least_kept_mass"] == pytest.approx(1)


def test_a_solved_problem_as_it_is():
    adata = tissue()
    given, _ = problem(adata)
    st.pp.transitions(adata, method=given, n_neighbors=5, **STAGES)
    assert set(valid(adata.obsp["transitions"], adata)) == {0.0, 1.0}
    stored = adata.uns["transitions"]
    assert stored["params"]["method"] == "Moscot"
    assert 0.1 < stored["checks"]["least_kept_mass"] < 0.9
    assert stored["rule"] == {"epsilon": 0.05, "tau": 1.0, "within": 0.5}


def test_blocks_of_a_coupling_do_not_matter(monkeypatch):
    from spatrace_sc.pp._transition_rules import other_packages

    adata = tissue()
    given, _ = problem(adata)
    expected = dense(st.pp.transitions(adata, method=given, n_neighbors=5, copy=True, **STAGES))
    monkeypatch.setattr(other_packages, "BLOCK_SIZE", 7)
    again, _ = problem(adata)
    result = dense(st.pp.transitions(adata, method=again, n_neighbors=5, copy=True, **STAGES))
    np.testing.assert_allclose(result, expected, atol=1e-7)
    assert max(s.widest for s in again.solutions.values()) == 7


def test_problems_that_cannot_be_used(monkeypatch):
    adata = tissue()
    with pytest.raises(ValueError, match="no solution"):
        st.pp.transitions(adata, method=SimpleNamespace(problems={}, solutions={}), **STAGES)
    given, _ = problem(adata)
    renamed = adata.copy()
    renamed.obs_names = [f"x{n}" for n in renamed.obs_names]
    with pytest.raises(ValueError, match="other cells"):
        st.pp.transitions(renamed, method=given, **STAGES)
    given.solutions[1.0, 2.0] = Solution(np.full(given.solutions[1.0, 2.0].shape, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        st.pp.transitions(adata, method=given, **STAGES)
    monkeypatch.setitem(__import__("sys").modules, "moscot", None)
    monkeypatch.setitem(__import__("sys").modules, "moscot.problems.time", None)
    with pytest.raises(ValueError, match="pip install moscot"):
        st.pp.transitions(adata, method="moscot", **STAGES)


def test_moscot_itself():
    time = pytest.importorskip("moscot.problems.time")
    adata = tissue()
    st.pp.transitions(adata, method="moscot", **STAGES)
    assert set(valid(adata.obsp["transitions"], adata)) == {0.0, 1.0}
    by_transport = transport(adata, n_candidates=10_000)
    assert (
        0.5 * np.abs(dense(adata.obsp["transitions"]) - by_transport).sum()
        < 0.02 * receiving(adata).sum()
    )
    subset = adata[receiving(adata)].copy()
    subset.obsm["X_rep"] = subset.X.toarray()
    subset.obs["when"] = pd.Categorical(subset.obs["stage_time"])
    solved = (
        time.TemporalProblem(subset).prepare(time_key="when", joint_attr="X_rep").solve(epsilon=0.1)
    )
    st.pp.transitions(adata, method=solved, **STAGES)
    valid(adata.obsp["transitions"], adata)


# What is written


METHODS = ["pseudotime", "stages", "optimal_transport", "mine", "cellrank"]


def with_sources():
    adata = tissue()
    adata.obsp["mine"] = adata.obsp["T_fwd"] = sparse.csr_matrix(forward_links(adata))
    return adata


@pytest.mark.parametrize(
    ("form", "method"), [*(("h5ad", m) for m in METHODS), slow("zarr", "optimal_transport")]
)
def test_survives_being_written(method, form, tmp_path):
    adata = with_sources()
    st.pp.transitions(adata, method=method, **NAMED)
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    np.testing.assert_array_equal(dense(back.obsp["transitions"]), dense(adata.obsp["transitions"]))
    for name in ("params", "rule", "checks"):
        assert dict(back.uns["transitions"][name]) == adata.uns["transitions"][name]
    table = back.uns["transitions"]["reach"]
    np.testing.assert_allclose(
        table.to_numpy(float), adata.uns["transitions"]["reach"].to_numpy(float)
    )


@pytest.mark.parametrize("method", METHODS)
def test_copy_leaves_the_data_alone(method):
    adata = with_sources()
    before = snapshot(adata)
    matrix = st.pp.transitions(adata, method=method, copy=True, **NAMED)
    assert_unchanged(adata, before)
    st.pp.transitions(adata, method=method, **NAMED)
    np.testing.assert_array_equal(dense(adata.obsp["transitions"]), dense(matrix))


def test_reach_is_logged(caplog):
    adata = tissue()
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.transitions(adata, method=st.pp.OptimalTransport(within=0), **STAGES)
    table = adata.uns["transitions"]["reach"]
    stage = adata.obs["stage_time"].to_numpy()[receiving(adata)]
    np.testing.assert_array_equal(table["steps"], np.arange(1, 9))
    np.testing.assert_allclose(table["cells"][:3], [(stage > 1).mean(), (stage > 2).mean(), 0])
    np.testing.assert_allclose(table["time_back"][:2], [1, 2], rtol=1e-5)
    assert table["time_back"][2:].isna().all()
    assert "followed back" in caplog.text


def test_within_a_stage_paths_reach_further():
    adata = tissue()
    st.pp.transitions(adata, method="optimal_transport", **STAGES)
    assert (adata.uns["transitions"]["reach"]["cells"][:3] > 0.9).all()


@pytest.mark.parametrize("options", [STAGES, NAMED])
def test_inference_takes_them(options, caplog):
    adata = tissue()
    st.pp.transitions(adata, method="optimal_transport", **options)
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        receivers=RECEIVERS,
        time_key=options["time_key"],
        transitions_key="transitions",
        config=tiny_config(),
    )
    assert "do not go forward in time" not in caplog.text
    assert len(st.get.lr_targets(adata))


def test_spatialdata(tmp_path):
    from spatialdata import SpatialData, read_zarr

    adata = tissue()
    expected = transport(adata)
    data = SpatialData(tables={"cells": adata})
    st.pp.transitions(data, table_key="cells", method="optimal_transport", **STAGES)
    data.write(tmp_path / "data.zarr")
    back = read_zarr(tmp_path / "data.zarr")["cells"]
    np.testing.assert_array_equal(dense(back.obsp["transitions"]), expected)
    pd.testing.assert_frame_equal(
        back.uns["transitions"]["reach"], adata.uns["transitions"]["reach"], check_dtype=False
    )
