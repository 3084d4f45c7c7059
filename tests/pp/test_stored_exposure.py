"""The radius that the inference takes from a stored ligand exposure."""

from __future__ import annotations

import logging
import warnings

import anndata as ad
import numpy as np
import pytest
from _helpers import TWO_OF_EACH, slow, tiny_config, tissue

import spatrace_sc as st
from spatrace_sc._data.stored_exposure import stored_radius

INFER = {"sample_key": "sample", "config": tiny_config(), "device": "cpu", **TWO_OF_EACH}
KEYS = {"spatial_key": "spatial", "sample_key": "sample"}


def exposed(radius=37.5, **arguments):
    adata = tissue()
    st.pp.ligand_exposure(adata, radius=radius, **{"sample_key": "sample"} | arguments)
    return adata


def infer(adata, caplog, **arguments):
    """The radius of the inference, its log, and its warnings about an exposure."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "spatrace_sc"), warnings.catch_warnings(record=True) as log:
        warnings.simplefilter("always")
        st.tl.infer_ccc(adata, **INFER | arguments)
    caught = [w for w in log if "ligand exposure" in str(w.message)]
    assert all(w.filename == __file__ for w in caught)
    radius = float(st.get.params(adata)["radius"])
    return radius, caplog.text, [str(w.message) for w in caught]


def test_the_stored_radius_replaces_the_default(caplog):
    adata, explicit = exposed(), tissue()
    radius, log, messages = infer(adata, caplog)
    assert radius == 37.5
    assert "radius = 37.5 taken from the ligand exposure in adata.obsm['ligand_exposure']" in log
    assert not messages
    infer(explicit, caplog, radius=37.5)
    assert st.get.lr_targets(adata).equals(st.get.lr_targets(explicit))


def test_an_explicit_radius_wins(caplog):
    adata = exposed()
    radius, log, messages = infer(adata, caplog, radius=40.0)
    assert radius == 40.0
    assert (
        "`radius=40.0` was given; the ligand exposure in adata.obsm['ligand_exposure'] was" in log
    )
    assert "computed with 37.5" in log
    assert not messages
    assert "ligand exposure" not in infer(adata, caplog, radius=37.5)[1]


def test_without_an_exposure_the_default_is_taken(caplog):
    radius, log, messages = infer(tissue(), caplog)
    assert "× the median distance to the nearest cell" in log
    assert "ligand exposure" not in log
    assert not messages
    dropped = exposed()
    del dropped.obsm["ligand_exposure"]
    assert infer(dropped, caplog)[0] == radius


@pytest.mark.parametrize(
    ("computed", "inferred", "says"),
    [
        ({"sample_key": None}, {}, "`sample_key=None`, not with 'spatial' and 'sample'"),
        ({"spatial_key": "other"}, {}, "`spatial_key='other'` and `sample_key='sample'`"),
        ({}, {"sample_key": "slide"}, "`sample_key='sample'`, not with 'spatial' and 'slide'"),
    ],
)
def test_other_coordinates_or_slices_draw_a_warning(computed, inferred, says, caplog):
    default = infer(tissue(), caplog)[0]
    adata = tissue()
    adata.obsm["other"], adata.obs["slide"] = adata.obsm["spatial"] + 1.0, adata.obs["sample"]
    arguments = {"sample_key": "sample"} | computed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        st.pp.ligand_exposure(adata, radius=37.5, **arguments)
    radius, log, (message,) = infer(adata, caplog, **inferred)
    assert radius == default
    assert "× the median distance to the nearest cell" in log
    assert says in message
    assert "adata.obsm['ligand_exposure']" in message
    assert "pass `radius`" in message


def test_coordinates_in_other_units_draw_a_warning(caplog):
    adata = exposed()
    adata.obsm["spatial"] *= 4.0
    radius, _, (message,) = infer(adata, caplog)
    assert radius > 40.0
    assert "distance to the nearest cell was different" in message
    assert infer(exposed()[:250].copy(), caplog)[0] == 37.5


def test_several_exposures(caplog):
    adata = exposed()
    st.pp.ligand_exposure(adata, radius=37.5, sample_key="sample", key_added="again")
    with pytest.warns(st.SpatraceWarning, match="no `sample_key` was given"):
        st.pp.ligand_exposure(adata, radius=20, key_added="elsewhere", spatial_key="spatial")
    assert infer(adata, caplog)[0] == 37.5
    st.pp.ligand_exposure(adata, radius=30, sample_key="sample", key_added="again")
    _, log, (message,) = infer(adata, caplog)
    assert "× the median distance" in log
    assert "different radii (30, 37.5)" in message
    assert "adata.obsm['ligand_exposure'], adata.obsm['again']" in message


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_the_parameters_survive_a_file(form, tmp_path):
    senders, ligands = ["sender_0", "sender_1"], ["LIG003", "LIG001"]
    adata = exposed(senders=senders, ligands=ligands, layer=None, receivers="receiver_0")
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    params = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path).uns["ligand_exposure"][
        "params"
    ]
    assert float(params["radius"]) == 37.5
    assert params["kernel"] == "exp(-3 d / radius)"
    assert [params[k] for k in ("spatial_key", "sample_key", "layer")] == ["spatial", "sample", ""]
    assert list(params["senders"]) == senders
    assert list(params["receivers"]) == ["receiver_0"]
    assert list(params["ligands"]) == list(adata.obsm["ligand_exposure"].columns)
    again = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    assert stored_radius(again, **KEYS) == 37.5


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_parameters_that_were_not_given_survive_a_file(form, tmp_path):
    adata = exposed()
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    assert not len(back.uns["ligand_exposure"]["params"]["senders"])
    assert stored_radius(back, **KEYS) == 37.5


@pytest.mark.parametrize("entry", [{}, {"params": 3}, {"params": {"radius": 3.0}}, "text"])
def test_other_entries_under_the_key_are_not_taken_for_an_exposure(entry):
    adata = tissue()
    adata.obsm["ligand_exposure"], adata.uns["ligand_exposure"] = np.zeros((300, 2)), entry
    assert stored_radius(adata, **KEYS) is None


def test_an_exposure_of_an_earlier_version_is_read():
    """It stores the radius, the kernel and the keys alone."""
    adata = exposed()
    params = adata.uns["ligand_exposure"]["params"]
    first = ("radius", "kernel", "spatial_key", "sample_key")
    adata.uns["ligand_exposure"] = {"params": {k: params[k] for k in first}}
    assert stored_radius(adata, **KEYS, nearest=8.0) == 37.5
