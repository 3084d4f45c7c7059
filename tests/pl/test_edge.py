from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.collections import PathCollection

import spatrace_sc as st
from spatrace_sc.pl._drawing.significance import SIGNIFICANT


@pytest.fixture(scope="module")
def done(result: AnnData) -> AnnData:
    """The strongest TF edge, with its partial residuals."""
    edge = st.get.tf_targets(result).iloc[0]
    return st.tl.partial_residuals(result, edge["tf"], edge["target"], n_bins=5, copy=True)


def with_q(adata: AnnData, q: float) -> AnnData:
    changed = adata.copy()
    stored = changed.uns["spatrace"]
    changed.uns["spatrace"] = stored | {"tf_targets": stored["tf_targets"].assign(q_value=q)}
    return changed


def black(ax):
    """Black dots of all cells, and their error bars."""
    container = ax.containers[0]
    return container[0].get_xydata(), container[2][0].get_segments()


def test_black_dots_and_small_marks_are_the_table(done: AnnData) -> None:
    table = st.get.partial_residuals(done)
    axes = st.pl.edge(done)
    for ax, (against, part) in zip(axes, table.groupby("against", sort=False), strict=True):
        every = part["stage"].eq("") & part["sample"].eq("")
        dots, bars = black(ax)
        np.testing.assert_allclose(dots, part.loc[every, ["signal", "residual"]])
        half = [np.ptp(bar[:, 1]) / 2 for bar in bars]
        np.testing.assert_allclose(half, 2 * part.loc[every, "residual_se"].fillna(0))
        small = part[~every & (part["n_cells"] >= 10)]
        marks = [c for c in ax.collections if isinstance(c, PathCollection)]
        marks = [c for c in marks if c.get_gid() != SIGNIFICANT]
        drawn = np.concatenate([c.get_offsets() for c in marks])
        np.testing.assert_allclose(drawn, small[["signal", "residual"]])
        line = ax.lines[1]
        slope = np.diff(line.get_ydata())[0] / np.diff(line.get_xdata())[0]
        assert slope == pytest.approx(part["slope"].iloc[0])
        assert against in ax.get_xlabel()
    assert axes[0].get_ylim() == axes[1].get_ylim()
    colours = {tuple(c.get_facecolor()[0]) for c in marks}
    assert len(colours) == len(set(small["stage"])) > 1


def test_titles_are_the_row_of_the_edge(done: AnnData) -> None:
    row = st.get.tf_targets(done).iloc[0]
    title = st.pl.edge(with_q(done, 0.5))[0].get_title()
    assert title.startswith(f"{row['tf']} → {row['target']}\neffect {row['effect']:.2g}")
    assert f"stability {row['stability']:.2g}" in title
    assert "q = 0.5" in title
    assert "(ring)" not in title
    assert title.splitlines()[2] != ""
    code = np.full(len(done.uns["spatrace"]["tf_targets"]), 4)
    limited = with_q(done, 0.5)
    table = limited.uns["spatrace"]["tf_targets"].assign(limited_by=code)
    limited.uns["spatrace"] = limited.uns["spatrace"] | {"tf_targets": table}
    assert "limited by: weaker than decoys" in st.pl.edge(limited)[0].get_title()
    axes = st.pl.edge(with_q(done, 0.05))
    table = st.get.partial_residuals(done)
    other = table[table["against"] != row["tf"]].iloc[0]
    assert axes[1].get_title().startswith(f"{other['against']}\n{other['role']}")


def test_a_significant_edge_has_rings(done: AnnData) -> None:
    for q, n in ((0.05, 1), (0.5, 0)):
        axes = st.pl.edge(with_q(done, q))
        rings = [[c for c in ax.collections if c.get_gid() == SIGNIFICANT] for ax in axes]
        assert [len(r) for r in rings] == [n, 0]
        legend = [t.get_text() for t in axes[1].get_legend().get_texts()]
        assert ("significant edge (q ≤ 0.1)" in legend) == bool(n)
    dots, _ = black(st.pl.edge(with_q(done, 0.05))[0])
    ring = next(c for c in st.pl.edge(with_q(done, 0.05))[0].collections if c.get_gid())
    np.testing.assert_allclose(ring.get_offsets(), dots)


def test_without_a_rival_the_right_panel_has_a_note(done: AnnData) -> None:
    alone = done.copy()
    stored = alone.uns["spatrace"]
    table = stored["partial_residuals"]
    alone.uns["spatrace"] = stored | {"partial_residuals": table[table["role"] == "regulator"]}
    assert "No other regulator" in st.pl.edge(alone)[1].texts[0].get_text()


def test_given_axes_are_used_and_arguments_checked(done: AnnData, result: AnnData) -> None:
    figure, grid = plt.subplots(1, 2)
    assert list(st.pl.edge(done, ax=grid)) == list(grid)
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(st.InvalidArgumentError, match="1 axes, but there are 2 panels"):
        st.pl.edge(done, ax=grid[:1])
    with pytest.raises(st.InvalidArgumentError, match="is not stored"):
        st.pl.edge(done, "TF999", "TG999")
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.partial_residuals"):
        st.pl.edge(result)
