"""Ranges of ligands: columns, errors, and the range that was simulated."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import spatrace_sc as st

NOTHING = "ignore:no edge has q:spatrace_sc.SpatraceWarning"
pytestmark = pytest.mark.filterwarnings(NOTHING)


@pytest.fixture(scope="module")
def inferred():
    adata = st.datasets.simulated(n_cells=700, n_targets=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(st.settings, "progress", False)
        st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    return adata


@pytest.fixture(scope="module")
def ranged(inferred):
    return st.tl.ranges(inferred, max_q=1.0, copy=True)


def test_tables(inferred, ranged):
    table, profile = st.get.ranges(ranged), st.get.ranges(ranged, profile=True)
    assert "ranges" not in inferred.uns["spatrace"]
    radius = st.get.params(ranged)["radius"]
    radii = np.unique(profile["radius"])
    np.testing.assert_allclose(radii / radius, [0.3, 0.6, 1, 2, 4])
    assert (table["low"] <= table["radius"]).all()
    assert (table["radius"] <= table["high"]).all()
    assert set(table["radius"]) <= set(radii)
    np.testing.assert_allclose(profile.groupby("ligand")["preferred"].sum(), 1.0)
    best = profile.loc[profile.groupby("ligand")["log_likelihood"].idxmax()]
    assert dict(zip(best["ligand"], best["radius"], strict=True)) == dict(
        zip(table["ligand"], table["radius"], strict=True)
    )
    edges = st.get.lr_targets(ranged)
    count = edges[edges["score"] > 0].groupby("ligand").size()
    assert dict(zip(table["ligand"], table["n_edges"], strict=True)) == count.to_dict()
    widest = (table["low"] == radii[0]) & (table["high"] == radii[-1])
    assert not table.loc[widest, "determined"].any()


def test_the_same_again_and_in_another_order_of_cells(inferred, ranged):
    again = st.tl.ranges(inferred, max_q=1.0, copy=True)
    assert st.get.ranges(again).equals(st.get.ranges(ranged))
    order = np.random.default_rng(0).permutation(inferred.n_obs)
    moved = st.tl.ranges(inferred[order].copy(), max_q=1.0, copy=True)
    one, other = (st.get.ranges(a, profile=True)["log_likelihood"] for a in (ranged, moved))
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=0.05)


def test_only_significant_edges_tell(inferred):
    none = st.tl.ranges(inferred, max_q=1e-9, copy=True)
    assert st.get.ranges(none).empty
    ax = st.pl.ranges(none)
    assert "No ligand" in ax.texts[0].get_text()
    plt.close(ax.figure)


def test_figure_draws_the_table(ranged):
    ax = st.pl.ranges(ranged, top_n=4)
    table = st.get.ranges(ranged).nlargest(4, "n_edges")
    table = table.sort_values(["radius", "low", "ligand"])
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2][:4]
    drawn = [tuple(line.get_xdata()) for line in lines]
    assert drawn == list(zip(table["low"], table["high"], strict=True))
    assert [t.get_text() for t in ax.get_yticklabels()] == table["ligand"].tolist()
    plt.close(ax.figure)


def test_a_file_keeps_them(ranged, tmp_path):
    import anndata as ad

    ranged.write_h5ad(tmp_path / "r.h5ad")
    back = st.get.ranges(ad.read_h5ad(tmp_path / "r.h5ad"))
    assert back.equals(st.get.ranges(ranged))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radii": [10.0]}, "at least two"),
        ({"radii": [10.0, -1.0]}, "positive"),
        ({"radii": "10"}, "list of numbers"),
        ({"max_q": 0.0}, "max_q"),
        ({"rng": -1}, "rng"),
    ],
)
def test_bad_arguments(inferred, arguments, message):
    with pytest.raises(st.InvalidArgumentError, match=message):
        st.tl.ranges(inferred, **arguments)


def test_before_and_without(inferred):
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.ranges"):
        st.get.ranges(inferred)
    with pytest.raises(st.MissingKeyError):
        st.tl.ranges(st.datasets.simulated(n_cells=300))


def test_changed_data(inferred):
    changed = inferred.copy()
    changed.obsm["spatial"] = changed.obsm["spatial"] * np.array([1.0, 3.0])
    with pytest.raises(st.DataError):
        st.tl.ranges(changed, max_q=1.0)
