from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import assert_unchanged, small_result, snapshot
from benchmarks._scores import KEYS, rank_scores

import spatrace_sc as st
from spatrace_sc._core.networks import early_precision, ranking_scores, rewire


def table(scores):
    """Two TFs, three targets, scores by row."""
    grid = pd.MultiIndex.from_product(
        [["a", "b"], ["x", "y", "z"]], names=["tf", "target"]
    ).to_frame(index=False)
    return grid.assign(score=scores)


def value(found, measure):
    return found.set_index("measure").loc[measure, "value"]


def test_scores_by_hand():
    reference = pd.DataFrame({"source": ["a", "b", "a"], "target": ["x", "y", "z"]})
    # ranking: ax (true), ay, bz, az (true), by (true), bx
    found = st.tl.evaluate(table([6, 5, 3, 1, 2, 4]), reference, n_random=0)
    assert value(found, "auprc") == pytest.approx((1 / 1 + 2 / 4 + 3 / 5) / 3)
    assert value(found, "auprc_ratio") == pytest.approx((1 + 0.5 + 0.6) / 3 / 0.5)
    assert value(found, "auroc") == pytest.approx((3 + 1 + 1) / 9)
    assert value(found, "early_precision") == pytest.approx(1 / 3)
    assert (found["n_candidates"] == 6).all()
    assert (found["n_true"] == 3).all()
    assert (found["p_value"] == 1).all()
    assert found["random_mean"].isna().all()


def test_early_precision_shares_ties():
    assert early_precision(
        np.array([True, False, True, False]), np.array([3.0, 1, 1, 1])
    ) == pytest.approx((1 + 1 / 3) / 2)


def test_nothing_to_rank_is_nan():
    assert all(np.isnan(list(ranking_scores(np.zeros(3, bool), np.arange(3.0)).values())))


def test_genes_that_the_reference_does_not_know_are_not_judged():
    reference = pd.DataFrame({"tf": ["a", "q"], "target": ["x", "x"]})
    more = pd.concat(
        [table([3, 2, 1, 6, 5, 4]), pd.DataFrame({"tf": ["a"], "target": ["w"], "score": [9.0]})]
    )
    with pytest.raises(st.DataError, match="1 of 1 candidates"):
        st.tl.evaluate(more, reference)
    found = st.tl.evaluate(
        more, pd.concat([reference, pd.DataFrame({"tf": ["b"], "target": ["z"]})]), n_random=0
    )
    assert (found["n_candidates"] == 4).all()  # a, b × x, z


def test_rewired_keeps_every_degree_and_moves_edges():
    rng = np.random.default_rng(0)
    network = rng.random((12, 40)) < 0.2
    moved = [rewire(network, rng) for _ in range(20)]
    for other in moved:
        np.testing.assert_array_equal(other.sum(0), network.sum(0))
        np.testing.assert_array_equal(other.sum(1), network.sum(1))
    assert np.mean([(other & network).sum() / network.sum() for other in moved]) < 0.45
    np.testing.assert_array_equal(rewire(network[:1], rng), network[:1])


def test_rewired_is_uniform_on_a_case_small_enough_to_count():
    """Two sources with one edge each on two targets: both networks equally often."""
    rng = np.random.default_rng(0)
    same = [bool(rewire(np.eye(2, dtype=bool), rng)[0, 0]) for _ in range(400)]
    assert 0.42 < np.mean(same) < 0.58


def test_a_ranking_that_only_knows_degrees_is_chance():
    rng = np.random.default_rng(1)
    network = rng.random((20, 60)) < np.linspace(0.02, 0.5, 20)[:, None]
    names = pd.MultiIndex.from_product(
        [map(str, range(20)), map(str, range(60))], names=["tf", "target"]
    )
    reference = names.to_frame(index=False)[network.ravel()]
    degree = names.to_frame(index=False).assign(score=np.repeat(network.sum(1), 60).astype(float))
    by_degree = st.tl.evaluate(degree, reference, n_random=50).set_index("measure")
    assert by_degree.loc["auroc", "value"] > 0.65
    assert by_degree.loc["auroc", "p_value"] == 1.0
    knows = degree.assign(score=degree["score"] + 5.0 * network.ravel())
    better = st.tl.evaluate(knows, reference, n_random=50).set_index("measure")
    assert better.loc["auprc", "p_value"] == pytest.approx(1 / 51)
    assert (
        better.loc["auprc", "random_mean"] + 3 * better.loc["auprc", "random_sd"]
        < better.loc["auprc", "value"]
    )


@pytest.mark.parametrize("edges", list(KEYS))
def test_agrees_with_the_benchmarks(edges):
    adata = small_result()
    truth = adata.uns["truth"][edges]
    found = st.tl.evaluate(adata, truth, edges=edges, n_random=3)
    keys = KEYS[edges]
    full = getattr(st.get, edges)(adata)
    last = truth[keys[-1]].astype(str).unique()
    first = pd.MultiIndex.from_frame(truth[keys[:-1]].astype(str)).unique()
    judged = full[full[keys[-1]].isin(last) & pd.MultiIndex.from_frame(full[keys[:-1]]).isin(first)]
    expected = rank_scores(judged, truth, keys)
    assert value(found, "auprc") == pytest.approx(expected["AUPRC"])
    assert value(found, "early_precision") == pytest.approx(expected["early"])


def test_same_seed_same_answer_and_nothing_written():
    adata = small_result()
    before = snapshot(adata)
    first, again = (
        st.tl.evaluate(adata, adata.uns["truth"]["tf_targets"], n_random=5, rng=3) for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, again)
    assert_unchanged(adata, before)


def test_other_columns_can_rank():
    adata = small_result()
    truth = adata.uns["truth"]["tf_targets"]
    by_p = st.get.tf_targets(adata).assign(minus_p=lambda t: -t["p_value"])
    assert value(st.tl.evaluate(by_p, truth, score="minus_p", n_random=0), "auroc") > 0.5


def test_bad_input():
    adata, good = small_result(), pd.DataFrame({"source": ["TF000"], "target": ["TG000"]})
    with pytest.raises(st.InvalidArgumentError, match=r"`edges`.*lr_targets"):
        st.tl.evaluate(adata, good, edges="lr_target")
    with pytest.raises(
        st.InvalidArgumentError, match="`reference` must have columns source, target or tf, target"
    ):
        st.tl.evaluate(adata, pd.DataFrame({"from": ["a"]}))
    with pytest.raises(st.InvalidArgumentError, match="`reference` must be a table"):
        st.tl.evaluate(adata, [("a", "b")])
    with pytest.raises(st.InvalidArgumentError, match="`score='weight'`"):
        st.tl.evaluate(adata, good, score="weight")
    with pytest.raises(st.InvalidArgumentError, match="`n_random`"):
        st.tl.evaluate(adata, good, n_random=-1)
    with pytest.raises(st.DataError, match="Do the names agree"):
        st.tl.evaluate(adata, pd.DataFrame({"source": ["Sox2"], "target": ["Actb"]}))
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.tl.evaluate(st.datasets.simulated(n_cells=300, n_targets=5, n_background=30), good)
