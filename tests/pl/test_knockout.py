from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _helpers import small_result

import spatrace_sc as st


@pytest.fixture
def done():
    """A small tissue without one TF and without one ligand; a copy."""
    adata = small_result().copy()
    genes = adata.uns["spatrace"]["genes"]
    st.tl.knockout(adata, tf=str(genes["tfs"][0]), name="tf")
    st.tl.knockout(adata, ligand=list(genes["ligands"]), name="all ligands")
    return adata


def ticks(ax):
    return [t.get_text() for t in ax.get_yticklabels()]


def test_rows_are_the_targets_that_change_most(done):
    table = st.get.knockout(done, "all ligands").head(6)
    ax = st.pl.knockout(done, "all ligands", top_n=6)
    assert ticks(ax) == list(table["target"])
    bars = [c for c in ax.containers if type(c).__name__ == "BarContainer" and len(c) == 6]
    direct, mediated = ([b.get_width() for b in c] for c in bars)
    np.testing.assert_allclose(direct, table["direct"])
    np.testing.assert_allclose(mediated, table["mediated"])
    dots = next(c for c in ax.containers if type(c).__name__ == "ErrorbarContainer")
    np.testing.assert_allclose(dots[0].get_xdata(), table["change"])
    half = [np.ptp(segment[:, 0]) / 2 for segment in dots[2][0].get_segments()]
    np.testing.assert_allclose(half, 1.96 * table["se"])


def test_the_outer_end_of_a_bar_is_the_sum_where_the_parts_agree(done):
    table = st.get.knockout(done, "all ligands")
    ax = st.pl.knockout(done, "all ligands", top_n=None)
    changed = table[table["change"] != 0]
    bar = [
        c for c in ax.containers if type(c).__name__ == "BarContainer" and len(c) == len(changed)
    ][1]
    ends = np.array([b.get_x() + b.get_width() for b in bar])
    same = (np.sign(changed["direct"]) == np.sign(changed["mediated"])).to_numpy()
    assert same.sum() > 2
    np.testing.assert_allclose(ends[same], changed["change"][same])
    np.testing.assert_allclose(ends[~same], changed["mediated"][~same])


def test_title_names_what_is_gone_and_the_stage(done):
    stage = st.get.stages(done)[1]
    ax = st.pl.knockout(done, "tf", stage, top_n=3)
    assert ax.get_title().startswith("Without tf: 3 of ")
    assert ax.get_title().splitlines()[0].endswith(f", stage {stage}")
    assert ticks(ax) == list(st.get.knockout(done, "tf", stage)["target"][:3])


def test_given_axes_are_used_and_nothing_is_changed(done):
    _, ax = plt.subplots()
    before = st.get.knockout(done, "tf")
    assert st.pl.knockout(done, "tf", ax=ax) is ax
    assert st.get.knockout(done, "tf").equals(before)


def test_several_need_a_name(done):
    with pytest.raises(st.InvalidArgumentError, match="'all ligands', 'tf'"):
        st.pl.knockout(done)


def test_without_a_significant_edge_the_title_says_hypotheses(done, monkeypatch):
    table = st.get.knockout(done, "tf").assign(evidence="ranked")
    monkeypatch.setattr("spatrace_sc.get.knockout", lambda *_args, **_options: table)
    ax = st.pl.knockout(done, "tf", top_n=3)
    assert "the changes are hypotheses" in ax.get_title().replace("\n", " ")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "total effect ± 1.96 standard errors over\nrefits, not a confidence interval" in labels


def test_a_knockout_without_a_significant_edge_is_logged(done, caplog, monkeypatch):
    table = st.get.knockout(done, "tf").assign(evidence="ranked")
    monkeypatch.setattr("spatrace_sc.get.knockout", lambda *_args, **_options: table)
    tf = str(done.uns["spatrace"]["genes"]["tfs"][0])
    st.tl.knockout(done, tf=tf, name="tf")
    assert (
        f"No edge from {tf!r} to a target is significant (q ≤ 0.1): the changes are hypotheses."
        in caplog.messages
    )
