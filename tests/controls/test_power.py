"""Power and detection limits, against formulas and known curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from spatrace_sc._inference.controls.power import (
    LIMIT_COLUMNS,
    MAX_CELLS_OF_TF_TEST,
    MORE_COLUMNS,
    POWER_COLUMNS,
    detection_limits,
    limit,
    logistic,
    power_by_size,
    wilson_interval,
    with_more,
)

SIZES = np.array([0.02, 0.05, 0.1, 0.2, 0.3])


def implants(found, size=0.1, **changes):
    """One row per implant of a size."""
    n = len(found)
    values = {
        "tissue": "whole",
        "table": "lr_targets",
        "size": size,
        "reached": size,
        "found": np.array(found, dtype=bool),
        "right_sign": np.where(found, 1.0, np.nan),
        "rival": False,
    }
    return pd.DataFrame(values | changes, index=range(n))


def graded(share_of_limit=0.1, n=40, **changes):
    """Implants of which those above a share are found."""
    return pd.concat(
        [implants([size >= share_of_limit] * n, size, **changes) for size in SIZES],
        ignore_index=True,
    )


def limits_of(table, n_receivers=1000, seed=0):
    tissues = dict.fromkeys(table["tissue"], n_receivers)
    return detection_limits(table, tissues, np.random.default_rng(seed))


# --- power ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 4, 0.0456, 0.6994)],
)
def test_wilson_interval(k, n, low, high):
    """Values of ``statsmodels.stats.proportion.proportion_confint(method="wilson")``."""
    np.testing.assert_allclose(wilson_interval(k, n), (low, high), atol=1e-4)


def test_wilson_interval_solves_its_equation():
    """At its ends the share differs by 1.96 standard errors of the end."""
    for end in wilson_interval(7, 20):
        assert abs(7 / 20 - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / 20))
    assert np.isnan(wilson_interval(0, 0)).all()


def test_power_by_size():
    table = pd.concat(
        [
            implants([True, True, False, True], 0.2, right_sign=[1.0, 0.0, np.nan, 1.0]),
            implants([False, False], 0.05, rival=[True, False]),
            implants([True], 0.05, tissue="half the receivers"),
        ],
        ignore_index=True,
    )
    power = power_by_size(table)
    assert list(power) == POWER_COLUMNS
    power = power.set_index(["tissue", "size"])
    large, small = power.loc[("whole", 0.2)], power.loc[("whole", 0.05)]
    assert (large["n"], large["power"]) == (4, 0.75)
    assert (large["low"], large["high"]) == wilson_interval(3, 4)
    assert large["right_sign"] == pytest.approx(2 / 3)
    assert large["rival_share"] == 0.0
    assert (small["n"], small["power"], small["rival_share"]) == (2, 0.0, 0.5)
    assert np.isnan(small["right_sign"])
    assert power.loc[("half the receivers", 0.05), "power"] == 1.0
    assert np.isnan(power.loc[("half the receivers", 0.05), "rival_share"])


def test_implants_that_reach_less_than_half_of_their_size_are_left_out():
    table = implants([True, False, False], 0.2, reached=[0.2, 0.1, 0.09])
    assert power_by_size(table)["n"].item() == 2
    assert power_by_size(table)["power"].item() == 0.5
    assert power_by_size(table.iloc[2:]).empty


# --- limits -----------------------------------------------------------------------------------


def test_a_known_curve_is_recovered():
    """Probabilities instead of outcomes: no noise but the weak prior."""
    x = np.log(np.geomspace(0.005, 0.5, 4000))
    intercept, slope = 6.0, 2.5
    y = expit(intercept + slope * x)
    np.testing.assert_allclose(logistic(x, y), (intercept, slope), rtol=0.01)
    expected = np.exp((logit(0.8) - intercept) / slope)
    assert limit(x, y) == pytest.approx(expected, rel=0.01)


def test_the_limit_of_drawn_outcomes_lies_near_that_of_the_curve():
    rng = np.random.default_rng(0)
    x = np.log(rng.choice(SIZES, 2000))
    y = (rng.random(2000) < expit(6.0 + 2.5 * x)).astype(float)
    expected = np.exp((logit(0.8) - 6.0) / 2.5)
    assert limit(x, y) == pytest.approx(expected, rel=0.1)


def test_separated_outcomes_have_a_limit_between_them():
    x = np.log(np.repeat(SIZES, 20))
    share = limit(x, (x > np.log(0.07)).astype(float))
    assert 0.05 < share < 0.1


def test_no_limit_is_stated_where_the_implants_show_none():
    x = np.log(np.repeat(SIZES, 10))
    assert np.isnan(limit(x, np.zeros(len(x))))  # nothing found
    assert np.isnan(limit(np.empty(0), np.empty(0)))
    smaller_are_easier = (x < np.log(0.07)).astype(float)
    assert np.isnan(limit(x, smaller_are_easier))
    rare = np.zeros(len(x))
    rare[-1] = 1.0
    assert np.isnan(limit(x, rare))  # .8 is reached above a share of 1 only


def test_where_all_implants_are_found_the_limit_is_the_smallest_size():
    """A limit below the sizes that were implanted would be extrapolated."""
    x = np.log(np.repeat(SIZES, 10))
    assert limit(x, np.ones(len(x))) == pytest.approx(SIZES[0])
    nearly_all = np.ones(len(x))
    nearly_all[[3, 25]] = 0.0
    assert limit(x, nearly_all) == pytest.approx(SIZES[0])
    table = limits_of(graded(0.0)).iloc[0]
    for column in ("share", "share_low", "share_high"):
        assert table[column] == pytest.approx(SIZES[0])


def test_limits_have_an_interval_and_an_effect():
    limits = limits_of(graded(0.1))
    assert list(limits) == LIMIT_COLUMNS
    row = limits.iloc[0]
    assert 0.05 <= row["share_low"] <= row["share"] <= row["share_high"] <= 0.1
    for end in ("", "_low", "_high"):
        assert row[f"effect{end}"] == pytest.approx(np.sqrt(row[f"share{end}"]))
    assert row["n_receivers"] == 1000
    few = limits_of(graded(0.1, n=2)).iloc[0]
    assert few["share_high"] - few["share_low"] >= row["share_high"] - row["share_low"]


def test_an_open_end_of_the_interval_is_nan():
    """One implant found of each size above: some resamples hold none."""
    found = [implants([k == 0 and s > 0.15 for k in range(4)], s) for s in SIZES]
    row = limits_of(pd.concat(found, ignore_index=True)).iloc[0]
    assert np.isnan(row["share_high"])
    assert np.isnan(row["effect_high"])


def test_limits_follow_what_was_reached_not_what_was_wanted():
    table = graded(0.1)
    half = limits_of(table.assign(reached=table["reached"] / 2)).iloc[0]
    assert half["share"] == pytest.approx(limits_of(table).iloc[0]["share"] / 2, rel=1e-3)
    nothing = limits_of(table.assign(reached=0.0))
    assert nothing.empty
    assert list(nothing) == LIMIT_COLUMNS


def test_the_seed_decides_the_interval():
    table = graded(0.1, n=4)
    pd.testing.assert_frame_equal(limits_of(table), limits_of(table))


# --- more data --------------------------------------------------------------------------------


def limits_table(*rows):
    """From tuples (tissue, table, share, n_receivers)."""
    table = pd.DataFrame(rows, columns=["tissue", "table", "share", "n_receivers"])
    return table.assign(effect=np.sqrt(table["share"].astype(float)))


def more_of(whole, half, table="lr_targets", what="receivers", n=1000):
    more = with_more(limits_table(("whole", table, whole, n), (f"half the {what}", table, half, n)))
    assert list(more) == MORE_COLUMNS
    return more.iloc[0]


def test_twice_the_data_change_the_limit_as_half_of_it_did():
    row = more_of(0.1, 0.15)
    assert (row["table"], row["twice_the"]) == ("lr_targets", "receivers")
    assert row["rate"] == pytest.approx(np.log2(1.5))
    assert row["effect"] == pytest.approx(np.sqrt(0.1))
    assert row["effect_with_twice"] == pytest.approx(np.sqrt(0.1 / 1.5))
    assert more_of(0.1, 0.15, what="molecules")["twice_the"] == "molecules"


@pytest.mark.parametrize(("half", "rate"), [(0.4, 1.0), (0.1, 0.0), (0.05, 0.0), (np.nan, 1.0)])
def test_the_rate_lies_between_no_gain_and_that_of_independent_cells(half, rate):
    row = more_of(0.1, half)
    assert row["rate"] == pytest.approx(rate)
    assert row["effect_with_twice"] == pytest.approx(np.sqrt(0.1 / 2**rate))


@pytest.mark.parametrize("half", [0.2, np.nan])
def test_without_a_limit_of_the_whole_tissue_nothing_is_predicted(half):
    row = more_of(np.nan, half)
    assert row[["rate", "effect", "effect_with_twice"]].isna().all()


def test_the_test_of_tf_edges_gains_nothing_above_its_number_of_cells():
    n = MAX_CELLS_OF_TF_TEST
    assert more_of(0.1, 0.2, "tf_targets", n=n - 1)["rate"] == 1.0
    assert more_of(0.1, 0.2, "tf_targets", n=n)["rate"] == 0.0
    assert more_of(0.1, 0.2, "tf_targets", "molecules", n)["rate"] == 1.0
    assert more_of(0.1, 0.2, "lr_pairs", n=n)["rate"] == 1.0


def test_without_halves_there_is_nothing_to_say():
    assert with_more(limits_table(("whole", "lr_pairs", 0.1, 100))).empty
    assert with_more(limits_table(("half the receivers", "lr_pairs", 0.1, 100))).empty
