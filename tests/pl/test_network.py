"""Networks and chord diagrams of cell types."""

from __future__ import annotations

import builtins
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _type_table import LONG, inside, read_instead, type_table, with_score
from anndata import AnnData
from matplotlib.colors import to_hex
from matplotlib.patches import Circle

import spatrace_sc as st
from spatrace_sc.pl._chord import _prepare
from spatrace_sc.pl._drawing.signals import read_signals

WITH_LINKS = ["network", "chord"]


def test_arrows_lead_from_senders_to_receivers(monkeypatch) -> None:
    table = with_score(type_table(["a", "b", "c"]), "a", "b", 9.0)
    ax = st.pl.network(read_instead(monkeypatch, table))
    assert len(ax.patches) == 9
    place = np.asarray(ax.collections[0].get_offsets())
    colours = [to_hex(c) for c in ax.collections[0].get_facecolors()]
    strongest = ax.patches[-1]
    start, end = strongest._posA_posB
    np.testing.assert_allclose(start, place[0], atol=1e-9)
    np.testing.assert_allclose(end, place[1], atol=1e-9)
    assert to_hex(strongest.get_edgecolor()) == colours[0]
    assert strongest.get_linewidth() == max(p.get_linewidth() for p in ax.patches)
    assert sum(isinstance(p, Circle) for p in ax.patches) == 3


def test_widths_are_scores_and_dots_are_significant(monkeypatch) -> None:
    table = type_table(["a", "b", "c", "d"])
    ax = st.pl.network(read_instead(monkeypatch, table), top_links=None)
    links = table.groupby(["sender", "receiver"])["score"].sum().sort_values()
    widths = np.array([p.get_linewidth() for p in ax.patches])
    scale = widths[-1] / 5.0
    expected = scale * (0.4 + 4.6 * links / links.iloc[-1])
    np.testing.assert_allclose(widths, expected)
    q = table.groupby(["sender", "receiver"])["q_value"].min()
    n = int((q <= 0.1).sum())
    assert len(ax.collections[1].get_offsets()) == n
    assert ax.get_title().splitlines()[-1] == (f"{n} of 16 arrows significant at q ≤ 0.1 (dots)")


def test_a_dot_is_on_its_arrow(monkeypatch) -> None:
    table = type_table(["a", "b", "c"]).assign(q_value=1.0)
    chosen = (table["sender"] == "c") & (table["receiver"] == "a")
    table["q_value"] = table["q_value"].mask(chosen, 0.01)
    ax = st.pl.network(read_instead(monkeypatch, table), top_links=1)
    (arrow,) = ax.patches  # the significant one, though it is not the strongest
    curve = arrow.get_connectionstyle()(*arrow._posA_posB, shrinkA=0, shrinkB=0)
    start, control, end = curve.vertices
    np.testing.assert_allclose(
        ax.collections[1].get_offsets()[0], (start + 2 * control + end) / 4, atol=1e-6
    )


@pytest.mark.parametrize("name", WITH_LINKS)
def test_the_significant_links_come_first(monkeypatch, name: str) -> None:
    table = type_table([f"{LONG[:38]}{k:02d}" for k in range(40)], 1)
    adata = read_instead(monkeypatch, table)
    ax = getattr(st.pl, name)(adata, top_links=20)
    noun, mark = {"network": ("arrows", "dots"), "chord": ("links", "outlined")}[name]
    n = int((table["q_value"] <= 0.1).sum())
    assert n > 20
    assert ax.get_title().splitlines() == [
        f"LIG0 → REC0; 20 of 1600 {noun} drawn",
        f"{n} of 1600 {noun} significant at q ≤ 0.1 ({mark}; 20 drawn)",
    ]
    assert inside(ax)


def test_long_names_leave_the_circle_large(monkeypatch) -> None:
    types = ["Surface ectoderm", "Presomitic mesoderm", "Forebrain", "Haematoendothelial cells"]
    ax = st.pl.network(read_instead(monkeypatch, type_table(types, 1)))
    assert {text.get_text() for text in ax.texts} >= set(types)
    assert inside(ax)
    centre, edge = ax.transData.transform([(0.0, 0.0), (0.0, 1.0)])
    assert edge[1] - centre[1] > 0.25 * ax.figure.bbox.height


@pytest.mark.parametrize("name", WITH_LINKS)
def test_names_are_below_the_title_in_small_axes(monkeypatch, name: str) -> None:
    adata = read_instead(monkeypatch, type_table([f"{LONG[:38]}{k:02d}" for k in range(40)], 1))
    polar = {"projection": "polar"} if name == "chord" else {}
    figure, ax = plt.subplots(figsize=(3.35, 3.0), layout="constrained", subplot_kw=polar)
    getattr(st.pl, name)(adata, ax=ax)
    figure.draw_without_rendering()
    names = [text.get_window_extent() for text in ax.texts if text.get_text()]
    assert len(names) > 20
    assert max(box.y1 for box in names) <= ax.title.get_window_extent().y0 + 1
    assert max(box.x1 for box in names) <= figure.bbox.x1 + 2


@pytest.mark.parametrize("name", [*WITH_LINKS, "roles"])
def test_an_empty_figure_says_why(result: AnnData, silent: AnnData, name: str, caplog) -> None:
    draw = getattr(st.pl, name)
    assert draw(silent).texts[0].get_text().startswith("No communication with a score above 0")
    text = draw(result, max_q=0.1).texts[0].get_text()
    assert text.startswith("No communication with q ≤ 0.1:\nthe smallest q is")
    assert text in caplog.text
    with pytest.raises(st.InvalidArgumentError, match="pairs of the communication table"):
        draw(result, pair="LIG^REC")
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'early'"):
        draw(result, stage="erly")


def test_colours_are_those_of_the_types(result: AnnData) -> None:
    adata = result.copy()
    categories = list(adata.obs["cell_type"].cat.categories)
    adata.uns["cell_type_colors"] = [f"#0000{k:02x}" for k in range(len(categories))]
    ax = st.pl.network(adata)
    types = [text.get_text() for text in ax.texts]
    shown = [to_hex(c) for c in ax.collections[0].get_facecolors()]
    assert shown == [f"#0000{categories.index(name):02x}" for name in types]


def test_arguments_of_a_network(result: AnnData) -> None:
    with pytest.raises(st.InvalidArgumentError, match="`kind` must be one of 'types'"):
        st.pl.network(result, "type")
    with pytest.raises(st.InvalidArgumentError, match="`top_links`"):
        st.pl.network(result, top_links=0)
    ax = plt.subplots()[1]
    assert st.pl.network(result, ax=ax) is ax


def test_arcs_are_the_sums_of_their_links(monkeypatch) -> None:
    table = type_table(["a", "b", "c"])
    signals = read_signals(read_instead(monkeypatch, table), "spatrace")
    arcs, sizes = _prepare(signals.links(), signals.types)
    for name, size in sizes.items():
        sent = table.loc[table["sender"] == name, "score"].sum()
        received = table.loc[table["receiver"] == name, "score"].sum()
        assert size == pytest.approx(sent + received)
        ends = [*arcs.loc[arcs["sender"] == name, ["start", "end"]].to_numpy()]
        assert max(end for _, end in ends) == pytest.approx(sent)  # sent first, then received
        ends += [*arcs.loc[arcs["receiver"] == name, ["to_start", "to_end"]].to_numpy()]
        ends.sort(key=lambda e: e[0])
        assert ends[0][0] == 0
        assert ends[-1][1] == pytest.approx(size)
        np.testing.assert_allclose([e[0] for e in ends[1:]], [e[1] for e in ends[:-1]])
    np.testing.assert_allclose(arcs["end"] - arcs["start"], arcs["score"])
    np.testing.assert_allclose(arcs["to_end"] - arcs["to_start"], arcs["score"])


def test_a_chord_diagram_links_senders_to_receivers(monkeypatch) -> None:
    circos = pytest.importorskip("pycirclize").Circos
    given = []
    link = circos.link
    monkeypatch.setattr(
        circos, "link", lambda self, *ends, **o: [given.append((ends, o)), link(self, *ends, **o)]
    )
    table = with_score(type_table(["a", "b", "c"]), "a", "b", 9.0)
    ax = st.pl.chord(read_instead(monkeypatch, table))
    assert len(given) == 9
    (sender, receiver), options = given[0]
    assert (sender[0], receiver[0], options["direction"]) == ("a", "b", 1)
    assert sender[2] - sender[1] == pytest.approx(36.0)
    outlined = {(s[0], r[0]) for (s, r), o in given if o["ec"] == "black" and o["lw"] > 0}
    q = table.groupby(["sender", "receiver"])["q_value"].min()
    assert outlined == set(q.index[q <= 0.1])
    assert {text.get_text() for text in ax.texts} == {"a", "b", "c"}


def test_a_chord_diagram_changes_no_settings_and_needs_polar_axes(result: AnnData) -> None:
    pytest.importorskip("pycirclize")
    for name in [n for n in sys.modules if n.split(".")[0] == "pycirclize"]:
        del sys.modules[name]
    before = dict(plt.rcParams)
    st.pl.chord(result)
    assert dict(plt.rcParams) == before
    ax = plt.subplots(subplot_kw={"projection": "polar"})[1]
    assert st.pl.chord(result, ax=ax) is ax
    with pytest.raises(st.InvalidArgumentError, match="`ax` must be polar"):
        st.pl.chord(result, ax=plt.subplots()[1])


def test_without_pycirclize_the_error_says_what_to_install(result: AnnData, monkeypatch) -> None:
    real = builtins.__import__

    def refuse(name, *args, **options):
        if name.split(".")[0] == "pycirclize":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(st.MissingPackageError, match=r'pip install "spatrace-sc\[plot\]"'):
        st.pl.chord(result)
