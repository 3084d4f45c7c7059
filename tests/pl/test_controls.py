"""What ``st.pl.controls`` draws is what the tables say."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _controls import inferred
from _helpers import slow, written_and_read
from matplotlib.container import BarContainer, ErrorbarContainer

import spatrace_sc as st
from spatrace_sc._inference.controls.false_discoveries import COLUMNS
from spatrace_sc._inference.controls.power import LIMIT_COLUMNS, POWER_COLUMNS
from spatrace_sc._result import Controls, add_controls
from spatrace_sc.pl._controls import _calls as original

SHAM, MOVED = "sham genes", "misplaced senders"
ROWS = [
    ("tf_targets", "sham TFs", 0.1, 30.0, 2, 2, 6.0, 0.2, 0.05, 0.4),
    ("lr_targets", "sham ligands", 0.1, 38.0, 9, 2, 9.0, 0.24, 0.1, 0.5),
    ("lr_targets", SHAM, 0.1, 38.0, 9, 2, 3.8, 0.1, 0.02, 0.3),
    ("lr_targets", MOVED, 0.1, 40.0, 1, 2, 0.4, 0.01, 0.0, 0.05),
    ("lr_pairs", SHAM, 0.1, 0.0, 0, 2, 0.0, np.nan, np.nan, np.nan),
    ("lr_pairs", MOVED, 0.1, 0.0, 1, 2, 0.5, np.nan, np.nan, np.nan),
]
FALSE = pd.DataFrame(ROWS + [(*r[:2], 0.2, 2 * r[3] + 1, *r[4:]) for r in ROWS], columns=COLUMNS)
POWER = pd.DataFrame(
    [
        ("whole", "lr_targets", 0.05, 10, 0.2, 0.06, 0.51, 1.0, 0.1),
        ("whole", "lr_targets", 0.2, 10, 0.9, 0.6, 0.98, 1.0, 0.0),
        ("whole", "tf_targets", 0.05, 10, 0.0, 0.0, 0.28, np.nan, 0.0),
        ("whole", "tf_targets", 0.2, 10, 0.5, 0.24, 0.76, 0.8, 0.0),
        ("half the receivers", "lr_targets", 0.2, 10, 0.3, 0.1, 0.6, 1.0, 0.0),
    ],
    columns=POWER_COLUMNS,
)
LIMITS = pd.DataFrame(
    [
        ("whole", "lr_targets", 0.16, 0.1, 0.25, 0.4, 0.3, 0.5, 500),
        ("whole", "tf_targets", *(np.nan,) * 6, 500),
        ("half the receivers", "lr_targets", 0.25, 0.2, 0.3, 0.5, 0.4, 0.6, 250),
    ],
    columns=LIMIT_COLUMNS,
)
LEFT = {
    "calls on the tissue": [30.0, 40.0, 0.0],
    "expected false, by sham genes": [6.0, 4.0, 0.0],
    "expected false, by misplaced senders": [0.4, 0.5],
}


def with_controls(false=FALSE, power=POWER, limits=LIMITS):
    adata = inferred()
    tables = {"false_discoveries": false, "power": power, "limits": limits}
    add_controls(adata, "spatrace", Controls(tables, ["A sentence."], {}))
    return adata


#: Calls of a made-up result, by threshold.
CALLS = {
    0.1: {"tf_targets": 30, "lr_targets": 40, "lr_pairs": 0},
    0.2: {"tf_targets": 61, "lr_targets": 81, "lr_pairs": 1},
}


@pytest.fixture(autouse=True)
def _calls_of_a_result(monkeypatch):
    calls = lambda _adata, name, max_q, _key: CALLS[max_q][name]
    monkeypatch.setattr("spatrace_sc.pl._controls._calls", calls)


def test_calls_are_those_of_the_tables():
    adata = inferred()
    for name in CALLS[0.1]:
        edges = getattr(st.get, name)(adata)
        for max_q in (0.1, 0.7, 1.0):
            expected = int((edges["q_value"] <= max_q).sum())
            assert original(adata, name, max_q, "spatrace") == expected


@pytest.fixture(autouse=True)
def _figures_closed():
    yield
    plt.close("all")


@pytest.fixture
def adata():
    return with_controls()


def bars(ax):
    """Lengths of the bars by their label in the legend, from top to bottom."""
    containers = [c for c in ax.containers if isinstance(c, BarContainer)]
    colours = {c.get_label(): c[0].get_facecolor() for c in containers if c.get_label()[0] != "_"}
    drawn = {label: [] for label in colours}
    for container in sorted(containers, key=lambda c: c[0].get_y()):
        label = next(k for k, v in colours.items() if v == container[0].get_facecolor())
        drawn[label].append(container[0].get_width())
    return drawn


def intervals(ax):
    """Ends of the horizontal intervals, from top to bottom."""
    containers = [c for c in ax.containers if isinstance(c, ErrorbarContainer)]
    segments = [c[2][0].get_segments()[0] for c in containers]
    return [tuple(s[:, 0]) for s in sorted(segments, key=lambda s: s[0, 1])]


def curves(ax):
    """Power by size, and the intervals, by label."""
    found = {}
    for container in ax.containers:
        line, _, (ranges,) = container
        ends = [tuple(s[:, 1]) for s in ranges.get_segments()]
        found[container.get_label()] = (line.get_xdata(), line.get_ydata(), ends)
    return found


def crosses(ax):
    return [tuple(*line.get_xydata()) for line in ax.lines if line.get_marker() == "x"]


@pytest.mark.parametrize(("expected", "drawn"), [(12.0, 12.0), (0.0, 0.4)])
def test_of_misplaced_senders_and_those_of_another_slice_the_larger_number_is_drawn(
    expected, drawn
):
    share = expected / 40
    row = ("lr_targets", "senders of another slice", 0.1, 40.0, 1, 2, expected, share, 0.0, 0.5)
    false = pd.concat([FALSE, pd.DataFrame([row], columns=COLUMNS)], ignore_index=True)
    ax = st.pl.controls(with_controls(false=false))[0]
    lengths = bars(ax)["expected false, by misplaced senders"]
    np.testing.assert_allclose(lengths, [drawn, 0.5], atol=1e-9)


def test_bars_are_the_calls_and_those_expected_to_be_false(adata):
    ax = st.pl.controls(adata)[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["TF → target", "pair → target", "pairs"]
    drawn = bars(ax)
    assert set(drawn) == set(LEFT)
    for label, lengths in LEFT.items():
        np.testing.assert_allclose(drawn[label], lengths)
    # share and interval times the calls of the result
    expected = [(1.5, 12.0), (0.8, 12.0), (0.0, 2.0)]
    np.testing.assert_allclose(intervals(ax), expected, atol=1e-9)
    assert [t.get_text() for t in ax.texts] == ["30", "40", "0"]
    assert ax.get_xlabel() == "edges with q ≤ 0.1"
    title = ax.get_title().replace("\n", " ")
    assert title == (
        "Expected false: 20% of TF → target, 10% of pair → target; "
        "pairs: controls have 1 call in 2 draws"
    )


def test_the_threshold_selects_the_rows(adata):
    ax = st.pl.controls(adata, max_q=0.2)[0]
    np.testing.assert_allclose(bars(ax)["calls on the tissue"], [61.0, 81.0, 1.0])
    assert ax.get_xlabel() == "edges with q ≤ 0.2"


def test_curves_are_the_power_in_the_whole_tissue(adata):
    ax = st.pl.controls(adata)[1]
    found = curves(ax)
    assert list(found) == ["TF → target", "pair → target"]
    for label, y, ends in (
        ("TF → target", [0.0, 0.5], [(0.0, 0.28), (0.24, 0.76)]),
        ("pair → target", [0.2, 0.9], [(0.06, 0.51), (0.6, 0.98)]),
    ):
        x, drawn, ranges = found[label]
        np.testing.assert_allclose(drawn, y)
        np.testing.assert_allclose(ranges, ends)
        np.testing.assert_allclose(x, [0.05, 0.2], rtol=0.06)  # moved apart a little
    assert [t.get_text() for t in ax.get_xticklabels()] == ["5", "20"]
    assert ax.get_xscale() == "log"


def test_legends_cover_neither_curves_nor_labels(adata):
    axes = st.pl.controls(adata)
    axes[0].figure.draw_without_rendering()
    for ax in axes:
        legend, label = (a.get_window_extent() for a in (ax.get_legend(), ax.xaxis.label))
        assert legend.y1 <= label.y0 + 1
        assert legend.y0 >= 0
    words = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert words == ["TF → target", "pair → target", "detection limit"]


def test_a_cross_marks_the_limit_of_the_whole_tissue(adata):
    ax = st.pl.controls(adata)[1]
    assert crosses(ax) == [pytest.approx((0.16, 0.8))]
    assert ax.get_title().replace("\n", " ") == (
        "Found with probability 0.8: pair → target 0.40 SD"
    )
    none = st.pl.controls(with_controls(limits=LIMITS.iloc[1:]))[1]
    assert crosses(none) == []
    assert none.get_title().replace("\n", " ") == (
        "No size up to 20 % of the variance is found with probability 0.8"
    )
    assert "detection limit" not in [t.get_text() for t in none.get_legend().get_texts()]


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
@pytest.mark.filterwarnings("ignore::UserWarning:zarr")
def test_the_figure_is_the_same_after_a_file(adata, form, tmp_path):
    left, right = st.pl.controls(written_and_read(adata, form, tmp_path))
    for label, lengths in LEFT.items():
        np.testing.assert_allclose(bars(left)[label], lengths)
    assert list(curves(right)) == ["TF → target", "pair → target"]
    assert crosses(right) == [pytest.approx((0.16, 0.8))]


def test_sham_genes_alone(caplog):
    ax = st.pl.controls(with_controls(FALSE[FALSE["control"] != MOVED]))[0]
    drawn = bars(ax)
    assert set(drawn) == set(list(LEFT)[:2])
    np.testing.assert_allclose(drawn["calls on the tissue"], [30.0, 40.0, 0.0])
    np.testing.assert_allclose(drawn["expected false, by sham genes"], [6.0, 4.0, 0.0])
    assert caplog.messages == []


def test_misplaced_senders_alone():
    ax = st.pl.controls(with_controls(FALSE[FALSE["control"] == MOVED]))[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["pair → target", "pairs"]
    assert set(bars(ax)) == {name for name in LEFT if "sham" not in name}


def test_without_calls_the_title_says_so():
    rows = FALSE[(FALSE["table"] == "lr_pairs") & (FALSE["control"] == SHAM)]
    ax = st.pl.controls(with_controls(rows))[0]
    assert ax.get_title() == "Nothing is significant"
    assert all(length == 0 for lengths in bars(ax).values() for length in lengths)


@pytest.mark.parametrize(
    ("panel", "tables", "text"),
    [
        (0, {"false": FALSE.iloc[:0]}, "No negative controls were run: `st.tl.controls(adata, n_s"),
        (1, {"power": POWER.iloc[:0]}, "No signals were implanted: `st.tl.controls(adata, n_impl"),
        (1, {"power": POWER.iloc[-1:]}, "No signals were implanted"),
    ],
)
def test_what_was_not_run_is_named(panel, tables, text, caplog):
    ax = st.pl.controls(with_controls(**tables))[panel]
    assert ax.texts[0].get_text().startswith(text)
    assert len(caplog.messages) == 1
    assert not ax.containers


def test_axes_of_the_user(adata):
    _, axes = plt.subplots(2, 1)
    drawn = st.pl.controls(adata, ax=axes)
    assert list(drawn) == list(axes)
    assert len(plt.get_fignums()) == 1
    np.testing.assert_allclose(bars(axes[0])["calls on the tissue"], [30.0, 40.0, 0.0])
    for wrong in (axes[0], plt.subplots(1, 3)[1]):
        n = np.size(wrong)
        with pytest.raises(st.InvalidArgumentError, match=rf"`ax` has {n} axes, but there are 2"):
            st.pl.controls(adata, ax=wrong)


@pytest.mark.parametrize(
    ("max_q", "message"),
    [
        (0.15, r"`max_q=0\.15` is not among the thresholds of the controls: 0\.1, 0\.2"),
        (1.0, r"`max_q=1\.0` is not among the thresholds"),
        (None, "`max_q` must be a number above 0 and at most 1, found None"),
        ("0.1", "`max_q` must be a number above 0 and at most 1, found '0.1'"),
    ],
)
def test_other_thresholds_are_refused(adata, max_q, message):
    with pytest.raises(st.InvalidArgumentError, match=message):
        st.pl.controls(adata, max_q=max_q)


def test_without_controls_the_verb_is_named():
    with pytest.raises(st.MissingKeyError, match=r"call `st\.tl\.controls\(adata"):
        st.pl.controls(inferred())


def test_nothing_of_the_data_changes(adata):
    before = {
        name: table.copy()
        for name, table in adata.uns["spatrace"]["controls"].items()
        if isinstance(table, pd.DataFrame)
    }
    st.pl.controls(adata)
    for name, table in before.items():
        pd.testing.assert_frame_equal(adata.uns["spatrace"]["controls"][name], table)
