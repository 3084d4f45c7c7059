"""The heatmap of attention with the dots of silencing effects."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgba

import spatrace_sc as st
from spatrace_sc.pl._drawing.labels import elided

UP, DOWN = to_rgba("#D55E00"), to_rgba("#0072B2")


def labels(axis) -> list[str]:
    return [t.get_text() for t in axis.get_ticklabels()]


def made_up(n_tfs: int, n_targets: int, seed: int = 0) -> pd.DataFrame:
    """A table as the reader returns it; effects have both signs."""
    random = np.random.default_rng(seed)
    share = random.dirichlet(np.ones(n_tfs + 1), n_targets).T[:-1]
    effect = share * random.choice([-1.0, 1.0], share.shape)
    table = pd.DataFrame(
        {
            "tf": np.repeat([f"TF{k:037d}" for k in range(n_tfs)], n_targets),
            "target": np.tile([f"G{k:039d}" for k in range(n_targets)], n_tfs),
            "attention": share.ravel(),
            "silencing_effect": effect.ravel(),
        }
    )
    return table.sort_values("attention", ascending=False, ignore_index=True)


def reading(monkeypatch, table: pd.DataFrame) -> None:
    monkeypatch.setattr(st.get, "attention", lambda *args, **options: table)


@pytest.mark.parametrize("group", [{}, {"stage": "body"}, {"cell_type": "receiver_0"}])
def test_it_is_the_table(result: AnnData, group: dict[str, str]) -> None:
    table = st.get.attention(result, **group)
    wide = table.pivot(index="tf", columns="target", values="attention")
    rows = list(wide.max(axis=1).nlargest(3).index)
    columns = set(wide.loc[rows].max().nlargest(5).index)
    ax = st.pl.attention(result, top_regulators=3, top_targets=5, **group)
    assert labels(ax.yaxis) == rows
    assert set(labels(ax.xaxis)) == columns
    drawn = np.asarray(ax.images[0].get_array())
    np.testing.assert_allclose(drawn, wide.loc[rows, labels(ax.xaxis)])
    assert ax.images[0].get_clim() == pytest.approx((0, drawn.max()))
    title, caveat, *_ = ax.get_title().splitlines()
    assert title.startswith(f"Attention of 5 of 20 targets to 3 of {len(wide)} TFs")
    assert title.endswith(
        ", ".join(["TFs", *(f"{k} {v}" for k, v in group.items())]).replace("_", " ", 1)
    )
    assert "not what acts" in caveat


def test_targets_stand_in_the_order_of_the_tf_that_they_attend_to_most(monkeypatch) -> None:
    reading(monkeypatch, made_up(6, 30))
    ax = st.pl.attention(AnnData(), top_regulators=None, top_targets=None)
    share = np.asarray(ax.images[0].get_array())
    assert share.shape == (6, 30)
    main = share.argmax(axis=0)
    assert (np.diff(main) >= 0).all()
    assert (np.diff(share.max(axis=1)) <= 0).all()
    assert all((np.diff(share[tf, main == tf]) <= 0).all() for tf in range(6))


def test_dots_are_the_effects(monkeypatch) -> None:
    table = made_up(4, 6)
    table.loc[table.index[0], "silencing_effect"] = 0.0
    reading(monkeypatch, table)
    ax = st.pl.attention(AnnData())
    wide = table.pivot(index="tf", columns="target", values="silencing_effect")
    wide = wide.rename(index=elided, columns=elided)
    wide = wide.loc[labels(ax.yaxis), labels(ax.xaxis)].to_numpy()
    dots = ax.collections[0]
    column, row = np.asarray(dots.get_offsets()).T.astype(int)
    assert len(row) == 4 * 6 - 1
    assert (wide[row, column] != 0).all()
    size = np.abs(wide[row, column])
    np.testing.assert_allclose(dots.get_sizes() / dots.get_sizes().max(), size / size.max())
    raised = wide[row, column] > 0
    assert raised.any()
    assert not raised.all()
    for colour, up in zip(dots.get_facecolors(), raised, strict=True):
        np.testing.assert_allclose(colour, UP if up else DOWN)
    legend = ax.images[0].colorbar.ax.get_legend()
    words = [text.get_text() for text in legend.get_texts()]
    assert words == [
        "the TF raises the target",
        "the TF lowers the target",
        f"{size.max():.2g}",
        f"{size.max() / 4:.2g}",
    ]
    shown = [handle.get_markersize() ** 2 for handle in legend.legend_handles[2:]]
    np.testing.assert_allclose(shown, dots.get_sizes().max() * np.array([1, 0.25]))


@pytest.mark.parametrize(("n_tfs", "n_targets"), [(1, 1), (1, 9), (3, 6), (40, 60)])
def test_dots_fit_into_their_fields(monkeypatch, n_tfs: int, n_targets: int) -> None:
    """Also beside names of forty characters, and in small axes."""
    reading(monkeypatch, made_up(n_tfs, n_targets))
    for given in (None, plt.subplots(figsize=(9, 6), layout="constrained")[1]):
        ax = st.pl.attention(AnnData(), top_regulators=None, top_targets=None, ax=given)
        ax.figure.draw_without_rendering()
        box = ax.get_window_extent()
        field = 72 / ax.figure.dpi * min(box.width / n_targets, box.height / n_tfs)
        diameter = np.sqrt(ax.collections[0].get_sizes().max())
        assert 0 < diameter < field
        if given is None:
            assert field > 10
        legend = ax.images[0].colorbar.ax.get_legend().get_window_extent()
        assert legend.x0 >= ax.images[0].colorbar.ax.get_window_extent().x1
        assert legend.x1 <= ax.figure.bbox.x1
        title = ax.title.get_window_extent()
        assert title.x0 >= 0
        assert title.x1 <= ax.figure.bbox.x1


def test_without_silencing_effects_the_title_says_so(monkeypatch) -> None:
    reading(monkeypatch, made_up(3, 6).assign(silencing_effect=np.nan))
    ax = st.pl.attention(AnnData())
    assert (
        ax.get_title().splitlines()[2]
        == "Silencing effects were not computed: count noise is too large"
    )
    assert not ax.collections
    assert ax.images[0].colorbar.ax.get_legend() is None
    reading(monkeypatch, made_up(3, 6))
    assert len(st.pl.attention(AnnData()).get_title().splitlines()) == 2


def test_pairs_are_drawn_as_tfs_are(result: AnnData) -> None:
    """Rows, fields, dots, titles and legends are those of the pairs."""
    table = st.get.attention(result, kind="lr_targets")
    table["pair"] = table["ligand"].astype(str) + "^" + table["receptor"].astype(str)
    wide, effect = (
        table.pivot(index="pair", columns="target", values=column)
        for column in ("attention", "silencing_effect")
    )
    ax = st.pl.attention(result, "lr_targets", top_regulators=2, top_targets=7)
    rows, columns = labels(ax.yaxis), labels(ax.xaxis)
    assert rows == list(wide.max(axis=1).nlargest(2).index)
    assert ax.get_ylabel() == "pair"
    np.testing.assert_allclose(np.asarray(ax.images[0].get_array()), wide.loc[rows, columns])
    assert ax.get_title().startswith(f"Attention of 7 of 20 targets to 2 of {len(wide)} pairs")
    shown = effect.loc[rows, columns].to_numpy()
    column, row = np.asarray(ax.collections[0].get_offsets()).T.astype(int)
    assert len(row) == np.count_nonzero(shown)
    assert (shown[row, column] != 0).all()
    legend = ax.images[0].colorbar.ax.get_legend()
    assert "the pair is silenced" in legend.get_title().get_text()
    assert legend.get_texts()[0].get_text() == "the pair raises the target"


def test_without_a_kept_pair_the_figure_says_why(monkeypatch, caplog) -> None:
    columns = ["ligand", "receptor", "target", "attention", "silencing_effect"]
    reading(monkeypatch, pd.DataFrame(columns=columns))
    ax = st.pl.attention(AnnData(), "lr_targets", cell_type="B")
    assert "No target attends to a pair, cell type B" in ax.texts[0].get_text()
    assert "the sparse fit keeps no ligand–receptor pair" in ax.texts[0].get_text()
    assert not ax.images
    assert "the sparse fit keeps no" in caplog.text


def test_the_former_name_of_the_number_of_rows_still_works(monkeypatch) -> None:
    reading(monkeypatch, made_up(30, 6))
    for number, expected in ((4, 4), (None, 30)):
        with pytest.warns(FutureWarning, match="`top_tfs` is now named `top_regulators`"):
            ax = st.pl.attention(AnnData(), top_tfs=number)
        assert len(ax.images[0].get_array()) == expected
    with (
        pytest.warns(FutureWarning),
        pytest.raises(st.InvalidArgumentError, match="`top_tfs`"),
    ):
        st.pl.attention(AnnData(), top_tfs=0)


def test_a_table_without_rows_has_a_note(monkeypatch, caplog) -> None:
    reading(monkeypatch, made_up(3, 6).iloc[:0])
    ax = st.pl.attention(AnnData())
    assert ax.texts[0].get_text() == "No target attends to a TF"
    assert not ax.images
    assert "No target attends" in caplog.text


def test_shades_grow_with_the_attention_and_stay_light(result: AnnData) -> None:
    shades = st.pl.attention(result).images[0].cmap(np.linspace(0, 1, 50))[:, :3].mean(axis=1)
    assert (np.diff(shades) <= 0).all()
    assert shades[0] > 0.95
    assert shades[-1] > 0.35
    colours = st.pl.attention(result, cmap="viridis_r").images[0].cmap(0.0)
    np.testing.assert_allclose(colours, plt.get_cmap("viridis_r")(0.0))


def test_given_axes_are_used_and_nothing_is_changed(result: AnnData) -> None:
    before = st.get.attention(result)
    figure, ax = plt.subplots()
    assert st.pl.attention(result, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    pd.testing.assert_frame_equal(st.get.attention(result), before)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"top_regulators": 0}, "`top_regulators`"),
        ({"kind": "lr_pairs"}, "`kind` must be one of"),
        ({"top_targets": 2.5}, "`top_targets`"),
        ({"stage": "erly"}, "Did you mean 'early'"),
        ({"cell_type": "sender_0"}, "`cell_type='sender_0'` has no attention"),
        ({"stage": "early", "cell_type": "receiver_0"}, "not both"),
    ],
)
def test_arguments_are_checked(result: AnnData, arguments: dict, text: str) -> None:
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.pl.attention(result, **arguments)
    assert not plt.get_fignums()


def test_without_a_result() -> None:
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.pl.attention(AnnData(np.ones((3, 2), dtype=np.float32)))
