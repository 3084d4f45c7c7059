"""Transitions over an embedding."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.quiver import Quiver
from scipy import sparse

import spatrace_sc as st

SIDE = 12


def grid(way: tuple[int, int]) -> AnnData:
    """Cells on a square grid; each goes to its neighbour along ``way``, the last stay."""
    x, y = (c.ravel() for c in np.meshgrid(np.arange(SIDE), np.arange(SIDE)))
    n = len(x)
    end = [(a + way[0], b + way[1]) for a, b in zip(x, y, strict=True)]
    index = {place: k for k, place in enumerate(zip(x, y, strict=True))}
    target = [index.get(e, k) for k, e in enumerate(end)]
    matrix = sparse.csr_matrix((np.ones(n), (np.arange(n), target)), shape=(n, n))
    obs = pd.DataFrame(index=[f"c{k}" for k in range(n)])
    obs["type"] = pd.Categorical(np.where(x < SIDE / 2, "early cell", "late cell"))
    obs["slice"] = np.where(y < SIDE / 2, "s1", "s2")
    position = np.column_stack([x, y]).astype(float)
    adata = AnnData(np.zeros((n, 1)), obs=obs, obsm={"X_umap": position, "spatial": position})
    adata.obsp["transitions"] = matrix
    reach = pd.DataFrame({"steps": [1], "cells": [1.0], "time_back": [1.0]})
    adata.uns["transitions"] = {"reach": reach}
    return adata


def arrows(ax) -> np.ndarray:
    quiver = next(c for c in ax.collections if isinstance(c, Quiver))
    return np.column_stack([quiver.U, quiver.V])


@pytest.mark.parametrize("way", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_arrows_are_the_displacements(way: tuple[int, int]) -> None:
    ax = st.pl.trajectory(grid(way))
    np.testing.assert_allclose(arrows(ax), np.tile(way, (len(arrows(ax)), 1)), atol=1e-12)
    assert len(arrows(ax)) > 50
    assert not ax.yaxis_inverted()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("umap 1", "umap 2")


def test_a_cell_that_stays_has_no_displacement() -> None:
    adata = grid((1, 0))
    adata.obsp["transitions"] = sparse.identity(adata.n_obs, format="csr")
    ax = st.pl.trajectory(adata)
    assert "No transition of 'transitions'" in ax.texts[0].get_text()


def test_expected_successor_is_weighted() -> None:
    adata = grid((1, 0))
    n = adata.n_obs
    far = sparse.csr_matrix((np.ones(n), (np.arange(n), (np.arange(n) + SIDE) % n)), shape=(n, n))
    adata.obsp["transitions"] = 0.25 * grid((1, 0)).obsp["transitions"] + 0.75 * far
    adata = adata[adata.obsm["X_umap"][:, 1] < SIDE - 1].copy()  # without those that wrap around
    uv = arrows(st.pl.trajectory(adata, n_arrows=4))
    np.testing.assert_allclose(uv[len(uv) // 2], [0.25, 0.75], atol=0.1)


def test_streamlines() -> None:
    ax = st.pl.trajectory(grid((-1, 0)), style="stream")
    lines = next(c for c in ax.collections if isinstance(c, LineCollection))
    assert all(segment[-1, 0] <= segment[0, 0] for segment in lines.get_segments())


def test_over_tissue_y_points_down_and_slices_have_panels() -> None:
    axes = st.pl.trajectory(grid((1, 0)), "spatial", sample_key="slice")
    assert [ax.get_title() for ax in axes] == ["s1", "s2"]
    assert all(ax.yaxis_inverted() for ax in axes)
    assert all((arrows(ax)[:, 0] > 0).all() for ax in axes)
    title = axes[0].figure.get_suptitle().replace("\n", " ")
    assert "100% of the transitions stay within their slice" in title
    assert "b = 0.00" in title
    across = st.pl.trajectory(grid((0, 1)), "spatial", sample_key="slice")
    assert "91% of" in across[0].figure.get_suptitle()


def test_the_pull_to_the_middle_is_removed() -> None:
    adata = grid((1, 0))
    n = adata.n_obs
    adata.obsp["transitions"] = sparse.csr_matrix(np.full((n, n), 1 / n))
    adata.obs["slice"] = "s1"
    figure = st.pl.trajectory(adata, "spatial", sample_key="slice").figure
    assert "b = 1.00" in figure.get_suptitle().replace("\n", " ")
    uv = (
        arrows(figure.axes[0])
        if any(isinstance(c, Quiver) for c in figure.axes[0].collections)
        else np.zeros((1, 2))
    )
    assert np.abs(uv).max() < 0.1


def test_colours() -> None:
    adata = grid((1, 0))
    adata.uns["type_colors"] = ["#112233", "#445566"]
    ax = st.pl.trajectory(adata, color="type")
    cells = ax.collections[0].get_facecolors()[:, :3]
    assert {tuple(c) for c in cells} == {to_rgba("#112233")[:3], to_rgba("#445566")[:3]}
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == ["early cell", "late cell"]
    adata.obs["dpt_pseudotime"] = np.arange(adata.n_obs, dtype=float)
    figure = st.pl.trajectory(adata).figure
    assert figure.axes[1].get_ylabel() == "dpt_pseudotime"
    assert figure.axes[1].get_ylim() == (0, adata.n_obs - 1)


def test_many_long_categories_fit() -> None:
    adata = grid((1, 0))
    names = [f"a very long name of a cell type number {k % 40}" for k in range(adata.n_obs)]
    adata.obs["type"] = pd.Categorical(names)
    ax = st.pl.trajectory(adata, color="type")
    ax.figure.draw_without_rendering()
    box = ax.get_legend().get_window_extent()
    assert box.height <= ax.figure.bbox.height
    assert len(ax.get_legend().get_texts()) == 40


def test_other_cells_are_left_out_of_an_embedding() -> None:
    adata = grid((1, 0))
    keep = np.arange(adata.n_obs) >= SIDE
    adata.obsp["transitions"] = sparse.diags(keep.astype(float)) @ adata.obsp["transitions"]
    adata.obs["own"] = np.where(keep, "drawn", "left out")
    ax = st.pl.trajectory(adata, color="own")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["drawn"]
    assert len(ax.collections[0].get_offsets()) == keep.sum()


def test_unknown_names() -> None:
    adata = grid((1, 0))
    with pytest.raises(st.MissingKeyError, match=r"sc\.pp\.pca"):
        st.pl.trajectory(adata, "pca")
    with pytest.raises(st.MissingKeyError, match="Did you mean 'X_umap'"):
        st.pl.trajectory(adata, "X_umapp")
    with pytest.raises(st.MissingKeyError, match=r"color='typ'.*Did you mean 'type'"):
        st.pl.trajectory(adata, color="typ")
    with pytest.raises(st.MissingKeyError, match="transitions are stored under 'transitions'"):
        st.pl.trajectory(adata, key="other")
    with pytest.raises(st.InvalidArgumentError, match="style"):
        st.pl.trajectory(adata, style="line")
    with pytest.raises(st.InvalidArgumentError, match="invert_y"):
        st.pl.trajectory(adata, invert_y="no")


def test_given_axes() -> None:
    _, given = plt.subplots()
    assert st.pl.trajectory(grid((1, 0)), ax=given) is given
    assert given.figure.get_suptitle() == ""
