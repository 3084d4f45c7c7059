from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import dense
from scipy import sparse
from scipy.stats import rankdata

import spatrace_sc as st

SMALL = {"n_cells": 240, "n_targets": 15, "n_background": 20}
TABLES = {"tf_targets", "lr_targets", "lr_tfs", "tf_tfs", "lr_pairs"}


def small(seed=0, **arguments):
    return st.datasets.simulated(seed, **SMALL | arguments)


def genes(adata, role):
    return set(adata.var_names[adata.var[role]])


def pairs_of(table):
    return set(zip(table["ligand"], table["receptor"], strict=True))


def assert_same(one, other):
    """Everything stored is equal."""
    np.testing.assert_array_equal(dense(one.X), dense(other.X))
    np.testing.assert_array_equal(dense(one.layers["counts"]), dense(other.layers["counts"]))
    pd.testing.assert_frame_equal(one.obs, other.obs)
    pd.testing.assert_frame_equal(one.var, other.var)
    for slot in ("spatial", "true_signal"):
        np.testing.assert_array_equal(one.obsm[slot], other.obsm[slot])
    assert set(one.uns["truth"]) == set(other.uns["truth"])
    for name, table in one.uns["truth"].items():
        pd.testing.assert_frame_equal(
            table.reset_index(drop=True),
            other.uns["truth"][name].reset_index(drop=True),
            check_dtype=False,
        )
    assert dict(one.uns["simulation"]) == dict(other.uns["simulation"])


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


@pytest.mark.parametrize("seed", range(4))
def test_truth_uses_genes_of_the_right_role(seed):
    adata = small(seed)
    truth = adata.uns["truth"]
    assert set(truth) == TABLES
    roles = {"ligand": "ligand", "receptor": "receptor", "tf": "tf", "target": "target"}
    for name, table in truth.items():
        assert len(table), name
        for column in set(table) & set(roles):
            role = "tf" if name == "tf_tfs" else roles[column]
            assert set(table[column]) <= genes(adata, role), (name, column)
        if "strength" in table:
            np.testing.assert_array_equal(np.sign(table["strength"]), table["sign"])
            assert (table["sign"].abs() == 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_decoys_are_in_no_true_edge(seed):
    adata = small(seed)
    decoys = genes(adata, "decoy")
    assert decoys
    assert decoys <= genes(adata, "ligand") | genes(adata, "receptor")
    for name in ("lr_pairs", "lr_targets", "lr_tfs"):
        table = adata.uns["truth"][name]
        assert not decoys & (set(table["ligand"]) | set(table["receptor"])), name


@pytest.mark.parametrize(("fraction", "n_decoys"), [(0.0, (0, 0)), (0.25, (2, 3)), (0.5, (4, 6))])
def test_share_of_decoys(fraction, n_decoys):
    adata = small(n_ligands=8, n_receptors=12, decoy_fraction=fraction)
    assert (adata.var["decoy"] & adata.var["ligand"]).sum() == n_decoys[0]
    assert (adata.var["decoy"] & adata.var["receptor"]).sum() == n_decoys[1]
    assert adata.var["decoy"].sum() == sum(n_decoys)


@pytest.mark.parametrize("seed", range(4))
def test_every_ligand_and_receptor_acts_or_is_a_decoy(seed):
    adata = small(seed)
    drawn = {g for pair in adata.obsm["true_signal"].columns for g in pair.split("^")}
    assert drawn == (genes(adata, "ligand") | genes(adata, "receptor")) - genes(adata, "decoy")
    assert {"^".join(pair) for pair in pairs_of(adata.uns["truth"]["lr_pairs"])} <= set(
        adata.obsm["true_signal"].columns
    )


@pytest.mark.parametrize("seed", range(6))
def test_every_true_pair_has_an_effect(seed):
    truth = st.datasets.simulated(seed, n_cells=100).uns["truth"]
    assert pairs_of(truth["lr_targets"]) | pairs_of(truth["lr_tfs"]) <= pairs_of(truth["lr_pairs"])
    assert pairs_of(truth["lr_pairs"]) <= pairs_of(truth["lr_targets"]) | pairs_of(truth["lr_tfs"])


def test_every_true_pair_has_an_effect_with_few_targets():
    for seed in range(6):
        truth = st.datasets.simulated(seed, n_cells=100, n_targets=10).uns["truth"]
        assert pairs_of(truth["lr_pairs"]) <= pairs_of(truth["lr_targets"]) | pairs_of(
            truth["lr_tfs"]
        )


def test_few_pairs_leave_only_decoys_idle():
    adata = small(n_pairs=4)
    acting = {g for pair in pairs_of(adata.uns["truth"]["lr_pairs"]) for g in pair}
    assert acting == (genes(adata, "ligand") | genes(adata, "receptor")) - genes(adata, "decoy")


@pytest.mark.parametrize("seed", range(6))
def test_indirect_edges_are_chains_and_never_repeat_direct_ones(seed):
    truth = small(seed, n_targets=40).uns["truth"]
    edges = truth["lr_targets"]
    keys = ["ligand", "receptor", "target"]
    assert not edges.duplicated(keys).any()
    assert set(edges["kind"]) == {"direct", "indirect"}

    after: dict[str, list[tuple[str, float]]] = {}
    for row in truth["tf_tfs"].itertuples():
        after.setdefault(row.tf, []).append((row.target, row.strength))
    ends: dict[str, list[tuple[str, float]]] = {}
    for row in truth["tf_targets"].itertuples():
        ends.setdefault(row.tf, []).append((row.target, row.strength))

    def chains(tf, strength):
        yield from ((target, strength * s) for target, s in ends.get(tf, []))
        for following, s in after.get(tf, []):
            yield from chains(following, strength * s)

    expected: dict[tuple[str, str, str], float] = {}
    for row in truth["lr_tfs"].itertuples():
        for target, strength in chains(row.tf, row.strength):
            expected[row.ligand, row.receptor, target] = (
                expected.get((row.ligand, row.receptor, target), 0.0) + strength
            )
    direct = set(edges.loc[edges["kind"] == "direct", keys].itertuples(index=False, name=None))
    expected = {k: v for k, v in expected.items() if k not in direct}
    found = edges[edges["kind"] == "indirect"].set_index(keys)["strength"].to_dict()
    assert set(found) == set(expected)
    for key, strength in expected.items():
        assert found[key] == pytest.approx(strength)


def test_tfs_form_no_circle():
    table = small(n_tfs=20).uns["truth"]["tf_tfs"]
    left = set(zip(table["tf"], table["target"], strict=True))
    while left:
        regulated = {b for _, b in left}
        kept = {(a, b) for a, b in left if a in regulated}
        assert kept < left, "tf_tfs has a cycle"
        left = kept


def test_no_signal_no_truth():
    adata = small(signal_strength=0)
    for name in ("lr_targets", "lr_tfs", "lr_pairs"):
        table = adata.uns["truth"][name]
        assert len(table) == 0
        assert {"ligand", "receptor"} <= set(table)
    assert len(adata.uns["truth"]["tf_targets"])
    assert {"target", "sign", "strength", "kind"} <= set(adata.uns["truth"]["lr_targets"])


def test_no_signal_changes_no_tf_edge():
    pd.testing.assert_frame_equal(
        small(signal_strength=0).uns["truth"]["tf_targets"], small().uns["truth"]["tf_targets"]
    )


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


def given_layout(n=120, **changes):
    rng = np.random.default_rng(0)
    layout = pd.DataFrame(
        {
            "x": rng.uniform(0, 90, n),
            "y": rng.uniform(0, 90, n),
            "cell_type": rng.choice(["neuron", "astro", "micro"], n, p=[0.7, 0.2, 0.1]),
            "sample": rng.choice(["one", "two"], n),
        },
        index=[f"barcode{k}" for k in range(n)],
    )
    layout["stage"] = layout["sample"].map({"one": "P2", "two": "P10"})
    return layout.assign(**changes)


def test_layout_is_kept_in_order():
    layout = given_layout()
    before = layout.copy()
    adata = small(layout=layout, receivers=["astro"])
    pd.testing.assert_frame_equal(layout, before)
    np.testing.assert_array_equal(adata.obsm["spatial"], layout[["x", "y"]])
    for column in ("cell_type", "sample", "stage"):
        assert list(adata.obs[column].astype(str)) == list(layout[column])
    np.testing.assert_array_equal(
        adata.obs["dpt_pseudotime"].notna(), layout["cell_type"] == "astro"
    )


def test_receivers_of_a_layout_are_its_most_frequent_types():
    adata = small(layout=given_layout())
    assert set(adata.obs.loc[adata.obs["latent_time"].notna(), "cell_type"]) == {"neuron"}
    adata = small(layout=given_layout(), receiver_fraction=0.8)
    assert set(adata.obs.loc[adata.obs["latent_time"].notna(), "cell_type"]) == {"neuron", "astro"}


def test_stages_of_a_layout_come_by_category_by_time_or_by_appearance():
    layout = given_layout()
    first = list(layout["stage"].unique())
    assert list(small(layout=layout, receivers=["astro"]).obs["stage"].cat.categories) == first
    reverse = pd.Categorical(layout["stage"], categories=first[::-1])
    adata = small(layout=layout.assign(stage=reverse), receivers=["astro"])
    assert list(adata.obs["stage"].cat.categories) == first[::-1]
    timed = layout.assign(stage_time=layout["stage"].map({"P2": 2.0, "P10": 10.0}))
    adata = small(layout=timed, receivers=["astro"])
    assert list(adata.obs["stage"].cat.categories) == ["P2", "P10"]
    np.testing.assert_array_equal(adata.obs["stage_time"], timed["stage_time"])


@pytest.mark.parametrize("column", ["x", "y", "cell_type", "sample", "stage"])
def test_layout_without_a_column(column):
    with pytest.raises(st.InvalidArgumentError, match=f"`layout`.*{column}"):
        small(layout=given_layout().drop(columns=column))


def test_layout_with_unknown_receivers():
    with pytest.raises(st.InvalidArgumentError, match=r"`receivers`.*oligo.*astro.*micro.*neuron"):
        small(layout=given_layout(), receivers=["oligo"])


def test_layout_without_senders():
    with pytest.raises(st.InvalidArgumentError, match="`layout`"):
        small(layout=given_layout(cell_type="neuron"))


INVALID = [
    ("n_cells", 49), ("n_cells", 0), ("n_stages", 0), ("n_slices", 0), ("n_ligands", 0), ("n_receptors", 0), ("n_pairs", 0), ("n_tfs", 1),
    ("n_targets", 0), ("n_background", -1), ("n_sender_types", 0), ("n_receiver_types", 0), ("receiver_fraction", -0.1), ("receiver_fraction", 1.0),
    ("decoy_fraction", -0.1), ("decoy_fraction", 1.0), ("decoy_likeness", 1.0), ("decoy_likeness", float("nan")), ("signal_strength", -1.0),
    ("noise", -0.1), ("noise", float("nan")), ("depth", 0), ("depth", float("nan")), ("dispersion", 0.0), ("dispersion", float("nan")),
    ("dropout", 1.0), ("dropout", -0.1),
]  # fmt: skip


@pytest.mark.parametrize(("argument", "value"), INVALID)
def test_invalid_arguments(argument, value):
    with pytest.raises(st.InvalidArgumentError) as caught:
        small(**{argument: value})
    assert f"`{argument}`" in str(caught.value)
    assert repr(value) in str(caught.value)


NOT_CHECKED = [
    ("n_cells", 100.5), ("n_cells", "many"), ("n_cells", None), ("n_tfs", 2.5), ("noise", "loud"), ("dispersion", "a"), ("seed", -1),
    ("seed", "a"), ("receiver_fraction", 0.0), ("noise", float("inf")), ("depth", float("inf")), ("signal_strength", float("inf")),
    ("dispersion", float("inf")), ("n_stages", 300),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("argument", "value"), NOT_CHECKED)
def test_invalid_arguments_of_another_kind(argument, value):
    with pytest.raises(st.InvalidArgumentError) as caught:
        small(**{argument: value})
    assert f"`{argument}`" in str(caught.value)


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
@pytest.mark.parametrize("arguments", [{}, {"signal_strength": 0}], ids=["signal", "null"])
def test_survives_being_written(form, arguments, tmp_path):
    adata = small(**arguments)
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    assert_same(adata, back)


def auroc(scores, positive):
    ranks = rankdata(scores)
    n = positive.sum()
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (~positive).sum())


@pytest.mark.parametrize("seed", [0, 1])
def test_correlation_fails_to_find_the_pairs(seed):
    adata = st.datasets.simulated(seed, n_cells=1500)
    receiver = adata.obs["dpt_pseudotime"].notna().to_numpy()
    exposure = st.pp.ligand_exposure(adata, radius=40.0, sample_key="sample", copy=True)
    receptors = sorted(genes(adata, "receptor"))
    level = np.expm1(dense(adata[:, receptors].X))[receiver]
    targets = dense(adata[receiver][:, sorted(genes(adata, "target"))].X)
    ligands = list(exposure.columns)
    dose = (exposure.to_numpy()[receiver][:, :, None] * level[:, None, :]).reshape(
        receiver.sum(), -1
    )
    z = (dose - dose.mean(axis=0)) / dose.std(axis=0)
    y = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    correlation = np.abs(z.T @ y) / receiver.sum()
    true = pairs_of(adata.uns["truth"]["lr_pairs"])
    positive = np.array(
        [(ligand, receptor) in true for ligand in ligands for receptor in receptors]
    )
    assert positive.sum() == 12
    assert auroc(correlation.max(axis=1), positive) < 0.75
    assert auroc(np.linalg.norm(correlation, axis=1), positive) < 0.75


def test_truth_can_be_learnt_from_the_true_signal():
    """What correlation with the observed product misses is in the data: targets do follow the true signal of their pairs."""
    adata = st.datasets.simulated(0, n_cells=1500)
    receiver = adata.obs["dpt_pseudotime"].notna().to_numpy()
    edges = adata.uns["truth"]["lr_targets"].query("kind == 'direct'")
    signs = []
    for edge in edges.itertuples():
        signal = adata.obsm["true_signal"].loc[receiver, f"{edge.ligand}^{edge.receptor}"]
        target = dense(adata[receiver, edge.target].X)[:, 0]
        signs.append(np.sign(np.corrcoef(signal, target)[0, 1]) == edge.sign)
    assert np.mean(signs) > 0.8


def removed(gene, seed=3, **arguments):
    """The tissue, the same without a gene, and the receivers."""
    arguments = {"n_cells": 400} | arguments
    intact, without = small(seed, **arguments), small(seed, knockout=gene, **arguments)
    return intact, without, intact.obs["latent_time"].notna().to_numpy()


def counts_of(adata):
    return pd.DataFrame(dense(adata.layers["counts"]), columns=adata.var_names)


def downstream(truth, sources):
    """TFs and targets on some chain from the TFs and pairs named."""
    reached = {
        t.tf for p in sources for t in truth["lr_tfs"].itertuples() if (t.ligand, t.receptor) == p
    } | {s for s in sources if isinstance(s, str)}
    for _ in range(20):
        reached |= {t.target for t in truth["tf_tfs"].itertuples() if t.tf in reached}
    targets = {t.target for t in truth["tf_targets"].itertuples() if t.tf in reached}
    edges = truth["lr_targets"].query("kind == 'direct'")
    return reached, targets | {
        t.target for t in edges.itertuples() if (t.ligand, t.receptor) in sources
    }


#: Expression and network of ``small(3)`` as they were before genes could be removed.
FINGERPRINT = (254420, 8209640, 25462692, "BG007", 79.086942)


def test_nothing_removed_is_the_tissue_of_old():
    adata = small(3)
    counts = dense(adata.layers["counts"])
    found = (
        int(counts.sum()),
        int((counts * np.arange(counts.shape[1])).sum()),
        int((counts**2).sum()),
    )
    assert (
        *found,
        adata.var_names[0],
        round(float(np.nansum(adata.obs["dpt_pseudotime"])), 6),
    ) == FINGERPRINT
    assert "knockout" not in adata.uns["simulation"]
    assert_same(adata, small(3, knockout=None))


@pytest.mark.parametrize("role", ["ligand", "receptor", "tf"])
def test_a_removed_gene_is_gone_and_only_what_is_downstream_changes(role):
    truth = small(3, n_cells=400).uns["truth"]
    pairs = truth["lr_targets"].query("kind == 'direct'")
    gene = str(truth["tf_targets"]["tf"][0] if role == "tf" else pairs[role].iloc[0])
    intact, without, receives = removed(gene)
    for slot in ("spatial",):
        np.testing.assert_array_equal(intact.obsm[slot], without.obsm[slot])
    pd.testing.assert_frame_equal(intact.obs, without.obs)
    pd.testing.assert_frame_equal(intact.var, without.var)
    for name, table in intact.uns["truth"].items():
        pd.testing.assert_frame_equal(table, without.uns["truth"][name])
    before, after = counts_of(intact), counts_of(without)
    assert before[gene].sum() > 0
    assert after[gene].sum() == 0
    acting = {p for p in pairs_of(truth["lr_pairs"]) if gene in p}
    tfs, targets = downstream(truth, {gene} if role == "tf" else acting)
    assert targets
    changed = set(before.columns[(before != after).any()])
    assert changed <= tfs | targets | {gene}
    assert targets <= changed | {g for g in targets if before[g].sum() < 50}
    signal = [c for c in intact.obsm["true_signal"] if gene in c.split("^")]
    same = intact.obsm["true_signal"].drop(columns=signal)
    pd.testing.assert_frame_equal(same, without.obsm["true_signal"].drop(columns=signal))
    assert (without.obsm["true_signal"].loc[receives, signal] == 0).all(axis=None)
    assert (
        after.loc[~receives, [g for g in after if g != gene]]
        == before.loc[~receives].drop(columns=gene)
    ).all(axis=None)


def test_a_decoy_does_nothing_and_its_model_keeps_its_course():
    gene = sorted(genes(small(3, n_cells=400), "decoy"))[0]
    intact, without, _ = removed(gene)
    before, after = counts_of(intact), counts_of(without)
    assert set(before.columns[(before != after).any()]) == {gene}


def test_signs_of_a_removal_are_those_of_the_edges():
    """Targets of one regulator alone, without a chain, fall when it drove them and rise when it held them back."""
    signs = []
    for seed in range(4):
        adata = st.datasets.simulated(seed, n_cells=900)
        edges = adata.uns["truth"]["tf_targets"]
        tf = str(edges["tf"].value_counts().index[0])
        if len(adata.uns["truth"]["tf_tfs"].query("tf == @tf")):
            continue
        intact, without = adata, st.datasets.simulated(seed, n_cells=900, knockout=tf)
        change = counts_of(without).mean() - counts_of(intact).mean()
        signs += [
            np.sign(change[e.target]) == -e.sign for e in edges.query("tf == @tf").itertuples()
        ]
    assert len(signs) >= 8
    assert np.mean(signs) == 1


def test_several_genes_are_removed_at_once_in_any_order():
    names = [sorted(genes(small(), role))[0] for role in ("ligand", "tf")]
    one, other = small(knockout=names), small(knockout=[names[1], names[0], names[1]])
    assert list(one.uns["simulation"]["knockout"]) == names
    np.testing.assert_array_equal(dense(one.X), dense(other.X))
    assert counts_of(one)[names].to_numpy().sum() == 0


def test_counts_after_a_removal_have_the_right_distribution():
    """Thinned and topped up: Poisson at the new rate, and as alike as can be."""
    from spatrace_sc.datasets._counts import coupled_counts

    rng = np.random.default_rng(0)
    rate = np.full((200_000, 3), 4.0)
    changed = rate * [0.25, 1.0, 1.5]
    before = rng.poisson(rate)
    after = coupled_counts(rng, before, rate, changed)
    np.testing.assert_array_equal(after[:, 1], before[:, 1])
    assert (after[:, 0] <= before[:, 0]).all()
    assert (after[:, 2] >= before[:, 2]).all()
    np.testing.assert_allclose(after.mean(0), [1, 4, 6], rtol=0.02)
    np.testing.assert_allclose(after.var(0), [1, 4, 6], rtol=0.02)
    assert (coupled_counts(rng, before, rate, 0 * rate) == 0).all()


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_a_removal_survives_being_written(form, tmp_path):
    adata = small(knockout=sorted(genes(small(), "tf"))[0])
    path = tmp_path / f"data.{form}"
    (adata.write_h5ad if form == "h5ad" else adata.write_zarr)(path)
    back = (ad.read_h5ad if form == "h5ad" else ad.read_zarr)(path)
    np.testing.assert_array_equal(dense(adata.X), dense(back.X))
    assert list(back.uns["simulation"]["knockout"]) == list(adata.uns["simulation"]["knockout"])


def test_unknown_genes_cannot_be_removed():
    for wrong in (3, [1], {"a": 1}):
        with pytest.raises(st.InvalidArgumentError, match="`knockout` must be the name"):
            small(knockout=wrong)
    with pytest.raises(st.InvalidArgumentError, match=r"`knockout` is empty"):
        small(knockout=[])
    with pytest.raises(
        st.InvalidArgumentError, match=r"`knockout` names 'TF0000'.*TFs 'TF000'.*Did you mean"
    ):
        small(knockout="TF0000")
    with pytest.raises(st.InvalidArgumentError, match="'TG000'"):
        small(knockout=["TF000", "TG000"])
