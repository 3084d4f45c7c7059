from __future__ import annotations

import logging

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import spatialdata as sd
from _helpers import (
    NOTHING_SIGNIFICANT,
    assert_unchanged,
    dense,
    slow,
    snapshot,
    tiny_config,
    tissue,
)
from scipy import sparse
from shapely import MultiPolygon, Point, Polygon
from spatialdata.models import Image2DModel, Labels2DModel, PointsModel, ShapesModel, TableModel
from spatialdata.transformations import Affine, Scale, Sequence, Translation

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(
    NOTHING_SIGNIFICANT,
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    "ignore:.*:UserWarning:(zarr|spatialdata|anndata|dask).*",
    "ignore:The table is annotating",
    "ignore::PendingDeprecationWarning",
)

XY = np.array([[1.0, 2.0], [4.0, 6.0], [10.0, 0.0]])
#: Twice as far in x, thrice in y, then moved by (10, 20): by hand (12, 26), (18, 38), (30, 20).
MOVED = Sequence([Scale([2.0, 3.0], axes=("x", "y")), Translation([10.0, 20.0], axes=("x", "y"))])
BY_HAND = np.array([[12.0, 26.0], [18.0, 38.0], [30.0, 20.0]])


def square(x, y, half=1.0):
    return Polygon(
        [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)]
    )


def as_frame(geometry):
    import geopandas

    return geopandas.GeoDataFrame({"geometry": geometry}, index=[5, 6, 7])


def circles(transformations, index=(5, 6, 7)):
    return ShapesModel.parse(
        XY, geometry=0, radius=1.0, index=list(index), transformations=transformations
    )


def polygons(transformations):
    both = MultiPolygon([square(8, 0), square(12, 0)])  # in the middle: (10, 0)
    return ShapesModel.parse(
        as_frame([square(1, 2), square(4, 6), both]), transformations=transformations
    )


def points(transformations):
    frame = pd.DataFrame(XY.copy(), columns=["x", "y"], index=[5, 6, 7])
    return PointsModel.parse(frame, transformations=transformations)


def labels(transformations, **options):
    """Blocks whose middle lies at XY − ½: the centre of pixel (0, 0) is at (½, ½)."""
    image = np.zeros((9, 13), dtype=np.int64)
    for label, (x, y) in zip((5, 6, 7), XY.astype(int), strict=True):
        image[max(0, y - 1) : y + 1, x - 1 : x + 1] = label
    return Labels2DModel.parse(image, dims=("y", "x"), transformations=transformations, **options)


def table_of(
    region,
    instances,
    n_genes=4,
    names="g",
    seed=0,
    index="c",
    region_key="region",
    instance_key="id",
    **obs,
):
    rng = np.random.default_rng(seed)
    region = [region] * len(instances) if isinstance(region, str) else list(region)
    frame = pd.DataFrame(
        {region_key: pd.Categorical(region), instance_key: instances} | obs,
        index=[f"{index}{k}" for k in range(len(instances))],
    )
    adata = ad.AnnData(
        sparse.csr_matrix(rng.poisson(1.0, (len(instances), n_genes)).astype(np.float32)),
        obs=frame,
        var=pd.DataFrame(index=[f"{names}{k}" for k in range(n_genes)]),
    )
    return TableModel.parse(
        adata, region=sorted(set(region)), region_key=region_key, instance_key=instance_key
    )


KINDS = {"circles": circles, "polygons": polygons, "points": points, "labels": labels}


# Positions


@pytest.mark.parametrize("kind", ["circles", "polygons", "points"])
def test_positions_by_hand(kind):
    element = KINDS[kind]({"global": MOVED, "pixels": sd.transformations.Identity()})
    sdata = sd.SpatialData.init_from_elements(
        {"cells": element, "table": table_of("cells", [7, 5, 6])}
    )
    gathered = st.pp.gather(sdata, copy=True)
    np.testing.assert_allclose(gathered.obsm["spatial"], BY_HAND[[2, 0, 1]])
    np.testing.assert_allclose(
        st.pp.gather(sdata, coordinate_system="pixels", copy=True).obsm["spatial"], XY[[2, 0, 1]]
    )
    assert list(gathered.obs["region"]) == ["cells"] * 3
    assert "gathered" not in sdata.tables


@pytest.mark.parametrize("several_scales", [False, True])
def test_positions_of_labels_by_hand(several_scales):
    options = {"scale_factors": [2]} if several_scales else {}
    element = labels({"global": Scale([2.0, 3.0], axes=("x", "y"))}, **options)
    sdata = sd.SpatialData.init_from_elements(
        {"cells": element, "table": table_of("cells", [5, 6])}
    )
    gathered = st.pp.gather(sdata, copy=True)
    np.testing.assert_allclose(gathered.obsm["spatial"], XY[:2] * [2.0, 3.0])


def test_a_quarter_turn():
    turn = Affine([[0, -1, 0], [1, 0, 0], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    sdata = sd.SpatialData.init_from_elements(
        {"cells": circles({"global": turn}), "t": table_of("cells", [5, 6, 7])}
    )
    np.testing.assert_allclose(
        st.pp.gather(sdata, copy=True).obsm["spatial"], np.stack([-XY[:, 1], XY[:, 0]], axis=1)
    )


def test_three_dimensions_and_two_do_not_mix():
    deep = PointsModel.parse(pd.DataFrame(np.c_[XY, [1, 2, 3]], columns=["x", "y", "z"]))
    sdata = sd.SpatialData.init_from_elements({
        "deep": deep, "flat": circles(None),
        "a": table_of("deep", [0, 1, 2]), "b": table_of("flat", [5, 6, 7]),
    })  # fmt: skip
    assert st.pp.gather(sdata, tables="a", copy=True).obsm["spatial"].shape == (3, 3)
    with pytest.raises(st.DataError, match="2 coordinates, others 3"):
        st.pp.gather(sdata)
    one = table_of(["deep", "flat", "flat"], [0, 5, 6])
    with pytest.raises(st.DataError, match=r"2 coordinates, others 3.*'deep': 3.*`elements`"):
        st.pp.gather(
            sd.SpatialData.init_from_elements({"deep": deep, "flat": circles(None), "t": one})
        )


def test_a_coordinate_system_for_each_element():
    sdata = sd.SpatialData.init_from_elements({
        "one": circles({"first": MOVED}), "two": points({"second": sd.transformations.Identity()}),
        "table": table_of(["one", "two", "two"], [6, 7, 5]),
    })  # fmt: skip
    gathered = st.pp.gather(sdata, coordinate_system={"one": "first", "two": "second"}, copy=True)
    np.testing.assert_allclose(gathered.obsm["spatial"], [BY_HAND[1], XY[2], XY[0]])
    assert list(gathered.uns["gathered"]["coordinate_systems"]) == ["first", "second"]
    with pytest.raises(
        st.InvalidArgumentError, match=r"'first'.*'two' has no.*'second'.*dictionary"
    ):
        st.pp.gather(sdata, coordinate_system="first")
    with pytest.raises(st.InvalidArgumentError, match=r"none for 'two'.*'one'"):
        st.pp.gather(sdata, coordinate_system={"one": "first"})


# Cells without a position


def test_cells_without_a_position_are_left_out_and_counted():
    table = table_of("cells", [5, 99, 7])
    sdata = sd.SpatialData.init_from_elements({"cells": circles(None), "table": table})
    before = snapshot(sdata["table"])
    with pytest.warns(st.SpatraceWarning, match=r"1 cells have no position.*'cells': 1"):
        gathered = st.pp.gather(sdata, copy=True)
    assert list(gathered.obs_names) == ["c0", "c2"]
    np.testing.assert_allclose(gathered.obsm["spatial"], XY[[0, 2]])
    np.testing.assert_array_equal(dense(gathered.X), dense(table.X)[[0, 2]])
    assert_unchanged(sdata["table"], before)


def test_nan_positions_and_empty_geometries():
    frame = pd.DataFrame(XY.copy(), columns=["x", "y"], index=[5, 6, 7])
    frame.loc[6, "x"] = np.nan
    for element in (PointsModel.parse(frame), polygons(None)):
        if hasattr(element, "geometry"):
            element.loc[6, "geometry"] = Polygon()
        sdata = sd.SpatialData.init_from_elements(
            {"cells": element, "table": table_of("cells", [5, 6, 7])}
        )
        with pytest.warns(st.SpatraceWarning, match="1 cells have no position"):
            gathered = st.pp.gather(sdata, copy=True)
        np.testing.assert_allclose(gathered.obsm["spatial"], XY[[0, 2]])


def test_instances_of_another_type_match_nothing():
    text = table_of("cells", ["5", "6", "7"])
    sdata = sd.SpatialData.init_from_elements({"cells": circles(None), "table": text})
    says = r"none of the 3 cells.*'table'.*'cells'.*'5'.*int64.*equal as text.*\.astype\(int\)"
    with pytest.raises(st.DataError, match=says):
        st.pp.gather(sdata)
    sdata["table"].obs["id"] = sdata["table"].obs["id"].astype(int)  # the remedy
    np.testing.assert_allclose(st.pp.gather(sdata, copy=True).obsm["spatial"], XY)


def test_an_index_of_text_and_instances_of_numbers():
    element = circles(None, index=("5", "6", "7"))
    sdata = sd.SpatialData.init_from_elements({"cells": element, "t": table_of("cells", [5, 6])})
    with pytest.raises(st.DataError, match=r"none of the 2 cells.*equal as text.*\.astype\(str\)"):
        st.pp.gather(sdata)


@pytest.mark.parametrize("kind", ["circles", "points"])
@pytest.mark.parametrize("index", [(5, 5, 7), (7, 5, 7), (7, 5, 5)])
def test_an_element_whose_instances_are_not_unique(kind, index):
    element = {
        "circles": lambda: circles(None, index=index),
        "points": lambda: PointsModel.parse(pd.DataFrame(XY, columns=["x", "y"], index=index)),
    }[kind]()
    sdata = sd.SpatialData.init_from_elements({"cells": element, "t": table_of("cells", [5, 7])})
    repeated = pd.Index(index)[pd.Index(index).duplicated()][0]
    with pytest.raises(st.DataError, match=rf"'cells'.*more than once.*'{repeated}'.*unique index"):
        st.pp.gather(sdata)


@pytest.mark.parametrize("kind", ["circles", "points"])
def test_an_unsorted_index_and_instances_without_a_cell(kind, caplog):
    index = [7, 5, 6]
    element = {
        "circles": lambda: circles(None, index=index),
        "points": lambda: PointsModel.parse(pd.DataFrame(XY, columns=["x", "y"], index=index)),
    }[kind]()
    sdata = sd.SpatialData.init_from_elements({"cells": element, "t": table_of("cells", [6, 7])})
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        gathered = st.pp.gather(sdata, copy=True)
    np.testing.assert_allclose(gathered.obsm["spatial"], XY[[2, 0]])
    assert "1 of 3 instances of 'cells' have no row in table 't'" in caplog.text


def test_an_element_without_geometries():
    empty = as_frame([Polygon(), Polygon(), Polygon()])
    sdata = sd.SpatialData.init_from_elements(
        {"cells": ShapesModel.parse(empty), "t": table_of("cells", [5, 6])}
    )
    with pytest.raises(st.DataError, match="all geometries of 'cells' are missing or empty"):
        st.pp.gather(sdata)


def test_an_element_with_cells_of_several_stages():
    table = table_of("cells", np.arange(30), stage=["E1"] * 15 + ["E2"] * 15)
    element = ShapesModel.parse(
        np.arange(60.0).reshape(30, 2), geometry=0, radius=1, index=np.arange(30)
    )
    sdata = sd.SpatialData.init_from_elements({"cells": element, "t": table})
    with pytest.warns(st.SpatraceWarning, match="1 of 1 samples have cells of several values of"):
        st.pp.gather(sdata)


# Several tables


@pytest.fixture
def series():
    """Two sections with a table and a unit each; the tables share genes and cell names."""
    first = table_of(
        "E1", [5, 6, 7], n_genes=4, cell_type=pd.Categorical(["a", "b", "a"]), only_here=[1, 2, 3]
    )
    second = table_of(
        "E2",
        [1, 2, 3],
        n_genes=3,
        seed=1,
        instance_key="cell",
        cell_type=pd.Categorical(["c", "b", "b"]),
    )
    return sd.SpatialData.init_from_elements({
        "E1": circles({"global": MOVED}),
        "E2": circles({"global": Scale([0.5, 0.5], axes=("x", "y"))}, index=(1, 2, 3)),
        "first": first, "second": second,
    })  # fmt: skip


def test_a_time_series_of_several_tables(series, caplog):
    with caplog.at_level(logging.INFO, "spatrace_sc"):
        assert st.pp.gather(series) is None
    table = series["gathered"]
    np.testing.assert_allclose(table.obsm["spatial"], np.concatenate([BY_HAND, XY / 2]))
    assert list(table.obs["region"]) == ["E1"] * 3 + ["E2"] * 3
    assert list(table.obs["cell_type"]) == ["a", "b", "a", "c", "b", "b"]
    assert list(table.var_names) == ["g0", "g1", "g2"]
    np.testing.assert_array_equal(dense(table.X)[:3], dense(series["first"].X)[:, :3])
    np.testing.assert_array_equal(dense(table.X)[3:], dense(series["second"].X))
    assert list(table.obs_names) == [f"c{k}-first" for k in range(3)] + [
        f"c{k}-second" for k in range(3)
    ]
    assert table.uns["spatialdata_attrs"] == {
        "region": ["E1", "E2"],
        "region_key": "region",
        "instance_key": "gathered_instance",
    }
    assert list(table.obs["gathered_instance"]) == [5, 6, 7, 1, 2, 3]
    assert "of table 'first' are left out: 1 of 4 genes" in caplog.text
    assert "'only_here'" in caplog.text


def test_one_section_of_several(series):
    gathered = st.pp.gather(series, elements="E2", copy=True)
    assert list(gathered.obs["region"]) == ["E2"] * 3
    assert list(gathered.obs["region"].cat.categories) == ["E2"]
    assert list(gathered.uns["spatialdata_attrs"]["region"]) == ["E2"]
    assert gathered.uns["spatialdata_attrs"]["instance_key"] == "cell"


def test_each_table_without_annotation_is_one_sample():
    parts = {f"E{k}": tissue()[100 * k : 100 * k + 100].copy() for k in range(3)}
    sdata = sd.SpatialData(tables=parts)
    with pytest.raises(
        st.InvalidArgumentError, match=r"'E0' annotates no element.*coordinate_system=None"
    ):
        st.pp.gather(sdata)
    st.pp.gather(sdata, coordinate_system=None, sample_key="slide")
    table = sdata["gathered"]
    np.testing.assert_array_equal(table.obsm["spatial"], tissue().obsm["spatial"])
    assert list(table.obs["slide"].cat.categories) == ["E0", "E1", "E2"]
    assert "spatialdata_attrs" not in table.uns
    assert (
        table.var["ligand"].sum() == tissue().var["ligand"].sum()
    )  # roles that the tables agree on stay
    parts["E1"].obsm["spatial"] = np.full((100, 2), np.nan)
    with pytest.raises(st.DataError, match=r"none of the 100 cells of 'E1'"):
        st.pp.gather(sdata, coordinate_system=None, copy=True)


def test_the_gathered_table_is_not_gathered_again(series):
    st.pp.gather(series)
    assert st.pp.gather(series, copy=True).n_obs == 6


def test_names_of_a_cell_that_occur_once_stay():
    tables = {"a": table_of("E1", [5, 6], index="x"), "b": table_of("E2", [5, 7], index="y")}
    sdata = sd.SpatialData.init_from_elements({"E1": circles(None), "E2": points(None)} | tables)
    assert list(st.pp.gather(sdata, copy=True).obs_names) == ["x0", "x1", "y0", "y1"]


# What is refused


def test_unknown_names_list_the_available_ones(series):
    for error, options, says in (
        (
            st.MissingKeyError,
            {"tables": "frist"},
            r"'frist'.*'first', 'second'.*Did you mean 'first'",
        ),
        (st.MissingKeyError, {"tables": []}, r"`tables` is empty.*'first'"),
        (st.MissingKeyError, {"elements": ["E1", "E3"]}, r"`elements`.*'E3'.*'E1', 'E2'"),
        (st.MissingKeyError, {"elements": []}, r"`elements`: nothing is left.*'E1'"),
        (
            st.InvalidArgumentError,
            {"coordinate_system": "globl"},
            r"'globl'.*'E1'.*'global'.*Did you mean 'global'",
        ),
        (
            st.InvalidArgumentError,
            {"sample_key": "cell_type"},
            r"`sample_key='cell_type'`.*'first'.*'a'.*'E1'",
        ),
        (st.InvalidArgumentError, {"sample_key": "a b"}, "`sample_key`"),
        (
            st.InvalidArgumentError,
            {"key_added": "first"},
            r"`key_added='first'`.*del sdata\['first'\]",
        ),
        (st.InvalidArgumentError, {"key_added": "a/b"}, "`key_added`"),
        (
            st.MissingKeyError,
            {"coordinate_system": None},
            r"`spatial_key='spatial'`.*'first'.*none",
        ),
    ):
        with pytest.raises(error, match=says) as caught:
            st.pp.gather(series, **options)
        assert len(str(caught.value)) < 500
    assert set(series.tables) == {"first", "second"}
    with pytest.raises(
        st.InvalidArgumentError, match=r"`sdata` must be SpatialData, found AnnData"
    ):
        st.pp.gather(series["first"])
    with pytest.raises(st.MissingKeyError, match="has nothing to take"):
        st.pp.gather(sd.SpatialData.init_from_elements({"E1": circles(None)}))


def test_one_element_in_two_tables(series):
    series["twin"] = series["first"].copy()
    with pytest.raises(
        st.InvalidArgumentError, match=r"'E1' is annotated by the tables 'first' and 'twin'"
    ):
        st.pp.gather(series)
    assert st.pp.gather(series, tables=["twin", "second"], copy=True).n_obs == 6


def test_an_element_that_is_gone_or_an_image(series):
    del series["E2"]
    with pytest.raises(
        st.MissingKeyError,
        match=r"'E2'.*'second'.*not in the SpatialData.*'E1'.*coordinate_system=None",
    ):
        st.pp.gather(series)
    series["E2"] = Image2DModel.parse(np.zeros((1, 4, 4)), dims=("c", "y", "x"))
    with pytest.raises(st.MissingKeyError, match=r"'E2'.*is an image, which has no instances"):
        st.pp.gather(series)


def test_tables_without_a_gene_in_common(series):
    series["first"].var_names = [f"ENSG{k}" for k in range(4)]
    with pytest.raises(st.DataError, match=r"share no gene.*'ENSG0'.*'g0'"):
        st.pp.gather(series)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_repeated_genes(series):
    series["second"].var_names = ["g0", "g1", "g1"]
    with pytest.raises(
        st.DataError, match=r"'second' has 1 repeated names.*'g1'.*var_names_make_unique"
    ):
        st.pp.gather(series)


def test_instances_of_two_kinds():
    named = as_frame([Point(1, 2), Point(3, 4), Point(5, 6)]).assign(radius=1.0)
    named.index = ["p", "q", "r"]
    sdata = sd.SpatialData.init_from_elements({
        "E1": circles(None), "E2": ShapesModel.parse(named),
        "a": table_of("E1", [5, 6]), "b": table_of("E2", ["p", "q"]),
    })  # fmt: skip
    assert st.pp.gather(sdata, tables="b", copy=True).obsm["spatial"].tolist() == [[1, 2], [3, 4]]
    with pytest.raises(st.DataError, match="whole numbers in some tables and text in others"):
        st.pp.gather(sdata)


@pytest.mark.filterwarnings("ignore:.*looks like raw counts:spatrace_sc.SpatraceWarning")
def test_missing_positions_name_the_verb_that_gathers_them(series):
    with pytest.raises(
        st.MissingKeyError, match=r"`spatial_key='spatial'`.*st\.pp\.gather\(sdata\)"
    ):
        st.pp.ligand_exposure(series, table_key="first", ligands=["g0"])


# A whole walk


def walk():
    """A tissue as three sections of circles, in pixels of 0.5 µm, and a table without positions."""
    table = tissue()
    xy, names = table.obsm.pop("spatial"), list(table.obs["sample"].cat.categories)
    table.obs["cell"] = np.arange(len(xy))
    shapes = {}
    for name in names:
        mask = np.flatnonzero((table.obs["sample"] == name).to_numpy())
        scale = {"global": Scale([0.5, 0.5], axes=("x", "y"))}
        shapes[name] = ShapesModel.parse(
            2 * xy[mask], geometry=0, radius=4.0, index=mask, transformations=scale
        )
    table = TableModel.parse(table, region=names, region_key="sample", instance_key="cell")
    return sd.SpatialData(shapes=shapes, tables={"table": table})


def test_exposure_is_that_of_the_coordinates():
    sdata = walk()
    st.pp.gather(sdata, sample_key="sample")
    st.pp.ligand_exposure(sdata, radius=40, sample_key="sample", table_key="gathered")
    plain = tissue()
    st.pp.ligand_exposure(plain, radius=40, sample_key="sample")
    gathered = sdata["gathered"].obsm["ligand_exposure"]
    np.testing.assert_allclose(
        gathered.to_numpy(), plain.obsm["ligand_exposure"].to_numpy(), rtol=1e-5
    )


def fake_activity(table):
    """A table as `st.get.activity` gives: one pair, NaN in the senders."""
    from spatrace_sc._data.table import annotation

    receives = table.obs["cell_type"].str.startswith("receiver").to_numpy()
    level = np.where(receives, table.obsm["spatial"][:, 0], np.nan).astype(np.float32)
    return ad.AnnData(
        level[:, None], obs=table.obs.copy(), var=pd.DataFrame(index=["L^R"]), uns=annotation(table)
    )


def test_spatialdata_plot_colours_by_a_gathered_table():
    pytest.importorskip("spatialdata_plot")
    sdata = walk()
    st.pp.gather(sdata, sample_key="sample")
    sdata["activity"] = fake_activity(sdata["gathered"])
    figure, axes = plt.subplots(1, 3)
    for name, ax in zip(sdata.shapes, axes, strict=True):
        sdata.pl.render_shapes(
            name, color="L^R", table_name="activity", method="matplotlib"
        ).pl.show(ax=ax)
        (drawn,) = [c for c in ax.collections if len(c.get_facecolor()) > 1]
        colours = np.unique(drawn.get_facecolor(), axis=0)
        assert len(colours) > 20, "every receiver has the colour of its level"
    plt.close(figure)


def test_round_trip_on_disk(tmp_path):
    sdata = walk()
    sdata.write(tmp_path / "data.zarr")
    st.pp.gather(sdata, sample_key="sample")
    st.pp.ligand_exposure(sdata, radius=40, sample_key="sample", table_key="gathered")
    sdata["activity"] = fake_activity(sdata["gathered"])
    for name in ("gathered", "activity"):
        sdata.write_element(name)
    back = sd.read_zarr(tmp_path / "data.zarr")
    for slot in ("spatial", "ligand_exposure"):
        np.testing.assert_array_equal(
            np.asarray(back["gathered"].obsm[slot]), np.asarray(sdata["gathered"].obsm[slot])
        )
    assert list(back["gathered"].obs["sample"]) == list(sdata["gathered"].obs["sample"])
    np.testing.assert_array_equal(back["activity"].X, sdata["activity"].X)
    again = st.pp.gather(back, sample_key="sample", copy=True)
    np.testing.assert_array_equal(again.obsm["spatial"], sdata["gathered"].obsm["spatial"])
    assert list(map(str, back["gathered"].uns["gathered"]["elements"])) == list(sdata.shapes)


@pytest.mark.parametrize("form", ["memory", slow("zarr")])
def test_results_of_inference(form, tmp_path):
    """Inference in a SpatialData equals the one on AnnData, also after a round through a file."""
    pytest.importorskip("torch")
    sdata, plain = walk(), tissue()
    st.pp.gather(sdata, sample_key="sample")
    for data, table in ((sdata, {"table_key": "gathered"}), (plain, {})):
        st.tl.infer_ccc(data, sample_key="sample", radius=40.0, config=tiny_config(), **table)
    sdata["activity"] = st.get.activity(sdata["gathered"])
    sdata["tfs"] = st.get.activity(sdata["gathered"], "tfs")
    back = sdata
    if form == "zarr":
        sdata.write(tmp_path / "data.zarr")
        back = sd.read_zarr(tmp_path / "data.zarr")
    for reader in (st.get.lr_targets, st.get.tf_targets, st.get.lr_pairs, st.get.communication):
        pd.testing.assert_frame_equal(reader(back["gathered"]), reader(sdata["gathered"]))
    pd.testing.assert_frame_equal(
        st.get.lr_pairs(sdata["gathered"]), st.get.lr_pairs(plain), rtol=1e-3
    )
    np.testing.assert_array_equal(back["activity"].X, st.get.activity(back["gathered"]).X)
    assert list(back["tfs"].uns["spatialdata_attrs"]["region"]) == list(sdata.shapes)
