"""What controls say in words."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spatrace_sc._inference.controls.false_discoveries import COLUMNS
from spatrace_sc._inference.controls.power import (
    LIMIT_COLUMNS,
    MORE_COLUMNS,
    POWER_COLUMNS,
    wilson_interval,
)
from spatrace_sc._inference.controls.sentences import sentences

CALLED = {"tf_targets": 12, "lr_targets": 30, "lr_pairs": 0}
NAN = np.nan


def false(*rows):
    return pd.DataFrame(list(rows), columns=COLUMNS)


def limits(*rows):
    return pd.DataFrame(list(rows), columns=LIMIT_COLUMNS)


def more(*rows):
    return pd.DataFrame(list(rows), columns=MORE_COLUMNS)


EMPTY = false(), limits(), more()


BALANCE = pd.DataFrame(columns=["role", "feature", "standardised_difference"])


def power(table, *found):
    """Power by size, from (found, implants) of each."""
    rows = [
        ("whole", table, 0.02 * (k + 1), n, x / n, *wilson_interval(x, n), NAN, NAN)
        for k, (x, n) in enumerate(found)
    ]
    return pd.DataFrame(rows, columns=POWER_COLUMNS)


def said(false_=EMPTY[0], limits_=EMPTY[1], more_=EMPTY[2], balance=BALANCE, power_=None):
    found = power("tf_targets") if power_ is None else power_
    return sentences(false_, limits_, more_, balance, CALLED, found)


def test_the_share_of_false_discoveries():
    rows = [
        ("lr_targets", "sham genes", 0.1, 30.0, 1, 2, 0.9, 0.03, 0.0, 0.09),
        ("lr_targets", "sham genes", 0.2, 60.0, 9, 2, 9.0, 0.15, 0.1, 0.2),
    ]
    assert said(false(*rows)) == [
        "On this tissue 3% [0%–9%] of the pair → target edges with q ≤ 0.1 (30 in the result) are "
        "expected to be false, by sham genes."
    ]


def test_sham_genes_alone_are_an_upper_bound():
    estimate = ("lr_targets", "misplaced senders", 0.1, 30.0, 1, 2, 0.9, 0.03, 0.0, 0.09)
    bound = ("lr_targets", "sham genes alone", 0.1, 30.0, 3, 2, 4.5, 0.15, 0.02, 0.4)
    (sentence,) = said(false(estimate, bound))
    assert sentence.endswith(
        "by misplaced senders. Where sham genes replace all real ones, 4.5 pair → target edges are "
        "called, scaled to the number of real genes: an upper bound of the false ones."
    )
    (only,) = said(false(bound))
    assert only.endswith(
        "15% [2%–40%] of the pair → target edges with q ≤ 0.1 (30 in the result) "
        "are expected to be false, by sham genes alone."
    )


@pytest.mark.parametrize(
    ("calls", "draws", "chance"),
    [(0, 1, "0 calls in 1 draw."), (1, 3, "1 call in 3 draws."), (2, 2, "2 calls in 2 draws.")],
)
def test_without_calls(calls, draws, chance):
    row = ("lr_pairs", "sham genes", 0.1, 0.0, calls, draws, 0.0, NAN, NAN, NAN)
    assert said(false(row)) == [
        "No ligand–receptor pairs are significant at q ≤ 0.1; the controls (sham genes) have "
        + chance
    ]


def test_calls_that_no_inference_with_controls_repeats():
    row = ("tf_targets", "sham TFs", 0.1, 0.0, 2, 1, 8.0, NAN, NAN, NAN)
    assert said(false(row)) == [
        "12 TF → target edges have q ≤ 0.1, but none in the inferences with controls, so their "
        "false share is unknown; the controls (sham TFs) have 2 calls in 1 draw."
    ]


def test_the_detection_limit_and_what_more_data_bring():
    limit = ("whole", "tf_targets", 0.0225, 0.01, 0.04, 0.15, 0.1, 0.2, 5000)
    half = ("half the receivers", "tf_targets", 0.05, 0.01, 0.04, 0.22, 0.1, 0.2, 2500)
    gains = [
        ("tf_targets", "receivers", 1.0, 0.15, 0.106),
        ("tf_targets", "molecules", 0.5, 0.15, 0.126),
        ("lr_targets", "receivers", NAN, NAN, NAN),
    ]
    found = power("tf_targets", (3, 12), (11, 12))
    assert said(limits_=limits(limit, half), more_=more(*gains), power_=found) == [
        "Effects of 0.15 [0.10–0.20] standard deviations are found with probability 0.8; smaller "
        "ones are often missed. 5000 more receivers would bring this to 0.11. Twice the molecules "
        "per cell would bring this to 0.13."
    ]


def test_without_a_limit():
    row = ("whole", "lr_pairs", *(NAN,) * 6, 100)
    gain = ("lr_pairs", "receivers", NAN, NAN, NAN)
    found = power("lr_pairs", (0, 2), (1, 2))
    assert said(limits_=limits(row), more_=more(gain), power_=found) == [
        "No implanted size of effect on each of their targets is found with probability 0.8 (of "
        "the largest, 4 % of a target's variance, 1 of 2; 95 % interval of the power 0.09–0.91): "
        "what is missing from this table may well act. 4 implants are few: more draws would say "
        "more."
    ]


def test_a_limit_whose_interval_has_no_end():
    row = ("whole", "tf_targets", 0.04, 0.01, NAN, 0.2, 0.1, NAN, 100)
    (sentence,) = said(limits_=limits(row), power_=power("tf_targets", (20, 20)))
    assert sentence.startswith("Effects of 0.20 [0.10–beyond all sizes] standard deviations")
    assert "few" not in sentence


def test_one_paragraph_per_table():
    rows = [(t, "sham genes", 0.1, 10.0, 1, 1, 1.0, 0.1, 0.0, 0.5) for t in ("lr_targets",)]
    rows.append(("tf_targets", "sham TFs", 0.1, 10.0, 1, 1, 1.0, 0.1, 0.0, 0.5))
    limit = ("whole", "tf_targets", 0.04, 0.01, 0.1, 0.2, 0.1, 0.3, 100)
    both, one = said(false(*rows), limits(limit))
    assert "TF → target edges" in both
    assert "Effects of 0.20 [0.10–0.30] standard deviations" in both
    assert one.startswith("On this tissue 10%")
    assert said() == []


def test_sham_genes_that_are_less_structured():
    rows = [("ligand", "morans_i", -1.5), ("ligand", "morans_i", -2.5), ("tf", "type_share", -0.9)]
    rows += [("tf", "morans_i", 3.0), ("tf", "level", -4.0)]
    sentence = said(balance=pd.DataFrame(rows, columns=BALANCE.columns))
    assert sentence == [
        "Sham genes are less structured than the real genes they stand for: ligands in spatial "
        "autocorrelation (2.0 standard deviations). They are called less often than real genes "
        "without effect, so the expected false shares may be too low."
    ]
    assert said(balance=pd.DataFrame(rows[2:], columns=BALANCE.columns)) == []
