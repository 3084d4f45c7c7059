from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import small_result

import spatrace_sc as st
from spatrace_sc._inference.restore import restore
from spatrace_sc._model.evidence.edge_strength import residual_of


@pytest.fixture
def adata():
    return small_result().copy()


def strongest(adata, kind="tf_targets"):
    edge = getattr(st.get, kind)(adata).iloc[0]
    name = edge["tf"] if "tf" in edge else f"{edge['ligand']}^{edge['receptor']}"
    return str(name), str(edge["target"]), float(edge["effect"])


@pytest.mark.parametrize("kind", ["tf_targets", "lr_targets"])
def test_means_are_of_the_target_without_all_others(adata, kind):
    """Against the target minus the prediction from all columns but those of the regulator."""
    name, target, _ = strongest(adata, kind)
    st.tl.partial_residuals(adata, name, target, n_bins=4)
    table = st.get.partial_residuals(adata)
    model = restore(adata, "spatrace")
    problem, weights = model.problem, model.fit.weights
    design, _ = residual_of(problem, model.fit)
    view = design.at(problem.usable)
    gene = int(model.genes.index("targets", [target])[0])
    regulators = {model.genes.regulator_name(k): k for k in range(model.genes.n_regulators)}
    number, n_f = regulators[name], model.genes.n_tfs
    own = {problem.n_tfs - n_f + number} | ({number} if number < n_f else set())
    others = torch.tensor([r not in own for r in weights.rows.tolist()])
    y = ((problem.targets - model.fit.target_mean) / model.fit.target_sd)[problem.usable][:, gene]
    y = y - weights.values[others][:, gene] @ view[weights.rows[others]]
    x = view[torch.tensor([problem.n_tfs - n_f + number])][0].double().numpy()
    x, y = (x - x.mean()) / x.std(), y.double().numpy()
    every = table[(table["against"] == name) & (table["stage"] == "") & (table["sample"] == "")]
    assert every["n_cells"].sum() == len(y)
    order = np.argsort(x, kind="stable")
    ends = np.cumsum(every["n_cells"])
    for row, end in zip(every.itertuples(), ends, strict=True):
        cells = order[end - row.n_cells : end]
        assert row.signal == pytest.approx(x[cells].mean(), abs=1e-4)
        assert row.residual == pytest.approx(y[cells].mean(), abs=1e-4)
    assert every["slope"].iloc[0] == pytest.approx(np.polyfit(x, y, 1)[0], abs=1e-4)


def test_slices_add_up_to_all_cells(adata):
    name, target, effect = strongest(adata)
    assert st.tl.partial_residuals(adata, name, target) is None
    table = st.get.partial_residuals(adata)
    every = table["stage"].eq("") & table["sample"].eq("")
    keys = ["against", "bin"]
    total = table[every].set_index(keys)
    parts = table[~every].assign(sum=lambda t: t["residual"] * t["n_cells"]).groupby(keys)
    np.testing.assert_allclose(parts["n_cells"].sum().reindex(total.index), total["n_cells"])
    mean = (parts["sum"].sum() / parts["n_cells"].sum()).reindex(total.index)
    np.testing.assert_allclose(mean, total["residual"], atol=1e-6)
    assert set(table.loc[~every, "stage"]) <= set(st.get.stages(adata))
    assert table["role"].iloc[0] == "regulator"
    assert np.sign(table["slope"].iloc[0]) == np.sign(effect)


def test_the_rival_is_of_the_group_or_the_strongest_other(adata):
    from spatrace_sc.tl._partial_residuals import _strongest_rival

    edges = pd.DataFrame(
        {
            "tf": ["A", "B", "C", "D"],
            "target": ["G", "G", "G", "H"],
            "score": [0.5, 0.4, 0.3, 0.9],
            "group": ["A | C | L^R", "", "", ""],
        }
    )
    pairs = pd.DataFrame(
        {"ligand": ["L"], "receptor": ["R"], "target": ["G"], "score": [0.35], "group": [""]}
    )
    tables = {"tf_targets": edges, "lr_targets": pairs}
    assert _strongest_rival(tables, "A", "G") == ("L^R", "rival of the group")
    assert _strongest_rival(tables, "B", "G") == ("A", "strongest other regulator")
    assert _strongest_rival(tables, "D", "H") == (None, "strongest other regulator")
    silent = edges.assign(group=["A | Z | 3 more", "", "", ""])
    tables["tf_targets"] = silent
    assert _strongest_rival(tables, "A", "G") == ("Z", "rival of the group")


def test_a_named_rival_and_several_edges(adata):
    name, target, _ = strongest(adata)
    other = next(str(tf) for tf in st.get.tf_targets(adata)["tf"] if tf != name)
    done = st.tl.partial_residuals(adata, name, target, rival=other, copy=True)
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.partial_residuals"):
        st.get.partial_residuals(adata)
    assert st.get.partial_residuals(done)["against"].unique().tolist() == [name, other]
    pair, pair_target, _ = strongest(adata, "lr_targets")
    st.tl.partial_residuals(done, tuple(pair.split("^")), pair_target)
    with pytest.raises(st.InvalidArgumentError, match="fits 2 edges; name one"):
        st.get.partial_residuals(done)
    table = st.get.partial_residuals(done, tuple(pair.split("^")), pair_target)
    assert table["regulator"].unique().tolist() == [pair]
    before = len(done.uns["spatrace"]["partial_residuals"])
    st.tl.partial_residuals(done, pair, pair_target)
    assert len(done.uns["spatrace"]["partial_residuals"]) == before
    with pytest.raises(st.InvalidArgumentError, match="is not stored"):
        st.get.partial_residuals(done, other, "none")


def test_it_can_be_written_and_read(adata, tmp_path):
    import anndata as ad

    name, target, _ = strongest(adata)
    st.tl.partial_residuals(adata, name, target)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    before, after = (st.get.partial_residuals(a) for a in (adata, again))
    pd.testing.assert_frame_equal(after, before, check_dtype=False)
    st.tl.partial_residuals(again, name, target)
    assert len(st.get.partial_residuals(again)) == len(before)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"regulator": "TF00"}, "neither a TF.*Did you mean 'TF0"),
        ({"regulator": "LIG000^REC00"}, r"Did you mean 'LIG000\^REC0"),
        ({"regulator": ("LIG000", "REC000", "x")}, "neither a TF"),
        ({"regulator": "A^B^C"}, "neither a TF"),
        ({"regulator": 3}, "neither a TF"),
        ({"target": "TG00"}, "Did you mean 'TG0"),
        ({"rival": "TF000"}, "is the regulator itself"),
        ({"n_bins": 1}, "`n_bins`"),
    ],
)
def test_arguments_are_checked(adata, arguments, text):
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.tl.partial_residuals(adata, **{"regulator": "TF000", "target": "TG000"} | arguments)
