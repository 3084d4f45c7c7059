from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import PathCollection

import spatrace_sc as st


def scatters(ax):
    """Dots of the reference and of the group, then rings and centres."""
    return [c for c in ax.collections if isinstance(c, PathCollection)]


@pytest.fixture(scope="module")
def compared(result):
    adata = result.copy()
    st.tl.compare(adata, "stage", top_n=15, smallest_share=0.0)
    table = adata.uns["spatrace"]["comparison"]["tf_targets"]
    change = table["change"].to_numpy(dtype=object).copy()
    change[:4] = ["gained", "lost", "changed", "gained"]
    change[4:] = "kept"
    adata.uns["spatrace"]["comparison"]["tf_targets"] = table.assign(change=change)
    return adata


def test_only_changes_are_drawn_from_the_reference_to_the_group(compared):
    table = st.get.comparison(compared).head(4)
    ax = st.pl.comparison(compared)
    before, after = (c.get_offsets() for c in scatters(ax)[:2])
    np.testing.assert_allclose(before[:, 0], table["effect_reference"])
    np.testing.assert_allclose(after[:, 0], table["effect"])
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels[0].startswith(f"{table['tf'][0]} → {table['target'][0]}")
    assert f"({table['reference'][0]} → {table['group'][0]})" in labels[0]
    assert {t.get_text() for t in ax.get_legend().texts} >= {
        "gained (2)",
        "lost (1)",
        "changed (1)",
        "reference",
        "group",
    }
    assert ax.get_title().startswith("4 of 4 changes")


def test_the_title_counts_as_the_table_and_the_log_do(compared, caplog):
    adata = compared.copy()
    stored = adata.uns["spatrace"]["comparison"]
    every = stored["tf_targets"]
    q = np.where(np.arange(len(every)) < 3, 0.05, 0.8)
    stored["tf_targets"] = every.assign(q_value=q)
    ax = st.pl.comparison(adata)
    n = int((st.get.comparison(adata)["q_value"] <= 0.1).sum())
    assert n == 3
    line = ax.get_title().splitlines()[-1]
    assert line == f"3 of {len(every)} differences significant at q ≤ 0.1 (ring)"
    rings = scatters(ax)[2]
    np.testing.assert_allclose(rings.get_offsets()[:, 0], every["effect"][:3])


def test_a_former_spelling_gives_the_same_figure_and_a_warning(compared):
    message = "`kind='pair_activity'` is now spelled 'lr_pair_activity'"
    with pytest.warns(FutureWarning, match=message):
        former = st.pl.comparison(compared, "pair_activity")
    ax = st.pl.comparison(compared, "lr_pair_activity")
    assert former.get_title() == ax.get_title()
    labels = [[t.get_text() for t in a.get_yticklabels()] for a in (former, ax)]
    assert labels[0] == labels[1]


def test_one_comparison_is_named_once(compared):
    group = st.get.comparison(compared)["group"][0]
    ax = st.pl.comparison(compared, group=group, top_n=1)
    assert len(ax.get_yticklabels()) == 1
    assert f"{group} against" in ax.get_title()
    assert "(" not in ax.get_yticklabels()[0].get_text()


def test_a_table_without_changes_has_a_note(compared):
    adata = compared.copy()
    stored = adata.uns["spatrace"]["comparison"]
    stored["lr_pairs"] = stored["lr_pairs"].assign(change="kept")
    ax = st.pl.comparison(adata, "lr_pairs")
    n = len(stored["lr_pairs"])
    assert ax.texts[0].get_text() == f"None of {n} compared pair responses differs significantly"
    stored["lr_pairs"] = stored["lr_pairs"].iloc[:0]
    ax = st.pl.comparison(adata, "lr_pairs")
    assert ax.texts[0].get_text() == "No pair responses to compare"


def test_bad_input(compared, result):
    with pytest.raises(st.InvalidArgumentError, match="`kind`"):
        st.pl.comparison(compared, "modules")
    with pytest.raises(st.InvalidArgumentError, match="`top_n`"):
        st.pl.comparison(compared, top_n=0)
    with pytest.raises(st.InvalidArgumentError, match="`group"):
        st.pl.comparison(compared, group="x")
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.compare"):
        st.pl.comparison(result)
