"""A radius in µm by number or platform."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    TWO_OF_EACH,
    infer_quietly,
    source,
    tiny_config,
    tissue,
    written_and_read,
)

import spatrace_sc as st
from spatrace_sc._data.platforms import PLATFORMS, read_radius, recorded_spacing
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def hexagons(spacing, n=12):
    """(n², 2) positions of spots with a distance."""
    x, y = np.meshgrid(np.arange(n, dtype=float), np.arange(n, dtype=float))
    x[1::2] += 0.5
    return spacing * np.column_stack([x.ravel(), y.ravel() * np.sqrt(3) / 2])


def in_units(radius, scale=None, spacing=10.0):
    coords = hexagons(spacing)
    return read_radius(radius, scale, coords, np.zeros(len(coords), dtype=int)).units


@pytest.mark.parametrize("pixels", [50.0, 237.0])
def test_visium_finds_the_pixel_from_the_spots(pixels, caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert in_units("visium", spacing=pixels) == pytest.approx(2 * pixels)
    assert "200 µm (two distances between spots)" in caplog.text
    assert f"1 unit of the coordinates is {100 / pixels:.4g} µm" in caplog.text


@pytest.mark.parametrize(
    ("radius", "scale", "expected"),
    [
        (80, None, 80),
        (None, None, None),
        (80, 0.5, 160),
        ("xenium", None, 50),
        ("merfish", None, 50),
        ("stereoseq", None, 100),
        ("cosmx", 1, 50),
        ("visium_hd", 0.25, 200),
    ],
)
def test_radius_in_units_of_the_coordinates(radius, scale, expected):
    assert in_units(radius, scale) == expected


def test_what_is_assumed_is_logged_for_every_platform(caplog):
    for name, platform in PLATFORMS.items():
        caplog.clear()
        scale = 1.0 if platform.scale is None else None
        spacing = 100.0 if name == "visium" else 10.0 / (platform.scale or 1.0)
        with caplog.at_level(logging.INFO, logger="spatrace_sc"), warnings.catch_warnings():
            warnings.simplefilter("error")
            in_units(name, scale, spacing)
        assert f"radius={name!r}: {platform.radius:g} µm" in caplog.text
        assert "Assumed: " in caplog.text


def test_implausible_distances_warn():
    with pytest.warns(st.SpatraceWarning, match=r"'cosmx'.*would be 0\.842 µm.*`scale`.*: 1 if"):
        in_units("cosmx", spacing=7.0)
    with pytest.warns(st.SpatraceWarning, match="80 to 120 µm are usual"):
        in_units("visium", 1, spacing=7.0)


@pytest.mark.parametrize(
    ("radius", "scale", "message"),
    [
        ("visum", None, "`radius` must be one of .*'visium'.*Did you mean 'visium'"),
        ("visium_hd", None, "needs `scale`.*microns_per_pixel"),
        (None, 0.5, "no `radius` was given"),
        (80, 0, "`scale` must be a positive number, in µm per unit"),
        (-1, 0.5, "`radius` must be a positive number in µm"),
        ("xenium", "0.5", "`scale` must be a positive number"),
    ],
)
def test_messages(radius, scale, message):
    with pytest.raises(st.InvalidArgumentError, match=message):
        in_units(radius, scale)


def test_spots_in_one_position():
    with pytest.raises(st.DataError, match="distance between spots"):
        read_radius("visium", None, np.zeros((4, 2)), np.zeros(4, dtype=int))


def square(spacing, n=12):
    """(n², 2) positions of first-generation Spatial Transcriptomics."""
    x, y = np.meshgrid(np.arange(n, dtype=float), np.arange(n, dtype=float))
    return spacing * np.column_stack([x.ravel(), y.ravel()])


def scaled_spots(spacing, coords):
    adata = tissue()[: len(coords)].copy()
    adata.obsm["spatial"] = coords
    del adata.obs["sample"]
    st.pp.scale_positions(adata, spacing)
    return adata


def test_visium_warns_about_a_square_grid():
    sample = np.zeros(144, dtype=int)
    with pytest.warns(st.SpatraceWarning, match="not on the hexagonal grid.*200 µm apart"):
        read_radius("visium", None, square(237.0), sample)
    rng = np.random.default_rng(0)
    some = hexagons(100.0, 30)[rng.random(900) < 0.7] + rng.normal(0, 2, (900, 2))[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_radius("visium", None, some, np.zeros(len(some), dtype=int))


def test_scaled_positions_are_in_um():
    adata = scaled_spots(100, hexagons(237.0))
    spacing = recorded_spacing(adata, "spatial_scaled")
    assert spacing == pytest.approx(100)
    filtered = hexagons(100.0)[::2]  # spots in the file are further apart than those of the array
    given = read_radius("visium", None, filtered, np.zeros(len(filtered), dtype=int), spacing)
    assert given == (200.0, 1.0)
    assert recorded_spacing(adata, "spatial") is None
    pixels = hexagons(237.0)  # the slot was replaced after the call
    given = read_radius("visium", None, pixels / 100, np.zeros(144, dtype=int), spacing)
    assert given.scale == pytest.approx(100 / 2.37)


@pytest.mark.parametrize("call", ["infer_ccc", "ligand_exposure"])
def test_spots_scaled_to_another_distance_are_not_those_of_visium(call):
    adata = scaled_spots(200, square(10.0))
    at = {"spatial_key": "spatial_scaled", "radius": "visium"}
    calls = {
        "infer_ccc": lambda: st.tl.infer_ccc(adata, **TWO_OF_EACH, config=tiny_config(), **at),
        "ligand_exposure": lambda: st.pp.ligand_exposure(adata, ligands=["LIG000"], **at),
    }
    with pytest.raises(st.InvalidArgumentError, match=r"spots 200 µm apart.*radius=400.*`scale`"):
        calls[call]()


def test_parameters_hold_what_was_asked_and_um(tmp_path):
    adata = tissue()
    keys = {"sample_key": "sample", "config": tiny_config()}
    infer_quietly(adata, **TWO_OF_EACH, **keys, radius="xenium", scale=1.25)
    stated = ("radius_given", "radius", "radius_um", "um_per_unit")
    back = written_and_read(adata, "h5ad", tmp_path)
    for result in (adata, back):
        params = st.get.params(result)
        assert [params[name] for name in stated] == ["xenium", 40.0, 50.0, 1.25]
    infer_quietly(adata, **TWO_OF_EACH, **keys)
    params = st.get.params(adata)
    assert [params[name] for name in stated if name != "radius"] == [None] * 3
    for name in stated:
        if name != "radius":
            del adata.uns["spatrace"]["params"][name]
    assert st.get.params(adata) == params  # results of earlier versions


def test_a_result_stores_the_radius_in_units_and_can_be_restored():
    adata = tissue()
    keys = {"sample_key": "sample", "config": tiny_config()}
    infer_quietly(adata, **TWO_OF_EACH, **keys, radius=80, scale=2.0)
    assert adata.uns["spatrace"]["params"]["radius"] == 40.0
    assert "scale" not in adata.uns["spatrace"]["params"]
    st.tl.knockout(adata, tf="TF000")
    study = read_study(adata, TWO_OF_EACH, source(radius="xenium", scale=1.25))
    assert study.radius == 40.0


def test_the_exposure_takes_platforms_too():
    adata = tissue()
    st.pp.ligand_exposure(adata, radius=80, scale=2.0, sample_key="sample", key_added="um")
    st.pp.ligand_exposure(adata, radius=40, sample_key="sample", key_added="units")
    np.testing.assert_array_equal(adata.obsm["um"], adata.obsm["units"])
