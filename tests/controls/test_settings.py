"""Settings compared by power at an equal false discovery rate, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _controls import outcome, tables
from _helpers import source

from spatrace_sc._inference.controls.draws import IMPLANTS, MISPLACED, SHAM
from spatrace_sc._inference.controls.power import wilson_interval
from spatrace_sc._inference.controls.settings import COLUMNS, Settings, compare_settings
from spatrace_sc._model.config import Config

N_REAL = {"ligands": 2, "receptors": 2, "tfs": 2, "targets": 4}
COLUMNS_OF_IMPLANTS = ["setting", "table", "q_value"]


def lr(*q_values):
    return tables(lr=[("L0", "R0", f"T{k}", q, 0.1) for k, q in enumerate(q_values)])


def planted(q_values, setting="a", **changes):
    return outcome(f"p {setting}", IMPLANTS, setting=setting, edges=lr(*q_values), **changes)


def moved(q_values, setting="a", name="m"):
    return outcome(f"{name} {setting}", MISPLACED, setting=setting, edges=lr(*q_values))


def implants(*rows):
    return pd.DataFrame(list(rows), columns=COLUMNS_OF_IMPLANTS)


def max_q(outcomes, setting="a", table="lr_targets"):
    compared = compare_settings(outcomes, implants(), N_REAL)
    assert list(compared) == COLUMNS
    return compared.set_index(["setting", "table"]).loc[(setting, table), "max_q"]


def test_the_largest_q_with_a_tenth_of_false_calls():
    """At .01: 20 calls, (0 + 1) false; at .05: 40 calls, (1 + 1) false."""
    tissue = planted([0.01] * 20 + [0.05] * 20)
    assert max_q([tissue, moved([0.02])]) == 0.05
    assert max_q([tissue, moved([0.02] * 3)]) == 0.05  # 4 of 40
    assert max_q([tissue, moved([0.02] * 4)]) == 0.01  # 5 of 40
    assert max_q([tissue, moved([0.005] * 4)]) == 0.0  # 5 of 20
    assert max_q([tissue, moved([0.06] * 9)]) == 0.05  # those are not called


def test_one_false_call_more_than_seen_is_assumed():
    assert max_q([planted([0.05] * 9), moved([])]) == 0.0
    assert max_q([planted([0.05] * 10), moved([])]) == 0.05
    # in two tissues with misplaced senders: (0 + 1) / 2
    assert max_q([planted([0.05] * 5), moved([]), moved([], name="n")]) == 0.05


def test_calls_are_averaged_over_draws():
    """2 false in two draws: (2 + 1) / 2, of (20 + 10) / 2 calls."""
    tissues = [planted([0.05] * 20), planted([0.05] * 10)]
    assert max_q([*tissues, moved([0.01]), moved([0.01], name="n")]) == 0.05
    assert max_q([*tissues, moved([0.01] * 2), moved([0.01], name="n")]) == 0.0


def test_misplaced_senders_do_not_judge_tf_edges():
    assert max_q([planted([]), moved([])], table="tf_targets") == 0.1


def with_sham_tf(q_real, q_sham, setting="a", name="s"):
    """Two real TFs and one sham TF, each call of which stands for two."""
    edges = [("F0", f"T{k}", q, 0.1) for k, q in enumerate(q_real)]
    edges += [("S0", f"T{k}", q, 0.1) for k, q in enumerate(q_sham)]
    return outcome(
        f"{name} {setting}",
        SHAM,
        setting=setting,
        n_genes=N_REAL | {"tfs": 3},
        edges=tables(tf=edges),
        sham=pd.DataFrame({"role": ["tf"], "gene": ["S0"]}),
    )


def test_sham_genes_judge_tf_edges():
    """At .01: 20 calls, (0 + 1) · 2 false; at .05: 40 calls, (1 + 1) · 2 false."""
    real = [0.01] * 20 + [0.05] * 20
    assert max_q([with_sham_tf(real, [0.02])], table="tf_targets") == 0.05
    assert max_q([with_sham_tf(real, [0.02] * 2)], table="tf_targets") == 0.01  # 6 of 40
    assert max_q([with_sham_tf(real, [0.005])], table="tf_targets") == 0.05


def test_power_is_the_share_of_implants_within_that_q():
    rows = [("a", "lr_targets", q) for q in (0.01, 0.05, 0.06, 1.0)]
    rows += [("a", "tf_targets", 0.1), ("b", "lr_targets", 0.001)]
    outcomes = [planted([0.05] * 40), moved([0.02]), planted([], "b"), moved([], "b")]
    compared = compare_settings(outcomes, implants(*rows), N_REAL)
    compared = compared.set_index(["setting", "table"])
    row = compared.loc[("a", "lr_targets")]
    assert (row["n"], row["power"]) == (4, 0.5)
    assert (row["low"], row["high"]) == wilson_interval(2, 4)
    assert compared.loc[("a", "tf_targets"), "power"] == 1.0
    # no q of setting b has few enough false calls
    nothing = compared.loc[("b", "lr_targets")]
    assert nothing["max_q"] == 0.0
    assert nothing[["power", "low", "high"]].isna().all()
    assert nothing["n"] == 1
    none_planted = compared.loc[("a", "lr_pairs")]
    assert none_planted["n"] == 0
    assert np.isnan(none_planted["power"])


def test_more_edges_are_no_better_if_they_are_false():
    """Setting b calls twice as much, also where nothing acts."""
    rows = [(s, "lr_targets", q) for s in "ab" for q in (0.01, 0.04, 0.04)]
    outcomes = [planted([0.01] * 20 + [0.04] * 20), moved([])]
    outcomes += [planted([0.01] * 20 + [0.04] * 60, "b"), moved([0.03] * 30, "b")]
    compared = compare_settings(outcomes, implants(*rows), N_REAL)
    power = compared.set_index(["setting", "table"])["power"]
    assert power[("a", "lr_targets")] == 1.0
    assert power[("b", "lr_targets")] == pytest.approx(1 / 3)


def test_r2_is_that_of_tissues_with_implants():
    outcomes = [planted([], r2=0.3), planted([], r2=0.5), moved([])]
    compared = compare_settings(outcomes, implants(), N_REAL)
    np.testing.assert_allclose(compared["r2"], 0.4)


def test_settings_stay_in_the_order_of_their_outcomes():
    outcomes = [planted([], s) for s in "cab"] + [moved([], s) for s in "cab"]
    compared = compare_settings(outcomes, implants(), N_REAL)
    assert list(dict.fromkeys(compared["setting"])) == ["c", "a", "b"]
    assert len(compared) == 9


@pytest.mark.parametrize(
    ("argument", "values", "names"),
    [
        ("radius", (30.0, 60.5), ["radius = 30", "radius = 60.5"]),
        ("transitions_key", (None, "T"), ["transitions_key = None", "transitions_key = T"]),
        ("covariates", ((), ("a", "b")), ["covariates = none", "covariates = a, b"]),
    ],
)
def test_every_value_has_a_name_and_a_source(argument, values, names):
    settings = Settings(argument, values)
    assert settings.names() == names
    changed = settings.sources(source())
    assert [getattr(s, argument) for s in changed] == list(values)
    assert all(s.sample_key == source().sample_key for s in changed)


def test_an_option_changes_the_configuration_and_not_the_source():
    settings = Settings("neighbourhood_covariates", (True, False))
    assert settings.names() == [f"neighbourhood_covariates = {v}" for v in (True, False)]
    assert settings.sources(source()) == [source()] * 2
    config = Config(n_blocks=5)
    one, other = settings.configs(config)
    assert one == config
    assert other.model.neighbourhood_covariates is False
    assert other.n_blocks == 5
    assert Settings("radius", (1.0, 2.0)).configs(config) == [config, config]
