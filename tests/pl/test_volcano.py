from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgba

import spatrace_sc as st
from spatrace_sc.pl import _volcano
from spatrace_sc.pl._drawing.significance import SIGNIFICANT

UP, DOWN = to_rgba("#D55E00", 0.6), to_rgba("#0072B2", 0.6)


def made_up(n: int, n_significant: int, length: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    effect = rng.normal(size=n)
    effect = effect[np.argsort(-np.abs(effect))]
    q = np.where(np.arange(n) < n_significant, 0.01 + 0.001 * np.arange(n), 0.5)
    return pd.DataFrame(
        {
            "tf": [f"TF{k:0{length - 2}d}" for k in range(n)],
            "target": [f"TG{k:0{length - 2}d}" for k in range(n)],
            "effect": effect,
            "score": np.abs(effect),
            "p_value": q / 2,
            "q_value": q,
        }
    )


@pytest.fixture
def draw(monkeypatch):
    """Draw a table of TF edges that was made up."""
    monkeypatch.setattr(_volcano, "at_stage", lambda *_: "")

    def volcano(table: pd.DataFrame, **arguments):
        monkeypatch.setattr(st.get, "tf_targets", lambda *_, **__: table)
        return st.pl.volcano(AnnData(), **arguments)

    return volcano


def rings(ax):
    return next(c for c in ax.collections if c.get_gid() == SIGNIFICANT)


@pytest.mark.parametrize(("height", "name"), [("q_value", "q"), ("p_value", "p")])
def test_dots_are_the_table_and_rings_the_significant_rows(draw, height: str, name: str) -> None:
    table = made_up(50, 4)
    ax = draw(table, height=height)
    expected = np.stack([table["effect"], -np.log10(table[height])], axis=1)
    np.testing.assert_allclose(ax.collections[0].get_offsets(), expected)
    np.testing.assert_allclose(rings(ax).get_offsets(), expected[:4])
    for colour, effect in zip(ax.collections[0].get_facecolors(), table["effect"], strict=True):
        np.testing.assert_allclose(colour, UP if effect > 0 else DOWN)
    assert ax.get_ylabel() == f"−log10 {name}"
    first, second = ax.get_title().splitlines()
    assert first == "50 TF → target edges"
    assert second == "4 of 50 significant at q ≤ 0.1 (ring)"
    assert {t.get_text() for t in ax.texts} == {f"TF{k:04d} → TG{k:04d}" for k in range(4)}


def test_the_strongest_significant_edges_are_named(draw) -> None:
    ax = draw(made_up(30, 9), top_n=2)
    assert sorted(t.get_text() for t in ax.texts) == ["TF0000 → TG0000", "TF0001 → TG0001"]
    assert not draw(made_up(30, 9), top_n=0).texts


def test_names_stand_above_the_dots_and_apart(draw) -> None:
    for given in (None, plt.subplots(figsize=(3.35, 3), layout="constrained")[1]):
        ax = draw(made_up(400, 40), top_n=30, ax=given)
        ax.figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts]
        # the extent of an annotation holds its line: its text is the row
        rows = sorted((t.get_ha(), round(t.xyann[1], 6)) for t in ax.texts)
        assert len(rows) == len(set(rows)) == len(boxes)
        assert 4 <= len(boxes) < 30
        highest = ax.collections[0].get_offsets()[:, 1].max()
        assert min(t.xyann[1] for t in ax.texts) > highest
        scale = ax.get_window_extent().height / np.ptp(ax.get_ylim()) * 72 / ax.figure.dpi
        step = np.diff(sorted({round(t.xyann[1], 6) for t in ax.texts})) * scale
        assert step.min() > 7
        for text in ax.texts:
            assert (text.get_ha() == "right") == (text.xy[0] > np.mean(ax.get_xlim()))


def test_a_q_of_0_is_as_high_as_the_smallest_above_it(draw) -> None:
    table = made_up(5, 3)
    table["q_value"] = [0.0, 0.01, 0.05, 1.0, 1.0]
    heights = draw(table).collections[0].get_offsets()[:, 1]
    np.testing.assert_allclose(heights, [2, 2, -np.log10(0.05), 0, 0], atol=1e-12)


def test_many_edges_are_an_image_in_vector_files(draw) -> None:
    assert draw(made_up(12_000, 5)).collections[0].get_rasterized()
    assert not draw(made_up(30, 5)).collections[0].get_rasterized()


def test_long_names_are_shortened(draw) -> None:
    ax = draw(made_up(10, 1, length=40))
    (text,) = ax.texts
    assert "…" in text.get_text()
    assert len(text.get_text()) <= 27


def test_nothing_significant_and_nothing_at_all(draw) -> None:
    ax = draw(made_up(10, 0))
    assert ax.get_title().endswith("none significant at q ≤ 0.1")
    assert len(rings(ax).get_offsets()) == 0
    assert not ax.texts
    ax = draw(made_up(10, 0).iloc[:0])
    assert ax.texts[0].get_text() == "No TF → target edges"


@pytest.mark.parametrize("kind", ["tf_targets", "lr_targets", "lr_pairs"])
def test_of_a_result(result: AnnData, kind: str) -> None:
    figure, ax = plt.subplots()
    assert st.pl.volcano(result, kind, stage="body", ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    table = getattr(st.get, kind)(result, "body")
    x = table["effect" if kind != "lr_pairs" else "score"]
    np.testing.assert_allclose(ax.collections[0].get_offsets()[:, 0], x)
    assert "stage body" in ax.get_title()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": "tf_target"}, "Did you mean 'tf_targets'"),
        ({"height": "q"}, "`height` must be one of 'q_value', 'p_value'"),
        ({"top_n": -1}, "`top_n`"),
        ({"stage": "erly"}, "Did you mean 'early'"),
    ],
)
def test_arguments_are_checked(result: AnnData, arguments: dict, text: str) -> None:
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.pl.volcano(result, **arguments)
    assert not plt.get_fignums()
