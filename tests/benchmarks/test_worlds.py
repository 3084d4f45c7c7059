"""Worlds: the truth is what the simulation does, and scores are what they say."""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks._data import data_file
from benchmarks.recovery.report import read_rows
from benchmarks.recovery.signals import dense
from benchmarks.worlds import __main__ as command
from benchmarks.worlds import methods, report
from benchmarks.worlds import tissues_agents as agents
from benchmarks.worlds import tissues_boolean as boolean
from benchmarks.worlds import tissues_sergio as sergio
from benchmarks.worlds import tissues_shared as shared
from benchmarks.worlds.judge import score, upstream
from benchmarks.worlds.tissues import WORLDS
from benchmarks.worlds.tissues_shared import World, as_tissue, from_counts, from_levels


def network_of_four() -> World:
    """A → B → C and A → D, where all four genes are candidates on both sides."""
    rng = np.random.default_rng(0)
    a = rng.gamma(2, 2, 200)
    b = a + 0.5 * rng.gamma(2, 2, 200)
    c = b + 0.5 * rng.gamma(2, 2, 200)
    d = 40 - a + 0.5 * rng.gamma(2, 2, 200)
    edges = pd.DataFrame({"tf": list("ABAA"), "target": list("BCDA"), "sign": [1, 1, -1, 1]})
    genes = list("ABCD")
    return World(
        np.column_stack([a, b, c, d]), genes, np.repeat(["x", "y"], 100), genes, genes, edges, a
    )


@pytest.fixture(scope="module")
def four():
    return from_levels(np.random.default_rng(1), network_of_four())


def test_sergio_truth_is_what_production_follows():
    rng = np.random.default_rng(3)
    network = sergio.random_network(rng)
    x, half = rng.gamma(2, 2, (5, sergio.N_GENES)), np.full(network.n_tfs, 3.0)
    masters = np.ones((5, network.n_masters))
    before = sergio.production(network, x, half, masters)
    for tf in range(network.n_tfs):
        more = x.copy()
        more[:, tf] *= 2
        change = sergio.production(network, more, half, masters) - before
        assert (np.sign(np.round(change, 12)) == np.sign(network.strength[tf])).all()


def test_sergio_steady_state_solves_the_equations():
    rng = np.random.default_rng(4)
    network = sergio.random_network(rng)
    masters = sergio.master_rates(rng, 3, network.n_masters)
    x, half = sergio.steady_state(network, masters)
    made = sergio.production(network, x, half, masters)
    np.testing.assert_allclose(made, sergio.DECAY * x)
    np.testing.assert_allclose(half, x[:, : network.n_tfs].mean(axis=0))


def test_sergio_edges_are_listed(monkeypatch):
    monkeypatch.setattr(sergio, "N_CELLS", 80)
    _, world = sergio.steady_world(5)
    network = sergio.random_network(np.random.default_rng(5))
    listed = {(e.tf, e.target): e.sign for e in world.edges.itertuples()}
    rows, columns = np.nonzero(network.strength)
    signs = np.sign(network.strength[rows, columns])
    assert listed == {(f"g{f}", f"g{g}"): s for f, g, s in zip(rows, columns, signs, strict=True)}
    assert not set(world.tfs) & set(world.targets)


def test_a_boolean_rule_is_its_truth_table():
    rules = boolean.make_rules([([], [], False), ([0, 2], [], True), ([0], [1], False)])
    high, low = 1e3, 0.0
    for a, b, c in np.ndindex(2, 2, 2):
        protein = np.array([[high if gene else low for gene in (a, b, c)]])
        expected = [[1, a and c, a and not b]]
        np.testing.assert_allclose(boolean.transcription(rules, protein), expected, atol=1e-9)


def test_boolean_edges_change_their_target_and_others_do_not():
    rng = np.random.default_rng(6)
    rules = boolean.random_rules(rng)
    protein = rng.uniform(6, 14, (60, boolean.N_GENES))
    before = boolean.transcription(rules, protein)
    signs = {(tf, target): sign for tf, target, sign in rules.edges}
    for tf in range(boolean.N_GENES):
        more = protein.copy()
        more[:, tf] += 3
        change = boolean.transcription(rules, more) - before
        for target in range(boolean.N_GENES):
            sign = signs.get((tf, target), 0)
            assert (change[:, target] * (sign or 1) >= -1e-12).all()
            assert (np.abs(change[:, target]).max() > 1e-6) == (sign != 0)


@pytest.fixture(scope="module")
def mechanism() -> agents.Mechanism:
    return agents.random_mechanism(np.random.default_rng(7))


def test_agents_respond_to_true_pairs_only(mechanism):
    rng = np.random.default_rng(8)
    n_l, n_r, n_f, n_g, _ = agents.SIZES.values()
    level, bound = rng.gamma(2, 1, (40, n_f + n_g)), rng.gamma(2, 1, (40, agents.PAIRS))
    wiring = agents.wiring_of(mechanism)
    before = mechanism.production(mechanism.active(level, bound))
    for pair in range(agents.PAIRS):
        more = bound.copy()
        more[:, pair] *= 3
        change = mechanism.production(mechanism.active(level, more)) - before
        direct = np.sign(wiring.pair_target[pair])
        assert (np.sign(np.round(change[:, n_f:].mean(axis=0), 12)) == direct).all()
    receptor, concentration = rng.gamma(2, 1, (40, n_r)), rng.gamma(2, 1, (40, n_l))
    for ligand in range(n_l):
        more = concentration.copy()
        more[:, ligand] *= 2
        change = mechanism.bound(more, receptor) - mechanism.bound(concentration, receptor)
        binds = mechanism.pairs[:, 0] == ligand
        assert (change[:, binds] > 0).all()
        assert (change[:, ~binds] <= 0).all()  # competition for a receptor
        assert binds.any() or (change == 0).all()


def test_agents_transcribe_the_targets_of_tfs(mechanism):
    rng = np.random.default_rng(9)
    n_f = agents.SIZES["tf"]
    active = rng.gamma(2, 1, (40, n_f))
    before = mechanism.production(active)
    for tf in range(n_f):
        more = active.copy()
        more[:, tf] *= 2
        change = mechanism.production(more) - before
        assert (np.sign(np.round(change.mean(axis=0), 12)) == np.sign(mechanism.strength[tf])).all()


def test_a_small_tissue_of_agents(monkeypatch):
    for name, value in {"CELLS_OF_SLICE": 60, "PAST": 1.0}.items():
        monkeypatch.setattr(agents, name, value)
    adata = agents.agents(0)
    assert adata.n_obs == 180
    truth = adata.uns["truth"]
    assert len(truth["lr_pairs"]) == agents.PAIRS
    assert set(truth["lr_targets"]["kind"]) == {"direct", "indirect"}
    timed = adata.obs["dpt_pseudotime"].notna()
    assert set(adata.obs.loc[~timed, "cell_type"]) == {"stroma", "vessel"}
    hidden = as_tissue(adata).adata
    assert not {"truth", "simulation", "arguments"} & set(hidden.uns)
    assert "truth" in adata.uns


def test_scores_of_a_perfect_and_of_a_random_ranking(four):
    truth = four.uns["truth"]["tf_targets"]
    assert set(map(tuple, truth[["tf", "target"]].to_numpy())) == {
        *(("A", "B"), ("B", "C"), ("A", "D"))
    }
    weights = pd.DataFrame(0.0, list("ABCD"), list("ABCD"))
    for edge in truth.itertuples():
        weights.loc[edge.tf, edge.target] = edge.sign
    values = weights.to_numpy(copy=True)
    np.fill_diagonal(values, 9.0)
    weights = pd.DataFrame(values, index=weights.index, columns=weights.columns)
    perfect = score(four, weights)["tf_targets"]
    assert (perfect["AUROC"], perfect["AUPRC"], perfect["signs"]) == (1, 1, 1)
    assert perfect["base"] == pytest.approx(3 / 12)
    assert score(four, weights.to_numpy()) == score(four, weights.iloc[::-1])
    rng = np.random.default_rng(0)
    random = [score(four, rng.random((4, 4)))["tf_targets"]["AUROC"] for _ in range(25)]
    assert np.mean(random) == pytest.approx(0.5, abs=0.1)
    with pytest.raises(ValueError, match="TFs × targets"):
        score(four, np.ones((2, 4)))


def test_what_is_wrong_with_called_edges(four):
    reach = upstream(four.uns["truth"])
    assert reach.loc["A"].to_dict() == {"A": False, "B": True, "C": True, "D": True}
    grid = pd.MultiIndex.from_product([list("ABCD")] * 2, names=["tf", "target"])
    table = grid.to_frame(index=False).assign(score=0.0, q_value=1.0)
    called = [("A", "B"), ("A", "C"), ("C", "A"), ("D", "C"), ("B", "A")]
    chosen = [edge in called for edge in zip(table["tf"], table["target"], strict=True)]
    table.loc[chosen, ["score", "q_value"]] = 1.0, 0.05
    scores = score(four, {"tf_targets": table})["tf_targets"]
    expected = {"hits": 5, "false": 4 / 5, "false_indirect": 3 / 5, "reversed": 2 / 5}
    assert {k: scores[k] for k in expected} == pytest.approx(expected)
    assert "forward" not in scores


@pytest.mark.parametrize("name", ["within", "ridge", "trees"])
def test_baselines_never_use_the_target_itself(four, name):
    found = methods.load(name)(as_tissue(four), 0)["tf_targets"]
    own = found[found["tf"] == found["target"]]
    assert name == "within" or (own["score"] == 0).all()
    best = found[(found["target"] == "C") & (found["tf"] != "C")]
    assert best.loc[best["score"].idxmax(), "tf"] == "B"


def test_counts_are_log_normalised():
    world = network_of_four()
    counts = np.random.default_rng(2).poisson(np.hstack([world.values, np.ones((200, 20))]))
    adata = from_counts(np.random.default_rng(1), world, counts)
    total = np.expm1(dense(adata.X).astype(float)).sum(axis=1)
    np.testing.assert_allclose(total, 1e4, rtol=1e-4)
    assert (adata.layers["counts"].toarray() == counts).all()
    assert adata.var_names[-1] == "B13"


def test_published_worlds(monkeypatch):
    monkeypatch.setattr(shared, "diffusion_time", lambda adata: np.arange(adata.n_obs) / 900)
    try:
        data_file("foreign", "sergio_ds4.h5ad")
    except SystemExit as absent:
        pytest.skip(str(absent))
    ds4, gsd = WORLDS["sergio_ds4"](0), WORLDS["beeline_gsd"](0)
    truth = ds4.uns["truth"]["tf_targets"]
    assert len(truth) / (ds4.var["tf"].sum() * ds4.var["target"].sum()) == pytest.approx(133 / 900)
    assert len(gsd.uns["truth"]["tf_targets"]) == 76
    assert set(gsd.obs["cell_type"]) == {"both", "first", "second"}
    first = ds4.layers["counts"].toarray()
    assert (first != WORLDS["sergio_ds4"](1).layers["counts"].toarray()).any()


def test_the_command_resumes_and_reports(monkeypatch, tmp_path, four):
    monkeypatch.setitem(command.WORLDS, "boolean", lambda seed: four)
    given = Namespace(
        out=tmp_path / "rows.jsonl",
        worlds=["boolean"],
        methods=["pearson", "within"],
        seeds=[0, 1],
        again=[],
    )
    todo = command.missing(given)
    assert todo == [("boolean", 0, given.methods), ("boolean", 1, given.methods)]
    log = io.StringIO()
    for world, seed, chosen in todo:
        command.run_world(world, seed, chosen, log)
    given.out.write_text(log.getvalue())
    assert command.missing(given) == []
    given.again = ["within"]
    assert command.missing(given) == [("boolean", 0, ["within"]), ("boolean", 1, ["within"])]
    rows = read_rows(given.out)
    text = report.report(rows, markdown=True)
    assert "| world | base | pearson | within |" in text
    assert text.endswith("every run has a result")
    assert "| world | seed | base |" in report.report(rows, by_seed=True, markdown=True)


def test_a_failing_method_is_a_row(four):
    def broken(tissue, seed):
        raise RuntimeError("no")

    row = command.run(four, broken, 0)
    assert row["status"] == "failed"
    assert row["error"].endswith("no")
