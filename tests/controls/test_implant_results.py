"""What became of implants: found, sign, group and rival."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _controls import outcome, tables

from spatrace_sc._inference.controls.draws import HALF_RECEIVERS, IMPLANTS, SHAM
from spatrace_sc._inference.controls.implant_results import COLUMNS, implant_results

NOTHING = tables()


def planted(*rows):
    columns = ["kind", "regulator", "target", "sign", "size", "reached"]
    return pd.DataFrame(list(rows), columns=columns)


PAIR = ("lr_targets", "L0^R0", "T0", 1, 0.1, 0.09)
TF = ("tf_targets", "F0", "T0", -1, 0.2, 0.2)


def result_of(implant, edges=NOTHING, real=NOTHING):
    """Row of one implanted edge."""
    found = implant_results([outcome("d", IMPLANTS, implants=planted(implant), edges=edges)], real)
    assert list(found) == COLUMNS
    return found[found["table"] == implant[0]].iloc[0]


@pytest.mark.parametrize(("q", "found"), [(0.1, True), (0.11, False)])
def test_an_edge_is_found_by_its_q(q, found):
    row = result_of(PAIR, tables(lr=[("L0", "R0", "T0", q, 0.3)]))
    assert (row["q_value"], row["effect"], row["found"]) == (q, 0.3, found)
    assert row["regulator"] == "L0^R0"
    assert (row["sign"], row["size"], row["reached"]) == (1, 0.1, 0.09)


@pytest.mark.parametrize("other", [("L0", "R0", "T1"), ("L0", "R1", "T0"), ("L1", "R0", "T0")])
def test_other_edges_are_not_the_implant(other):
    row = result_of(PAIR, tables(lr=[(*other, 0.01, 0.3)]))
    assert (row["q_value"], row["effect"], row["found"]) == (1.0, 0.0, False)


@pytest.mark.parametrize(("effect", "right"), [(-0.2, 1.0), (0.2, 0.0)])
def test_the_sign_of_what_was_found(effect, right):
    assert result_of(TF, tables(tf=[("F0", "T0", 0.02, effect)]))["right_sign"] == right
    missed = result_of(TF, tables(tf=[("F0", "T0", 0.4, effect)]))
    assert np.isnan(missed["right_sign"])


@pytest.mark.parametrize(("group_q", "in_group"), [(0.05, True), (0.2, False), (np.nan, False)])
def test_an_edge_may_be_found_within_its_group(group_q, in_group):
    edges = tables(lr=[("L0", "R0", "T0", 0.3, 0.3)])
    edges["lr_targets"]["group_q_value"] = group_q
    row = result_of(PAIR, edges)
    assert not row["found"]
    assert row["group_found"] == in_group
    assert result_of(PAIR, tables(lr=[("L0", "R0", "T0", 0.05, 0.3)]))["group_found"]


@pytest.mark.parametrize(
    ("other", "rival"),
    [
        (("L0", "R1", "T0", 0.05, 0.1), True),
        (("L1", "R0", "T0", 0.05, 0.1), True),
        (("L1", "R1", "T0", 0.05, 0.1), False),  # shares no gene
        (("L0", "R1", "T1", 0.05, 0.1), False),  # on another target
        (("L0", "R1", "T0", 0.2, 0.1), False),  # not significant
    ],
)
def test_a_pair_that_shares_a_gene_is_a_rival(other, rival):
    assert result_of(PAIR, tables(lr=[other]))["rival"] == rival


def test_a_rival_of_a_tf_is_any_other_tf():
    called = tables(tf=[("F1", "T0", 0.05, 0.1)])
    assert result_of(TF, called)["rival"]
    assert not result_of(TF, tables(tf=[("F1", "T1", 0.05, 0.1)]))["rival"]


def test_what_the_result_calls_on_the_target_is_no_rival():
    called = tables(tf=[("F1", "T0", 0.05, 0.1)])
    assert not result_of(TF, called, real=called)["rival"]
    elsewhere = tables(tf=[("F1", "T1", 0.05, 0.1)])
    assert result_of(TF, called, real=elsewhere)["rival"]
    not_significant = tables(tf=[("F1", "T0", 0.3, 0.1)])
    assert result_of(TF, called, real=not_significant)["rival"]


def test_a_rival_beside_the_implant_is_none():
    called = tables(tf=[("F0", "T0", 0.05, -0.1), ("F1", "T0", 0.05, 0.1)])
    row = result_of(TF, called)
    assert row["found"]
    assert not row["rival"]


def test_pairs_are_judged_once_by_the_mean_of_their_targets():
    table = planted(
        PAIR,
        ("lr_targets", "L0^R0", "T1", -1, 0.1, 0.07),
        ("lr_targets", "L1^R0", "T2", 1, 0.3, 0.3),
        TF,
    )
    edges = tables(pairs=[("L0", "R0", 0.08, 0.0), ("L0", "R1", 0.01, 0.0)])
    found = implant_results([outcome("d", IMPLANTS, implants=table, edges=edges)], NOTHING)
    assert found["table"].tolist() == ["lr_targets"] * 3 + ["tf_targets"] + ["lr_pairs"] * 2
    pairs = found[found["table"] == "lr_pairs"].set_index("regulator")
    assert pairs.loc["L0^R0", "reached"] == pytest.approx(0.08)
    assert pairs.loc["L0^R0", "size"] == pytest.approx(0.1)
    assert pairs["found"].to_dict() == {"L0^R0": True, "L1^R0": False}
    assert pairs["q_value"].to_dict() == {"L0^R0": 0.08, "L1^R0": 1.0}


def test_draws_tissues_and_settings_are_named():
    outcomes = [
        outcome("one", IMPLANTS, implants=planted(TF), setting="radius = 30"),
        outcome("two", HALF_RECEIVERS, implants=planted(TF)),
        outcome("three", SHAM),
    ]
    found = implant_results(outcomes, NOTHING)
    assert found[["draw", "tissue", "setting"]].to_numpy().tolist() == [
        ["one", "whole", "radius = 30"],
        ["two", HALF_RECEIVERS, ""],
    ]
    empty = implant_results([outcome()], NOTHING)
    assert empty.empty
    assert list(empty) == COLUMNS
