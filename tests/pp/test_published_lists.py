"""Published lists of genes in `st.pp.gene_roles`, from small stand-ins for the real files."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from _server import FileServer
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc.datasets import _tf_lists
from spatrace_sc.datasets._tf_lists import TFList, names_in, problem_of, read_tfs, tf_lists
from spatrace_sc.pp import _published_lists, _resources

HUMAN = pd.DataFrame(
    {"ligand": ["WNT5A", "FGF2", "FGF2"], "receptor": ["FZD1", "FGFR1", "ITGA1_ITGB1"]}
)
TFS = {"human": ["SOX2", "GATA1"], "mouse": ["Sox2", "Gata1"], "zebrafish": ["sox2", "gata1a"]}
MOUSE_GENES = ["Wnt5a", "Fgf2", "Fzd1", "Fgfr1", "Sox2", "Gata1", "Actb", "Myod1"]


def named(names):
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.linspace(0.5, 6.0, len(names)), (60, len(names)))
    return AnnData(np.log1p(counts).astype(np.float32), var=pd.DataFrame(index=pd.Index(names)))


def flagged(adata, column):
    return set(adata.var_names[adata.var[column]])


@pytest.fixture
def stand_ins(monkeypatch):
    """Stand in for liana's resources and for the lists of TFs."""

    def read_liana(name, argument="resource"):
        return HUMAN if name == "consensus" else HUMAN.map(str.capitalize)

    monkeypatch.setattr(_published_lists, "read_liana", read_liana)
    monkeypatch.setattr(_published_lists, "version", lambda package: "0.0")
    monkeypatch.setattr(_published_lists, "read_tfs", lambda organism: TFList(TFS[organism]))
    _published_lists._log_source.cache_clear()


@pytest.mark.usefixtures("stand_ins")
def test_lists_of_an_organism(caplog):
    adata = named(MOUSE_GENES)
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(adata, organism="mouse")
        st.pp.gene_roles(adata, organism="mouse")
    assert flagged(adata, "ligand") == {"Wnt5a", "Fgf2"}
    assert flagged(adata, "receptor") == {"Fzd1", "Fgfr1"}
    assert flagged(adata, "tf") == {"Sox2", "Gata1"}
    assert flagged(adata, "target") == {"Actb", "Myod1"}
    assert caplog.text.count("from AnimalTFDB 4.0, Mus musculus. Please cite Shen") == 1
    assert caplog.text.count("'mouseconsensus' of liana 0.0. Please cite Dimitrov") == 1
    assert "receptors: 2 of 3 published names are in the data." in caplog.text


@pytest.mark.usefixtures("stand_ins")
def test_own_lists_win_role_by_role():
    adata = named(MOUSE_GENES)
    st.pp.gene_roles(adata, organism="mouse", tfs=["Myod1"], receptors=["Actb"])
    assert flagged(adata, "ligand") == {"Wnt5a", "Fgf2"}
    assert flagged(adata, "tf") == {"Myod1"}
    assert flagged(adata, "receptor") == {"Actb"}


@pytest.mark.usefixtures("stand_ins")
def test_nothing_is_read_for_a_role_with_an_own_list(monkeypatch):
    monkeypatch.setattr(_published_lists, "read_tfs", lambda organism: pytest.fail("was read"))
    st.pp.gene_roles(named(MOUSE_GENES), organism="mouse", tfs=["Myod1"])


@pytest.mark.usefixtures("stand_ins")
def test_rarely_detected_published_genes_are_left_out(caplog):
    adata = named(MOUSE_GENES)
    adata.X[:, 0] = 0
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(adata, organism="mouse")
    assert flagged(adata, "ligand") == {"Fgf2"}
    assert "ligands: 1 published ones above 0 in fewer than 1 % of 60 cells" in caplog.text
    st.pp.gene_roles(adata, organism="mouse", ligands=["Wnt5a", "Fgf2"])
    assert flagged(adata, "ligand") == {"Wnt5a", "Fgf2"}
    adata.X[:, :2] = 0
    with pytest.raises(st.DataError, match="all 2 published `ligands` in the data are above 0"):
        st.pp.gene_roles(adata, organism="mouse")


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize("columns", [("source", "target"), ("zebrafish", "human")])
def test_human_lists_are_translated_by_orthologs(columns):
    pairs = [("wnt5a", "WNT5A"), ("wnt5b", "WNT5A"), ("fgf2", "FGF2"), ("fzd1", "FZD1")]
    adata = named(["wnt5a", "wnt5b", "fgf2", "fzd1", "sox2", "actb1", "myod1"])
    orthologs = pd.DataFrame([*pairs, ("x", None)], columns=list(columns))
    st.pp.gene_roles(adata, organism="zebrafish", orthologs=orthologs)
    assert flagged(adata, "ligand") == {"wnt5a", "wnt5b", "fgf2"}
    assert flagged(adata, "receptor") == {"fzd1"}
    assert flagged(adata, "tf") == {"sox2"}  # from the organism's own list


@pytest.mark.usefixtures("stand_ins")
def test_any_organism_by_orthologs_of_human():
    genes = {"WNT5A": "AMEX1", "FZD1": "AMEX2", "SOX2": "AMEX3"}
    adata = named([*genes.values(), "AMEX4", "AMEX5"])
    orthologs = pd.DataFrame({"source": genes.values(), "target": genes.keys()})
    st.pp.gene_roles(adata, organism="human", orthologs=orthologs)
    assert [flagged(adata, c) for c in ("ligand", "receptor", "tf")] == [
        {"AMEX1"},
        {"AMEX2"},
        {"AMEX3"},
    ]


def test_a_complex_is_translated_subunit_by_subunit():
    names = {"A": ["a"], "B": ["b1", "b2"], "C_D": ["cd"]}
    listed = ["A_B", "A_X", "C_D", "complex:A&B"]
    assert _published_lists.translate(listed, names, "receptors") == ["a_b1", "a_b2", "cd"]


@pytest.mark.usefixtures("stand_ins")
@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        ({"organism": "mous"}, ["`organism`", "'zebrafish'", "Did you mean 'mouse'?"]),
        ({"organism": "axolotl"}, ["found 'axolotl'", "`organism='human'` and `orthologs=`"]),
        ({"organism": "zebrafish"}, ["none of ligands", "`orthologs=`"]),
        ({"orthologs": HUMAN}, ["no `organism` was given"]),
        ({"organism": "human", "orthologs": HUMAN}, ["columns source", "['ligand', 'receptor']"]),
        ({}, ["`ligands` and `receptors` and `tfs` were not given", "organism='mouse'"]),
        (
            {"organism": "mouse", "orthologs": pd.DataFrame({"source": ["a"], "target": ["A"]})},
            ["`orthologs` would not be used"],
        ),
        (
            {"organism": "human", "orthologs": pd.DataFrame({"source": ["A"], "target": ["a"]})},
            ["none of the 2 human ligands", "swapped"],
        ),
    ],
)
def test_messages(arguments, messages):
    with pytest.raises(st.InvalidArgumentError) as error:
        st.pp.gene_roles(named(MOUSE_GENES), **arguments)
    assert all(message in str(error.value) for message in messages), str(error.value)


@pytest.mark.usefixtures("stand_ins")
def test_the_wrong_organism_is_explained():
    with pytest.raises(st.DataError, match="upper and lower case"):
        st.pp.gene_roles(named(MOUSE_GENES), organism="human")


def test_without_liana(monkeypatch):
    def without(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(_resources, "import_module", without)
    with pytest.raises(st.MissingPackageError, match=r"`organism` needs liana.*pip install"):
        st.pp.gene_roles(named(MOUSE_GENES), organism="mouse")


@pytest.mark.parametrize(("organism", "gene"), [("human", "ITGA1"), ("mouse", "Itga1")])
def test_resources_of_the_installed_liana(organism, gene):
    pytest.importorskip("liana")
    read = _published_lists.published_lists(organism, ["ligands", "receptors"], None)
    lists = {role: names() for role, names in read.items()}
    assert len(lists["ligands"]) > 500
    assert len(lists["receptors"]) > 500
    assert any(name.startswith(f"{gene}_") for name in lists["receptors"])


# --- files with TFs --------------------------------------------------------------------------

PLAIN = "".join(f"TF{k}\r\n" for k in range(600))
TABLE = "Species\tSymbol\tEnsembl\tFamily\n" + "".join(
    f"Mus_musculus\t{'' if k == 3 else f'Tf{k}'}\tENSMUSG{k}\tbHLH\n" for k in range(600)
)


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setattr(_tf_lists, "RETRIES", 0)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with st.settings.override(data_dir=tmp_path, progress=False):
        yield tmp_path


def test_names_in_files_of_either_layout():
    assert names_in(PLAIN)[:2] == ["TF0", "TF1"]
    assert names_in(TABLE)[2:4] == ["Tf2", "ENSMUSG3"]  # a gene without a symbol
    assert names_in("") == []


def test_a_list_is_downloaded_once(quick):
    server = FileServer(Mus_musculus_TF=TABLE.encode())
    try:
        with st.settings.override(mirror=server.address):
            names = [f"Tf{k}" for k in range(600) if k != 3]
            for _ in range(2):
                tfs = read_tfs("mouse")
                assert len(tfs.names) == 600
                assert set(names) < set(tfs.names)
                assert tfs.placed_by_hand is None
        assert len(server.requests) == 1
    finally:
        server.close()
    assert (quick / "Mus_musculus_TF.record.json").exists()


@pytest.mark.parametrize(
    ("body", "problem"),
    [("<!DOCTYPE html><html>no robots</html>", "a web page"), ("SOX2\nGATA1\n", "2 names of TFs")],
)
def test_what_is_no_list_is_not_kept(quick, body, problem):
    server = FileServer(TF_names_v_1__01__txt=body.encode())
    server.files = {"TF_names_v_1.01.txt": body.encode()}
    try:
        with (
            st.settings.override(mirror=server.address),
            pytest.raises(st.DownloadError, match=problem),
        ):
            read_tfs("human")
    finally:
        server.close()
    assert not (quick / "TF_names_v_1.01.txt").exists()


def test_a_file_placed_by_hand_is_read_or_explained(quick):
    path = quick / "TF_names_v_1.01.txt"
    path.write_text(PLAIN)
    for _ in range(2):  # the second time from its record
        tfs = read_tfs("human")
        assert len(tfs.names) == 600
        assert tfs.placed_by_hand == path
    path.write_text("nothing of the kind\n")
    (quick / "TF_names_v_1.01.txt.record.json").unlink()
    with pytest.raises(st.DataError, match=r"0 names of TFs.*Move it away"):
        read_tfs("human")


@pytest.mark.usefixtures("stand_ins")
def test_a_file_placed_by_hand_is_not_attributed_to_the_publisher(quick, monkeypatch, caplog):
    monkeypatch.setattr(_published_lists, "read_tfs", read_tfs)
    path = quick / "Mus_musculus_TF"
    path.write_text("Sox2\nGata1\n" + PLAIN)
    with caplog.at_level(logging.INFO, logger="spatrace_sc"):
        st.pp.gene_roles(named(MOUSE_GENES), organism="mouse")
    assert f"TFs: 602 names from {path}. The file was found there and not" in caplog.text
    assert "Please cite the source of the file." in caplog.text
    assert "Please cite Shen" not in caplog.text


def test_without_a_network_the_message_says_where_the_file_goes(quick):
    server = FileServer()
    server.close()
    with (
        st.settings.override(mirror=server.address),
        pytest.raises(st.DownloadError) as error,
    ):
        read_tfs("zebrafish")
    for part in (str(quick / "Danio_rerio_TF"), server.address, "`tfs`", "place it at"):
        assert part in str(error.value)


def test_every_list_names_its_source():
    for organism, entry in tf_lists().items():
        assert entry.url.startswith("https://")
        assert entry.url.endswith(entry.file)
        assert entry.doi
        assert entry.citation
        assert entry.sha256 is None, f"{organism}: no publisher states a checksum"


def test_a_published_file_passes_its_check(tmp_path):
    path = tmp_path / "list"
    path.write_text(TABLE)
    assert problem_of(path) is None


@pytest.mark.usefixtures("stand_ins")
def test_ids_are_an_error_before_the_tfs_are_downloaded(monkeypatch):
    monkeypatch.setattr(_published_lists, "read_tfs", lambda organism: pytest.fail("was read"))
    adata = named(MOUSE_GENES)
    adata.var["symbol"] = adata.var_names.to_numpy()
    adata.var_names = [f"ENSMUSG{k:011d}" for k in range(adata.n_vars)]
    with pytest.raises(st.DataError, match="gene_symbols='symbol'"):
        st.pp.gene_roles(adata, organism="mouse")
