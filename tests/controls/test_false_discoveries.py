"""The false discovery rate from negative controls, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _controls import outcome, tables
from scipy import stats

from spatrace_sc._inference.controls.draws import IMPLANTS, MISPLACED, OTHER_SLICE, SHAM_ALONE
from spatrace_sc._inference.controls.false_discoveries import (
    COLUMNS,
    THRESHOLDS,
    false_discoveries,
    poisson_interval,
    summary,
)

#: Twice as many real ligands as sham ligands, four times the receptors, three times the TFs.
N_REAL = {"ligands": 4, "receptors": 4, "tfs": 6, "targets": 10}
N_GENES = {"ligands": 6, "receptors": 5, "tfs": 8, "targets": 10}
SHAM_GENES = pd.DataFrame(
    [("ligand", "SL0"), ("ligand", "SL1"), ("receptor", "SR0"), ("tf", "ST0"), ("tf", "ST1")],
    columns=["role", "gene"],
)
NO_EDGES = tables()


def lr(ligand, receptor, n, q=0.05):
    """``n`` edges of a pair on different targets."""
    return [(ligand, receptor, f"T{k}", q, 0.1) for k in range(n)]


def sham(name="one", **changes):
    """Called on real pairs: 10, with sham ligands 5, with the sham receptor 3, with both 1."""
    called = lr("L0", "R0", 10) + lr("SL0", "R0", 3) + lr("SL1", "R1", 2)
    called += lr("L0", "SR0", 3) + lr("SL0", "SR0", 1) + lr("SL1", "R0", 4, q=0.4)
    tfs = [(f"F{k}", "T0", 0.05, 0.1) for k in range(6)] + [("ST0", "T1", 0.1, 0.1)]
    values = {"n_genes": N_GENES, "edges": tables(tfs, called), "sham": SHAM_GENES}
    return outcome(name, **values | changes)


def rows(outcomes, real=NO_EDGES, table="lr_targets", threshold=0.1):
    found = false_discoveries(outcomes, real, N_REAL)
    assert list(found) == COLUMNS
    at = found[(found["table"] == table) & np.isclose(found["threshold"], threshold)]
    return at.set_index("control")


def garwood(k, level=0.95):
    tail = (1 - level) / 2
    low = stats.chi2.ppf(tail, 2 * k) / 2 if k else 0.0
    return low, stats.chi2.ppf(1 - tail, 2 * (k + 1)) / 2


@pytest.mark.parametrize("k", [0, 1, 4, 30])
def test_the_interval_of_a_count_is_that_of_garwood(k):
    np.testing.assert_allclose(poisson_interval(k), garwood(k), rtol=1e-9)
    wide = poisson_interval(k, 2.0)
    np.testing.assert_allclose(wide, np.multiply(garwood(k / 2), 2.0), rtol=1e-9)
    assert wide[1] > poisson_interval(k)[1]


def test_every_role_is_scaled_to_the_number_of_real_genes():
    at = rows([sham()])
    assert at["calls"].tolist() == [10.0] * 4
    expected = {"sham ligands": (5, 10), "sham receptors": (3, 12), "sham pairs": (1, 8)}
    for name, (n_calls, n_false) in expected.items():
        assert at.loc[name, "control_calls"] == n_calls
        assert at.loc[name, "expected_false"] == pytest.approx(n_false)
        assert at.loc[name, "false_share"] == pytest.approx(min(1.0, n_false / 10))


def test_pairs_are_false_for_their_ligand_or_their_receptor():
    """10 false ligands and 12 false receptors, 8 pairs counted twice: 10 + 12 - 8."""
    at = rows([sham()]).loc["sham genes"]
    assert at["control_calls"] == 9
    assert at["expected_false"] == pytest.approx(14.0)
    assert at["false_share"] == 1.0  # 14 of 10
    more = tables(lr=sham().edges["lr_targets"].to_numpy().tolist() + lr("L1", "R1", 30))
    at = rows([sham(edges=more)]).loc["sham genes"]
    assert at["calls"] == 40
    assert at["false_share"] == pytest.approx(14 / 40)


def test_the_sum_is_not_below_any_of_its_parts():
    """Many pairs of two sham genes: 2 + 4 - 8 would be negative."""
    called = lr("L0", "R0", 30) + lr("SL0", "R0", 1) + lr("L0", "SR0", 1) + lr("SL0", "SR0", 1)
    at = rows([sham(edges=tables(lr=called))]).loc["sham genes"]
    assert at["expected_false"] == pytest.approx(8.0)


def test_roles_are_not_interchangeable():
    """A gene that is sham as a ligand counts as a real receptor."""
    swapped = SHAM_GENES.replace({"role": {"ligand": "receptor", "receptor": "ligand"}})
    at = rows([sham(sham=swapped)])
    assert at["control_calls"].to_dict() == {
        "sham ligands": 0,
        "sham receptors": 0,
        "sham pairs": 0,
        "sham genes": 0,
    }
    assert at["calls"].tolist() == [19.0] * 4  # all edges would be of real genes
    exchanged = {"ligands": 5, "receptors": 6, "tfs": 8, "targets": 10}
    at = rows([sham(n_genes=exchanged)])
    assert at.loc["sham ligands", "expected_false"] == pytest.approx(20.0)  # 5 · 4
    assert at.loc["sham genes", "expected_false"] == pytest.approx(20.0)  # 20 + 6 - 8 is less


def test_intervals_are_those_of_the_count_scaled():
    """Every sham TF has one call, so calls are not dispersed."""
    tfs = [(f"F{k}", "T0", 0.05, 0.1) for k in range(60)]
    tfs += [("ST0", "T1", 0.1, 0.1), ("ST1", "T1", 0.1, 0.1)]
    at = rows([sham(edges=tables(tfs))], table="tf_targets").loc["sham TFs"]
    assert (at["calls"], at["control_calls"], at["expected_false"]) == (60.0, 2, 6.0)
    low, high = garwood(2)
    assert at["low"] == pytest.approx(low * 3 / 60)
    assert at["high"] == pytest.approx(high * 3 / 60)


def test_calls_that_concentrate_on_one_gene_widen_the_interval():
    """8 calls of one of two sham TFs: mean 4, variance 16, dispersion 4."""
    tfs = [("F0", f"T{k}", 0.05, 0.1) for k in range(100)]
    tfs += [("ST0", f"T{k}", 0.05, 0.1) for k in range(8)]
    at = rows([sham(edges=tables(tfs))], table="tf_targets").loc["sham TFs"]
    low, high = np.multiply(garwood(8 / 4), 4.0) * 3 / 100
    assert at["false_share"] == pytest.approx(0.24)
    assert at["low"] == pytest.approx(low)
    assert at["high"] == pytest.approx(high)


def test_draws_are_averaged():
    none = sham("two", edges=tables(lr=lr("L0", "R0", 30)))
    at = rows([sham(), none])
    assert at["n_draws"].tolist() == [2] * 4
    assert at["calls"].tolist() == [20.0] * 4
    assert at.loc["sham ligands", "expected_false"] == pytest.approx(5.0)
    assert at.loc["sham genes", "expected_false"] == pytest.approx(7.0)
    assert at.loc["sham genes", "false_share"] == pytest.approx(7 / 20)


def test_thresholds_select_the_calls():
    found = false_discoveries([sham()], NO_EDGES, N_REAL)
    assert sorted(found["threshold"].unique()) == list(THRESHOLDS)
    low = rows([sham()], threshold=0.01)
    assert low["control_calls"].tolist() == [0] * 4
    tf = found[found["table"] == "tf_targets"].set_index("threshold")["control_calls"]
    assert tf.tolist() == [0, 0, 1, 1, 1]  # at q = 0.1


def test_without_calls_the_share_is_unknown():
    at = rows([outcome(n_genes=N_GENES, sham=SHAM_GENES)])
    assert at[["false_share", "low", "high"]].isna().all(axis=None)
    assert at["expected_false"].tolist() == [0.0] * 4
    calls_only = rows([sham(edges=tables(lr=lr("L0", "R0", 50)))])
    assert calls_only["false_share"].tolist() == [0.0] * 4
    assert calls_only["low"].tolist() == [0.0] * 4
    # no call of a sham ligand, each of which stands for two
    assert calls_only.loc["sham ligands", "high"] == pytest.approx(garwood(0)[1] * 2 / 50)


def test_roles_without_sham_genes_have_no_rows():
    n_genes = N_GENES | {"receptors": 4, "tfs": 6}
    at = rows([sham(n_genes=n_genes)])
    assert list(at.index) == ["sham ligands", "sham genes"]
    assert at.loc["sham genes", "expected_false"] == pytest.approx(10.0)
    assert rows([sham(n_genes=n_genes)], table="tf_targets").empty


def misplaced(name, called):
    return outcome(name, MISPLACED, n_genes=N_REAL, edges=tables(lr=called))


def test_misplaced_senders_make_every_pair_false():
    draws = [
        misplaced("one", [(f"L{k}", "R0", "T0", 0.05, 0.1) for k in range(4)]),
        misplaced("two", [("L0", "R0", "T0", 0.05, 0.1), ("L1", "R0", "T0", 0.2, 0.1)]),
    ]
    at = rows(draws, real=tables(lr=lr("L0", "R0", 25)))
    assert list(at.index) == [MISPLACED]
    at = at.loc[MISPLACED]
    assert (at["calls"], at["control_calls"], at["n_draws"]) == (25, 5, 2)
    assert at["expected_false"] == pytest.approx(2.5)
    assert at["false_share"] == pytest.approx(0.1)
    low, high = np.array(garwood(5)) / 2 / 25
    assert at["low"] == pytest.approx(low)
    assert at["high"] == pytest.approx(high)
    assert rows(draws, table="tf_targets").empty  # they say nothing of TFs


def test_misplaced_calls_of_one_ligand_widen_the_interval():
    """5 calls of one of 4 ligands in each of two draws: mean 1.25, variance 4.6875."""
    draws = [misplaced(name, lr("L0", "R0", 5)) for name in ("one", "two")]
    at = rows(draws, real=tables(lr=lr("L0", "R0", 50))).loc[MISPLACED]
    dispersion = 4.6875 / 1.25
    low, high = np.multiply(garwood(10 / dispersion), dispersion) / 2 / 50
    assert at["low"] == pytest.approx(low)
    assert at["high"] == pytest.approx(high)


def alone(name, tf=(), called=(), pairs=()):
    """2 sham ligands, 2 receptors and 3 TFs stand instead of 4, 4 and 6 real genes."""
    n_genes = {"ligands": 2, "receptors": 2, "tfs": 3, "targets": 10}
    edges = tables(list(tf), list(called), list(pairs))
    return outcome(name, SHAM_ALONE, n_genes=n_genes, edges=edges, sham=SHAM_GENES)


def test_all_calls_of_sham_genes_alone_are_false():
    """A pair stands for 2 · 2 real pairs, a TF for 2; calls are compared with the result's."""
    tfs = [("ST0", "T0", 0.05, 0.1), ("ST1", "T1", 0.2, 0.1)]
    draws = [alone("one", tfs, lr("SL0", "SR0", 3)), alone("two", tfs)]
    real = tables([("F0", f"T{k}", 0.01, 0.1) for k in range(8)], lr("L0", "R0", 24))
    at = rows(draws, real)
    assert list(at.index) == [SHAM_ALONE]
    at = at.loc[SHAM_ALONE]
    assert (at["calls"], at["control_calls"], at["n_draws"]) == (24, 3, 2)
    assert at["expected_false"] == pytest.approx(3 * 4 / 2)
    assert at["false_share"] == pytest.approx(6 / 24)
    of_tfs = rows(draws, real, table="tf_targets").loc[SHAM_ALONE]
    assert (of_tfs["calls"], of_tfs["control_calls"]) == (8, 2)
    assert of_tfs["expected_false"] == pytest.approx(2 * 2 / 2)
    assert (of_tfs["low"], of_tfs["high"]) == pytest.approx(np.array(garwood(2)) * 1.0 / 8)


def test_an_upper_bound_is_no_estimate():
    """The summary takes sham genes alone only where nothing else was drawn."""
    bound = alone("a", called=lr("SL0", "SR0", 9))
    real = tables(lr=lr("L0", "R0", 40))
    both = summary(false_discoveries([misplaced("m", lr("L0", "R0", 1)), bound], real, N_REAL), 0.1)
    of_pairs = both[both["table"] != "tf_targets"]
    assert set(of_pairs["control"]) == {MISPLACED}
    only = summary(false_discoveries([bound], real, N_REAL), 0.1)
    assert set(only["control"]) == {SHAM_ALONE}


def test_senders_of_another_slice_are_a_control_of_their_own():
    draws = [
        misplaced("one", lr("L0", "R0", 2)),
        outcome("two", OTHER_SLICE, n_genes=N_REAL, edges=tables(lr=lr("L0", "R0", 5))),
    ]
    at = rows(draws, real=tables(lr=lr("L0", "R0", 25)))
    assert at["expected_false"].to_dict() == {MISPLACED: 2.0, OTHER_SLICE: 5.0}
    found = false_discoveries(draws, tables(lr=lr("L0", "R0", 25)), N_REAL)
    assert summary(found, 0.1).set_index("table").loc["lr_targets", "control"] == OTHER_SLICE


def test_draws_of_other_kinds_are_left_out():
    found = false_discoveries([sham(), outcome("planted", IMPLANTS)], NO_EDGES, N_REAL)
    pd.testing.assert_frame_equal(found, false_discoveries([sham()], NO_EDGES, N_REAL))
    assert false_discoveries([outcome("planted", IMPLANTS)], NO_EDGES, N_REAL).empty


def test_the_summary_names_the_worse_control_of_every_table():
    draws = [sham(), misplaced("moved", lr("L0", "R0", 20))]
    found = false_discoveries(draws, tables(lr=lr("L0", "R0", 40)), N_REAL)
    worst = summary(found, 0.1).set_index("table")
    assert worst["control"].to_dict() == {
        "tf_targets": "sham TFs",
        "lr_targets": MISPLACED,
        "lr_pairs": "sham genes",
    }
    assert worst.loc["lr_targets", "expected_false"] == 20.0
    fewer = [sham(), misplaced("moved", lr("L0", "R0", 2))]
    found = false_discoveries(fewer, tables(lr=lr("L0", "R0", 40)), N_REAL)
    assert summary(found, 0.1).set_index("table").loc["lr_targets", "control"] == "sham genes"


def test_the_order_of_outcomes_is_irrelevant():
    draws = [
        sham(),
        sham("two", edges=tables(lr=lr("SL0", "R0", 7))),
        misplaced("m", lr("L0", "R0", 2)),
    ]
    one = false_discoveries(draws, NO_EDGES, N_REAL)
    other = false_discoveries(draws[::-1], NO_EDGES, N_REAL)
    pd.testing.assert_frame_equal(one, other)
