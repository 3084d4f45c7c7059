"""Copies of acting genes on many targets: what the whole verb says of them."""

from __future__ import annotations

import numpy as np
import pytest

import spatrace_sc as st


@pytest.mark.slow
def test_a_copied_gene_beats_its_decoys_but_not_the_original():
    genes = {
        "n_ligands": 8,
        "n_receptors": 8,
        "n_pairs": 4,
        "n_tfs": 8,
        "n_targets": 300,
        "n_background": 60,
    }
    adata = st.datasets.simulated(105, n_cells=2000, depth=13_000, **genes)
    config = st.Config(progress=False, training=st.TrainingConfig(max_epochs=1))
    st.tl.infer_ccc(adata, sample_key="sample", device="cpu", config=config)
    truth = adata.uns["truth"]["lr_pairs"]
    acting = set(truth["ligand"].astype(str) + "^" + truth["receptor"].astype(str))
    pairs = st.get.lr_pairs(adata)
    name = pairs["ligand"].astype(str) + "^" + pairs["receptor"].astype(str)
    true = name.isin(acting).to_numpy()
    against_decoys, called = (pairs[q].to_numpy() <= 0.1 for q in ("group_q_value", "q_value"))
    assert (against_decoys & ~true).sum() >= 2, "the tissue tempts"
    assert (called & true).sum() >= 2
    assert not (called & ~true).any()
    for group in pairs["group"][against_decoys & ~true]:
        assert acting & set(group.split(" | ")), "what it copies is named"
    edges = st.get.lr_targets(adata)
    of_pair = dict(zip(name, pairs["q_value"], strict=True))
    edge_pairs = edges["ligand"].astype(str) + "^" + edges["receptor"].astype(str)
    supported = edges["q_value"] <= 0.1
    assert supported.sum() > 5
    copies = set(name[against_decoys & ~true])
    assert not edge_pairs[supported].isin(copies).any()
    floor = np.array([of_pair[p] for p in edge_pairs[edge_pairs.isin(copies)]])
    assert (floor > 0.1).all()
