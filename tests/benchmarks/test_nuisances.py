"""Nuisances are planted as they are described, and the suite reports them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from benchmarks.calibration import tissues
from benchmarks.calibration.nuisance_report import draw_nuisances, nuisance_frame, nuisance_table
from benchmarks.calibration.nuisances import Nuisances, disturbed
from benchmarks.recovery.signals import dense

import spatrace_sc as st

GENES = dict.fromkeys(("n_ligands", "n_receptors", "n_pairs", "n_tfs"), 6)
planted = partial(disturbed, 3, n_cells=450, n_targets=12, n_background=30, **GENES)
NONE = Nuisances()


def counts(adata):
    return dense(adata.layers["counts"])


def test_nothing_is_disturbed_by_default():
    sizes = {"n_cells": 450, "n_targets": 12, "n_background": 30, **GENES}
    plain = st.datasets.simulated(3, dispersion=10.0, **sizes)
    adata = planted(NONE)
    np.testing.assert_array_equal(counts(adata), counts(plain))
    np.testing.assert_array_equal(adata.obs["dpt_pseudotime"], plain.obs["dpt_pseudotime"])
    np.testing.assert_allclose(dense(adata.X), dense(plain.X), atol=1e-5)


def test_molecules_that_leak_are_not_lost():
    before, after = counts(planted(NONE)), counts(planted(Nuisances(leakage=0.2)))
    np.testing.assert_array_equal(after.sum(axis=0), before.sum(axis=0))
    kept = np.minimum(before, after).sum() / before.sum()
    assert 0.7 < kept < 0.95
    ligand = planted(NONE).var["ligand"].to_numpy(bool)
    receives = planted(NONE).obs["dpt_pseudotime"].notna().to_numpy()
    assert after[np.ix_(receives, ligand)].sum() > 1.5 * before[np.ix_(receives, ligand)].sum()


def test_capture_falls_along_a_slice():
    adata, plain = planted(Nuisances(capture=1 / 3)), planted(NONE)
    kept = counts(adata).sum(axis=1) / counts(plain).sum(axis=1)
    for rows in adata.obs.groupby("sample", observed=True).indices.values():
        x = adata.obsm["spatial"][rows, 0]
        low, high = x < np.quantile(x, 0.1), x > np.quantile(x, 0.9)
        assert kept[rows][low].mean() > 0.9
        assert kept[rows][high].mean() < 0.45


def test_some_cells_are_shallow_or_empty():
    total = counts(planted(Nuisances(shallow=0.1))).sum(axis=1)
    assert 0.02 < (total == 0).mean() < 0.09
    assert 0.05 < ((total > 0) & (total < 30)).mean() < 0.16


def test_wrong_types_are_those_of_cells_with_the_same_role():
    adata, plain = planted(Nuisances(wrong_types=0.3)), planted(NONE)
    wrong = (adata.obs["cell_type"].astype(str) != plain.obs["cell_type"].astype(str)).to_numpy()
    assert 0.08 < wrong.mean() < 0.3
    sends = adata.obs["dpt_pseudotime"].isna()
    assert adata.obs["cell_type"].astype(str).str.startswith("sender")[sends].all()
    assert adata.obs["cell_type"].astype(str).str.startswith("receiver")[~sends].all()


def test_markers_become_targets_and_regulate_nothing():
    adata, plain = planted(Nuisances(leakage=0.1, markers=True)), planted(NONE)
    added = adata.var_names[adata.var["target"] & ~plain.var["target"]]
    assert len(added) >= 4
    assert not set(added) & set(adata.uns["truth"]["tf_targets"]["target"])


def log_levels(adata, role):
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    return dense(adata[receives, adata.var[role].to_numpy(bool)].X)


def mean_correlation(adata, role):
    matrix = np.abs(np.corrcoef(log_levels(adata, role), rowvar=False))
    return matrix[np.triu_indices(len(matrix), 1)].mean()


@pytest.mark.parametrize("nuisance", [{"field_length": 4.0}, {"courses": True}])
def test_hidden_causes_tie_targets_together(nuisance):
    """The mean over twelve targets varies, so it is compared over the same draws."""
    more = mean_correlation(planted(Nuisances(**nuisance)), "target")
    assert more > 1.03 * mean_correlation(planted(NONE), "target")


def test_other_disturbances_change_what_they_should():
    plain = planted(NONE)
    time = planted(Nuisances(time_noise=0.2)).obs["dpt_pseudotime"]
    assert 0.12 < (time - plain.obs["dpt_pseudotime"]).std() < 0.3
    loose = counts(planted(Nuisances(overdispersion=1.0)))
    assert (loose == 0).mean() > (counts(plain) == 0).mean() + 0.02
    batches = planted(Nuisances(batches=True))
    spread = [
        pd.DataFrame(dense(a.X)).groupby(a.obs["sample"].to_numpy()).mean().std().mean()
        for a in (batches, plain)
    ]
    assert spread[0] > 1.5 * spread[1]


def test_every_data_set_of_the_suite_has_a_null():
    assert set(tissues.MEDIUM) < set(tissues.SUITE)
    for name in tissues.SUITE:
        assert {name, f"{name}, null"} <= set(tissues.TISSUES)
    assert "fields" in tissues.MEDIUM
    assert "fields 10" not in tissues.MEDIUM


def row(data, false, calls):
    scores = {"found": {"0.1": calls}, "false_any": {"0.1": false}, "power": {"0.1": 0.5}}
    return {"data": data, "ours": dict.fromkeys(("tf_targets", "lr_targets", "lr_pairs"), scores)}


def test_table_and_figure(tmp_path):
    rows = [row("fields", 0.2, 10), row("fields", 0.0, 0), row("fields, null", 1.0, 1)]
    table = nuisance_table(rows, ["undisturbed", "fields"]).splitlines()
    assert len(table) == 3
    assert table[2].startswith("| fields | 2 | 0.10 · 0.50 |")
    assert table[2].endswith("| 1 of 1 · 1.00 |")
    assert len(nuisance_frame(rows)) == 9
    file = draw_nuisances(rows, ["undisturbed", "fields"], tmp_path / "nuisances.png")
    assert file.stat().st_size > 5000
