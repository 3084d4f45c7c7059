"""The documentation is complete: a page for every public name, no orphaned page, valid notebooks.

The build itself is a job of its own (CONTRIBUTING.md).
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import spatrace_sc as st

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LAYERS = ("datasets", "pp", "tl", "get", "pl")
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.md"))
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")


def toctrees(text):
    """Entries of every toctree of a page."""
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", text, flags=re.DOTALL)
    return [
        line for block in blocks for line in block.splitlines() if line and not line.startswith(":")
    ]


def settings():
    """What conf.py assigns to plain names, read without Sphinx."""
    found = {}
    for node in ast.parse((DOCS / "conf.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def test_every_page_is_in_one_toctree():
    entries = toctrees(INDEX)
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}
    pages = {p for p in pages if not p.startswith(("_build", "api/generated")) and p != "index"}
    assert sorted(entries) == sorted(pages)


def test_pages_that_show_a_file():
    shown = settings()["SHOWN"]
    assert {DOCS / page for page in shown.values()} == set((DOCS / "project").glob("*.md"))
    for file, page in shown.items():
        assert (ROOT / file).is_file()
        assert f"](../../{file})" in (DOCS / page).read_text(encoding="utf-8")


def test_the_interface_is_made_of_all_layers_and_their_public_names():
    chosen, index = settings(), (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^ {3}(spatrace_sc[\w.]*)$", index, flags=re.MULTILINE)) == {
        "spatrace_sc",
        *(f"spatrace_sc.{layer}" for layer in LAYERS),
    }
    assert chosen["autosummary_generate"] is True
    assert chosen["autosummary_ignore_module_all"] is False


@pytest.mark.parametrize("layer", [*LAYERS, None])
def test_public_names_are_what_the_pages_are_made_of(layer):
    """``__all__`` lists documented functions, classes and errors, and the layers."""
    module = getattr(st, layer) if layer else st
    assert module.__doc__
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        public = getattr(module, name)
        assert public.__doc__, f"{name} has no docstring"
        assert callable(public) or name in {*LAYERS, "settings"}


def test_names_in_the_package_are_all_public():
    for layer in LAYERS:
        module = getattr(st, layer)
        functions = {
            n for n in vars(module) if not n.startswith("_") and callable(getattr(module, n))
        }
        assert functions == set(module.__all__)


def cells(page):
    return re.findall(
        r"```\{code-cell\} ipython3\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_have_a_kernel_and_cells_that_compile(page):
    header = page.read_text(encoding="utf-8").split("---\n")[1]
    assert "format_name: myst" in header
    assert "name: python3" in header
    assert len(cells(page)) >= 5
    for cell in cells(page):
        code = "\n".join(line for line in cell.splitlines() if not line.startswith(":tags:"))
        compile(code, page.name, "exec")


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_name_only_what_exists(page):
    for cell in cells(page):
        for layer, name in re.findall(r"\bst\.(datasets|pp|tl|get|pl)\.(\w+)", cell):
            assert name in getattr(st, layer).__all__, f"{page.name}: st.{layer}.{name}"


@pytest.mark.parametrize("page", NOTEBOOKS, ids=lambda p: p.stem)
def test_links_of_notebooks_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), (
            f"{page.name} links to {link}"
        )


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "changelog.d/README.md"])
def test_links_of_project_pages_lead_somewhere(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), f"{name} links to {link}"


def test_stand_ins_say_that_they_are_not_the_data(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(DOCS / "notebooks"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import _stand_in

    monkeypatch.setattr(_stand_in, "DEPTH", 300.0)
    folder, file = _stand_in.heart()
    assert file == folder / "human_heart" / "human_heart_ST.h5ad"
    assert "NOT THE REAL DATA" in capsys.readouterr().out
    for name, stages in {"mouse_midbrain": 3, "axolotl_regeneration": 4}.items():
        folder = _stand_in.atlas(name)
        assert "NOT THE REAL DATA" in capsys.readouterr().out
        adata = getattr(st.datasets, name)(cache_dir=folder, progressbar=False)
        assert adata.obs["stage"].nunique() == stages
        listed = {
            g
            for role in ("ligands", "receptors", "tfs")
            for g in (folder / "gene_lists" / f"{role}.txt").read_text().split()
        }
        assert listed <= set(adata.var_names)


def test_changelog_fragments_have_their_form():
    for file in (ROOT / "changelog.d").iterdir():
        if file.name != "README.md":
            assert re.fullmatch(
                r"[\w-]+\.(added|changed|deprecated|removed|fixed)\.md", file.name
            ), file.name
            assert file.read_text(encoding="utf-8").startswith("- "), file.name


def test_what_the_build_needs_is_an_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    needed = {re.split(r"[<>=\[;]", entry)[0].replace("-", "_") for entry in extras["docs"]}
    for extension in settings()["extensions"]:
        assert extension.startswith("sphinx.") or extension in needed
    assert settings()["html_theme"] in needed


def test_the_readme_of_a_release_has_no_relative_links():
    """PyPI shows README.md without the files next to it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "readme" in project["project"]["dynamic"]
    released = (ROOT / "README.md").read_text(encoding="utf-8")
    for rule in project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        released = re.sub(rule["pattern"], rule["replacement"], released)
    links = re.findall(r"\]\(([^)]+)\)", released)
    assert links
    assert all(link.startswith("https://") for link in links)
    assert "what this tissue can and cannot show" not in released, "a caption without its figure"
