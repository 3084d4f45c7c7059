"""Rules of the layers, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import spatrace_sc

PACKAGE = "spatrace_sc"
ROOT = Path(spatrace_sc.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
SOURCE = {path.relative_to(ROOT).as_posix(): path for path in FILES}
LAYERS = {"pp", "tl", "pl"}


def tree(name):
    return ast.parse(SOURCE[name].read_text(encoding="utf-8"))


def imports(name):
    """Absolute dotted names that a file imports anywhere, also inside functions; ``from a import b`` gives ``a`` and ``a.b``."""
    package = [PACKAGE, *Path(name).parent.parts]
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def within(module, *prefixes):
    return any(module == p or module.startswith(p + ".") for p in prefixes)


def own(name):
    return {m for m in imports(name) if within(m, PACKAGE)}


def files_of(layer):
    chosen = [n for n in SOURCE if n.startswith(f"{layer}/")]
    assert chosen, f"no file in {layer}"
    return chosen


def test_there_is_source_to_check():
    assert len(SOURCE) > 20
    assert f"{PACKAGE}._core.exposure" in imports(
        "pp/_ligand_exposure.py"
    )  # relative imports are resolved


@pytest.mark.parametrize("name", files_of("_core"))
def test_core_imports_nothing_of_the_package_nor_anndata_nor_torch(name):
    assert not [m for m in own(name) if not within(m, f"{PACKAGE}._core")]
    assert not [m for m in imports(name) if within(m, "anndata", "scanpy", "spatialdata", "torch")]


@pytest.mark.parametrize("name", files_of("_model"))
def test_model_imports_only_itself_and_no_anndata(name):
    assert not [m for m in own(name) if not within(m, f"{PACKAGE}._model", f"{PACKAGE}._errors")]
    assert not [
        m for m in imports(name) if within(m, "anndata", "scanpy", "squidpy", "spatialdata")
    ]


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_pp_tl_and_pl_do_not_import_one_another(layer):
    others = [f"{PACKAGE}.{other}" for other in LAYERS - {layer}]
    offending = {name: m for name in files_of(layer) for m in own(name) if within(m, *others)}
    assert not offending


@pytest.mark.parametrize("name", files_of("pl"))
def test_plots_do_not_read_uns(name):
    assert not [
        node.lineno
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Attribute) and node.attr == "uns"
    ]


@pytest.mark.parametrize("name", files_of("pl"))
def test_plots_know_neither_torch_nor_the_model(name):
    assert not [m for m in imports(name) if within(m, "torch", f"{PACKAGE}._model")]


@pytest.mark.parametrize("name", SOURCE)
def test_files_are_short(name):
    assert len(SOURCE[name].read_text(encoding="utf-8").splitlines()) <= 300


def body_length(function):
    body = function.body
    if (
        isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@pytest.mark.parametrize("name", SOURCE)
def test_functions_are_short(name):
    functions = [
        node
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert not {f.name: body_length(f) for f in functions if body_length(f) > 60}


@pytest.mark.parametrize("name", SOURCE)
def test_no_assert(name):
    assert not [node.lineno for node in ast.walk(tree(name)) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("name", [n for n in SOURCE if n != "__main__.py"])
def test_no_print(name):
    calls = [node for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize("name", SOURCE)
def test_figures_are_not_shown(name):
    assert not [
        n.lineno for n in ast.walk(tree(name)) if isinstance(n, ast.Attribute) and n.attr == "show"
    ]
    assert not [m for m in imports(name) if m == "matplotlib.pyplot.show"]


@pytest.mark.parametrize("name", SOURCE)
def test_warnings_are_never_switched_off_for_good(name):
    """`warnings.simplefilter` and `filterwarnings` only inside `catch_warnings`."""
    guarded = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.With) and any(
            "catch_warnings" in ast.unparse(item) for item in node.items
        ):
            guarded |= {inner.lineno for inner in ast.walk(node) if hasattr(inner, "lineno")}
    calls = [
        n
        for n in ast.walk(tree(name))
        if isinstance(n, ast.Attribute) and n.attr in {"simplefilter", "filterwarnings"}
    ]
    assert not [c.lineno for c in calls if c.lineno not in guarded]


@pytest.mark.parametrize("name", SOURCE)
def test_errors_are_not_swallowed(name):
    handlers = [n for n in ast.walk(tree(name)) if isinstance(n, ast.ExceptHandler)]
    assert not [
        h.lineno for h in handlers if h.type is None or all(isinstance(s, ast.Pass) for s in h.body)
    ]
