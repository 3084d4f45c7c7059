"""The competitors are right: each finds what is planted, where the answer is known."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import slow
from anndata import AnnData
from scipy import sparse
from sklearn.linear_model import Lasso

import spatrace_sc as st

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.recovery import datasets
from benchmarks.recovery.judge import judge
from benchmarks.recovery.methods import METHODS, linear, own, reference, trees
from benchmarks.recovery.signals import doses, neighbour_ligand, read_signals, saturating
from benchmarks.recovery.tissue import Tissue


@pytest.fixture(scope="module")
def simulated() -> Tissue:
    return datasets.from_truth(
        st.datasets.simulated(0, n_cells=1000, n_targets=12, n_background=40, decoy_fraction=0)
    )


@pytest.fixture(scope="module")
def planted(simulated) -> Tissue:
    """Targets that a known past TF or a known pair drives, and little else."""
    adata, s = simulated.adata.copy(), read_signals(simulated)
    rng = np.random.default_rng(0)
    tf = s.past(s.tf, now=False)
    pair = saturating(doses(s.exposure, s.past(s.receptor, now=True)))
    shift = np.array([tf[:, 0], tf[:, 1], pair[:, 3], pair[:, 40]]).T
    shift = shift / shift.std(axis=0) * np.array([0.4, -0.4, 0.4, -0.4])
    x = adata.X.toarray()
    column = adata.var_names.get_indexer(s.names["target"][:4])
    x[np.ix_(s.receivers, column)] = (
        2.5 + shift - shift.mean(axis=0) + 0.1 * rng.normal(size=shift.shape)
    )
    adata.X = sparse.csr_matrix(np.maximum(x, 0))
    grid = pd.MultiIndex.from_product([s.names["ligand"], s.names["receptor"]])
    true_tf = pd.DataFrame(
        {"tf": s.names["tf"][:2], "target": s.names["target"][:2], "sign": [1, -1]}
    )
    true_lr = pd.DataFrame([grid[3], grid[40]], columns=["ligand", "receptor"])
    true_lr = true_lr.assign(target=s.names["target"][2:4], sign=[1, -1])
    truth = {
        "tf_targets": true_tf,
        "lr_targets": true_lr,
        "lr_pairs": true_lr[["ligand", "receptor"]],
    }
    return Tissue(adata, simulated.arguments, truth)


def best(found: pd.DataFrame, target: str) -> pd.Series:
    return (
        found[found["target"] == target]
        .sort_values("score", ascending=False, kind="stable")
        .iloc[0]
    )


@pytest.mark.parametrize("name", ["ridge", "l1", "l1_1se", "l1_1se_pen", slow("forest")])
def test_a_planted_edge_is_the_strongest_of_its_target(planted, name):
    found = METHODS[name].load()(planted, 0)
    for row in planted.truth["tf_targets"].itertuples():
        top = best(found["tf_targets"], row.target)
        assert top["tf"] == row.tf
        assert name == "forest" or np.sign(top["effect"]) == row.sign
    for row in planted.truth["lr_targets"].itertuples():
        top = best(found["lr_targets"], row.target)
        assert (top["ligand"], top["receptor"]) == (row.ligand, row.receptor)
        assert name == "forest" or np.sign(top["effect"]) == row.sign
    assert judge(planted, found)["lr_targets"]["AUROC"] > 0.98


@pytest.mark.parametrize("name", ["pearson", "spearman", "neighbour"])
def test_correlations_recover_edges_within_a_cell(simulated, name):
    s = read_signals(simulated)
    adata = simulated.adata.copy()
    x = adata.X.toarray()
    logged = np.log1p(s.receptor)
    if name == "neighbour":
        kinds = doses(np.log1p(neighbour_ligand(simulated, s)), logged)
    else:
        kinds = np.log1p(doses(s.exposure, logged))
    place = adata.var_names.get_indexer(s.names["target"][:2])
    x[s.receivers, place[0]], x[s.receivers, place[1]] = (
        kinds[:, 40] / 5,
        (kinds[:, 41].max() - kinds[:, 41]) / 5,
    )
    adata.X = x
    found = METHODS[name].load()(Tissue(adata, simulated.arguments, simulated.truth), 0)[
        "lr_targets"
    ]
    pairs = [(a, b) for a in s.names["ligand"] for b in s.names["receptor"]]
    for target, pair, sign in zip(s.names["target"][:2], pairs[40:42], (1, -1), strict=True):
        top = best(found, target)
        assert (top["ligand"], top["receptor"]) == pair
        assert top["effect"] == pytest.approx(sign, abs=1e-6)


def test_the_oracle_is_an_upper_bound(planted):
    oracle, plain = (
        judge(planted, METHODS[n].load()(planted, 0))["lr_targets"] for n in ("l1_oracle", "l1")
    )
    assert oracle["AUPRC"] >= plain["AUPRC"]


@pytest.mark.slow
def test_boosting_finds_planted_edges_too(planted):
    signals = read_signals(planted)
    x, y = trees.inputs(signals)
    n_tf = len(signals.names["tf"])
    assert [trees.boosting_importance(x, y[:, k], 0).argmax() for k in (0, 2)] == [0, n_tf + 3]


def test_signals_are_those_of_infer_ccc(simulated):
    from spatrace_sc._core.paths import expected_history
    from spatrace_sc._core.transitions import backward

    s = read_signals(simulated)
    back = backward(st.pp.transitions(simulated.adata, copy=True)[s.receivers][:, s.receivers])
    for values, now in ((s.tf, False), (s.receptor, True)):
        history, exists = expected_history(back, values, n_lags=3)
        history, exists = (history, exists) if now else (history[:, :-1], exists[:, :-1])
        mean = (history * exists[..., None]).sum(1) / np.maximum(exists.sum(1), 1)[:, None]
        np.testing.assert_allclose(s.past(values, now=now), mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(s.usable, exists[:, -2])
    np.testing.assert_allclose(s.before(s.tf), (back @ s.tf), rtol=1e-4, atol=1e-4)


def test_lagged_reads_ancestors(planted):
    s = read_signals(planted)
    adata = planted.adata.copy()
    x = adata.X.toarray()
    values = s.before(s.tf)[:, 5]
    x[s.receivers, adata.var_names.get_loc(s.names["target"][0])] = values
    adata.X = x
    changed = Tissue(adata, planted.arguments, planted.truth)
    found = METHODS["lagged"].load()(changed, 0)["tf_targets"]
    top = best(found, s.names["target"][0])
    assert top["tf"] == s.names["tf"][5]
    assert top["score"] > 0.9


def test_nearest_senders_by_hand():
    var = pd.DataFrame(
        {r: [r == "ligand"] for r in ("ligand", "receptor", "tf", "target")}, index=["L"]
    )
    linear_ = np.array([[1.0], [2.0], [4.0], [8.0], [100.0]])
    obs = pd.DataFrame({"cell_type": list("RSSSS"), "slice": list("aaaab")}, index=list("01234"))
    xy = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0], [0, 0]])
    adata = AnnData(np.log1p(linear_), obs=obs, var=var, obsm={"spatial": xy})
    tissue = Tissue(adata, {"sample_key": "slice", "senders": ["S"]}, {})
    names = Namespace(
        names={"ligand": np.array(["L"])}, receivers=np.array([True, True, False, False, False])
    )
    np.testing.assert_allclose(
        neighbour_ligand(tissue, names, k=2), [[3.0], [6.0]]
    )  # never the cell itself


def test_lasso_path_is_the_lasso():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 900))
    x[:, 450:] += x[:, :450]
    y = x[:, [7, 600]] @ np.array([[1.0, 0.0], [0.5, -0.7]]) + rng.normal(size=(300, 2))
    grid = linear.penalties(x, y)[:6]
    weight = linear.paths(x, y, grid)
    for k in (2, 5):
        expected = Lasso(grid[k], fit_intercept=False, tol=1e-6, max_iter=5000).fit(x, y).coef_.T
        np.testing.assert_allclose(weight[:, :, k], expected, atol=5e-3)
    chosen = linear.cross_validated(x, y, 0, errors=1.0)
    assert np.abs(chosen[:, 1]).argmax() == 600
    assert (chosen != 0).sum() <= (linear.cross_validated(x, y, 0, errors=0.0) != 0).sum()


def test_regressing_out_is_fitting_jointly():
    rng = np.random.default_rng(0)
    c, x, y = rng.normal(size=(50, 2)), rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    joint = np.linalg.lstsq(np.hstack([x, c]), y, rcond=None)[0][:3]
    apart = np.linalg.lstsq(linear.without(x, c), linear.without(y, c), rcond=None)[0]
    np.testing.assert_allclose(apart, joint)


def test_importances():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 32, size=(500, 40)).astype(np.float32)
    y = (x[:, 3] > 15) + 0.3 * rng.normal(size=500)
    y = (y - y.mean()) / y.std()
    forest = trees.forest_importance(x, y, 0)
    assert forest.argmax() == 3
    assert 0.5 < forest.sum() <= 1.05  # shares of the variance, not rescaled
    boosted = trees.boosting_importance(x, y, 0)
    assert boosted.argmax() == 3
    assert boosted.sum() > 100 > trees.boosting_importance(x, rng.normal(size=500), 0).sum()


def test_out_of_bag_improvement_is_counted_on_the_cells_left_out():
    stop = trees.StopEarly(np.array([0.0, 0.0, 3.0]))  # begins at the mean, 1
    state = {"sample_mask": np.array([True, False, False]), "y": np.array([0.0, 0.0, 3.0])}
    assert not stop(0, None, state | {"raw_predictions": np.array([[9.0], [0.5], [2.0]])})
    assert stop._improvement == [pytest.approx(((1 - 0.25) + (4 - 1)) / 2)]


@pytest.mark.parametrize("leak", [slow(True), False])
def test_reference_branch_recovers_a_planted_step(leak, monkeypatch):
    monkeypatch.setattr(reference, "UPDATES", 500)
    rng = np.random.default_rng(0)
    n, n_steps = 40, 30  # lineages side by side, each cell the ancestor of the next
    x = rng.random((n, n_steps, 5))
    y = np.zeros((n, n_steps, 3))
    y[:, 1:, 1] = 0.8 * x[:, :-1, 2]
    cell = np.arange(n * n_steps).reshape(n, n_steps)
    forward = sparse.csr_matrix(
        (np.ones(n * (n_steps - 1)), (cell[:, :-1].ravel(), cell[:, 1:].ravel())),
        shape=(cell.size, cell.size),
    )
    paths = reference.sample_paths(forward, rng)
    assert (np.diff(paths, axis=1) == 1).all()  # only existing steps
    assert len(paths) == reference.REPEATS * n * (n_steps - 3)  # only whole paths
    torch.manual_seed(0)
    tensors = (torch.from_numpy(v.reshape(cell.size, -1)).float() for v in (x, y))
    weight = reference.fit_branch(*tensors, torch.from_numpy(paths), leak=leak)
    assert np.unravel_index(np.abs(weight).argmax(), weight.shape) == (2, 1)


def test_reference_branch_looks_only_back():
    torch.manual_seed(0)
    branch = reference.GlobalBranch(4, 3)
    regulators, asked = torch.rand(1, 3, 4), torch.rand(1, 3, 3)
    later = regulators.clone()
    later[:, 2] += 1
    before, after = branch(regulators, asked), branch(later, asked)
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])
    assert branch.weight.abs().max() <= 1


def test_reference_selects_targets_that_stand_out():
    weight = np.full((30, 10), 0.1) + 0.01 * np.random.default_rng(0).random((30, 10))
    weight[:, 4] += 0.5
    assert list(np.flatnonzero(reference.selected_targets(weight, np.random.default_rng(0)))) == [4]


def test_random_ancestors_are_earlier():
    time = np.array([0.3, np.nan, 0.1, 0.2, 0.2, *np.linspace(0.4, 1, 30)])
    matrix = own.random_transitions(time, np.random.default_rng(0)).tocoo()
    assert (time[matrix.row] < time[matrix.col]).all()
    n = np.bincount(matrix.col, minlength=len(time))
    assert n[1] == n[2] == 0
    assert n[3] == n[4] == 1
    assert (n[own.N_ANCESTORS + 1 :] == own.N_ANCESTORS).all()
    assert matrix.sum(axis=1).max() <= 1 + 1e-9
    assert len(set(np.round(matrix.data, 9))) == 1


def test_moran_prefers_the_pair_that_is_together():
    li = pytest.importorskip("liana")
    assert li
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 300, (400, 2))
    sends, left = rng.random(400) < 0.5, xy[:, 0] < 150
    x = np.stack(
        [sends & left, sends & ~left, ~sends & left, ~sends & ~left], axis=1
    ) + 0.1 * rng.random((400, 4))
    genes = {"ligand": ["LA", "LB"], "receptor": ["RA", "RB"]}
    var = pd.DataFrame(
        {r: np.isin(["LA", "LB", "RA", "RB"], g) for r, g in genes.items()},
        index=["LA", "LB", "RA", "RB"],
    )
    obs = pd.DataFrame(
        {
            "cell_type": np.where(sends, "S", "R"),
            "dpt_pseudotime": np.where(sends, np.nan, rng.random(400)),
        },
        index=[f"c{k}" for k in range(400)],
    )
    adata = AnnData(x.astype(np.float32), obs=obs, var=var, obsm={"spatial": xy})
    found = METHODS["liana"].load()(Tissue(adata, {"radius": 40.0, "senders": ["S"]}, {}), 0)[
        "lr_pairs"
    ]
    score = found.set_index(["ligand", "receptor"])["score"]
    assert score["LA", "RA"] > score["LA", "RB"]
    assert score["LB", "RB"] > score["LB", "RA"]
