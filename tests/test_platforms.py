"""A radius in µm by number or platform."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest
from _helpers import NOTHING_SIGNIFICANT, TWO_OF_EACH, infer_quietly, source, tiny_config, tissue

import spatrace_sc as st
from spatrace_sc._data.platforms import PLATFORMS, radius_in_units
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


def hexagons(spacing, n=12):
    """(n², 2) positions of spots with a distance."""
    x, y = np.meshgrid(np.arange(n, dtype=float), np.arange(n, dtype=float))
    x[1::2] += 0.5
    return spacing * np.column_stack([x.ravel(), y.ravel() * np.sqrt(3) / 2])


def in_units(radius, scale=None, spacing=10.0):
    coords = hexagons(spacing)
    return radius_in_units(radius, scale, coords, np.zeros(len(coords), dtype=int))


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
        radius_in_units("visium", None, np.zeros((4, 2)), np.zeros(4, dtype=int))


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
