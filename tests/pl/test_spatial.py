from __future__ import annotations

import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
from _helpers import MIXED_STAGES, OTHER_CELLS
from anndata import AnnData

import spatrace_sc as st

ORDER = [
    "early_slice2",
    "early_slice10",
    "body_slice2",
    "body_slice10",
    "adult_slice2",
    "adult_slice10",
]


def points(ax) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the cells that do not receive, and of those that do."""
    grey, coloured = ax.collections[:2]
    return np.asarray(grey.get_offsets()), np.asarray(coloured.get_offsets())


def test_one_panel_per_slice_in_order_of_time(result: AnnData) -> None:
    axes = st.pl.spatial(result, sample_key="sample", stage_key="stage")
    assert [ax.get_title() for ax in axes] == ORDER
    assert len(axes[0].figure.axes) == 7  # six panels and one colour bar


def test_every_cell_is_drawn_once_with_its_activity(result: AnnData) -> None:
    table = st.get.activity(result)
    pair = table.var_names[1]
    axes = st.pl.spatial(result, pair, sample_key="sample", stage_key="stage")
    for ax, name in zip(axes, ORDER, strict=True):
        mask = (result.obs["sample"] == name).to_numpy()
        value, xy = table[mask, pair].X.ravel(), result.obsm["spatial"][mask]
        centred = xy - (xy.min(axis=0) + xy.max(axis=0)) / 2
        grey, coloured = points(ax)
        np.testing.assert_allclose(grey, centred[np.isnan(value)])
        order = np.argsort(value[~np.isnan(value)], kind="stable")
        np.testing.assert_allclose(coloured, centred[~np.isnan(value)][order])
        np.testing.assert_allclose(ax.collections[1].get_array(), value[~np.isnan(value)][order])
        assert ax.collections[0].get_zorder() < ax.collections[1].get_zorder()


def test_colours_and_coordinates_have_one_scale(result: AnnData) -> None:
    axes = st.pl.spatial(result, sample_key="sample", stage_key="stage")
    assert len({ax.collections[1].get_clim() for ax in axes}) == 1
    value = st.get.activity(result).X[:, 0]
    assert axes[0].collections[1].get_clim() == pytest.approx(
        (0, np.quantile(value[np.isfinite(value)], 0.99))
    )
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1
    widest = max(
        np.ptp(result.obsm["spatial"][(result.obs["sample"] == name).to_numpy(), 0])
        for name in ORDER
    )
    assert axes[0].get_xlim() == pytest.approx((-0.52 * widest, 0.52 * widest))
    assert all(
        ax.get_aspect() == 1 and not len(ax.get_xticks()) and not len(ax.get_yticks())
        for ax in axes
    )
    fixed = st.pl.spatial(result, sample_key="sample", stage_key="stage", vmax=3.0)
    assert fixed[2].collections[1].get_clim() == (0, 3)


def test_units_are_stated(result: AnnData) -> None:
    axes = st.pl.spatial(result, sample_key="sample", stage_key="stage")
    name = st.get.activity(result).var_names[0].replace("^", " → ")
    assert name in axes[0].figure.get_suptitle()
    assert name not in axes[0].figure.axes[-1].get_ylabel()
    assert "SD" in axes[0].figure.axes[-1].get_ylabel()
    bar = next(a for a in axes[0].artists if hasattr(a, "size_bar"))
    length = bar.size_bar.get_children()[0].get_width()
    assert bar.txt_label.get_text() == f"{length:g} units of 'spatial'"
    assert 0.1 * np.ptp(axes[0].get_xlim()) < length < np.ptp(axes[0].get_xlim())
    assert axes[-1].get_legend().get_texts()[0].get_text() == "not a receiver"


def test_a_panel_per_stage_without_slices(result: AnnData) -> None:
    axes = st.pl.spatial(result, stage_key="stage")
    assert [ax.get_title() for ax in axes] == st.get.stages(result) == ["early", "body", "adult"]


def test_chosen_slices_keep_their_order(result: AnnData) -> None:
    axes = st.pl.spatial(
        result,
        sample_key="sample",
        stage_key="stage",
        sample=["adult_slice2", "early_slice10"],
        ncols=1,
    )
    assert [ax.get_title() for ax in axes] == ["early_slice10", "adult_slice2"]
    assert axes[0].get_subplotspec().get_gridspec().ncols == 1
    lone = st.pl.spatial(result, sample_key="sample", sample="body_slice2")
    assert lone.get_title() == "body_slice2"


def test_without_columns_one_panel_and_a_warning(
    result: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    titles = [ax.get_title() for ax in st.pl.spatial(result)]
    assert titles == [
        ax.get_title() for ax in st.pl.spatial(result, sample_key="sample", stage_key="stage")
    ]
    without_keys = result.copy()
    without_keys.uns["spatrace"]["params"] |= {"sample_key": "", "stage_key": ""}
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        ax = st.pl.spatial(without_keys)
    with pytest.raises(st.InvalidArgumentError, match="needs `sample_key`"):
        st.pl.spatial(without_keys, sample="early_slice2")
    assert isinstance(ax, plt.Axes)
    assert sum(map(len, points(ax))) == result.n_obs
    assert "sample_key" in caplog.text
    assert ax.get_title() == "3 stages in one panel"


def test_given_axes_are_used(result: AnnData) -> None:
    figure, grid = plt.subplots(2, 3)
    axes = st.pl.spatial(result, sample_key="sample", stage_key="stage", ax=grid, size=4)
    assert list(axes) == list(grid.ravel())
    assert plt.get_fignums() == [figure.number]
    assert axes[0].collections[1].get_sizes() == 4
    with pytest.raises(st.InvalidArgumentError, match=r"2 axes.*6 panels"):
        st.pl.spatial(result, sample_key="sample", stage_key="stage", ax=grid.ravel()[:2])


def test_one_pair_by_two_names(result: AnnData) -> None:
    pair = st.get.activity(result).var_names[1]
    one = st.pl.spatial(result, pair, stage_key="stage")[0]
    two = st.pl.spatial(result, tuple(pair.split("^")), stage_key="stage")[0]
    np.testing.assert_array_equal(one.collections[1].get_array(), two.collections[1].get_array())


def test_an_unknown_pair_is_refused_with_the_nearest(result: AnnData) -> None:
    pair = str(st.get.activity(result).var_names[0])
    with pytest.raises(st.InvalidArgumentError, match=rf"Did you mean '{pair[:6]}\^"):
        st.pl.spatial(result, pair[:6] + "-" + pair[7:])
    with pytest.raises(st.InvalidArgumentError, match=rf"Did you mean '{pair[:6]}\^{pair[7:]}'"):
        st.pl.spatial(result, tuple(reversed(pair.split("^"))))


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"sample_key": "samples"},
            st.MissingKeyError,
            "sample_key='samples'.*Did you mean 'sample'",
        ),
        ({"stage_key": "no"}, st.MissingKeyError, "stage_key='no'"),
        ({"spatial_key": "umap"}, st.MissingKeyError, "spatial_key"),
        ({"key": "other"}, st.MissingKeyError, "pass it as `key`"),
        (
            {"sample_key": "sample", "sample": "early_slice3"},
            st.InvalidArgumentError,
            "Did you mean 'early_slice",
        ),
        ({"sample_key": "sample", "sample": []}, st.InvalidArgumentError, "empty"),
        ({"size": 0}, st.InvalidArgumentError, "size"),
        ({"ncols": 0}, st.InvalidArgumentError, "ncols"),
    ],
)
def test_arguments_are_checked(result: AnnData, arguments: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        st.pl.spatial(result, **arguments)


@pytest.mark.filterwarnings(OTHER_CELLS)
def test_a_map_without_activity_has_a_note(
    silent: AnnData, one_slice: AnnData, caplog: pytest.LogCaptureFixture
) -> None:
    ax = st.pl.spatial(silent)
    assert "No ligand–receptor pair" in ax.texts[0].get_text()
    one_slice.obsm["spatrace_activity"][:] *= 0
    ax = st.pl.spatial(one_slice, sample_key="sample")
    assert ax.texts[0].get_text() == "not active in these cells"
    assert len(caplog.records) >= 2


def test_the_second_coordinate_points_down_as_in_images(result: AnnData) -> None:
    axes = st.pl.spatial(result, scale_bar=0.5)
    assert all(ax.yaxis_inverted() and not ax.xaxis_inverted() for ax in axes)
    assert not any(ax.yaxis_inverted() for ax in st.pl.spatial(result, invert_y=False))
    bar = next(a for a in axes[0].artists if hasattr(a, "size_bar"))
    length = bar.size_bar.get_children()[0].get_width()
    assert bar.txt_label.get_text() == f"{0.5 * length:g} µm"
    far = st.pl.spatial(result, scale_bar=1000.0)[0]
    bar = next(a for a in far.artists if hasattr(a, "size_bar"))
    assert bar.txt_label.get_text().endswith(" mm")
    with pytest.raises(st.InvalidArgumentError, match="invert_y"):
        st.pl.spatial(result, invert_y=1)
    with pytest.raises(st.InvalidArgumentError, match="scale_bar"):
        st.pl.spatial(result, scale_bar=0)


def test_the_former_name_draws_upwards_and_warns(result: AnnData) -> None:
    with pytest.warns(FutureWarning, match=r"now named `st\.pl\.spatial`"):
        axes = st.pl.activity_map(result, sample_key="sample", stage_key="stage")
    assert [ax.get_title() for ax in axes] == ORDER
    assert not axes[0].yaxis_inverted()


def test_a_map_of_a_target(result: AnnData) -> None:
    target = str(st.get.lr_targets(result)["target"].iloc[3])
    axes = st.pl.spatial(result, target, kind="targets")
    expression = np.asarray(result[:, target].X.todense()).ravel()
    for ax, name in zip(axes, ORDER, strict=True):
        mask = (result.obs["sample"] == name).to_numpy()
        drawn = np.asarray(ax.collections[1].get_array())
        np.testing.assert_allclose(drawn, np.sort(expression[mask]), rtol=1e-6)
    title = axes[0].figure.get_suptitle()
    assert title.startswith(f"{target}: ")
    assert "significant regulator" in title
    assert axes[-1].get_legend() is None
    with pytest.raises(st.InvalidArgumentError, match=rf"not a target.*Did you mean '{target[:3]}"):
        st.pl.spatial(result, target.lower(), kind="targets")


@pytest.mark.filterwarnings(MIXED_STAGES)
def test_fifteen_slices_fit_a_page(result: AnnData) -> None:
    adata = result.copy()
    part = np.random.default_rng(0).integers(0, 15, adata.n_obs)
    adata.obs["part"] = [f"a very long name of slice number {k:02d}" for k in part]
    axes = st.pl.spatial(adata, sample_key="part", kind="tfs")
    figure = axes[0].figure
    assert len(axes) == 15
    assert figure.get_figwidth() <= 7.2
    figure.draw_without_rendering()
    for ax in axes:
        assert ax.title.get_window_extent().width <= 1.1 * ax.get_window_extent().width
        assert "…" in ax.get_title()
    label = figure.axes[-1].yaxis.label.get_window_extent()
    assert label.height <= figure.bbox.height


@pytest.fixture
def in_space(result: AnnData) -> AnnData:
    """The result with a third coordinate."""
    adata = result.copy()
    height = np.random.default_rng(0).uniform(0, 50, adata.n_obs)
    adata.obsm["spatial"] = np.c_[adata.obsm["spatial"], height]
    return adata


def test_three_coordinates_in_space(in_space: AnnData) -> None:
    axes = st.pl.spatial(in_space, sample_key="sample", stage_key="stage", projection="3d")
    values = st.get.activity(in_space).X[:, 0]
    assert [ax.get_title() for ax in axes] == ORDER
    assert len({(ax.get_xlim(), ax.get_ylim(), ax.get_zlim()) for ax in axes}) == 1
    for ax, name in zip(axes, ORDER, strict=True):
        mask = (in_space.obs["sample"] == name).to_numpy()
        xyz, value = in_space.obsm["spatial"][mask], values[mask]
        centred = xyz - (xyz.min(axis=0) + xyz.max(axis=0)) / 2
        grey, coloured = ax.collections[:2]
        for collection, cells in ((grey, np.isnan(value)), (coloured, ~np.isnan(value))):
            drawn = np.stack(collection._offsets3d, axis=1)
            np.testing.assert_allclose(drawn, centred[cells])
        # the figure sorts cells by depth when it is drawn, colours with them
        np.testing.assert_allclose(coloured.get_array(), value[~np.isnan(value)], rtol=1e-6)
        low, high = sorted(ax.get_ylim())
        assert ax.get_ylim() == (high, low)
        assert (np.abs(centred) <= [ax.get_xlim()[1], high, ax.get_zlim()[1]]).all()


def test_the_same_cells_in_the_plane(in_space: AnnData, result: AnnData) -> None:
    flat, plain = (st.pl.spatial(a, sample_key="sample")[0] for a in (in_space, result))
    np.testing.assert_array_equal(points(flat)[1], points(plain)[1])


def test_lengths_in_space_are_in_microns(in_space: AnnData) -> None:
    one = ["early_slice2"]
    ax = st.pl.spatial(in_space, sample=one, projection="3d", scale_bar=2.0, sample_key="sample")
    assert ax.get_xlabel() == "x (µm)"
    assert ax.xaxis.get_major_formatter()(10.0) == "20"
    ax = st.pl.spatial(in_space, sample=one, projection="3d", sample_key="sample")
    assert ax.get_xlabel() == "x (units of 'spatial')"


@pytest.mark.parametrize(
    ("change", "arguments", "text"),
    [
        (lambda a: a, {"projection": "4d"}, "`projection` must be one of '2d', '3d'"),
        (lambda a: a, {"projection": "3d", "image": {}}, "`image` lies in a plane"),
        (lambda a: a.obsm.update(spatial=a.obsm["spatial"][:, :2]), {"projection": "3d"}, "has 2"),
    ],
)
def test_what_cannot_be_drawn_in_space(in_space: AnnData, change, arguments, text: str) -> None:
    change(in_space)
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.pl.spatial(in_space, sample_key="sample", **arguments)


def test_given_axes_must_have_as_many_dimensions(in_space: AnnData) -> None:
    plane, space = plt.figure().subplots(), plt.figure().add_subplot(projection="3d")
    chosen = {"sample_key": "sample", "sample": "early_slice2"}
    assert st.pl.spatial(in_space, projection="3d", ax=space, **chosen) is space
    with pytest.raises(st.InvalidArgumentError, match="3 dimensions, as `projection` says"):
        st.pl.spatial(in_space, projection="3d", ax=plane, **chosen)
    with pytest.raises(st.InvalidArgumentError, match="2 dimensions, as `projection` says"):
        st.pl.spatial(in_space, ax=space, **chosen)
