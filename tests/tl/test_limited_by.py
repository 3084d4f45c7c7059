"""The column ``limited_by``: the one reason that keeps an edge from being significant."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import infer_quietly, small_config, small_result, written_and_read

import spatrace_sc as st
from spatrace_sc import _keys
from spatrace_sc._data.notices import log_limits, warn_if_none_significant
from spatrace_sc._inference.edge_tables import p_and_q
from spatrace_sc._inference.limits import CODE, add_limits, limits
from spatrace_sc._model.evidence.minimum_effect import EffectTest
from spatrace_sc._model.records import Draw
from spatrace_sc._regulators import Regulators
from spatrace_sc.get._limits import add_limited_by

FORMER = Path(__file__).parents[1] / "data" / "stored_result_0.1.0.h5ad"
READERS = ("tf_targets", "lr_targets", "lr_pairs")
GENES = Regulators(
    ligands=np.array(["la", "lb", "lc"]),
    receptors=np.array([f"r{k}" for k in range(10)]),
    tfs=np.array([f"t{k}" for k in range(20)]),
    targets=np.array([f"g{k}" for k in range(10)]),
)
N_TF, N_PAIRS = 200, 30
RIVAL = "a rival explains it"
LOCATION = "location explains it"
SAME_GENE = "not tested (same gene)"


def draw(score):
    """Scores from 1 exceed every decoy; those of 0.1 are exceeded by more decoys than hits."""
    decoys = np.sort(np.r_[np.full(1000, 0.2), 0.5])
    return Draw(np.arange(len(score)), np.asarray(score, dtype=float), decoys, np.ones(1001))


def scores(n, n_strong):
    return np.where(np.arange(n) < n_strong, 1.0 + 0.01 * np.arange(n), 0.1)


def by_hand(*, noise_known=True, n_strong=30, n_strong_pairs=12, floor=(), local=(), lr_draws=None):
    """Return the reasons by task.

    ``floor`` holds q of the rival test of the first pairs, ``local`` that of the test among
    neighbouring cells.
    """
    rng = np.random.default_rng(0)
    p = np.r_[np.full(5, 1e-6), 0.08, 0.5, rng.uniform(0.2, 1.0, N_TF - 7)]
    test = EffectTest(p.reshape(20, 10), np.full(10, 0.1), np.ones((20, 10), dtype=bool))
    strength = scores(N_PAIRS, n_strong_pairs)
    strength[0] = 0.01  # strong against decoys in the first pass, weak beside its neighbours
    passed = strength.copy()
    passed[0] = 50.0
    tf = [draw(scores(N_TF, n_strong))] * 3
    lr = lr_draws or [draw(scores(N_PAIRS, 4))] * 3
    found = SimpleNamespace(
        tf=SimpleNamespace(index=np.arange(N_TF), p_value=np.full(N_TF, 1e-3)),
        lr=SimpleNamespace(index=np.arange(N_PAIRS), p_value=np.full(N_PAIRS, 1e-3)),
        pair_score=strength,
        pair_p_value=np.full(N_PAIRS, 1e-3),
        draws={"tf": tf, "lr": lr, "pair": [draw(passed)] * 3},
    )
    values, alone = p_and_q(found, test, 0.2, GENES, noise_known=noise_known)
    after = [values]
    for given, tasks in ((local, ("tf", "lr", "pair")), (floor, ("lr", "pair"))):
        raised = {}
        for task in tasks:
            p, q = after[-1][task]
            least = np.zeros(len(q))
            least[: len(given)] = given
            raised[task] = (p, np.maximum(q, least))
        after.append(after[-1] | raised)
    tested = after[-1]
    codes = limits(found, test, alone, tuple(after), noise_known=noise_known)
    assert {code.dtype for code in codes.values()} == {np.dtype("int8")}
    for task, code in codes.items():
        np.testing.assert_array_equal(code == 0, tested[task][1] <= 0.1)
    return {task: [_keys.LIMITS[k] for k in code] for task, code in codes.items()}


def test_reasons_of_tf_edges():
    reasons = by_hand()["tf"]
    assert reasons[:5] == [""] * 5
    assert reasons[5:7] == ["too many candidates", "below the minimum effect"]
    assert set(reasons[7:30]) == {"below the minimum effect"}
    assert set(reasons[30:]) == {"weaker than decoys"}
    short = by_hand(n_strong=6)["tf"]
    assert set(short[:6]) == {"list too short"}
    assert set(short[6:]) == {"weaker than decoys"}
    short = by_hand(n_strong=8)["tf"]  # a longer list would not help an edge that is too small
    assert short[5:8] == ["list too short", *["below the minimum effect"] * 2]


def test_without_known_noise_no_tf_edge_has_another_reason():
    reasons = by_hand(noise_known=False)
    assert set(reasons["tf"]) == {"noise not known"}
    assert "noise not known" not in reasons["lr"] + reasons["pair"]


def test_reasons_of_pairs():
    reasons = by_hand(floor=[0.0, 0.05, 0.2])["pair"]
    assert reasons[0] == RIVAL  # by its neighbours
    assert reasons[1:4] == ["", RIVAL, ""]
    assert set(reasons[12:]) == {"weaker than decoys"}
    assert by_hand(n_strong_pairs=12, floor=np.full(12, 0.3))["pair"][:12] == [RIVAL] * 12
    assert by_hand(n_strong_pairs=12, floor=np.full(13, 0.3))["pair"][12] == "weaker than decoys"


def test_location_is_tried_before_rivals():
    reasons = by_hand(local=[0.2, 0.2, 0.05, 0.0], floor=[0.0, 0.2, 0.2, 0.05])["pair"]
    assert reasons[:4] == [RIVAL, LOCATION, RIVAL, ""]  # the first by its neighbours
    long = [draw(scores(N_PAIRS, 12))] * 3
    reasons = by_hand(lr_draws=long, local=[0.2, 0.0, *[0.2] * 12], floor=[0.2, 0.2])["lr"]
    assert reasons[:4] == [LOCATION, RIVAL, LOCATION, LOCATION]
    assert reasons[12] == "weaker than decoys"
    reasons = by_hand(local=[0.2, 0.05, *[0.2] * 4])["tf"]
    assert reasons[:7] == [
        *(LOCATION, "", LOCATION, LOCATION, LOCATION),
        *("too many candidates", "below the minimum effect"),
    ]


def test_reasons_of_edges_of_pairs():
    assert by_hand()["lr"] == ["list too short"] * 4 + ["weaker than decoys"] * 26
    long = [draw(scores(N_PAIRS, 12))] * 3
    reasons = by_hand(lr_draws=long, floor=[0.0, 0.2])["lr"]
    assert reasons == ["", RIVAL] + [""] * 10 + ["weaker than decoys"] * 18


@pytest.mark.parametrize(("n_short", "expected"), [(1, "weaker"), (2, "list"), (3, "list")])
def test_a_short_list_must_exceed_the_decoys_of_most_refits(n_short, expected):
    draws = [draw(scores(N_PAIRS, 4))] * n_short + [draw(scores(N_PAIRS, 0))] * (3 - n_short)
    reasons = by_hand(lr_draws=draws)["lr"]
    assert all(reason.startswith(expected) for reason in reasons[:4])


def test_codes_follow_the_rows_of_the_tables():
    rng = np.random.default_rng(1)
    index = np.sort(rng.choice(300, 40, replace=False))
    codes = {
        "tf": rng.integers(0, 7, N_TF).astype(np.int8),
        "lr": rng.integers(0, 7, 40).astype(np.int8),
        "pair": rng.integers(0, 7, N_PAIRS).astype(np.int8),
    }
    found = SimpleNamespace(
        tf=SimpleNamespace(index=np.arange(N_TF)), lr=SimpleNamespace(index=index)
    )
    tf, pair, edge = rng.permutation(N_TF)[:50], rng.permutation(N_PAIRS), rng.permutation(40)
    of_edge = index[edge] // 10
    tables = {
        "tf_targets": pd.DataFrame({"tf": tf // 10, "target": tf % 10}),
        "lr_targets": pd.DataFrame(
            {"ligand": of_edge // 10, "receptor": of_edge % 10, "target": index[edge] % 10}
        ),
        "lr_pairs": pd.DataFrame({"ligand": pair // 10, "receptor": pair % 10}),
    }
    add_limits(tables, GENES, found, codes)
    for name, task, row in zip(READERS, codes, (tf, edge, pair), strict=True):
        np.testing.assert_array_equal(tables[name]["limited_by"], codes[task][row])
        assert tables[name]["limited_by"].dtype == np.int8


# --- readers ----------------------------------------------------------------------------------


def test_reader_by_hand():
    table = pd.DataFrame({"score": [1.0, 1.0, 0.0, 0.0], "q_value": [0.1, 0.11, 1.0, 0.05]})
    former = add_limited_by(table)["limited_by"]
    assert list(former) == ["", "not recorded", "no effect", "no effect"]
    stored = add_limited_by(table.assign(limited_by=[0.0, CODE[RIVAL], 0.0, 0.0]))["limited_by"]
    assert list(stored) == ["", RIVAL, "no effect", "no effect"]
    assert list(stored.cat.categories) == _keys.LIMITS
    assert list(table.columns) == ["score", "q_value"]


def test_a_gene_is_not_tested_on_itself(caplog):
    adata = st.datasets.simulated(n_cells=300, n_targets=5, n_background=48)
    roles = {
        "ligands": ["LIG000", "LIG001"],
        "receptors": ["REC000", "REC001_REC002"],
        "tfs": ["TF000", "TF001"],
        "targets": ["LIG000", "REC002", "TF001", *(f"TG{k:03d}" for k in range(5))],
    }
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        infer_quietly(adata, **roles, sample_key="sample", config=small_config())
    table = st.get.lr_targets(adata).set_index(["ligand", "receptor", "target"])
    same = table.index[table["limited_by"] == SAME_GENE]
    complexes = table.index.get_level_values("receptor") == "REC001_REC002"
    targets = table.index.get_level_values("target")
    own = (table.index.get_level_values("ligand") == "LIG000") & (targets == "LIG000")
    own |= complexes & (targets == "REC002")
    assert set(same) == set(table.index[own])
    table = st.get.tf_targets(adata)
    (row,) = table[table["limited_by"] == SAME_GENE].itertuples()
    assert (row.tf, row.target) == ("TF001", "TF001")
    (line,) = (r.getMessage() for r in caplog.records if "Not significant" in r.getMessage())
    tf, pairs = line.split("; ")[:2]
    assert f"1 {SAME_GENE}" in tf
    assert f"{len(same)} {SAME_GENE}" in pairs


def check(adata):
    """Reasons agree with the other columns, and no candidate lacks one."""
    for name in READERS:
        table = getattr(st.get, name)(adata)
        reason = table["limited_by"].astype(object)
        assert reason.notna().all()
        assert ((reason == "") == (table["evidence"] == "supported")).all()
        assert (reason.isin(["no effect", SAME_GENE]) == (table["score"] == 0)).all()
        assert (table.loc[reason == "below the minimum effect", "p_value"] > 0.1).all()
        of_tfs = {"noise not known", "below the minimum effect", "too many candidates"}
        assert not set(reason) & ({RIVAL} if name == "tf_targets" else of_tfs)
        if "group_q_value" in table:
            assert (reason[table["evidence"] == "group"] == RIVAL).all()
        assert "not recorded" not in set(reason)
        order = [c for c in ("ligand", "receptor", "tf", "target") if c in table]
        late = getattr(st.get, name)(adata, st.get.stages(adata)[-1])
        columns = [*order, "limited_by"]
        pd.testing.assert_frame_equal(
            late[columns].sort_values(order, ignore_index=True),
            table[columns].sort_values(order, ignore_index=True),
        )


def test_every_candidate_of_a_tissue_has_a_reason():
    adata = small_result()
    check(adata)
    assert st.get.tf_targets(adata)["limited_by"].nunique() >= 3


def test_tf_edges_of_data_without_counts():
    adata = st.datasets.simulated(n_cells=300, n_targets=5, n_background=48)
    adata.X.data *= np.random.default_rng(0).uniform(0.5, 1.5, adata.X.nnz).astype(np.float32)
    infer_quietly(adata, sample_key="sample", stage_key="stage", config=small_config())
    check(adata)
    reason = st.get.tf_targets(adata)["limited_by"]
    assert set(reason) <= {"noise not known", "no effect"}
    assert (reason == "noise not known").any()


def test_reasons_survive_a_file(tmp_path):
    adata = small_result()
    back = written_and_read(adata, "h5ad", tmp_path)
    for name in READERS:
        before, after = (getattr(st.get, name)(a)["limited_by"] for a in (adata, back))
        pd.testing.assert_series_equal(before, after)


def test_a_former_result_records_no_reasons():
    former = ad.read_h5ad(FORMER)
    for name in READERS:
        table = getattr(st.get, name)(former)
        expected = np.where(table["score"] > 0, "not recorded", "no effect")
        expected[(table["evidence"] == "supported").to_numpy()] = ""
        assert table["limited_by"].tolist() == expected.tolist()
        assert (table["limited_by"] == "not recorded").any()


# --- messages ---------------------------------------------------------------------------------


def tables(**groups):
    """Tables without a significant edge, with as many significant groups as given."""
    reasons = {
        "tf_targets": ["weaker than decoys", "below the minimum effect", "weaker than decoys"],
        "lr_targets": [RIVAL] * 2,
        "lr_pairs": [],
    }
    made = {}
    for name, names in reasons.items():
        code = np.array([CODE[reason] for reason in names], dtype=np.int8)
        made[name] = pd.DataFrame({"q_value": np.ones(len(code)), "limited_by": code})
        if name != "tf_targets":
            made[name]["group_q_value"] = np.where(
                np.arange(len(code)) < groups.get(name, 0), 0.1, 1.0
            )
    return made


N_CANDIDATES = {"tf_targets": 10, "lr_targets": 2, "lr_pairs": 4}


def test_the_log_counts_reasons(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        text = log_limits(tables(), N_CANDIDATES, 5)
    assert text in caplog.text
    assert text == (
        "TF → target edges: 2 weaker than decoys, 1 below the minimum effect; "
        f"pair → target edges: 2 {RIVAL}; pairs: 4 no effect"
    )
    assert "edges: 7 no effect, 2 weaker than decoys, 1 below" in log_limits(
        tables(), N_CANDIDATES, 10
    )


def test_significant_edges_are_not_counted():
    made = tables()
    made["tf_targets"]["limited_by"] = np.int8(0)
    assert "TF" not in log_limits(made, N_CANDIDATES, 5)


def warning_of(made, reasons=""):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_if_none_significant(made, noise_known=True, reasons=reasons)
    (message,) = (str(w.message) for w in caught)
    return message


def test_the_warning_names_reasons_and_groups():
    message = warning_of(tables(), "pairs: 4 no effect")
    assert "`limited_by`: pairs: 4 no effect." in message
    assert "they hold no findings" in message
    grouped = warning_of(tables(lr_targets=2))
    assert "`group_q_value` ≤ 0.1 for 2 pair → target edges." in grouped
    assert "no findings" not in grouped
    assert "limited_by" not in grouped


def test_the_verb_gives_the_counts_of_the_readers(caplog):
    adata = st.datasets.simulated(n_cells=300, n_targets=5, n_background=48)
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        infer_quietly(adata, sample_key="sample", stage_key="stage", config=small_config())
    (line,) = (r.getMessage() for r in caplog.records if "Not significant" in r.getMessage())
    for part, name in zip(line.split(": ", 1)[1].rstrip(".").split("; "), READERS, strict=True):
        counts = getattr(st.get, name)(adata)["limited_by"].value_counts()
        expected = [f"{counts[r]} {r}" for r in _keys.LIMITS[1:] if counts[r]]
        assert part.split(": ")[1].split(", ") == expected
