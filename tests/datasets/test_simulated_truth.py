"""The true network of a simulated tissue."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import dense
from _small_tissue import genes, pairs_of, small
from scipy.stats import rankdata

import spatrace_sc as st

TABLES = {"tf_targets", "lr_targets", "lr_tfs", "tf_tfs", "lr_pairs"}


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
    listed = edges[edges["kind"] == "indirect"].set_index(keys)["strength"].to_dict()
    assert set(listed) == set(expected)
    for key, strength in expected.items():
        assert listed[key] == pytest.approx(strength)


def test_tfs_form_no_circle():
    table = small(n_tfs=20).uns["truth"]["tf_tfs"]
    left = set(zip(table["tf"], table["target"], strict=True))
    while left:
        regulated = {b for _, b in left}
        remaining = {(a, b) for a, b in left if a in regulated}
        assert remaining < left, "tf_tfs has a cycle"
        left = remaining


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
    """Targets follow the true signal of their pairs, which the observed product misses."""
    adata = st.datasets.simulated(0, n_cells=1500)
    receiver = adata.obs["dpt_pseudotime"].notna().to_numpy()
    edges = adata.uns["truth"]["lr_targets"].query("kind == 'direct'")
    signs = []
    for edge in edges.itertuples():
        signal = adata.obsm["true_signal"].loc[receiver, f"{edge.ligand}^{edge.receptor}"]
        target = dense(adata[receiver, edge.target].X)[:, 0]
        signs.append(np.sign(np.corrcoef(signal, target)[0, 1]) == edge.sign)
    assert np.mean(signs) > 0.8
