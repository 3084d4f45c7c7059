"""Genes removed from a simulated tissue."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import dense, slow
from _small_tissue import assert_same, genes, pairs_of, small

import spatrace_sc as st
from spatrace_sc.datasets._counts import coupled_counts


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
    fingerprint = (
        int(counts.sum()),
        int((counts * np.arange(counts.shape[1])).sum()),
        int((counts**2).sum()),
    )
    assert (
        *fingerprint,
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
    """Targets of a removed activator fall and those of a removed repressor rise.

    Only targets of one regulator alone, without a chain, are compared.
    """
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


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
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
