from __future__ import annotations

import ast
from pathlib import Path

import pytest

import spatrace_sc as st

FOLDER = Path(st.pl.__file__).parent
MODULES = sorted([*FOLDER.glob("*.py"), *FOLDER.glob("_drawing/*.py")])


def test_every_function_is_exported() -> None:
    assert st.pl.__all__ == [
        "activity_map",
        "attention",
        "cascades",
        "chord",
        "communication",
        "communication_stages",
        "comparison",
        "controls",
        "dotplot",
        "edge",
        "effect_heatmap",
        "evaluation",
        "flow",
        "knockout",
        "layers",
        "modules",
        "network",
        "pair_heatmap",
        "ranges",
        "report",
        "roles",
        "sankey",
        "spatial",
        "stages",
        "top_edges",
        "training_history",
        "trajectory",
        "trend",
        "volcano",
    ]
    assert all(callable(getattr(st.pl, name)) for name in st.pl.__all__)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_figures_know_only_the_readers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & {"uns", "show"}
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in [*(node.module or "").split("."), *(alias.name for alias in node.names)]
    }
    assert not imported & {"pp", "tl", "_model", "_core", "stored"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_matplotlib_is_imported_only_to_draw(path: Path) -> None:
    top = [
        n for n in ast.parse(path.read_text()).body if isinstance(n, ast.Import | ast.ImportFrom)
    ]
    assert not [
        n for n in top if "matplotlib" in ast.unparse(n) or "mpl_toolkits" in ast.unparse(n)
    ]
