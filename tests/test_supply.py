"""Nothing of a file is executed, nothing is sent, and the workflows run what they name."""

from __future__ import annotations

import ast
import re
import socket
import tomllib
from pathlib import Path

import pytest
import structure
from _helpers import NOTHING_SIGNIFICANT, TWO_OF_EACH, tiny_config, tissue

import spatrace_sc as st

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
LISTS = sorted((structure.ROOT / "datasets").glob("*.toml"))
#: Modules that rebuild objects from bytes, or start programs.
NEVER_IMPORTED = {
    "cloudpickle", "dill", "marshal", "pickle", "runpy", "shelve", "subprocess", "yaml",
}  # fmt: skip
#: Modules that open connections; only the downloads may import them.
OF_THE_NETWORK = {"ftplib", "http", "pooch", "requests", "smtplib", "socket", "urllib3"}
MAY_DOWNLOAD = ("datasets/", "_settings.py")
#: Calls by their last names; `network.eval()` of torch takes no argument and runs nothing.
NEVER_CALLED = {
    "__import__", "compile", "eval", "exec", "os.popen", "os.system", "joblib.load",
    "pd.read_pickle", "read_pickle", "torch.load",
}  # fmt: skip


def called(node):
    """Dotted name of what a call calls, as far as it is made of names."""
    parts, at = [], node.func
    while isinstance(at, ast.Attribute):
        parts, at = [at.attr, *parts], at.value
    return ".".join([at.id, *parts]) if isinstance(at, ast.Name) else ".".join(["", *parts])


def executes(tree):
    """Lines of calls that may run what they read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            pickles = [
                k for k in node.keywords
                if k.arg == "allow_pickle" and not (
                    isinstance(k.value, ast.Constant) and k.value.value is False
                )
            ]  # fmt: skip
            if called(node) in NEVER_CALLED or pickles:
                yield node.lineno


def top_modules(name):
    return {module.split(".")[0] for module in structure.imports(name)}


@pytest.mark.parametrize("name", structure.files())
def test_nothing_of_a_file_is_executed(name):
    assert not list(executes(structure.tree(name)))
    assert not top_modules(name) & NEVER_IMPORTED


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "exec(text)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "pd.read_pickle(path)",
        "os.system(text)",
    ],
)
def test_calls_that_execute_are_seen(line):
    assert list(executes(ast.parse(line)))


def test_harmless_calls_are_not_seen():
    harmless = "network.eval()\nnp.load(path, allow_pickle=False)\nre.compile(text)\n"
    assert not list(executes(ast.parse(harmless)))


@pytest.mark.parametrize("name", structure.files())
def test_only_downloads_know_the_network(name):
    reached = top_modules(name) & OF_THE_NETWORK
    assert not reached or name.startswith(MAY_DOWNLOAD), reached
    assert "urllib.request" not in structure.imports(name)


@pytest.mark.parametrize("path", LISTS, ids=lambda p: p.name)
def test_files_are_fetched_over_https(path):
    entries = tomllib.loads(path.read_text(encoding="utf-8"))
    assert entries
    for name, entry in entries.items():
        assert entry["url"].startswith("https://"), name


@pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)
def test_no_connection_is_opened(monkeypatch, tmp_path):
    tried = []

    def refuse(self, address):
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    with pytest.raises(OSError, match="no network in this test"):
        socket.create_connection(("127.0.0.1", 9))
    tried.clear()
    adata = tissue()
    keys = {"sample_key": "sample", "stage_key": "stage"}
    st.pp.ligand_exposure(adata, radius=40, sample_key="sample")
    st.tl.infer_ccc(adata, **TWO_OF_EACH, **keys, config=tiny_config())
    st.tl.communication(adata, n_permutations=9, progress=False)
    st.pl.report(adata, tmp_path / "report.html")
    assert not tried


# Workflows


def uses(text):
    return re.findall(r"uses: *(\S+)", text)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_actions_are_pinned_to_commits(path):
    found = uses(path.read_text(encoding="utf-8"))
    assert found
    assert not [name for name in found if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.name)
def test_workflows_may_only_read(path):
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions:\n  contents: read\n(?! )", text, re.MULTILINE)
    assert text.count("permissions:") == 1
    n_checkouts = sum(name.startswith("actions/checkout@") for name in uses(text))
    assert text.count("persist-credentials: false") == n_checkouts > 0
