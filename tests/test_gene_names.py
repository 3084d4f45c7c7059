"""Lists of genes and priors as users write them, and genes measured in some slices only."""

from __future__ import annotations

import logging
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, ONE_SLICE, TWO_OF_EACH, tiny_config, tissue
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data.expression import expression
from spatrace_sc._data.gene_names import complex_hint, find_genes, listed_names
from spatrace_sc._data.missing_genes import unmeasured_in_slices, warn_of_unmeasured_genes
from spatrace_sc._regulators import Regulators
from spatrace_sc._study.prior_penalties import prior_penalties

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, ONE_SLICE)

OTHERS = {"receptors": ["REC000"], "tfs": ["TF000"], "targets": ["TG000"]}


def ligands_of(names, adata=None, **arguments):
    adata = tissue() if adata is None else adata
    flags = st.pp.gene_roles(adata, ligands=names, **OTHERS | arguments, copy=True)
    return sorted(adata.var_names[flags["ligand"]])


FORMS = {
    "list": ["LIG000", "LIG001"],
    "tuple": ("LIG000", "LIG001"),
    "set": {"LIG000", "LIG001"},
    "keys": {"LIG000": 1, "LIG001": 2},
    "dict keys": {"LIG000": 1, "LIG001": 2}.keys(),
    "array": np.array(["LIG000", "LIG001"]),
    "index": pd.Index(["LIG000", "LIG001"]),
    "series": pd.Series(["LIG000", "LIG001"], index=["a", "b"]),
    "category": pd.Categorical(["LIG000", "LIG001"]),
    "nullable": pd.array(["LIG000", pd.NA, "LIG001"], dtype="string"),
    "bytes": [b"LIG000", b"LIG001"],
    "missing": ["LIG000", None, np.nan, pd.NA, "", " ", "LIG001"],
    "repeated": ["LIG000", "LIG001", "LIG000"],
    "blanks": [" LIG000", "LIG001\n", "LIG001\t"],
}


@pytest.mark.parametrize("names", FORMS.values(), ids=FORMS)
def test_lists_in_every_form(names):
    assert ligands_of(names) == ["LIG000", "LIG001"]
    adata = tissue()
    st.pp.ligand_exposure(adata, ligands=names, sample_key="sample")
    assert sorted(adata.obsm["ligand_exposure"].columns) == ["LIG000", "LIG001"]


def test_a_generator_and_a_single_name():
    assert ligands_of(name for name in FORMS["list"]) == FORMS["list"]
    assert ligands_of("LIG000") == ligands_of(np.array("LIG000")) == ["LIG000"]
    assert ligands_of(b" LIG000") == ["LIG000"]


def test_genes_named_by_numbers():
    adata = tissue()
    adata.var_names = [str(k) for k in range(adata.n_vars)]
    others = {"receptors": 3, "tfs": 4.0, "targets": np.int64(5)}
    assert ligands_of([1, 2.0], adata, **others) == ["1", "2"]
    assert ligands_of(np.array([1.0, np.nan]), adata, **others) == ["1"]


def test_what_was_changed_is_logged(caplog):
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        ligands_of([" LIG000", "LIG001 ", None])
    assert "ligands: blanks around 2 names were removed" in caplog.text
    assert "ligands: 1 missing or blank entries were left out" in caplog.text
    assert "ligands: 2 of 2 found" in caplog.text


@pytest.mark.parametrize("names", [[], (), set(), np.array([]), pd.Series([], dtype=object), {}])
def test_an_empty_list_is_called_empty(names):
    for call in (ligands_of, lambda n: st.pp.ligand_exposure(tissue(), ligands=n)):
        with pytest.raises(st.DataError, match="`ligands` is empty; name at least one gene"):
            call(names)


@pytest.mark.parametrize("names", [[None], ["", "  "], [np.nan, pd.NA, "None"], np.nan])
def test_a_list_without_names(names):
    with pytest.raises(st.DataError, match=r"`ligands` has \d entries, all missing or blank"):
        ligands_of(names)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (lambda a: a.var["ligand"], r"truth values.*adata\.var_names\[mask\]"),
        (lambda a: a.var["ligand"].to_numpy(), "truth values"),
        (lambda a: pd.DataFrame({"gene": ["LIG000"]}), "found DataFrame. Pass one of its columns"),
        (lambda a: [["LIG000"], ["LIG001"]], r"list of gene names, found \['LIG000'\]"),
        (lambda a: np.array([["LIG000", "LIG001"]]), "list of gene names"),
    ],
)
def test_what_is_no_list_of_names(names, says):
    adata = tissue()
    with pytest.raises(st.InvalidArgumentError, match=f"`ligands`.*{says}"):
        ligands_of(names(adata), adata)


# Versions


def with_ids(version):
    """Tissue named by Ensembl ids, with a version (from 1 to 9) or without; and id by symbol."""
    adata = tissue()
    ids = [f"ENSMUSG{k:011d}" + version(k) for k in range(adata.n_vars)]
    names = dict(zip(adata.var_names, ids, strict=True))
    adata.var_names = ids
    return adata, names


@pytest.mark.parametrize("in_data", [lambda k: "", lambda k: f".{k % 9 + 1}"], ids=["no", "yes"])
def test_versions_of_ensembl_ids(in_data, caplog):
    adata, ids = with_ids(in_data)
    lists = {
        name: [ids[g].split(".")[0] + (".7" if version else "") for g in genes]
        for version in (False, True)
        for name, genes in ({"ligands": ["LIG000", "LIG001"]} | OTHERS).items()
    }
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(adata, **lists)
    assert sorted(adata.var_names[adata.var["ligand"]]) == sorted([ids["LIG000"], ids["LIG001"]])
    assert "ligands: 2 names match the data but for the version" in caplog.text
    st.tl.infer_ccc(
        adata,
        **{
            name: [ids[g].split(".")[0] + ".3" for g in genes]
            for name, genes in TWO_OF_EACH.items()
        },
        sample_key="sample",
        config=tiny_config(),
    )
    assert set(st.get.lr_pairs(adata)["ligand"]) == {ids["LIG000"], ids["LIG001"]}


def test_versions_that_are_ambiguous_or_none(caplog):
    names = ["ENSG00000000001.4", "ENSG00000000001.5", "ENSG00000000002.1", "AC012345.1"]
    assert find_genes(["ENSG00000000001.5"], names, "tfs") == {
        "ENSG00000000001.5": "ENSG00000000001.5"
    }
    assert find_genes(["ENSG00000000001", "ENSG00000000001.9"], names, "tfs") == {}
    assert "2 names match several versions in the data and are left out" in caplog.text
    assert find_genes(["AC012345.2", "AC012345"], names, "tfs") == {}  # another gene
    assert find_genes(["ENSG00000000002.1_PAR_Y"], names, "tfs") == {}
    assert find_genes([" ENSG00000000002"], names, "tfs") == {
        " ENSG00000000002": "ENSG00000000002.1"
    }


def test_blanks_in_the_names_of_the_data():
    adata = tissue()
    adata.var_names = [f"{name} " for name in adata.var_names]
    assert ligands_of(["LIG000"], adata) == ["LIG000 "]


def test_ensembl_ids_against_symbols():
    with pytest.raises(st.DataError, match=r"list has Ensembl ids, the data has other.*`gene_sym"):
        ligands_of(["ENSG00000000001.5"])
    adata, ids = with_ids(lambda k: "")
    with pytest.raises(st.DataError, match="data has Ensembl ids, the list has other"):
        ligands_of(["LIG000"], adata)
    adata.var["id"], adata.var_names = list(ids.values()), list(ids)
    with pytest.raises(st.DataError, match=r"1 of them are in `adata.var.'id'.`"):
        ligands_of([ids["LIG000"] + ".4"], adata)


# Complexes


@pytest.mark.parametrize("name", ["TG000_TG001", "TG000&TG001", "TG000+X", "complex:X_TG000"])
def test_complexes_of_targets_are_named_as_such(name):
    """Only ligands and receptors are taken as complexes."""
    with pytest.raises(st.DataError, match=r"1 names look like complexes.*subunits") as caught:
        ligands_of("LIG000", targets=[name])
    assert ("1 of these complexes have all" in str(caught.value)) == ("X" not in name)
    with pytest.warns(st.SpatraceWarning, match="2 of 5 names.*look like complexes"):
        ligands_of("LIG000", targets=["TG000", "TG001", name, "Y&Z", "nowhere"])


def test_complexes_among_few_missing_names(caplog):
    ligands_of("LIG000", targets=["TG000", "TG001", "TG000_TG002", "A_B"])
    assert "2 of 4 found" in caplog.text
    assert (
        "2 names look like complexes ('A_B', 'TG000_TG002'). Name their subunits, which are genes"
        " of their own: 1 of these complexes have all subunits in the data, 0 some." in caplog.text
    )


@pytest.mark.parametrize("name", ["Nowhere", "AMEX60DD_012345", "HLA-DRA", "", "Nkx2.5"])
def test_other_names_are_no_complexes(name):
    assert complex_hint([name], ["LIG000", "LIG001"]) == ""
    assert complex_hint(["A_B"], ["AMEX_1", "AMEX_2"]) == ""  # underscores are usual in the data


# Priors

GENES = Regulators.from_mapping(
    {
        "ligands": ["ENSG00000000001", "L2"],
        "receptors": ["R1", "R2"],
        "tfs": ["T1"],
        "targets": ["G1", "G2"],
    }
)


def pairs(*edges, columns=("ligand", "receptor")):
    return pd.DataFrame(edges, columns=list(columns), dtype=object)


def test_names_of_a_prior_as_users_write_them(caplog):
    table = pairs(("ENSG00000000001.7", " R1"), (b"L2", "R2 "), (None, "R1"), ("L2", np.nan))
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        penalty, _ = prior_penalties(table, GENES)
    np.testing.assert_array_equal(penalty, np.float32([0.5, 1, 1, 0.5]))
    assert "prior: 2 of 4 rows" in caplog.text
    assert "prior['ligand']: 1 names match the data but for the version" in caplog.text


def test_complexes_in_a_prior(caplog):
    with pytest.raises(st.InvalidArgumentError, match=r"none of its 1 rows.*st\.pp\.prior"):
        prior_penalties(pairs(("L2_L3", "R1&R2")), GENES)
    prior_penalties(pairs(("L2", "R1"), ("L2", "R1_R2")), GENES)
    (record,) = [r for r in caplog.records if "prior: 1 of 2 rows" in r.getMessage()]
    assert record.levelno == logging.WARNING
    assert "1 names look like complexes ('R1_R2')" in record.getMessage()


def test_an_empty_prior_and_an_empty_resource():
    with pytest.raises(st.InvalidArgumentError, match=r"`prior`.*tf, target has 0 rows"):
        prior_penalties(pairs(columns=("tf", "target")), GENES)
    with pytest.raises(st.DataError, match="`resource` has no rows"):
        st.pp.prior(tissue(), pairs())
    with pytest.raises(st.DataError, match="`resource` has 2 rows, all without a name"):
        st.pp.prior(tissue(), pairs((None, "REC000"), ("LIG000", " ")))


@pytest.mark.parametrize(
    "form",
    [
        "LIG000_LIG001",
        "LIG000&LIG001",
        "LIG000+LIG001",
        "complex:LIG000_LIG001",
        " LIG000 & LIG001 ",
    ],
)
def test_complexes_of_a_resource_in_every_form(form):
    edges = st.pp.prior(tissue(), pairs((form, " REC000")))
    assert edges[["ligand", "receptor"]].to_numpy().tolist() == [
        ["LIG000", "REC000"],
        ["LIG001", "REC000"],
    ]


def test_versions_in_a_resource_and_in_orthologs():
    adata, ids = with_ids(lambda k: ".2")
    expected = [[ids["LIG000"], ids["REC000"]]]
    stable = {symbol: name.split(".")[0] for symbol, name in ids.items()}
    known = pairs((stable["LIG000"] + ".5", stable["REC000"]))
    edges = st.pp.prior(adata, known)
    assert edges[["ligand", "receptor"]].to_numpy().tolist() == expected
    orthologs = pd.DataFrame(
        {
            "source": [stable["LIG000"], " " + ids["REC000"]],
            "target": ["ENSG00000000007.1", "ENSG00000000008"],
        }
    )
    known = pairs(("ENSG00000000007", "ENSG00000000008.3"))
    edges = st.pp.prior(adata, known, orthologs=orthologs)
    assert edges[["ligand", "receptor"]].to_numpy().tolist() == expected


# Genes that are measured in some slices only


def outer_join():
    """Two slices of 100 cells; gene 0 is in both, 1 in the first, 2 in the second, 3 is rare."""
    rng = np.random.default_rng(0)
    matrix = rng.poisson(1.0, (200, 4)).astype(np.float32)
    matrix[100:, 1] = matrix[:100, 2] = matrix[:, 3] = 0
    matrix[:3, 3] = 1
    return matrix, np.repeat(["s1", "s2"], 100)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_genes_unmeasured_in_a_slice(form):
    matrix, sample = outer_join()
    table = unmeasured_in_slices(form(matrix), np.array([3, 2, 1, 0]), sample)
    assert table[["gene", "slice", "n_cells"]].to_numpy().tolist() == [
        [2, "s1", 100],
        [1, "s2", 100],
    ]
    np.testing.assert_allclose(
        table["share"], [(matrix[100:, 2] > 0).mean(), (matrix[:100, 1] > 0).mean()]
    )


def test_few_expected_detections_are_no_sign():
    matrix, sample = outer_join()
    assert not len(unmeasured_in_slices(matrix[80:120], np.array([1]), sample[80:120]))
    assert not len(unmeasured_in_slices(matrix, np.array([1]), np.repeat("all", 200)))
    empty = np.zeros((200, 1), dtype=np.float32)
    assert not len(unmeasured_in_slices(empty, np.array([0]), sample))


def test_the_share_is_that_of_slices_with_the_gene():
    """A gene that is measured in one slice of ten only."""
    matrix = np.zeros((1000, 1), dtype=np.float32)
    matrix[:40] = 1
    table = unmeasured_in_slices(matrix, np.array([0]), np.repeat(np.arange(10), 100))
    assert len(table) == 9
    np.testing.assert_allclose(table["share"], 0.4)


@pytest.mark.parametrize("block", [7, 10**9])
def test_a_matrix_on_disk_gives_the_same(tmp_path, monkeypatch, block):
    from spatrace_sc._data import on_disk

    adata = joined()
    slices = adata.obs["sample"].to_numpy(dtype=str)
    genes = np.arange(adata.n_vars)
    expected = unmeasured_in_slices(adata.X, genes, slices)
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    monkeypatch.setattr(on_disk, "BLOCK_VALUES", block * adata.n_vars)
    table = unmeasured_in_slices(expression(backed, None), genes, slices)
    pd.testing.assert_frame_equal(table, expected)


def joined():
    """Tissue of three slices, the first without the first three TFs."""
    adata = tissue()
    matrix = adata.X.toarray()
    names = adata.var_names[adata.var["tf"]].sort_values()[:3]
    first = (adata.obs["sample"] == adata.obs["sample"].iloc[0]).to_numpy()
    matrix[np.ix_(first, adata.var_names.get_indexer(names))] = 0
    adata.X = sparse.csr_matrix(matrix)
    return adata


def said(adata, key="sample"):
    names = {"tfs": adata.var_names[adata.var["tf"]].to_numpy(dtype=str)}
    labels = {name: name for name in adata.var_names}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_unmeasured_genes(adata, adata.X, names, key, labels)
    return [str(w.message) for w in caught]


def test_the_warning_names_genes_and_slices():
    adata = joined()
    (message,) = said(adata)
    first = adata.obs["sample"].iloc[0]
    n = int((adata.obs["sample"] == first).sum())
    assert message.startswith("3 genes with a role are 0 in every cell of 1 of 3 slices")
    assert f"'{first}' ({n} cells): 'TF000', 'TF001', 'TF002'" in message
    for text in ("not measured there", 'join="inner"', "truly off there"):
        assert text in message
    assert not said(tissue())
    assert not said(adata, key=None)
    adata.obs["sample"] = "one"
    assert not said(adata)


def test_the_inference_says_it_once_and_later_verbs_do_not():
    adata = joined()
    calls = {
        "infer_ccc": lambda: st.tl.infer_ccc(adata, sample_key="sample", config=tiny_config()),
        "knockout": lambda: st.tl.knockout(adata, tf="TF000"),
    }
    for verb, call in calls.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        raised = [w for w in caught if "are 0 in every cell" in str(w.message)]
        assert len(raised) == (verb == "infer_ccc")
        assert all(w.filename == __file__ for w in raised)


def test_a_name_is_listed_once():
    assert listed_names(["b", " a", "b ", "a"], "tfs") == ["b", "a"]
