"""Figures as pictures: what is on the page is where the table says.

Each test also shows that a mirrored, turned or missing panel would be found.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _picture import (
    GREY,
    LETTER,
    TOLERANCE,
    assert_like,
    blocks,
    brightness,
    distance,
    draw,
    in_the_letter,
    inside,
    raster,
)
from _type_table import read_instead, type_table
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

import spatrace_sc as st

#: Rows and columns of the small pictures of maps.
SHAPE = (12, 8)


@pytest.fixture(scope="module")
def letters(result: AnnData) -> AnnData:
    """The result with the cells of every slice in a letter, and activity from left to right."""
    adata = result.copy()
    position = np.array(adata.obsm["spatial"], dtype=float)
    for seed, name in enumerate(adata.obs["sample"].unique()):
        cells = (adata.obs["sample"] == name).to_numpy()
        position[cells] = in_the_letter(int(cells.sum()), seed)
    adata.obsm["spatial"] = position
    slot = np.array(adata.obsm["spatrace_activity"], dtype=float)
    slot[:, 0] = np.where(np.isfinite(slot[:, 0]), position[:, 0] + 0.5 * position[:, 1], np.nan)
    adata.obsm["spatrace_activity"] = slot
    return adata


def panel_limits(xy: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits of a panel: the slice around its centre, 4 % wider."""
    middle, half = (xy.min(axis=0) + xy.max(axis=0)) / 2, 0.52 * np.ptp(xy, axis=0)
    (left, top), (right, bottom) = middle - half, middle + half
    return (left, right), (top, bottom)


def slices(adata: AnnData) -> list[tuple[str, NDArray[np.bool_]]]:
    names = adata.obs["sample"].astype(str)
    order = [f"{stage}_slice{k}" for stage in ("early", "body", "adult") for k in (2, 10)]
    return [(name, (names == name).to_numpy()) for name in order]


def test_a_map_shows_every_slice(letters: AnnData) -> None:
    axes = st.pl.spatial(letters, cmap="gray", size=40.0)
    colours = draw(axes[0].figure)
    activity = st.get.activity(letters).X[:, 0]
    top = np.quantile(activity[np.isfinite(activity)], 0.99)
    grey = np.where(np.isfinite(activity), np.clip(activity / top, 0, 1), 0.867)
    for ax, (_, cells) in zip(axes, slices(letters), strict=True):
        xy = letters.obsm["spatial"][cells]
        picture = blocks(inside(colours, ax) @ GREY, SHAPE)
        assert_like(picture, raster(xy, grey[cells], panel_limits(xy), SHAPE))


def test_a_map_without_a_panel_is_found(letters: AnnData) -> None:
    axes = st.pl.spatial(letters)
    axes[3].set_visible(False)
    colours = draw(axes[0].figure)
    shown = [distance(blocks(inside(colours, ax) @ GREY, LETTER.shape), 1 - LETTER) for ax in axes]
    assert shown[3] > TOLERANCE
    assert max(shown[:3] + shown[4:]) <= TOLERANCE


def test_the_second_axis_can_point_upwards(letters: AnnData) -> None:
    axes = st.pl.spatial(letters, invert_y=False)
    picture = blocks(inside(draw(axes[0].figure), axes[0]) @ GREY, LETTER.shape)
    assert_like(picture, 1 - LETTER[::-1])


def test_arrows_of_a_flow_are_where_its_receivers_are(letters: AnnData) -> None:
    adata = letters.copy()
    receives = np.isfinite(st.get.activity(adata).X[:, 0])
    matrix = sparse.lil_matrix((adata.n_obs, adata.n_obs))
    for _, cells in slices(adata):
        index = np.flatnonzero(cells)
        for cell in index[receives[index]]:
            matrix[index[0], cell] = 1.0
    adata.obsp["spatrace_communication"] = matrix.tocsr()
    axes = st.pl.flow(adata, n_arrows=24)
    colours = draw(axes[0].figure, dpi=200)
    dark = [(inside(colours, ax) @ GREY < 0.3).astype(float) for ax in axes]
    ink = [np.minimum(blocks(d, LETTER.shape), 0.02) for d in dark]  # arrows differ in length
    assert_like(-np.mean(ink, axis=0), -LETTER)
    assert max(distance(-one, -LETTER) for one in ink) < 0.4


def test_cells_and_arrows_of_a_trajectory(letters: AnnData) -> None:
    n = 400
    xy = in_the_letter(n, 5)
    order = np.argsort(xy[:, 0], kind="stable")  # every cell goes to the next on the right
    matrix = sparse.csr_matrix((np.ones(n), (order, np.append(order[1:], order[-1]))), shape=(n, n))
    obs = pd.DataFrame({"time": xy[:, 0]}, index=[str(k) for k in range(n)])
    adata = AnnData(np.zeros((n, 1)), obs=obs, obsm={"X_umap": xy})
    adata.obsp["transitions"] = matrix
    reach = pd.DataFrame({"steps": [1], "cells": [1.0], "time_back": [1.0]})
    adata.uns["transitions"] = {"reach": reach}
    ax = st.pl.trajectory(adata, color="time", n_arrows=2, size=60.0)
    picture = blocks(inside(draw(ax.figure), ax) @ GREY, SHAPE)
    value = (xy[:, 0] - xy[:, 0].min()) / np.ptp(xy[:, 0])
    grey = 1 - 0.55 * (1 - brightness(value, "viridis"))
    limits = panel_limits(xy)
    expected = raster(xy, grey, (limits[0], limits[1][::-1]), SHAPE)  # upwards in an embedding
    assert_like(picture, expected)


def test_fields_of_communication_are_the_scores(monkeypatch) -> None:
    types = [f"type {k:02d}" for k in range(14)]  # too many for numbers in the fields
    table = type_table(types, 2).assign(q_value=1.0)
    weight = pd.Series(np.arange(1.0, 15.0) ** 2, index=types)
    table["score"] *= table["sender"].map(weight) * table["receiver"].map(weight[::-1].cumsum())
    ax = st.pl.communication(read_instead(monkeypatch, table))
    summed = table.pivot_table(index="sender", columns="receiver", values="score", aggfunc="sum")
    picture = blocks(inside(draw(ax.figure), ax) @ GREY, (14, 14))
    assert_like(picture, brightness(summed.to_numpy() / summed.to_numpy().max(), "viridis"))


def test_dots_of_a_dotplot_are_the_evidence(monkeypatch) -> None:
    types = ["a", "b", "c"]
    table = type_table(types, 6)
    table["q_value"] = np.where((table["sender"] == "a") & (table["receiver"] != "b"), 1e-3, 1.0)
    table["q_value"] = table["q_value"].mask(table["ligand"] < "LIG2", 1.0)
    ax = st.pl.dotplot(read_instead(monkeypatch, table), cmap="gray")
    labels = [
        [label.get_text() for label in axis.get_ticklabels()] for axis in (ax.yaxis, ax.xaxis)
    ]
    pair = table["ligand"] + " → " + table["receptor"]
    both = table["sender"] + " → " + table["receiver"]
    area = pd.DataFrame({"pair": pair, "both": both, "area": np.where(table["q_value"] < 1, 4, 1)})
    ink = area.pivot(index="pair", columns="both", values="area").loc[labels[0], labels[1]]
    not_white = (inside(draw(ax.figure, 200), ax).min(axis=-1) < 0.85).astype(float)
    picture = -blocks(not_white, ink.shape)
    assert distance(picture, -ink.to_numpy()) <= TOLERANCE
    for other in (picture[:, ::-1], picture[::-1], picture.T):
        assert distance(other, -ink.to_numpy()) > TOLERANCE


def test_fields_of_a_pair_heatmap_are_the_scores(result: AnnData) -> None:
    axes = np.ravel(st.pl.pair_heatmap(result))
    rows, columns = (
        [label.get_text() for label in axis.get_ticklabels()]
        for axis in (axes[0].yaxis, axes[0].xaxis)
    )
    table = st.get.lr_pairs(result).astype({"ligand": str, "receptor": str})
    scores = table.pivot(index="ligand", columns="receptor", values="score").loc[rows, columns]
    grey = brightness(scores.fillna(0.0).to_numpy() / scores.max(axis=None), "viridis")
    colours = draw(axes[0].figure)
    assert_like(blocks(inside(colours, axes[0]) @ GREY, grey.shape), grey)
    bars = (inside(colours, axes[1]).min(axis=-1) < 0.9).mean()
    assert bars > 0.1  # the panel of the strongest pairs is there
