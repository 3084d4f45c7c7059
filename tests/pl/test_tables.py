from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgba

import spatrace_sc as st

UP, DOWN = to_rgba("#D55E00"), to_rgba("#0072B2")
KEYS = {
    "lr_targets": ["ligand", "receptor", "target"],
    "tf_targets": ["tf", "target"],
    "lr_pairs": ["ligand", "receptor"],
}


def labels(axis) -> list[str]:
    return [t.get_text() for t in axis.get_ticklabels()]


def stars(ax) -> dict[str, list[int]]:
    return {
        c.get_label(): [int(y) for _, y in c.get_offsets()]
        for c in ax.collections
        if str(c.get_label()).startswith("true edge")
    }


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("stage", [None, "adult"])
def test_bars_are_the_table(result: AnnData, kind: str, stage: str | None) -> None:
    table = getattr(st.get, kind)(result, stage).head(7)
    ax = st.pl.top_edges(result, kind, top_n=7, stage=stage)
    value = table.get("effect", table["score"]).to_numpy()
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], value)
    assert list(np.diff(np.abs(value)) <= 0) == [True] * 6
    names = [" → ".join(edge) for edge in table[KEYS[kind]].to_numpy()]
    significant = table["q_value"] <= 0.1
    grouped_sign = np.where(significant, "" if "ligand" in table else " ‡", " †")
    signs = zip(
        table["evidence"] == "co-variation", table["group"] != "", grouped_sign, strict=True
    )
    signs = [" ~" * alone + sign * grouped for alone, grouped, sign in signs]
    assert labels(ax.yaxis) == [name + sign for name, sign in zip(names, signs, strict=True)]
    legend = " ".join(text.get_text() for text in ax.get_legend().get_texts())
    assert ("~  ranked by co-variation only" in legend) == any("~" in sign for sign in signs)
    grouped = any("†" in sign for sign in signs)
    assert ("†  not significant and not distinguishable" in legend) == grouped
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the strongest on top
    dots = ax.collections[0]
    np.testing.assert_allclose(np.asarray(dots.get_offsets())[:, 0], value)
    sizes = dots.get_sizes()
    np.testing.assert_allclose((np.sqrt(sizes) - 2.5) / 6.5, table["stability"])
    if kind != "lr_pairs":
        full = [UP if v > 0 else DOWN for v in value]
        for bar, face, colour in zip(ax.patches, dots.get_facecolors(), full, strict=True):
            np.testing.assert_allclose(bar.get_facecolor(), colour)
            np.testing.assert_allclose(face, colour)
    assert (f"stage {stage}" in ax.get_title()) == (stage is not None)


@pytest.mark.parametrize(
    ("stability", "entries"),
    [
        ([1.0, 0.5, 0.7], ["stability 1 (highest shown)", "stability 0.5 (lowest shown)"]),
        ([0.9, 0.9, 0.9], ["stability 0.9 (all edges shown)"]),
    ],
)
def test_the_legend_explains_the_sizes_of_the_dots(
    result: AnnData, stability: list[float], entries: list[str]
) -> None:
    adata = result.copy()
    table = adata.uns["spatrace"]["tf_targets"].copy()
    table["stability"] = np.resize(stability, len(table))
    adata.uns["spatrace"] = adata.uns["spatrace"] | {"tf_targets": table}
    ax = st.pl.top_edges(adata, "tf_targets", top_n=3)
    legend = ax.get_legend()
    size = {
        text.get_text(): handle.get_markersize()
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    assert [name for name in size if name.startswith("stability ")] == entries
    drawn = np.sqrt(ax.collections[0].get_sizes())
    assert size[entries[0]] == pytest.approx(drawn.max())
    assert size[entries[-1]] == pytest.approx(drawn.min())
    assert "stability: share of refits\n    that select the edge" in size


def test_top_n_and_edges_without_effect(result: AnnData) -> None:
    table = st.get.lr_targets(result)
    n = int((table["score"] > 0).sum())
    assert 0 < n < len(table)
    title = st.pl.top_edges(result, "lr_targets").get_title().splitlines()
    assert title[:2] == [
        f"20 strongest of {n} ligand–receptor → target edges",
        f"with nonzero effect, of {len(table)} candidates",
    ]
    assert len(st.pl.top_edges(result, "lr_targets", top_n=None).patches) == n
    assert len(st.pl.top_edges(result, "lr_targets", top_n=10**6).patches) == n
    assert len(st.pl.top_edges(result).patches) == 20


def test_truth_marks_the_edges_in_it(result: AnnData) -> None:
    table = st.get.tf_targets(result).head(6)
    truth = table.iloc[[1, 3, 4]].assign(sign=lambda t: np.sign(t["effect"]) * [1, 1, -1])
    ax = st.pl.top_edges(result, "tf_targets", top_n=6, truth=truth)
    assert stars(ax) == {"true edge": [1, 3], "true edge, opposite sign": [4]}
    unsigned = st.pl.top_edges(result, "tf_targets", top_n=6, truth=truth[["tf", "target"]])
    assert stars(unsigned) == {"true edge": [1, 3, 4], "true edge, opposite sign": []}
    assert stars(st.pl.top_edges(result, "tf_targets", top_n=6)) == {}
    with pytest.raises(
        st.InvalidArgumentError, match="`truth` lacks the columns 'ligand', 'receptor'"
    ):
        st.pl.top_edges(result, truth=truth)


@pytest.mark.parametrize("kind", ["lr_targets", "tf_targets"])
@pytest.mark.parametrize("stage", [None, "body"])
def test_heatmap_is_the_pivot(result: AnnData, kind: str, stage: str | None) -> None:
    table = getattr(st.get, kind)(result, stage)
    table["regulator"] = (
        table["tf"] if kind == "tf_targets" else table["ligand"] + " → " + table["receptor"]
    )
    full = table.pivot(index="regulator", columns="target", values="effect")
    rows = np.sqrt((full**2).sum(axis=1)).nlargest(6).index
    columns = np.sqrt((full.loc[rows] ** 2).sum()).nlargest(8).index
    ax = st.pl.effect_heatmap(result, kind, top_regulators=6, top_targets=8, stage=stage)
    assert set(labels(ax.yaxis)) == set(rows)
    assert set(labels(ax.xaxis)) == set(columns)
    drawn = ax.images[0].get_array()
    np.testing.assert_allclose(drawn, full.loc[labels(ax.yaxis), labels(ax.xaxis)])
    low, high = ax.images[0].get_clim()
    assert -low == high == pytest.approx(np.abs(drawn).max())
    assert "SD of the target" in ax.figure.axes[-1].get_ylabel()


def test_heatmap_puts_similar_rows_next_to_each_other(result: AnnData) -> None:
    """Rows of two blocks, interleaved in the table, come apart."""
    from spatrace_sc.pl._effect_heatmap import _prepare

    pattern = {
        "a": ("g1", "g2", 1.0),
        "c": ("g1", "g2", 0.5),
        "b": ("g3", "g4", -1.0),
        "d": ("g3", "g4", -0.4),
    }
    table = pd.DataFrame(
        [
            (tf, g, v * w)
            for tf, (*genes, v) in pattern.items()
            for g, w in zip(genes, (1.0, 0.8), strict=True)
        ],
        columns=["regulator", "target", "effect"],
    )
    wide = _prepare(table, None, None)
    assert {frozenset(wide.index[:2]), frozenset(wide.index[2:])} == {
        frozenset("ac"),
        frozenset("bd"),
    }
    assert set(wide.columns[:2]) in ({"g1", "g2"}, {"g3", "g4"})
    assert _prepare(table, 1, 1).to_numpy().tolist() == [[1.0]]
    assert _prepare(table, 1, None).shape == (1, 2)


def test_heatmap_draws_all_when_asked(result: AnnData) -> None:
    table = st.get.lr_targets(result)
    table = table[table["score"] > 0]
    ax = st.pl.effect_heatmap(result, top_regulators=None, top_targets=None)
    pairs = table[["ligand", "receptor"]].drop_duplicates()
    assert ax.images[0].get_array().shape == (len(pairs), table["target"].nunique())


def test_history_is_the_table(result: AnnData) -> None:
    table = st.get.training_history(result)
    ax = st.pl.training_history(result)
    phases = list(dict.fromkeys(table["phase"]))
    assert [t.get_text() for t in ax.texts] == phases == ["attention", "gates"]
    curves = [line for line in ax.lines if len(line.get_xdata()) == 3]
    for k, phase in enumerate(phases):
        part = table[table["phase"] == phase]
        train, held_out = curves[2 * k : 2 * k + 2]
        np.testing.assert_allclose(train.get_ydata(), part["train"])
        np.testing.assert_allclose(held_out.get_ydata(), part["held_out"])
        np.testing.assert_allclose(np.diff(train.get_xdata()), np.diff(part["epoch"]))
    assert curves[2].get_xdata().min() > curves[0].get_xdata().max()
    rings = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    lowest = table.groupby("phase", sort=False)["held_out"].min()
    np.testing.assert_allclose([ring.get_ydata()[0] for ring in rings], lowest)
    assert all(
        ring.get_xdata()[0] in line.get_xdata()
        for ring, line in zip(rings, curves[1::2], strict=True)
    )


@pytest.mark.parametrize("stage", [None, "early"])
def test_communication_is_the_sum(result: AnnData, stage: str | None) -> None:
    table = st.get.communication(result, stage)
    expected = table.groupby(["sender", "receiver"])["score"].sum().unstack()
    ax = st.pl.communication(result, stage=stage)
    assert labels(ax.yaxis) == list(expected.index)
    assert labels(ax.xaxis) == list(expected.columns)
    np.testing.assert_allclose(ax.images[0].get_array(), expected)
    assert ax.images[0].get_clim() == pytest.approx((0, expected.to_numpy().max()))
    assert float(ax.texts[0].get_text()) == pytest.approx(expected.iloc[0, 0], rel=0.1)


def test_communication_of_some_pairs(result: AnnData) -> None:
    table = st.get.communication(result)
    table["pair"] = table["ligand"] + "^" + table["receptor"]
    top = table.groupby("pair")["score"].sum().nlargest(3).index
    ax = st.pl.communication(result, top_n=3)
    assert np.sum(ax.images[0].get_array()) == pytest.approx(
        table.loc[table["pair"].isin(top), "score"].sum()
    )
    one = st.pl.communication(result, pair=top[1])
    assert np.sum(one.images[0].get_array()) == pytest.approx(
        table.loc[table["pair"] == top[1], "score"].sum()
    )
    assert one.get_title().splitlines() == [
        top[1].replace("^", " → "),
        f"0 of {np.count_nonzero(one.images[0].get_array())} fields significant at q ≤ 0.1",
    ]


def test_communication_of_significant_rows(result: AnnData) -> None:
    adata = result.copy()
    table = adata.uns["spatrace"]["communication"]
    table["q_value"] = np.where(np.arange(len(table)) < 3, 0.05, 0.2)
    ax = st.pl.communication(adata, max_q=0.1)
    assert np.sum(ax.images[0].get_array()) == pytest.approx(table["score"][:3].sum())
    assert ax.get_title().splitlines()[0].endswith("with q ≤ 0.1")
    table["q_value"] = 1.0
    assert "No communication" in st.pl.communication(adata, max_q=0.1).texts[0].get_text()
    with pytest.raises(st.InvalidArgumentError, match="max_q"):
        st.pl.communication(adata, max_q=0)


CALLS = [
    (st.pl.top_edges, {"kind": "lr_targets"}),
    (st.pl.top_edges, {"kind": "tf_targets"}),
    (st.pl.top_edges, {"kind": "lr_pairs"}),
    (st.pl.effect_heatmap, {"kind": "lr_targets"}),
    (st.pl.effect_heatmap, {"kind": "tf_targets"}),
    (st.pl.training_history, {}),
    (st.pl.communication, {}),
]


@pytest.mark.parametrize(("draw", "arguments"), CALLS)
def test_given_axes_are_used_and_returned(result: AnnData, draw, arguments: dict) -> None:
    figure, ax = plt.subplots()
    assert draw(result, **arguments, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert isinstance(draw(result, **arguments), plt.Axes)
    part = plt.figure(figsize=(12, 5), layout="constrained").subfigures(1, 2)[0].subplots()
    assert draw(result, **arguments, ax=part) is part


@pytest.mark.parametrize(("draw", "arguments"), CALLS)
def test_an_empty_figure_has_a_note(
    silent: AnnData, draw, arguments: dict, caplog: pytest.LogCaptureFixture
) -> None:
    ax = draw(silent, **arguments)
    assert ax.texts[0].get_text().startswith("No")
    assert ax.texts[0].get_text() in caplog.text
    assert not ax.images
    assert not ax.patches


@pytest.mark.parametrize(("draw", "arguments"), CALLS)
def test_without_a_result(draw, arguments: dict) -> None:
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        draw(AnnData(np.ones((3, 2), dtype=np.float32)), **arguments)


@pytest.mark.parametrize(
    ("draw", "arguments", "text"),
    [
        (st.pl.top_edges, {"kind": "lr_target"}, "Did you mean 'lr_targets'"),
        (st.pl.top_edges, {"stage": "erly"}, "Did you mean 'early'"),
        (st.pl.top_edges, {"top_n": 0}, "`top_n`"),
        (st.pl.top_edges, {"top_n": 2.5}, "`top_n`"),
        (st.pl.effect_heatmap, {"kind": "lr_pairs"}, "'tf_targets', 'lr_targets'"),
        (st.pl.effect_heatmap, {"stage": "no"}, "'early', 'body', 'adult'"),
        (st.pl.effect_heatmap, {"top_regulators": -1}, "`top_regulators`"),
        (st.pl.effect_heatmap, {"top_targets": True}, "`top_targets`"),
        (st.pl.communication, {"stage": "no"}, "'early', 'body', 'adult'"),
        (st.pl.communication, {"pair": "LIG^REC"}, "pairs of the communication table"),
        (st.pl.communication, {"pair": "LIG^REC", "top_n": 3}, "exclude each other"),
    ],
)
def test_arguments_are_checked(result: AnnData, draw, arguments: dict, text: str) -> None:
    with pytest.raises(st.InvalidArgumentError, match=text):
        draw(result, **arguments)
    assert not plt.get_fignums()


def test_labels_do_not_run_into_each_other(result: AnnData) -> None:
    """Also where there is little room: drawn labels of an axis never overlap."""
    figure, ax = plt.subplots(figsize=(3, 2), layout="constrained")
    st.pl.effect_heatmap(result, top_regulators=None, top_targets=None, ax=ax)
    figure.canvas.draw()
    for axis, side in ((ax.xaxis, "x"), (ax.yaxis, "y")):
        boxes = [t.get_window_extent() for t in axis.get_ticklabels()]
        assert len(boxes) > 1
        edges = sorted((getattr(b, f"{side}0"), getattr(b, f"{side}1")) for b in boxes)
        assert all(a[1] <= b[0] + 1 for a, b in pairwise(edges))


def test_nothing_is_changed(result: AnnData) -> None:
    before = {k: v.copy() if hasattr(v, "copy") else v for k, v in result.uns["spatrace"].items()}
    for draw, arguments in CALLS:
        draw(result, **arguments)
    for name in ("lr_targets", "tf_targets", "lr_pairs", "communication", "history"):
        pd.testing.assert_frame_equal(result.uns["spatrace"][name], before[name])


@pytest.mark.parametrize(
    ("draw", "former", "kind"),
    [
        (st.pl.effect_heatmap, "lr", "lr_targets"),
        (st.pl.effect_heatmap, "tf", "tf_targets"),
        (st.pl.spatial, "pairs", "lr_pairs"),
    ],
)
def test_former_spellings_give_a_warning(result: AnnData, draw, former: str, kind: str) -> None:
    with pytest.warns(FutureWarning, match=f"`kind='{former}'` is now spelled '{kind}'"):
        former_axes = np.ravel(draw(result, kind=former))[0]
    axes = np.ravel(draw(result, kind=kind))[0]
    assert former_axes.get_title() == axes.get_title()
    assert former_axes.figure.axes[-1].get_ylabel() == axes.figure.axes[-1].get_ylabel()
