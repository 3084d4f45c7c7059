"""Sham genes on a tissue in which every real gene has one twin that cannot signal."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core.gene_features import FEATURES
from spatrace_sc._data.expression import expression_by_slice
from spatrace_sc._study import sham_candidates
from spatrace_sc._study.records import Cells
from spatrace_sc._study.sham_genes import draw_sham_genes, find_sham_genes, read_candidates

N = 300
NAMES = {
    "ligands": np.array(["LA", "LB"]),
    "receptors": np.array(["RA", "RB"]),
    "tfs": np.array(["TA", "TB"]),
    "targets": np.array(["G0", "G1", "G2"]),
}
REAL = [gene for role in ("ligands", "receptors", "tfs") for gene in NAMES[role]]
ALL = {"ligands": 2, "receptors": 2, "tfs": 2}


def tissue(n_others=60):
    """300 cells of three types in two slices; only the types r0 and r1 have time.

    ``twin_X`` has the profile of the real gene X; ``other_00`` to ``other_59`` are noise.
    """
    rng = np.random.default_rng(11)
    obs = pd.DataFrame(
        {
            "cell_type": rng.choice(["s", "r0", "r1"], N),
            "sample": rng.choice(["a", "b"], N),
        },
        index=[f"cell_{i}" for i in range(N)],
    )
    position = rng.uniform(0, 100, (N, 2))
    receiver = (obs["cell_type"] != "s").to_numpy()
    time = np.where(receiver, rng.random(N), np.nan)
    course, left = np.nan_to_num(time), position[:, 0] / 100
    profile = {
        "LA": 2.0 * (rng.random(N) < 0.5),
        "LB": 3.0 * left,
        "RA": 2.0 * (obs["cell_type"] == "r0").to_numpy() + 0.5,
        "RB": 2.5 * course,
        "TA": 1.5 * (left > 0.5),
        "TB": 1.0 + (course > 0.5),
    }
    values = {gene: level + 0.2 * rng.random(N) for gene, level in profile.items()}
    values |= {f"twin_{gene}": level + 0.002 * rng.random(N) for gene, level in values.items()}
    values |= {f"G{k}": 1.0 + rng.random(N) for k in range(3)}
    noise = rng.random((N, n_others)) * rng.uniform(0.5, 4.0, n_others)
    values |= {
        f"other_{k:02}": np.where(noise[:, k] > 0.4, noise[:, k], 0) for k in range(n_others)
    }
    values["rare"] = np.where(np.arange(N) == 5, 1.0, 0.0)
    matrix = np.column_stack(list(values.values())).astype(np.float32)
    var = pd.DataFrame(index=list(values))
    adata = ad.AnnData(matrix, obs=obs, var=var, obsm={"spatial": position})
    adata.obs["time"] = time
    return adata


def cells_of(adata):
    types = adata.obs["cell_type"].to_numpy(dtype=str)
    sample = (adata.obs["sample"] == "b").to_numpy().astype(int)
    time = adata.obs["time"].to_numpy()
    stage = np.full(adata.n_obs, "x")
    receivers = np.isfinite(time)
    return Cells(adata.obsm["spatial"], types, sample, stage, time, ~receivers, receivers)


def candidates_of(adata, known=(), **arguments):
    matrix, _ = expression_by_slice(adata, None, None)
    names = arguments.pop("names", NAMES)
    return read_candidates(adata, names, cells_of(adata), matrix, known=known, **arguments)


def draw(adata, seed=0, n=ALL, **arguments):
    return draw_sham_genes(candidates_of(adata, **arguments), n, np.random.default_rng(seed))


def partners(sham):
    return dict(zip(sham.genes["stands_for"], sham.genes["gene"], strict=True))


@pytest.fixture(scope="module")
def small():
    """The tissue with so few other genes that no half of them is left out."""
    return tissue(n_others=8)


def test_the_gene_with_the_same_profile_is_the_partner(small):
    sham = draw(small)
    assert partners(sham) == {gene: f"twin_{gene}" for gene in REAL}
    assert sham.genes["role"].tolist() == ["ligand"] * 2 + ["receptor"] * 2 + ["tf"] * 2
    assert sham.genes["distance"].max() < 0.1
    assert not sham.genes["is_target"].any()
    assert sham.pool == {"ligand": 14, "receptor": 14, "tf": 14}
    for feature in FEATURES:
        np.testing.assert_allclose(sham.genes[feature], sham.genes[f"{feature}_of_real"], atol=0.02)
    assert sham.balance["standardised_difference"].abs().max() < 0.1


def test_the_whole_call_is_the_same_as_its_two_steps(small):
    matrix, _ = expression_by_slice(small, None, None)
    one = find_sham_genes(
        *(small, NAMES, cells_of(small), matrix),
        known=set(),
        n=ALL,
        rng=np.random.default_rng(3),
    )
    pd.testing.assert_frame_equal(one.genes, draw(small, seed=3).genes)


def test_features_say_what_the_profiles_are(small):
    features = draw(small).genes.set_index("stands_for")
    assert features["type_share"].idxmax() == "RA"
    assert features["time_share"].idxmax() == "RB"
    assert (features.loc[["LA", "LB"], "time_share"] == 0).all()  # senders have no time
    assert features.loc["LB", "morans_i"] > 0.5 > 0.2 > features.loc["LA", "morans_i"]
    assert features.loc["TA", "morans_i"] > 0.5 > 0.2 > features.loc["TB", "morans_i"]


def test_balance_is_worked_out_from_the_genes(small):
    without_twins = small[:, ~small.var_names.str.startswith("twin")].copy()
    sham = draw(without_twins)
    row = sham.balance.set_index(["role", "feature"]).loc["receptor", "level"]
    table = sham.genes[sham.genes["role"] == "receptor"]
    sham_level, real_level = table["level"], table["level_of_real"]
    assert row["mean_sham"] == pytest.approx(sham_level.mean())
    assert row["mean_real"] == pytest.approx(real_level.mean())
    difference = (sham_level.mean() - real_level.mean()) / np.std(real_level)
    assert row["standardised_difference"] == pytest.approx(difference)
    assert len(sham.balance) == 3 * len(FEATURES)


def test_a_number_below_that_of_the_genes_draws_some():
    drawn = set()
    for seed in range(12):
        sham = draw(tissue(8), seed, n={"ligands": 1})
        assert sham.genes["role"].tolist() == ["ligand"]
        assert sham.balance["standardised_difference"].isna().any()  # one gene has no spread
        drawn |= set(sham.genes["stands_for"])
    assert drawn == {"LA", "LB"}


def test_no_gene_is_used_twice_or_has_a_role():
    sham = draw(tissue(), names=NAMES | {"receptors": np.array(["LA", "RA", "RB"])}, n=ALL)
    assert sham.genes["gene"].is_unique
    assert not set(sham.genes["gene"]) & {*REAL, *NAMES["targets"], "rare"}


def test_known_names_are_left_out_in_any_case(small):
    with_blanks = small.copy()
    with_blanks.var_names = [f" {g}" if g == "twin_LB" else g for g in small.var_names]
    used = partners(draw(with_blanks, known={"TWIN_LA", "Twin_lb ", "TWIN_TA"}))
    assert not {"twin_LA", " twin_LB", "twin_TA"} & set(used.values())
    assert used["RA"] == "twin_RA"


def test_known_names_are_compared_with_symbols(small):
    by_id = small.copy()
    symbols = small.var_names.to_numpy(dtype=object)
    by_id.var_names = [g if g in REAL else f"ENSG{k:06}" for k, g in enumerate(small.var_names)]
    names = NAMES | {"targets": np.array(["LA"])}
    sham = candidates_of(by_id, {"TWIN_LA"}, symbols=symbols, names=names)
    index = by_id.var_names.get_indexer(sham.genes)
    assert "twin_LA" not in symbols[index]
    assert "twin_RA" in symbols[index]
    assert sham.excluded["known"] == 1


def test_genes_flagged_in_var_are_left_out(small):
    flagged = small.copy()
    for column, gene in (("ligand", "twin_LA"), ("receptor", "twin_TA"), ("tf", "twin_RA")):
        flagged.var[column] = flagged.var_names == gene
    flagged.var["target"] = True
    used = partners(draw(flagged))
    assert not {"twin_LA", "twin_TA", "twin_RA"} & set(used.values())
    assert used["RB"] == "twin_RB"


def test_rare_genes_are_judged_in_the_cells_of_the_role(small):
    silent = small.copy()
    senders = (silent.obs["cell_type"] == "s").to_numpy()
    index = silent.var_names.get_loc("twin_LA")
    silent.X[senders, index] = 0
    candidates = candidates_of(silent)
    at = candidates.genes.tolist().index("twin_LA")
    assert "rare" not in candidates.genes
    assert {role: mask[at] for role, mask in candidates.detected.items()} == {
        "ligands": False,
        "receptors": True,
        "tfs": True,
    }
    assert partners(draw(silent))["LA"] != "twin_LA"


def test_targets_come_last(small, caplog):
    genes = [*REAL, "G0", "G1", "G2", "other_00", "other_01", "other_02", "other_03"]
    with caplog.at_level("INFO", "spatrace_sc"):
        sham = draw(small[:, genes].copy())
    assert sham.genes["is_target"].sum() == 2
    assert {f"other_0{k}" for k in range(4)} < set(sham.genes["gene"])
    assert set(sham.genes.loc[sham.genes["is_target"], "gene"]) < {"G0", "G1", "G2"}
    assert "2 of 6 are also targets" in caplog.text
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    # a twin that is a target is not used where other genes suffice
    twin_is_target = NAMES | {"targets": np.array(["twin_LA"])}
    assert "twin_LA" not in partners(draw(small, names=twin_is_target)).values()


def test_too_few_genes(small, caplog):
    genes = [*REAL, "twin_LA", "other_01", "other_02"]
    sham = draw(small[:, genes].copy())
    assert sorted(sham.genes["gene"]) == ["other_01", "other_02", "twin_LA"]
    assert sham.genes["role"].tolist() == ["ligand", "receptor", "tf"]
    assert "enough for only 1 of 2 ligands, 1 of 2 receptors, 1 of 2 TFs." in caplog.text


def test_a_role_without_candidates_is_empty(small, caplog):
    genes = [*REAL, "twin_RA", "twin_RB", "twin_TA", "twin_TB"]
    silent = small[:, genes].copy()
    senders = (silent.obs["cell_type"] == "s").to_numpy()
    silent.X[np.ix_(senders, [6, 7, 8, 9])] = 0
    sham = draw(silent)
    assert partners(sham) == {g: f"twin_{g}" for g in ("RA", "RB", "TA", "TB")}
    assert sham.pool == {"ligand": 0, "receptor": 4, "tf": 4}
    assert "only 0 of 2 ligands." in caplog.text


def test_no_candidate_at_all(small):
    genes = [*REAL, "twin_LA", "rare"]
    with pytest.raises(st.DataError, match=r"of 8 genes, 6 have .* and 1 more .*`misplaced`"):
        draw(small[:, genes].copy(), known={"twin_la"})
    nothing = draw(small[:, genes].copy(), known={"twin_la"}, n={})
    assert not len(nothing.genes)
    assert not len(nothing.balance)


def test_sparse_is_the_same_as_dense():
    adata, other = tissue(), tissue()
    other.X = sparse.csr_matrix(other.X)
    one, same = draw(adata), draw(other)
    pd.testing.assert_frame_equal(one.genes, same.genes)
    pd.testing.assert_frame_equal(one.balance, same.balance)


def test_on_disk_is_the_same(small, tmp_path):
    small.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    pd.testing.assert_frame_equal(draw(backed).genes, draw(small).genes)


def test_chunks_of_genes_change_nothing(small, monkeypatch):
    whole = draw(small).genes
    monkeypatch.setattr(sham_candidates, "CHUNK_GENES", 3)
    pd.testing.assert_frame_equal(draw(small).genes, whole)


def test_seeds_draw_different_genes_of_a_large_pool():
    candidates = candidates_of(tissue())
    draws = [draw_sham_genes(candidates, ALL, np.random.default_rng(s)) for s in (0, 1, 0)]
    one, other, again = (partners(sham) for sham in draws)
    assert one == again
    assert one != other
    pools = [sham.pool for sham in draws]
    assert pools == [{"ligand": 66, "receptor": 66, "tf": 66}] * 3


def test_seeds_draw_different_targets_where_nearly_all_genes_are_targets():
    adata = tissue()
    targets = adata.var_names[adata.var_names.str.match("other|twin")].drop("other_07").to_numpy()
    candidates = candidates_of(adata, names=NAMES | {"targets": targets})
    draws = [draw_sham_genes(candidates, ALL, np.random.default_rng(s)).genes for s in (0, 1, 2)]
    assert len({frozenset(genes["gene"]) for genes in draws}) > 1
    for genes in draws:
        assert {"other_07", "G0", "G1", "G2"} < set(genes["gene"])
        assert genes["is_target"].sum() == 2


@pytest.mark.parametrize("axis", ["cells", "genes"])
def test_order_does_not_matter(axis):
    adata = tissue()
    order = np.random.default_rng(1).permutation(adata.n_obs if axis == "cells" else adata.n_vars)
    moved = adata[order].copy() if axis == "cells" else adata[:, order].copy()
    pd.testing.assert_frame_equal(draw(moved).genes, draw(adata).genes)


def test_the_order_of_cells_does_not_choose_among_equally_near_neighbours():
    adata = tissue(8)
    adata.obsm["spatial"] = np.column_stack([np.arange(N) % 20, np.arange(N) // 20]).astype(float)
    order = np.random.default_rng(1).permutation(N)
    moved = candidates_of(adata[order].copy())
    for role, features in candidates_of(adata).features.items():
        np.testing.assert_allclose(moved.features[role], features, rtol=1e-9, atol=1e-12)


def test_nothing_of_the_data_is_changed(small):
    before = small.copy()
    draw(small)
    np.testing.assert_array_equal(small.X, before.X)
    pd.testing.assert_frame_equal(small.obs, before.obs)
    pd.testing.assert_frame_equal(small.var, before.var)
    assert not small.uns
