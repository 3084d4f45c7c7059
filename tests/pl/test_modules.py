from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

import spatrace_sc as st


@pytest.fixture(scope="module")
def fitted(result: AnnData) -> AnnData:
    """Three modules of every pair."""
    return st.tl.modules(result, max_q=1.0, n_modules=3, copy=True)


def labels(axis) -> list[str]:
    return [t.get_text() for t in axis.get_ticklabels()]


def test_three_heatmaps_with_modules_as_rows(fitted: AnnData) -> None:
    axes = st.pl.modules(fitted, top_pairs=8, top_targets=6)
    names = st.get.modules(fitted, "summary")["module"].tolist()
    assert labels(axes[0].yaxis) == names
    assert [ax.images[0].get_array().shape for ax in axes] == [(3, 8), (3, 6), (3, 3)]
    n_targets = st.get.modules(fitted, "targets")["target"].nunique()
    assert [ax.get_title() for ax in axes][1:] == [f"6 of {n_targets} targets", "stages"]
    assert axes[0].get_title().startswith("8 of ")
    assert labels(axes[2].xaxis) == st.get.stages(fitted) == ["early", "body", "adult"]
    assert {a.get_xlabel() for a in axes[0].figure.axes} >= {
        "share of the pair",
        "effect (SD)",
        "mean score\n(SD)",
    }


def test_colours_are_the_values_of_the_tables(fitted: AnnData) -> None:
    axes = st.pl.modules(fitted, top_pairs=None, top_targets=None)
    names = st.get.modules(fitted, "summary")["module"].tolist()
    pairs = st.get.modules(fitted)
    pairs["pair"] = pairs["ligand"] + " → " + pairs["receptor"]
    targets, stages = st.get.modules(fitted, "targets"), st.get.modules(fitted, "stages")
    for ax, table, column, value in (
        (axes[0], pairs, "pair", "weight"),
        (axes[1], targets, "target", "effect"),
        (axes[2], stages, "stage", "score"),
    ):
        wide = table.pivot(index="module", columns=column, values=value).reindex(names).fillna(0.0)
        columns = labels(ax.xaxis)
        image = np.asarray(ax.images[0].get_array())
        assert image.shape == wide.shape
        if len(columns) == wide.shape[1]:
            np.testing.assert_allclose(image, wide[columns])
        np.testing.assert_allclose(np.sort(image.ravel()), np.sort(wide.to_numpy().ravel()))
    assert axes[0].images[0].get_clim() == (0, 1)
    low, high = axes[1].images[0].get_clim()
    assert -low == high == pytest.approx(targets["score"].max())


def test_columns_stand_by_module(fitted: AnnData) -> None:
    image = np.asarray(st.pl.modules(fitted)[0].images[0].get_array())
    assert (np.diff(image.argmax(axis=0)) >= 0).all()


def test_given_axes_are_used(fitted: AnnData) -> None:
    figure, grid = plt.subplots(1, 3)
    assert list(st.pl.modules(fitted, ax=grid)) == list(grid)
    assert plt.get_fignums() == [figure.number]


def test_scanpy_can_colour_cells_by_a_module(fitted: AnnData) -> None:
    import scanpy as sc

    cells = st.get.activity(fitted, "modules")
    ax = sc.pl.embedding(cells, "spatial", color=cells.var_names[0], show=False)
    assert ax.get_title() == cells.var_names[0]


def test_without_modules_there_is_a_note(silent: AnnData, caplog: pytest.LogCaptureFixture) -> None:
    st.tl.modules(silent)
    ax = st.pl.modules(silent)
    assert "no modules" in ax.texts[0].get_text()
    assert "no modules" in caplog.text


def test_without_targets_there_is_a_note(fitted: AnnData) -> None:
    adata = fitted.copy()
    stored = dict(adata.uns["spatrace"])
    adata.uns["spatrace"] = stored | {
        "modules": stored["modules"] | {"targets": stored["modules"]["targets"].iloc[:0]}
    }
    axes = st.pl.modules(adata)
    assert axes[1].texts[0].get_text() == "No targets"


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"top_pairs": 0}, st.InvalidArgumentError, "`top_pairs`"),
        ({"top_pairs": 2.5}, st.InvalidArgumentError, "`top_pairs`"),
        ({"top_targets": True}, st.InvalidArgumentError, "`top_targets`"),
        ({"key": "other"}, st.MissingKeyError, "pass it as `key`"),
        ({"ax": [1, 2]}, st.InvalidArgumentError, "2 axes.*3 panels"),
    ],
)
def test_arguments_are_checked(fitted: AnnData, arguments: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        st.pl.modules(fitted, **arguments)


def test_before_the_verb(result: AnnData) -> None:
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.modules"):
        st.pl.modules(result)
