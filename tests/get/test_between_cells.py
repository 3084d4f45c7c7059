"""Readers of matrices between cells, and the directions that follow from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import spatrace_sc as st

SLOT = "spatrace_communication"


def by_hand(adata, matrix):
    """Sum of unit vectors from every sender to every receiver, weighted by a dense matrix."""
    position = adata.obsm["spatial"]
    total = np.zeros((adata.n_obs, 2))
    for sender, receiver in zip(*np.nonzero(matrix), strict=True):
        way = position[receiver] - position[sender]
        length = np.hypot(*way)
        if length > 0:
            total[receiver] += matrix[sender, receiver] * way / length
    return total


def kernel(adata):
    """Weight of every sender (row) for every receiver of its slice, within the radius."""
    params = st.get.params(adata)
    types, slices = (adata.obs[c].astype(str).to_numpy() for c in ("cell_type", "sample"))
    position, radius = adata.obsm["spatial"], params["radius"]
    distance = np.hypot(*(position[:, None] - position[None]).transpose(2, 0, 1))
    weight = np.where(distance <= radius, np.exp(-3 * distance / radius), 0.0)
    weight[slices[:, None] != slices[None]] = 0.0
    weight[~np.isin(types, params["senders"])] = 0.0
    weight[:, ~np.isin(types, params["receivers"])] = 0.0
    np.fill_diagonal(weight, 0.0)
    return weight


def test_the_matrix_adds_up_to_what_is_received(adata):
    matrix = st.get.cell_communication(adata)
    sums = st.get.sent_received(adata)
    received = np.asarray(matrix.sum(axis=0)).ravel()
    np.testing.assert_allclose(received, np.nan_to_num(sums["received"]))
    activity = st.get.activity(adata).X.sum(axis=1)
    np.testing.assert_allclose(received, np.nan_to_num(activity), rtol=1e-3, atol=1e-4)


def test_a_module_is_the_weighted_sum_of_its_main_pairs(adata):
    st.tl.modules(adata, max_q=1.0, n_modules=2, progress=False)
    table = st.get.modules(adata).query("main")
    name = str(table["module"].iloc[0])
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.communication\(adata, pairs=\["):
        st.get.cell_communication(adata, module=name)
    pairs = list(st.get.activity(adata).var_names)
    st.tl.communication(adata, pairs=pairs, n_permutations=3, progress=False)
    rows = table[table["module"].astype(str) == name]
    expected = sum(
        row["weight"] * st.get.cell_communication(adata, (row["ligand"], row["receptor"]))
        for _, row in rows.iterrows()
    )
    np.testing.assert_allclose(
        st.get.cell_communication(adata, module=name).toarray(), expected.toarray()
    )
    with pytest.raises(st.InvalidArgumentError, match="not a module"):
        st.get.cell_communication(adata, module="M9")
    with pytest.raises(st.InvalidArgumentError, match="exclude each other"):
        st.get.cell_communication(adata, pairs[0], module=name)


def test_directions_by_hand(adata):
    matrix = st.get.cell_communication(adata).toarray()
    table = st.get.signal_direction(adata)
    receives = table["received"].notna().to_numpy()
    np.testing.assert_allclose(
        table.loc[receives, ["x", "y"]], by_hand(adata, matrix)[receives], atol=1e-5
    )
    weight = kernel(adata)
    share = matrix.sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-300)
    expected = by_hand(adata, weight) * share[:, None]
    drawn = table.loc[receives, ["expected_x", "expected_y"]]
    np.testing.assert_allclose(drawn, expected[receives], atol=1e-5)
    assert (np.hypot(table["x"], table["y"]) <= table["received"] + 1e-6)[receives].all()


def test_senders_that_give_alike_have_the_expected_direction(adata):
    weight = kernel(adata)
    adata.obsp[SLOT] = sparse.csr_matrix(weight / np.maximum(weight.sum(axis=0), 1e-300))
    table = st.get.signal_direction(adata).dropna()
    assert len(table) > 20
    np.testing.assert_allclose(table["x"], table["expected_x"], atol=1e-5)
    np.testing.assert_allclose(table["y"], table["expected_y"], atol=1e-5)
    assert np.abs(table["x"]).max() > 0.5  # at the edge, all senders are on one side


def test_stored_transitions(adata):
    with pytest.raises(st.MissingKeyError, match="holds no transitions"):
        st.get.transitions(adata)
    st.pp.transitions(adata, n_pcs=5)
    matrix = st.get.transitions(adata)
    expected = adata.obsp["transitions"]
    assert (matrix != expected).nnz == 0
    del adata.obsp["transitions"]
    with pytest.raises(st.MissingKeyError, match="has been removed"):
        st.get.transitions(adata)


def test_trend_by_hand(adata):
    table = st.get.trend(adata, "tfs")
    cells = st.get.activity(adata, "tfs")
    side = 2 * st.get.params(adata)["radius"]
    name, stage = str(cells.var_names[0]), st.get.stages(adata)[0]
    value = cells[:, name].X.ravel()
    column = st.get.params(adata)["stage_key"] or st.get.params(adata)["sample_key"]
    chosen = (adata.obs[column].astype(str) == stage).to_numpy() & np.isfinite(value)
    square = np.full((adata.n_obs, 2), -1)
    slices = adata.obs["sample"].astype(str).to_numpy()
    for one in np.unique(slices):
        position = adata.obsm["spatial"][slices == one]
        square[slices == one] = (position - position.min(axis=0)) // side
    label = np.array([f"{s} {a} {b}" for s, (a, b) in zip(slices, square, strict=True)])
    mean = value[chosen].mean()
    sums = [(value[chosen & (label == s)] - mean).sum() for s in np.unique(label[chosen])]
    n = len(sums)
    se = np.sqrt(n / (n - 1) * np.square(sums).sum()) / chosen.sum() if n > 1 else np.nan
    row = table[(table["name"] == name) & (table["group"] == stage)].iloc[0]
    assert (row["n_cells"], row["n_squares"]) == (chosen.sum(), n)
    np.testing.assert_allclose([row["mean"], row["se"]], [mean, se], rtol=1e-4)
    assert list(dict.fromkeys(table["name"])) == list(cells.var_names)
