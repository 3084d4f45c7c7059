from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    ONE_SLICE,
    OTHER_CELLS,
    TWO_OF_EACH,
    dense,
    small_config,
    tiny_config,
    tissue,
)
from anndata import AnnData

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, ONE_SLICE)


def receiving(adata):
    return adata.obs["dpt_pseudotime"].notna().to_numpy()


def test_shape_and_names(result):
    activity = st.get.activity(result)
    assert isinstance(activity, AnnData)
    pairs = st.get.lr_pairs(result)
    strongest = pairs[pairs["score"] > 0]
    assert activity.shape == (result.n_obs, len(strongest))
    assert list(activity.var_names) == [f"{p.ligand}^{p.receptor}" for p in strongest.itertuples()]
    assert list(activity.var.columns) == ["ligand", "receptor", "score", "p_value", "q_value"]
    for column in ("score", "p_value", "q_value"):
        np.testing.assert_allclose(activity.var[column], strongest[column])
    np.testing.assert_array_equal(activity.var["ligand"], strongest["ligand"])


def test_cells_and_their_annotation_are_preserved(result):
    activity = st.get.activity(result)
    pd.testing.assert_frame_equal(activity.obs, result.obs)
    np.testing.assert_array_equal(activity.obsm["spatial"], result.obsm["spatial"])
    assert "spatrace_activity" not in activity.obsm


def test_nan_exactly_where_nothing_is_received(result):
    values = st.get.activity(result).X
    np.testing.assert_array_equal(
        np.isnan(values), np.broadcast_to(~receiving(result)[:, None], values.shape)
    )
    assert (values[receiving(result)] >= 0).all()
    assert values.dtype == np.float32


def test_activity_is_in_standard_deviations_times_the_score(result):
    activity = st.get.activity(result)
    spread = activity.X[receiving(result)].std(axis=0)
    np.testing.assert_allclose(spread, activity.var["score"], rtol=1e-3)


def test_the_returned_copy_can_be_changed(result):
    activity = st.get.activity(result)
    activity.X[:] = -1
    activity.obs["extra"] = 0
    assert (st.get.activity(result).X != -1).all()
    assert "extra" not in result.obs


@pytest.mark.filterwarnings(OTHER_CELLS)
def test_a_view_and_a_subset_of_cells(result):
    part = result[receiving(result)]
    activity = st.get.activity(part)
    assert not np.isnan(activity.X).any()
    np.testing.assert_array_equal(activity.X, st.get.activity(result).X[receiving(result)])
    pd.testing.assert_frame_equal(st.get.lr_pairs(part.copy()), st.get.lr_pairs(result))


def test_only_the_strongest_pairs_are_stored():
    adata, full = tissue(), tissue()
    options = {"training": st.TrainingConfig(max_epochs=0)}
    st.tl.infer_ccc(full, config=small_config(**options))
    st.tl.infer_ccc(adata, config=small_config(max_activity=2, **options))
    assert st.get.activity(adata).n_vars == 2
    np.testing.assert_array_equal(st.get.activity(adata).X, st.get.activity(full).X[:, :2])
    assert st.get.communication(adata)[["ligand", "receptor"]].drop_duplicates().shape[0] == 2


@pytest.fixture(scope="module")
def chosen():
    """One sender type to one receiver type."""
    adata = tissue()
    st.tl.infer_ccc(
        adata,
        sample_key="sample",
        senders=["sender_0", "receiver_0"],
        receivers=["receiver_1"],
        config=small_config(training=st.TrainingConfig(max_epochs=0)),
    )
    return adata


def test_communication_is_from_senders_to_receivers(chosen):
    matrix = dense(chosen.obsp["spatrace_communication"])
    kind = chosen.obs["cell_type"]
    assert matrix.shape == (chosen.n_obs, chosen.n_obs)
    assert matrix.any()
    assert (matrix[~kind.isin(["sender_0", "receiver_0"])] == 0).all()
    assert (matrix[:, kind != "receiver_1"] == 0).all()
    np.testing.assert_array_equal(
        np.isnan(st.get.activity(chosen).X).all(axis=1), kind != "receiver_1"
    )
    table = st.get.communication(chosen)
    assert set(table["sender"]) == {"sender_0", "receiver_0"}
    assert set(table["receiver"]) == {"receiver_1"}


def test_communication_stays_within_slices_and_the_radius(result):
    entries = result.obsp["spatrace_communication"].tocoo()
    sample = result.obs["sample"].to_numpy()
    assert (sample[entries.row] == sample[entries.col]).all()
    assert (entries.row != entries.col).all()
    assert (entries.data > 0).all()
    xy, radius = result.obsm["spatial"], result.uns["spatrace"]["params"]["radius"]
    assert np.linalg.norm(xy[entries.row] - xy[entries.col], axis=1).max() <= radius * (1 + 1e-9)


def test_senders_share_out_the_activity_of_a_receiver(result):
    """Column sums are the activity of the pairs whose ligand reaches the cell."""
    activity = st.get.activity(result)
    radius = result.uns["spatrace"]["params"]["radius"]
    exposure = st.pp.ligand_exposure(result, radius=radius, sample_key="sample", copy=True)
    reached = exposure[activity.var["ligand"]].to_numpy() > 0
    here = receiving(result)
    expected = np.where(reached, activity.X, 0)[here].sum(axis=1)
    found = np.asarray(result.obsp["spatrace_communication"].sum(axis=0)).ravel()
    np.testing.assert_allclose(found[here], expected, rtol=1e-3, atol=1e-5)
    assert (found[~here] == 0).all()
    assert reached[here].mean() > 0.5


def test_errors_and_shrunken_values_are_layers(result):
    activity = st.get.activity(result)
    here = receiving(result)
    se, shrunk, values = (
        activity.layers["se"][here],
        activity.layers["shrunk"][here],
        activity.X[here],
    )
    for layer in activity.layers.values():
        np.testing.assert_array_equal(np.isnan(layer), np.isnan(activity.X))
    assert (se >= 0).all()
    assert (se > 0).mean() > 0.5
    kinds = result.obs["cell_type"].astype(str) + result.obs["stage"].astype(str)
    kinds = kinds[here].to_numpy()
    for kind in np.unique(kinds):
        x, e = values[kinds == kind].astype(float), se[kinds == kind].astype(float)
        centre = x.mean(0)
        spread = np.maximum(((x - centre) ** 2 - e**2).mean(0), 0)
        kept = np.divide(spread, spread + e**2, out=np.ones_like(e), where=spread + e**2 > 0)
        np.testing.assert_allclose(
            shrunk[kinds == kind], centre + kept * (x - centre), rtol=1e-3, atol=1e-5
        )
    assert (shrunk.std(0) < values.std(0))[values.std(0) > 0].all()


def test_an_error_is_the_spread_over_counts_of_the_same_molecules():
    """Receptor and ligands are counted repeatedly, and the signal at the present step follows."""
    from types import SimpleNamespace

    import torch
    from scipy import sparse

    from spatrace_sc._inference.activity import signal_errors

    rng = np.random.default_rng(0)
    n, senders = 40, 30
    unit = rng.uniform(0.5, 2.0, size=n + senders)
    weights = sparse.csr_matrix((rng.random((n, senders)) < 0.3) * rng.random((n, senders)))
    ligand, receptor = (
        rng.uniform(5, 30, size=(senders, 1)),
        rng.uniform(5, 30, size=(n, 1)),
    )  # molecules
    place = np.arange(n + senders)
    study = SimpleNamespace(
        unit=unit,
        time=np.zeros(n),
        senders=place >= n,
        receivers=place < n,
        weights=weights,
        sender_ligand=ligand * unit[n:, None],
        receptor=receptor * unit[:n, None],
    )
    share = 0.6

    def signal(exposure, receptor, pairs):
        dose = exposure * receptor / 300.0
        return dose / (1 + dose)

    fit = SimpleNamespace(
        network=SimpleNamespace(
            signal=signal, gate=lambda context, index: torch.full((n, len(index)), 0.2)
        ),
        attended=SimpleNamespace(
            exposure=torch.as_tensor(weights @ study.sender_ligand),
            receptor=torch.as_tensor(study.receptor),
        ),
        attention=SimpleNamespace(
            exposure=torch.full((n, 2), share),
            receptor=torch.full((n, 2), share),
            context=torch.zeros(n, 1),
        ),
    )
    problem = SimpleNamespace(targets=torch.zeros(n, 1), n_tfs=0)
    found = signal_errors(study, problem, fit, np.array([0]))
    mean = fit.attended
    draws = []
    for _ in range(3000):
        again = weights @ (rng.poisson(ligand) * unit[n:, None])
        seen = mean.exposure.numpy() + share * (again - mean.exposure.numpy())
        counted = mean.receptor.numpy() + share * (
            rng.poisson(receptor) * unit[:n, None] - mean.receptor.numpy()
        )
        draws.append(1.2 * signal(seen, counted, None))
    np.testing.assert_allclose(found, np.std(draws, axis=0), rtol=0.15, atol=1e-3)
    study.unit = None
    assert np.isnan(signal_errors(study, problem, fit, np.array([0]))).all()


@pytest.fixture(scope="module")
def smoothed():
    """Data that are no counts."""
    adata = tissue()
    values = dense(adata.X)
    rng = np.random.default_rng(0)
    adata.X = (
        (values + values[rng.permutation(len(values))]) / 2 + 0.01 * rng.random(values.shape)
    ).astype(np.float32)
    st.tl.infer_ccc(
        adata, sample_key="sample", config=small_config(training=st.TrainingConfig(max_epochs=0))
    )
    return adata


def test_without_counts_there_is_no_error_and_nothing_is_shrunk(smoothed):
    activity = st.get.activity(smoothed)
    assert activity.n_vars > 0
    assert np.isnan(activity.layers["se"]).all()
    np.testing.assert_array_equal(activity.layers["shrunk"], activity.X)
    assert not np.isnan(activity.X[receiving(smoothed)]).any()


def test_without_counts_a_message_states_that_noise_is_unknown(caplog):
    adata = tissue()
    adata.X = dense(adata.X) / np.maximum(dense(adata.X).std(0), 0.1)
    config = tiny_config()
    st.tl.infer_ccc(adata, sample_key="sample", config=config, **TWO_OF_EACH)
    assert "the count noise is unknown" in caplog.text
    caplog.clear()
    st.tl.infer_ccc(tissue(), sample_key="sample", config=config, **TWO_OF_EACH)
    assert "count noise" not in caplog.text


def test_the_error_layer_is_stored_and_not_returned_as_a_slot(result):
    assert result.obsm["spatrace_activity_se"].shape == result.obsm["spatrace_activity"].shape
    activity = st.get.activity(result)
    assert "spatrace_activity_se" not in activity.obsm
    activity.layers["se"][:] = -1
    assert not (st.get.activity(result).layers["se"] == -1).any()


@pytest.mark.slow
def test_cells_that_truly_receive_a_signal_have_higher_activity():
    """AUROC of the activity of a pair for cells whose true signal is above its median."""
    from sklearn.metrics import roc_auc_score

    adata = st.datasets.simulated(103)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=st.Config(progress=False))
    activity, truth = st.get.activity(adata), adata.obsm["true_signal"]
    cells = np.isfinite(activity.X[:, 0])
    found = []
    for pair in truth.columns.intersection(activity.var_names):
        true = truth.loc[cells, pair].to_numpy()
        found.append(roc_auc_score(true > np.median(true), activity[cells, pair].X.ravel()))
    assert len(found) >= 10
    assert np.median(found) > 0.8
    assert min(found) > 0.7


def test_activity_of_tfs(result):
    activity = st.get.activity(result, "tfs")
    assert sorted(activity.var_names) == sorted(result.var_names[result.var["tf"]])
    assert (np.diff(activity.var["score"]) <= 0).all()
    receives = result.obs["dpt_pseudotime"].notna().to_numpy()
    assert np.isfinite(activity.X[receives]).all()
    assert np.isnan(activity.X[~receives]).all()
    spread, score = activity.X[receives].std(0), activity.var["score"].to_numpy()
    np.testing.assert_allclose(spread[score > 0], score[score > 0], rtol=1e-3)
    np.testing.assert_allclose(activity.X[receives].mean(0), 0.0, atol=1e-3)
    effects = st.get.tf_targets(result).groupby("tf")["effect"].agg(lambda e: np.linalg.norm(e))
    np.testing.assert_allclose(effects.loc[activity.var_names], score, rtol=1e-4)
    assert not [k for k in activity.obsm if k.startswith("spatrace")]
    with pytest.raises(st.InvalidArgumentError, match=r"`kind`.*'tfs'"):
        st.get.activity(result, "tf")
