"""The direction of a signal over the tissue."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver
from scipy import sparse

import spatrace_sc as st

SLOT = "spatrace_communication"
TITLES = [f"{stage}_slice{k}" for stage in ("early", "body", "adult") for k in (2, 10)]


def arrows(ax) -> tuple[np.ndarray, np.ndarray]:
    """Positions and vectors of the arrows of a panel."""
    quiver = next(c for c in ax.collections if isinstance(c, Quiver))
    return np.asarray(quiver.XY), np.column_stack([quiver.U, quiver.V])


def centre(adata: AnnData, name: str) -> np.ndarray:
    position = adata.obsm["spatial"][(adata.obs["sample"] == name).to_numpy()]
    return (position.min(axis=0) + position.max(axis=0)) / 2


def planted(result: AnnData, way: tuple[float, float], sample: str | None = None) -> AnnData:
    """Every receiver gets 1 from the cell of its slice that lies furthest against ``way``."""
    adata = result.copy()
    receives = np.isin(adata.obs["cell_type"].astype(str), st.get.params(adata)["receivers"])
    matrix = sparse.lil_matrix((adata.n_obs, adata.n_obs))
    for name in adata.obs["sample"].unique() if sample is None else [sample]:
        cells = np.flatnonzero((adata.obs["sample"] == name).to_numpy())
        start = cells[np.argmin(adata.obsm["spatial"][cells] @ np.array(way))]
        for cell in cells[receives[cells]]:
            matrix[start, cell] = 1.0
    adata.obsp[SLOT] = matrix.tocsr()
    return adata


@pytest.mark.parametrize("way", [(1, 0), (-1, 0), (0, 1), (0, -1)])
@pytest.mark.parametrize("invert_y", [True, False])
def test_a_planted_signal_points_along_its_way(
    result: AnnData, way: tuple[float, float], invert_y: bool
) -> None:
    adata = planted(result, way)
    axes = st.pl.flow(adata, invert_y=invert_y)
    for ax in axes:
        xy, uv = arrows(ax)
        inner = (np.abs(xy) < 0.5 * np.abs(xy).max(axis=0)).all(axis=1)
        along = uv[inner] @ np.array(way)
        assert len(along) > 5
        assert (along > 0).all()
        # On the page, too: the head of an arrow lies to that side of its tail.
        ends = ax.transData.transform(np.stack([[0, 0], way]))
        drawn = (ends[1] - ends[0]) * (1, -1 if invert_y else 1)
        np.testing.assert_allclose(np.sign(drawn), np.sign(way), atol=0)
    assert all(ax.yaxis_inverted() == invert_y for ax in axes)


def test_numbers_are_those_of_the_table(result: AnnData) -> None:
    axes = st.pl.flow(result, n_arrows=5)
    table = st.get.signal_direction(result)
    for ax, title in zip(axes, TITLES, strict=True):
        assert ax.get_title() == title
        rows = ((result.obs["sample"] == title) & table["received"].notna()).to_numpy()
        drawn = np.sort(np.asarray(ax.collections[1].get_array()))
        np.testing.assert_allclose(drawn, np.sort(table["received"][rows]))
        xy, uv = arrows(ax)
        position = result.obsm["spatial"][rows] - centre(result, title)
        net = table[["x", "y"]].to_numpy() - table[["expected_x", "expected_y"]].to_numpy()
        step = 2 * np.abs([*ax.get_xlim(), *ax.get_ylim()]).max() / 5
        square = ((position[:, None] - xy) ** 2).sum(axis=2) / step**2
        weight = np.where(square <= 4, np.exp(-square / (2 * 0.7**2)), 0.0)
        expected = weight.T @ net[rows] / weight.sum(axis=0)[:, None]
        assert len(xy) >= 15
        np.testing.assert_allclose(uv, expected, rtol=1e-6, atol=1e-9)


def test_a_panel_without_a_signal_has_no_arrows_of_any_length(result: AnnData) -> None:
    axes = st.pl.flow(planted(result, (1, 0), "body_slice2"))
    lengths = [np.hypot(*arrows(ax)[1].T).max() for ax in axes]
    assert [length > 0 for length in lengths] == [t == "body_slice2" for t in TITLES]


def test_no_signal_at_all_is_said(result: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    adata = result.copy()
    adata.obsp[SLOT] = sparse.csr_matrix((adata.n_obs, adata.n_obs))
    ax = st.pl.flow(adata)[0]
    assert ax.texts[0].get_text() == "not active in these cells"
    assert not any(isinstance(c, Quiver) for c in ax.collections)
    assert "not active" in caplog.text


def test_streamlines(result: AnnData) -> None:
    ax = st.pl.flow(planted(result, (1, 0)), style="stream", sample="early_slice2")
    lines = next(c for c in ax.collections if isinstance(c, LineCollection))
    steps = [segment[-1, 0] - segment[0, 0] for segment in lines.get_segments()]
    assert np.mean(np.array(steps) > 0) > 0.95
    assert ax.yaxis_inverted()


def test_a_pair_and_a_module(result: AnnData) -> None:
    adata = result.copy()
    st.tl.modules(adata, max_q=1.0, n_modules=2, progress=False)
    pair = str(st.get.activity(adata).var_names[0])
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.communication\(adata, pairs="):
        st.pl.flow(adata, pair)
    with pytest.raises(st.MissingKeyError, match=r"main pairs of 'M1.*st\.tl\.communication"):
        st.pl.flow(adata, kind="modules")
    pairs = list(st.get.activity(adata).var_names)
    st.tl.communication(adata, pairs=pairs, n_permutations=3, progress=False)
    figure = st.pl.flow(adata, pair, sample="body_slice2").figure
    assert figure.get_suptitle().replace("\n", " ").startswith(pair.replace("^", " → "))
    assert st.pl.flow(adata, "M2", kind="modules")[0].figure.get_suptitle().startswith("M2")
    with pytest.raises(st.InvalidArgumentError, match="Did you mean"):
        st.pl.flow(adata, pair[:6] + "-" + pair[7:])


def test_given_axes_and_wrong_arguments(result: AnnData) -> None:
    _, grid = plt.subplots(2, 3)
    assert list(st.pl.flow(result, ax=grid)) == list(grid.ravel())
    for arguments in ({"style": "lines"}, {"n_arrows": 0}, {"size": -1}, {"scale_bar": 0}):
        with pytest.raises(st.InvalidArgumentError, match=next(iter(arguments))):
            st.pl.flow(result, **arguments)


def test_nothing_found(silent: AnnData) -> None:
    ax = st.pl.flow(silent)
    assert ax.texts[0].get_text() == "No ligand–receptor pair has an activity"
