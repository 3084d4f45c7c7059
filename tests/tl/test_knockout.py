from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    FEW_GENES,
    NOTHING_SIGNIFICANT,
    assert_unchanged,
    infer_again,
    slow,
    small_config,
    small_result,
    snapshot,
    written_and_read,
)
from scipy.stats import spearmanr

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._inference.restore import restore

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)


@pytest.fixture
def result():
    """A small tissue with a result; a copy."""
    return small_result().copy()


def first(adata, role):
    return str(adata.uns["spatrace"]["genes"][role][0])


def with_two_refits(params):
    config = params["config"]
    evidence = config["evidence"] | {"n_resamples": 2}
    return params | {"config": config | {"evidence": evidence}}


def wired(adata, *, pair_on_tf=0.0, tf_on_tf=0.0, tf_on_target=0.0, pair_on_target=0.0, spread=0.0):
    """Return the result with four effects only.

    They are pair 0 on TF 0 and on target 1, TF 0 on TF 1, and TF 1 on target 0. Refits differ by
    ``spread`` in the last.
    """
    found = {k: v for k, v in adata.uns["spatrace"].items() if k != "contents"}
    n_g, n_f = len(found["genes"]["targets"]), len(found["genes"]["tfs"])
    found["tf_targets"] = (
        found["tf_targets"].head(1).assign(tf=1, target=0, effect=tf_on_target, effect_se=0.0)
    )
    found["lr_targets"] = (
        found["lr_targets"]
        .head(1)
        .assign(ligand=0, receptor=0, target=1, effect=pair_on_target, effect_se=0.0)
    )
    found["lr_tfs"] = found["lr_tfs"].head(1).assign(ligand=0, receptor=0, tf=0, effect=pair_on_tf)
    edge = np.array(
        [n_g + 1, n_g + n_f]
    )  # TF 0 on TF 1; TF 1 on target 0, the first number of its row
    weight = np.array(
        [[tf_on_tf, tf_on_target - spread], [tf_on_tf, tf_on_target + spread]], dtype=np.float16
    )
    found["refits"] = {"edge": edge, "weight": weight}
    found["params"] = with_two_refits(found["params"])
    adata.uns["spatrace"] = found
    return adata


def model_of(adata):
    from spatrace_sc._inference.restore import restore

    return restore(adata, "spatrace")


def signal_change(model, pair=0):
    """Minus the signal of a pair, gated, in standard deviations."""
    import torch

    number = torch.tensor([pair])
    with torch.no_grad():
        signal = model.fit.network.signal(
            model.fit.attended.exposure, model.fit.attended.receptor, number
        )
        gate = 1 + model.fit.network.gate(model.fit.attention.context, model.problem.n_tfs + number)
    return -(signal * gate / signal[model.problem.usable].std(0, correction=0)).numpy()[:, 0]


def noise_of(model):
    from spatrace_sc._model.evidence.errors_in_variables import noise_share

    return noise_share(model.problem).numpy()


def test_pair_and_two_tfs_by_hand(result):
    """Without ligand 0 the pair changes target 1, and target 0 through TF 0 and then TF 1."""
    wired(result, pair_on_tf=-0.2, tf_on_tf=0.25, tf_on_target=0.8, pair_on_target=0.3)
    model = model_of(result)
    st.tl.knockout(result, ligand=first(result, "ligands"))
    change = signal_change(model)
    tf_0 = -0.2 * change  # rises, so the floor is not met
    alpha, past = model.fit.attention.tf.numpy(), tf_0.astype(float)
    mean_past = np.zeros(len(past))
    for back in range(1, alpha.shape[1] + 1):
        past = model.study.backward @ past
        mass = np.asarray((model.study.backward**back).sum(1)).ravel()
        mean_past += alpha[:, -back] * np.divide(
            past, mass, out=np.zeros_like(past), where=mass > 1e-6
        )
    tf_1 = 0.25 / np.sqrt(1 - noise_of(model)[1]) * mean_past
    cells = st.get.knockout_cells(result).X[model.rows]
    np.testing.assert_allclose(cells[:, 1], 0.3 * change, atol=1e-4)
    np.testing.assert_allclose(cells[:, 0], 0.8 * tf_1, atol=1e-4)
    assert not cells[:, 2:].any()
    table = st.get.knockout(result).set_index("target")
    names = list(result.uns["spatrace"]["genes"]["targets"])
    assert table.loc[names[0], "change"] == pytest.approx((0.8 * tf_1).mean(), abs=1e-5)
    assert table.loc[names[0], "direct"] == 0
    assert table.loc[names[0], "mediated"] == pytest.approx(table.loc[names[0], "change"])
    assert table.loc[names[1], "change"] == pytest.approx((0.3 * change).mean(), abs=1e-5)
    assert table.loc[names[1], "mediated"] == 0
    assert table.loc[names[1], "log_change"] == pytest.approx(
        table.loc[names[1], "change"] * float(model.fit.target_sd[1])
    )
    assert (table.loc[names[2:], "change"] == 0).all()
    by_stage = [
        st.get.knockout(result, stage=s).set_index("target").loc[names[1], "change"]
        for s in model.study.stages
    ]
    expected = [
        (0.3 * change)[model.study.stage == k].mean() for k in range(len(model.study.stages))
    ]
    np.testing.assert_allclose(by_stage, expected, atol=1e-5)


def test_error_and_agreement_by_hand(result):
    """Two refits with weights .5 ± .2 have one sign, with .5 ± .7 two; the error is jackknifed."""
    share = result.uns["spatrace"]["params"]["config"]["evidence"]["sample_share"]
    names = list(result.uns["spatrace"]["genes"]["targets"])
    for spread, agreed in ((0.2, 1.0), (0.7, 0.5)):
        wired(result, tf_on_target=0.5, spread=spread)
        st.tl.knockout(result, tf=str(result.uns["spatrace"]["genes"]["tfs"][1]))
        row = st.get.knockout(result).set_index("target").loc[names[0]]
        assert row["change"] < 0
        assert row["direct"] == pytest.approx(row["change"])
        assert row["se"] == pytest.approx(
            np.sqrt(share / (1 - share)) * abs(row["change"]) * spread / 0.5, rel=2e-3
        )
        assert row["agreement"] == agreed


def test_a_removed_tf_falls_from_its_level_to_zero(result):
    """The lower a cell's level of the TF, the less there is to lose; cells do not rise."""
    wired(result, tf_on_target=0.5)
    name = str(result.uns["spatrace"]["genes"]["tfs"][1])
    st.tl.knockout(result, tf=name)
    model = model_of(result)
    cells = st.get.knockout_cells(result).X[model.rows, 0]
    assert (cells <= 0).all()
    level = model.fit.attended.tf[:, model.problem.n_tf_genes + 1].numpy()
    assert spearmanr(level, cells)[0] < -0.8
    count = model.problem.tf_count[:, 1].double().numpy()
    usable = model.problem.usable.numpy()
    typical = count.mean() / (count[usable].std() * np.sqrt(1 - noise_of(model)[1]))
    assert cells.mean() == pytest.approx(-0.5 * typical, rel=0.1)


def test_nothing_happens_without_an_edge(result, caplog):
    wired(result, pair_on_tf=0.2, tf_on_tf=0.3, tf_on_target=0.8, pair_on_target=0.3)
    genes = result.uns["spatrace"]["genes"]
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.tl.knockout(result, ligand=str(genes["ligands"][1]), name="none")
    assert "Nothing changes" in caplog.text
    table = st.get.knockout(result)
    assert list(table.columns) == [*_keys.KNOCKOUT, "evidence"]
    assert (table["evidence"] == "none").all()
    assert len(table) == len(genes["targets"])
    assert not table.drop(columns=["target", "evidence"]).to_numpy().any()
    receives = np.isfinite(st.get.knockout_cells(result).X).all(axis=1)
    assert not st.get.knockout_cells(result).X[receives].any()
    assert st.pl.knockout(result).texts
    st.tl.knockout(result, tf=str(genes["tfs"][2]), name="none")
    assert not st.get.knockout(result)["change"].any()


def test_a_result_without_edges_changes_nothing(result):
    stored = {k: v for k, v in result.uns["spatrace"].items() if k != "contents"}
    names = ("tf_targets", "lr_targets", "lr_tfs")
    stored |= {name: stored[name].iloc[:0] for name in names}
    stored["params"] = with_two_refits(stored["params"])
    empty = np.zeros((2, 0), dtype=np.float16)
    result.uns["spatrace"] = stored | {"refits": {"edge": empty[0].astype(int), "weight": empty}}
    st.tl.knockout(result, ligand=first(result, "ligands"), name="removed")
    assert not st.get.knockout(result)["change"].any()
    st.tl.knockout(result, tf=first(result, "tfs"), name="removed")
    assert not st.get.knockout(result)["change"].any()


def test_max_chain_limits_the_chain(result):
    wired(result, pair_on_tf=-0.2, tf_on_tf=0.25, tf_on_target=0.8, pair_on_target=0.3)
    st.tl.knockout(result, ligand=first(result, "ligands"), max_chain=0)
    table = st.get.knockout(result).set_index("target")["change"]
    names = list(result.uns["spatrace"]["genes"]["targets"])
    assert table[names[0]] == 0
    assert table[names[1]] < 0


def test_removing_all_senders_equals_removing_all_ligands(result):
    genes, senders = (
        result.uns["spatrace"]["genes"],
        list(result.uns["spatrace"]["params"]["senders"]),
    )
    st.tl.knockout(result, sender=senders)
    st.tl.knockout(result, ligand=list(genes["ligands"]))
    one, other = (st.get.knockout(result, n) for n in st.get.knockouts(result))
    pd.testing.assert_frame_equal(one, other, atol=1e-5)
    assert one["change"].abs().max() > 0.01


def test_removing_a_sender_removes_its_ligand():
    """If one type alone makes a ligand, its silence equals the loss of that ligand."""
    adata = st.datasets.simulated(n_cells=500, n_targets=8, n_background=20, **FEW_GENES)
    ligand, kind = "LIG000", "sender_0"
    matrix = adata.X.tolil()
    others = np.flatnonzero((adata.obs["cell_type"] != kind).to_numpy())
    matrix[others, adata.var_names.get_loc(ligand)] = 0
    adata.X = matrix.tocsr()
    adata.var["ligand"] = adata.var_names == ligand
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=small_config())
    st.tl.knockout(adata, sender=kind, name="sender")
    st.tl.knockout(adata, ligand=ligand, name="ligand")
    one, other = st.get.knockout(adata, "sender"), st.get.knockout(adata, "ligand")
    pd.testing.assert_frame_equal(one, other, atol=1e-6)
    st.tl.knockout(adata, sender="sender_1", name="other")
    assert not st.get.knockout(adata, "other")["change"].any()


def test_a_pair_is_blocked_alone(result):
    table = result.uns["spatrace"]["lr_targets"]
    ligand, receptor = (
        str(result.uns["spatrace"]["genes"][f"{r}s"][table[r][0]]) for r in ("ligand", "receptor")
    )
    st.tl.knockout(result, ligand=ligand, receptor=receptor)
    assert st.get.knockouts(result) == [f"pair:{ligand}+{receptor}"]
    pair = st.get.knockout(result).set_index("target")["direct"]
    st.tl.knockout(result, ligand=ligand, name="all")
    st.tl.knockout(
        result,
        ligand=ligand,
        receptor=[r for r in result.uns["spatrace"]["genes"]["receptors"] if r != receptor],
        name="rest",
    )
    whole, rest = (
        st.get.knockout(result, n).set_index("target")["direct"].loc[pair.index]
        for n in ("all", "rest")
    )
    np.testing.assert_allclose(pair + rest, whole, atol=1e-6)
    assert pair.abs().max() > 0


def test_columns_follow_from_one_another(result):
    st.tl.knockout(result, tf=list(result.uns["spatrace"]["genes"]["tfs"][:2]))
    table, cells = st.get.knockout(result), st.get.knockout_cells(result)
    np.testing.assert_allclose(table["direct"] + table["mediated"], table["change"])
    assert (np.diff(table["change"].abs()) <= 0).all()
    assert table["agreement"].between(0, 1).all()
    assert (table["se"] >= 0).all()
    receives = result.obs["dpt_pseudotime"].notna().to_numpy()
    np.testing.assert_array_equal(np.isfinite(cells.X).all(axis=1), receives)
    mean = pd.Series(cells.X[receives].mean(axis=0), cells.var_names)
    np.testing.assert_allclose(mean[table["target"]], table["change"], atol=1e-5)
    np.testing.assert_allclose(
        cells.obs["knockout"][receives], np.linalg.norm(cells.X[receives], axis=1), rtol=1e-5
    )
    for stage in st.get.stages(result):
        here = receives & (result.obs["stage"] == stage).to_numpy()
        by_stage = st.get.knockout(result, stage=stage)
        expected = pd.Series(cells.X[here].mean(axis=0), cells.var_names)[by_stage["target"]]
        np.testing.assert_allclose(by_stage["change"], expected, atol=1e-5)


def test_a_target_that_is_removed_falls_to_zero():
    adata = st.datasets.simulated(n_cells=400, n_targets=6, n_background=20, **FEW_GENES)
    adata.var.loc["TF000", "target"] = True
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=small_config())
    st.tl.knockout(adata, tf="TF000")
    row = st.get.knockout(adata).set_index("target").loc["TF000"]
    study = restore(adata, "spatrace").study
    level = study.target[:, list(study.genes.targets).index("TF000")]
    assert row["log_change"] == pytest.approx(-level.mean(), rel=1e-4)
    assert row["direct"] == row["change"]
    assert (row["se"], row["agreement"]) == (0, 1)


def test_the_order_of_genes_does_not_matter(result):
    name = first(result, "tfs")
    st.tl.knockout(result, tf=name)
    rng = np.random.default_rng(0)
    other = small_result()[:, rng.permutation(result.n_vars)].copy()
    st.tl.knockout(other, tf=name)
    pd.testing.assert_frame_equal(st.get.knockout(result), st.get.knockout(other))


def test_several_side_by_side(result):
    st.tl.knockout(result, tf=first(result, "tfs"))
    st.tl.knockout(result, ligand=first(result, "ligands"), name="mine/all of it")
    assert st.get.knockouts(result) == ["mine/all of it", f"tf:{first(result, 'tfs')}"]
    with pytest.raises(st.InvalidArgumentError, match=r"2 knockouts.*'mine/all of it'.*`name`"):
        st.get.knockout(result)
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'mine/all of it'"):
        st.get.knockout(result, "mine/all")
    with pytest.raises(st.InvalidArgumentError, match="would be stored in the slot"):
        st.tl.knockout(result, ligand=first(result, "ligands"), name="mine:all of it")
    before = st.get.knockout(result, "mine/all of it")
    st.tl.knockout(result, receptor=first(result, "receptors"), name="mine/all of it")
    assert len(st.get.knockouts(result)) == 2
    assert not st.get.knockout(result, "mine/all of it").equals(before)
    assert not any("knockout" in k for k in st.get.knockout_cells(result, "mine/all of it").obsm)


def test_too_large_keeps_the_size_per_cell(result, caplog):
    st.tl.knockout(result, tf=first(result, "tfs"))
    slot = f"spatrace_knockout_tf-{first(result, 'tfs')}"
    size = result.obs[slot].copy()
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.tl.knockout(result, tf=first(result, "tfs"), max_values=10)
    assert "max_values=10" in caplog.text
    assert slot not in result.obsm
    pd.testing.assert_series_equal(result.obs[slot], size)
    with pytest.raises(st.MissingKeyError, match=r"`max_values`.*obs\['spatrace_knockout_tf"):
        st.get.knockout_cells(result)
    assert len(st.get.knockout(result))


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_storage_and_copy(result, form, tmp_path):
    before = snapshot(result)
    done = st.tl.knockout(result, sender="sender_0", copy=True)
    assert_unchanged(result, before)
    assert not st.get.knockouts(result)
    st.tl.knockout(done, tf=first(done, "tfs"), max_values=0)
    again = written_and_read(done, form, tmp_path)
    assert st.get.knockouts(again) == st.get.knockouts(done)
    for name in st.get.knockouts(done):
        for stage in (None, *st.get.stages(done)):
            found, kept = (st.get.knockout(d, name, stage) for d in (again, done))
            pd.testing.assert_frame_equal(found.astype(kept.dtypes.to_dict()), kept)
    np.testing.assert_array_equal(
        st.get.knockout_cells(again, "sender:sender_0").X,
        st.get.knockout_cells(done, "sender:sender_0").X,
    )
    st.tl.knockout(again, sender="sender_0")
    pd.testing.assert_frame_equal(
        st.get.knockout(again, "sender:sender_0"),
        st.get.knockout(done, "sender:sender_0"),
        atol=1e-6,
        check_dtype=False,
    )


@pytest.mark.parametrize("form", ["memory", slow("zarr")])
def test_spatialdata(result, form, tmp_path):
    sd = pytest.importorskip("spatialdata")
    sdata = sd.SpatialData(tables={"table": result})
    st.tl.knockout(sdata, tf=first(result, "tfs"))
    expected = st.get.knockout(sdata["table"])
    assert len(expected)
    if form == "zarr":
        sdata.write(tmp_path / "s.zarr")
        table = st.get.knockout(sd.read_zarr(tmp_path / "s.zarr")["table"])
        pd.testing.assert_frame_equal(table.astype(expected.dtypes.to_dict()), expected)


def test_bad_input(result):
    with pytest.raises(st.MissingKeyError, match=r"no knockout; call e\.g\. `st\.tl\.knockout"):
        st.get.knockout(result)
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.tl.knockout(result, tf="TF000", key="other")
    tf, ligand, receptor = (first(result, r) for r in ("tfs", "ligands", "receptors"))
    for wrong in (
        {},
        {"tf": tf, "ligand": ligand},
        {"sender": "sender_0", "ligand": ligand},
        {"tf": tf, "sender": "sender_0"},
    ):
        with pytest.raises(
            st.InvalidArgumentError, match="give one of `ligand`, `receptor`, `tf` and `sender`"
        ):
            st.tl.knockout(result, **wrong)
    with pytest.raises(
        st.InvalidArgumentError, match=r"`tf`: 'TF00' not among the 12.*Did you mean"
    ):
        st.tl.knockout(result, tf="TF00")
    with pytest.raises(st.InvalidArgumentError, match=f"It is a ligand: pass `ligand='{ligand}'`"):
        st.tl.knockout(result, receptor=ligand)
    with pytest.raises(st.InvalidArgumentError, match=r"`sender`: 'neuron' not among.*'sender_0'"):
        st.tl.knockout(result, sender="neuron")
    for value in (3, [1], [], {"a": 1}):
        with pytest.raises(st.InvalidArgumentError, match="`receptor`"):
            st.tl.knockout(result, receptor=value)
    for argument in ("max_chain", "max_values"):
        for value in (-1, 2.5, True):
            with pytest.raises(st.InvalidArgumentError, match=f"`{argument}`"):
                st.tl.knockout(result, tf=tf, **{argument: value})
    for value in ("", 3):
        with pytest.raises(st.InvalidArgumentError, match="`name`"):
            st.tl.knockout(result, tf=tf, name=value)
    with pytest.raises(st.InvalidArgumentError, match="`name` has 200 characters"):
        st.tl.knockout(result, tf=tf, name="n" * 200)
    st.tl.knockout(result, receptor=receptor)
    with pytest.raises(st.InvalidArgumentError, match=r"`stage='E9'`.*'E1'"):
        st.get.knockout(result, stage="E9")
    with pytest.raises(st.InvalidArgumentError, match="top_n"):
        st.pl.knockout(result, top_n=0)


def test_changed_data_and_old_results_are_refused(result):
    moved = result.copy()
    moved.X = moved.X * 1.5
    with pytest.raises(st.DataError, match="not those"):
        st.tl.knockout(moved, tf=first(moved, "tfs"))
    old = result.copy()
    old.uns["spatrace"] = {k: v for k, v in old.uns["spatrace"].items() if k != "refits"}
    with pytest.raises(st.DataError, match="earlier version"):
        st.tl.knockout(old, tf=first(old, "tfs"))


def test_a_new_inference_forgets_the_old_knockouts(result):
    st.tl.knockout(result, tf=first(result, "tfs"))
    infer_again(result)
    assert not st.get.knockouts(result)


DEEP = {
    "n_cells": 1500,
    "n_targets": 40,
    "n_background": 40,
    "depth": 4000,
    "decoy_fraction": 0.1,
    "noise": 0.1,
}


@pytest.fixture(scope="module")
def deep():
    """A tissue with strong signals and its result."""
    adata = st.datasets.simulated(103, **DEEP)
    config = st.Config(evidence=st.EvidenceConfig(n_resamples=4, n_permutations=1), progress=False)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, device="cpu")
    return adata


def true_change(adata, gene):
    """Return the mean change of targets in a simulation without the gene, and its size per cell.

    Means are over receivers, in standard deviations.
    """
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    targets = sorted(adata.var_names[adata.var["target"]])
    total = np.asarray(adata.layers["counts"].sum(1))[receives]

    def logged(data):
        return np.log1p(data[receives, targets].layers["counts"].toarray() * (1e4 / total))

    before = logged(adata)
    change = (logged(st.datasets.simulated(103, knockout=gene, **DEEP)) - before) / before.std(
        axis=0
    )
    return pd.Series(change.mean(axis=0), targets), np.linalg.norm(change, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("role", ["ligand", "tf"])
def test_predictions_agree_with_a_simulation_without_the_gene(deep, role):
    truth, receives = deep.uns["truth"], deep.obs["dpt_pseudotime"].notna().to_numpy()
    names = truth["lr_tfs"]["ligand"] if role == "ligand" else truth["tf_targets"]["tf"]
    predicted, true, cells = [], [], []
    for gene in sorted(set(names))[:3]:
        st.tl.knockout(deep, **{role: gene}, name="now")
        change, size = true_change(deep, gene)
        predicted.append(
            st.get.knockout(deep, "now").set_index("target")["change"].loc[change.index]
        )
        true.append(change)
        cells.append(spearmanr(deep.obs["spatrace_knockout_now"][receives], size)[0])
    predicted, true = pd.concat(predicted), pd.concat(true)
    affected = true.abs() >= 0.1
    assert affected.sum() >= 10
    assert spearmanr(predicted[affected], true[affected])[0] >= 0.6
    assert (np.sign(predicted[affected]) == np.sign(true[affected])).mean() >= 0.85
    assert predicted[true.abs() < 0.02].abs().mean() < 0.2 * predicted[affected].abs().mean()
    assert np.median(cells) > 0.2


@pytest.mark.slow
def test_a_gene_that_does_nothing_changes_little(deep):
    decoy = next(g for g in deep.var_names[deep.var["decoy"]] if g.startswith("LIG"))
    change, size = true_change(deep, decoy)
    assert not change.any()
    assert not size.any()
    st.tl.knockout(deep, ligand=decoy, name="now")
    assert st.get.knockout(deep, "now")["change"].abs().mean() < 0.02
