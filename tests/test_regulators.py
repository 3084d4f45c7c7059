"""Every number that stands for a gene, a pair, a regulator, a column or an edge, one by one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

from spatrace_sc._edges import EDGE_KINDS, LR_PAIRS, LR_TARGETS, LR_TFS, TF_TARGETS
from spatrace_sc._regulators import ROLES, Regulators

L, R, F, G = 3, 4, 2, 5
GENES = Regulators(
    ligands=np.array([f"l{k}" for k in range(L)]),
    receptors=np.array([f"r{k}" for k in range(R)]),
    tfs=np.array([f"t{k}" for k in range(F)]),
    targets=np.array([f"g{k}" for k in range(G)]),
)
#: Every pair in the order of its number, genes by index.
PAIRS = list(product(range(L), range(R)))


def table(rows, columns):
    return pd.DataFrame(list(rows), columns=columns)


def test_sizes():
    assert (GENES.n_ligands, GENES.n_receptors, GENES.n_tfs, GENES.n_targets) == (L, R, F, G)
    assert GENES.n_pairs == len(PAIRS)
    assert GENES.n_regulators == F + len(PAIRS)


@pytest.mark.parametrize(
    ("kind", "size"),
    [(TF_TARGETS, F * G), (LR_TARGETS, L * R * G), (LR_TFS, L * R * F), (LR_PAIRS, L * R)],
    ids=lambda value: getattr(value, "name", value),
)
def test_candidates_are_counted_and_numbered_one_by_one(kind, size):
    assert GENES.n_candidates(kind) == size
    sizes = [len(GENES[role]) for role in kind.roles]
    rows = table(product(*map(range, sizes)), kind.columns)
    assert GENES.candidate(rows, kind).tolist() == list(range(size))
    genes = GENES.candidate_genes(np.arange(size), kind)
    assert list(genes) == kind.columns
    for column in kind.columns:
        assert genes[column].tolist() == rows[column].tolist()
    some = np.array([size - 1, 0, size // 2])
    back = GENES.candidate(pd.DataFrame(GENES.candidate_genes(some, kind)), kind)
    assert back.tolist() == some.tolist()


def test_pairs_of_a_gene_with_itself_have_indices_but_are_no_candidates():
    genes = Regulators(
        ligands=np.array(["a", "b", "c"]),
        receptors=np.array(["c", "d", "a"]),
        tfs=GENES.tfs,
        targets=GENES.targets,
        homophilic=False,
    )
    assert genes.excluded_pairs.tolist() == [0 * 3 + 2, 2 * 3 + 0]
    assert genes.excluded(LR_PAIRS).tolist() == [2, 6]
    assert genes.excluded(LR_TARGETS).tolist() == [*range(10, 15), *range(30, 35)]
    assert genes.excluded(LR_TFS).tolist() == [4, 5, 12, 13]
    assert genes.excluded(TF_TARGETS).tolist() == []
    for kind, size in ((LR_PAIRS, 9), (LR_TARGETS, 45), (LR_TFS, 18), (TF_TARGETS, 10)):
        assert genes.n_indices(kind) == size
        assert genes.n_candidates(kind) == size - len(genes.excluded(kind))
    assert len(GENES.excluded_pairs) == 0


def test_pairs_go_ligand_by_ligand():
    for number, (ligand, receptor) in enumerate(PAIRS):
        assert GENES.pair(ligand, receptor) == number
        assert (GENES.ligand_of(number), GENES.receptor_of(number)) == (ligand, receptor)
    ligand, receptor = np.array(PAIRS).T
    every = np.arange(len(PAIRS))
    np.testing.assert_array_equal(GENES.pair(ligand, receptor), every)
    np.testing.assert_array_equal(GENES.ligand_of(every), ligand)
    np.testing.assert_array_equal(GENES.receptor_of(every), receptor)
    grid = GENES.pair(np.arange(L)[:, None], np.arange(R))
    np.testing.assert_array_equal(grid, every.reshape(L, R))


def test_regulators_are_tfs_then_pairs():
    names = [f"t{k}" for k in range(F)] + [f"l{i}^r{j}" for i, j in PAIRS]
    assert [GENES.regulator_name(k) for k in range(GENES.n_regulators)] == names
    for pair in range(len(PAIRS)):
        regulator = int(GENES.regulator_of_pair(pair))
        assert regulator == F + pair
        assert GENES.pair_of_regulator(regulator) == pair
    assert (GENES.pair_of_regulator(np.arange(F)) < 0).all()


def test_columns_of_the_model_are_past_tfs_current_tfs_and_pairs():
    columns = [
        *GENES.columns_of_past_tfs,
        *GENES.columns_of_current_tfs,
        *GENES.column_of_pair(np.arange(len(PAIRS))),
    ]
    assert columns == list(range(2 * F + len(PAIRS)))
    assert len(GENES.columns_of_past_tfs) == len(GENES.columns_of_current_tfs) == F


def test_edges_of_pairs_go_target_by_target():
    numbers = [int(GENES.pair_edge(p, g)) for p in range(len(PAIRS)) for g in range(G)]
    assert numbers == list(range(len(PAIRS) * G))
    # the same number as that of the candidate of the kind
    rows = table([(i, j, g) for i, j in PAIRS for g in range(G)], LR_TARGETS.columns)
    pair = GENES.pair_of_rows(rows)
    np.testing.assert_array_equal(
        GENES.pair_edge(pair, rows["target"]), GENES.candidate(rows, LR_TARGETS)
    )


def test_names_and_numbers_of_pairs_are_inverse():
    names = GENES.pair_genes(np.arange(len(PAIRS)))
    assert names.to_numpy().tolist() == [[f"l{i}", f"r{j}"] for i, j in PAIRS]
    assert GENES.pair_of_names(names).tolist() == list(range(len(PAIRS)))
    indices = table(PAIRS, ["ligand", "receptor"])
    assert GENES.pair_of_rows(indices).tolist() == list(range(len(PAIRS)))


@pytest.mark.parametrize("role", ROLES)
def test_index_of_every_gene(role):
    names = GENES[role]
    for k, name in enumerate(names):
        assert GENES.index(role, [name]).tolist() == [k]
    assert GENES.index(role, [*names[::-1], "unknown"]).tolist() == [*range(len(names))[::-1], -1]
    assert GENES.index(role, pd.Series(names).astype("category")).tolist() == [*range(len(names))]
    assert GENES.index(role, []).tolist() == []


@pytest.mark.parametrize("kind", EDGE_KINDS.values(), ids=lambda kind: kind.name)
def test_names_replace_the_indices_of_every_candidate(kind):
    every = np.arange(GENES.n_candidates(kind))
    rows = pd.DataFrame(GENES.candidate_genes(every, kind)).assign(score=1.0)
    named = GENES.with_names(rows, kind.columns)
    assert list(named.columns) == list(rows.columns)
    letters = {"ligand": "l", "receptor": "r", "tf": "t", "target": "g"}
    for column in kind.columns:
        assert named[column].tolist() == [f"{letters[column]}{k}" for k in rows[column]]
        assert GENES.index(f"{column}s", named[column]).tolist() == rows[column].tolist()
    assert rows[kind.columns[0]].dtype.kind == "i", "the given table stays as it was"


@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda names: np.array(names, dtype=object),
        lambda names: np.array(names, dtype=np.dtypes.StringDType()),
        lambda names: pd.array(names, dtype="string"),
    ],
    ids=["list", "object", "numpy string", "pandas string"],
)
def test_names_may_come_from_any_file(form):
    mapping = {role: form(list(GENES[role])) for role in ROLES}
    back = Regulators.from_mapping(mapping)
    for role in ROLES:
        np.testing.assert_array_equal(back[role], GENES[role])
        assert back[role].dtype.kind == "U"


def test_what_is_stored_can_be_read():
    stored = GENES.to_mapping()
    assert list(stored) == list(ROLES)
    assert all(names.dtype == object for names in stored.values())
    back = Regulators.from_mapping(stored)
    assert all((back[role] == GENES[role]).all() for role in ROLES)


def test_a_role_without_genes():
    genes = Regulators.from_mapping(GENES.to_mapping() | {"tfs": [], "ligands": []})
    assert (genes.n_pairs, genes.n_regulators) == (0, 0)
    assert genes.n_candidates(LR_TARGETS) == genes.n_candidates(TF_TARGETS) == 0
    assert genes.columns_of_current_tfs.tolist() == []
    assert genes.pair_genes(np.empty(0, dtype=int)).empty
    assert genes.index("tfs", ["t0"]).tolist() == [-1]
