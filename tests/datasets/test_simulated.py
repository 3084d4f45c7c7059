"""Expression, cells and arguments of a simulated tissue."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from _helpers import dense, slow
from _small_tissue import assert_same, genes, pairs_of, small
from scipy import sparse

import spatrace_sc as st


def test_same_seed_same_data():
    assert_same(small(3), small(3))


def test_other_seed_other_data():
    one, other = small(3), small(4)
    assert (dense(one.X).shape != dense(other.X).shape) or (dense(one.X) != dense(other.X)).any()
    assert (one.obsm["spatial"] != other.obsm["spatial"]).any()
    assert pairs_of(one.uns["truth"]["lr_pairs"]) != pairs_of(other.uns["truth"]["lr_pairs"])


def test_the_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one = small()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert_same(one, small())


def test_expression():
    adata = small()
    counts = dense(adata.layers["counts"])
    assert sparse.issparse(adata.X)
    assert (counts >= 0).all()
    np.testing.assert_array_equal(counts, np.round(counts))
    total = counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(dense(adata.X), np.log1p(1e4 * counts / total), rtol=1e-5)
    assert 700 < np.median(total) < 1400
    assert adata.var_names.is_unique
    assert adata.obs_names.is_unique


def test_sizes_and_roles():
    adata = small(n_ligands=7, n_receptors=5, n_pairs=6, n_tfs=4, n_targets=9, n_background=11)
    assert adata.shape == (240, 7 + 5 + 4 + 9 + 11)
    assert [len(genes(adata, r)) for r in ("ligand", "receptor", "tf", "target")] == [7, 5, 4, 9]
    assert adata.var[["ligand", "receptor", "tf", "target"]].sum(axis=1).max() == 1
    assert adata.uns["simulation"]["n_ligands"] == 7
    assert len(adata.uns["truth"]["lr_pairs"]) == 6
    assert adata.obsm["true_signal"].shape == (240, 6)


def test_genes_are_not_in_order_of_role():
    roles = small().var[["ligand", "receptor", "tf", "target"]].to_numpy().argmax(axis=1)
    assert (np.diff(roles) < 0).any()


def test_names_do_not_tell_the_decoys():
    decoys = {name for seed in range(5) for name in genes(small(seed), "decoy")}
    assert len(decoys) > 10  # not always the same numbers


@pytest.mark.parametrize(("fraction", "n_decoys"), [(0.0, (0, 0)), (0.25, (2, 3)), (0.5, (4, 6))])
def test_share_of_decoys(fraction, n_decoys):
    adata = small(n_ligands=8, n_receptors=12, decoy_fraction=fraction)
    assert (adata.var["decoy"] & adata.var["ligand"]).sum() == n_decoys[0]
    assert (adata.var["decoy"] & adata.var["receptor"]).sum() == n_decoys[1]
    assert adata.var["decoy"].sum() == sum(n_decoys)


def test_senders_have_no_time_and_no_signal():
    adata = small()
    receiver = adata.obs["cell_type"].str.startswith("receiver").to_numpy()
    assert receiver.any()
    assert not receiver.all()
    for column in ("latent_time", "dpt_pseudotime"):
        np.testing.assert_array_equal(adata.obs[column].notna(), receiver)
    np.testing.assert_array_equal(
        np.isfinite(adata.obsm["true_signal"].to_numpy()).all(axis=1), receiver
    )
    assert np.isnan(adata.obsm["true_signal"].to_numpy()[~receiver]).all()
    signal = adata.obsm["true_signal"].to_numpy()[receiver]
    assert (signal >= 0).all()
    assert (signal <= 1).all()
    assert adata.obs["stage_time"].notna().all()
    assert adata.obs["dpt_pseudotime"].min() == 0
    assert adata.obs["dpt_pseudotime"].max() == 1
    assert adata.obs["dpt_pseudotime"].corr(adata.obs["latent_time"], method="spearman") > 0.9


@pytest.mark.parametrize(("n_stages", "n_slices"), [(1, 1), (1, 3), (4, 2)])
def test_stages_and_slices(n_stages, n_slices):
    adata = small(n_stages=n_stages, n_slices=n_slices)
    assert list(adata.obs["stage"].cat.categories) == [f"E{k + 1}" for k in range(n_stages)]
    assert adata.obs["stage"].cat.ordered
    assert adata.obs["sample"].nunique() == n_stages * n_slices
    assert (adata.obs.groupby("sample", observed=True)["stage"].nunique() == 1).all()
    assert adata.obs["sample"].value_counts().max() - adata.obs["sample"].value_counts().min() <= 1
    np.testing.assert_array_equal(adata.obs["stage_time"], adata.obs["stage"].cat.codes + 1.0)


def test_more_than_nine_stages_stay_in_order():
    adata = small(n_stages=11)
    assert list(adata.obs["stage"].cat.categories) == [f"E{k + 1}" for k in range(11)]


def test_types_and_their_share():
    adata = st.datasets.simulated(
        n_cells=2000, n_sender_types=4, n_receiver_types=3, receiver_fraction=0.3, n_background=0
    )
    assert set(adata.obs["cell_type"]) == {f"sender_{k}" for k in range(4)} | {
        f"receiver_{k}" for k in range(3)
    }
    assert 0.25 < adata.obs["cell_type"].str.startswith("receiver").mean() < 0.35


def test_cells_are_ten_units_apart():
    xy = small(n_stages=1, n_cells=400).obsm["spatial"]
    distance = np.sqrt(((xy[:, None] - xy[None]) ** 2).sum(axis=-1)) + np.where(
        np.eye(400), np.inf, 0
    )
    assert 6 < np.median(distance.min(axis=1)) < 12


def test_smallest_tissue():
    adata = st.datasets.simulated(
        n_cells=50,
        n_tfs=2,
        n_targets=1,
        n_ligands=1,
        n_receptors=1,
        n_pairs=1,
        n_background=0,
        n_sender_types=1,
        n_receiver_types=1,
    )
    assert adata.shape == (50, 5)
    assert np.isfinite(dense(adata.X)).all()


INVALID = [
    *[("n_cells", 49), ("n_cells", 0), ("n_stages", 0), ("n_slices", 0), ("n_ligands", 0)],
    *[("n_receptors", 0), ("n_pairs", 0), ("n_tfs", 1), ("n_targets", 0), ("n_background", -1)],
    *[("n_sender_types", 0), ("n_receiver_types", 0)],
    *[("receiver_fraction", -0.1), ("receiver_fraction", 1.0)],
    *[("decoy_fraction", -0.1), ("decoy_fraction", 1.0)],
    *[("decoy_likeness", 1.0), ("decoy_likeness", float("nan"))],
    *[("signal_strength", -1.0), ("noise", -0.1), ("noise", float("nan"))],
    *[("depth", 0), ("depth", float("nan")), ("dispersion", 0.0), ("dispersion", float("nan"))],
    *[("dropout", 1.0), ("dropout", -0.1)],
]


@pytest.mark.parametrize(("argument", "value"), INVALID)
def test_invalid_arguments(argument, value):
    with pytest.raises(st.InvalidArgumentError) as caught:
        small(**{argument: value})
    assert f"`{argument}`" in str(caught.value)
    assert repr(value) in str(caught.value)


OF_ANOTHER_KIND = [
    *[("n_cells", 100.5), ("n_cells", "many"), ("n_cells", None), ("n_tfs", 2.5)],
    *[("noise", "loud"), ("dispersion", "a"), ("rng", -1), ("rng", "a"), ("seed", -1)],
    *[("receiver_fraction", 0.0), ("noise", float("inf")), ("depth", float("inf"))],
    *[("signal_strength", float("inf")), ("dispersion", float("inf")), ("n_stages", 300)],
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("argument", "value"), OF_ANOTHER_KIND)
def test_invalid_arguments_of_another_kind(argument, value):
    with pytest.raises(st.InvalidArgumentError) as caught:
        small(**{argument: value})
    assert f"`{argument}`" in str(caught.value)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
@pytest.mark.parametrize("arguments", [{}, {"signal_strength": 0}], ids=["signal", "null"])
def test_survives_being_written(form, arguments, tmp_path):
    adata = small(**arguments)
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    assert_same(adata, back)
