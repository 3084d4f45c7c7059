from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import spatrace_sc as st

TABLE = pd.DataFrame(
    {
        "measure": ["auroc", "auprc", "auprc_ratio", "early_precision"],
        "value": [0.9, 0.7, 4.0, 0.6],
        "random_mean": [0.55, 0.2, 1.1, 0.15],
        "random_sd": [0.02, 0.03, 0.1, 0.04],
        "n_candidates": 40,
        "n_true": 7,
    }
)


def test_values_and_random_networks_are_where_they_belong():
    ax = st.pl.evaluation(TABLE)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["AUROC", "AUPRC", "early precision"]
    dots = next(line for line in ax.lines if line.get_label() == "inferred edges")
    np.testing.assert_allclose(dots.get_xdata(), [0.9, 0.7, 0.6])
    np.testing.assert_array_equal(dots.get_ydata(), ax.get_yticks())
    bars = ax.collections[0].get_segments()
    np.testing.assert_allclose(
        [bar[:, 0] for bar in bars], [[0.51, 0.59], [0.14, 0.26], [0.07, 0.23]]
    )
    assert ax.get_title() == "7 of 40 candidate edges are true"


def test_without_random_networks_only_the_dots_are_left():
    ax = st.pl.evaluation(TABLE.assign(random_mean=np.nan, random_sd=np.nan))
    assert np.isfinite(
        next(line for line in ax.lines if line.get_label() == "inferred edges").get_xdata()
    ).all()


@pytest.mark.parametrize("table", [None, TABLE.drop(columns="value"), [1, 2]])
def test_another_table_is_refused(table):
    with pytest.raises(st.InvalidArgumentError, match=r"st\.tl\.evaluate"):
        st.pl.evaluation(table)
