"""Rules of the rooms, read from the source."""

from __future__ import annotations

import ast

import pytest
import structure

FILES = structure.files()
ROOMS = sorted({structure.room(name) for name in FILES})
BASE = {"_errors", "_free_memory", "_keys"}
#: Room → rooms that it may import from. Data flow one way: `_data` → `_study` → `_inference` →
#: `tl`, and `_result` → `get` → `pl`.
MAY_IMPORT = {
    "__init__": {"datasets", "get", "pl", "pp", "tl", "_errors", "_model", "_settings", "_version"},
    "__main__": {"_cli"},
    "_errors": set(),
    "_free_memory": set(),
    "_keys": set(),
    "_version": set(),
    "_core": set(),
    "_model": {"_errors", "_free_memory"},
    "_check": BASE,
    "_settings": BASE | {"_check"},
    "_edges": BASE | {"_check"},
    "_regulators": BASE | {"_edges"},
    "_data": BASE | {"_check", "_core"},
    "_study": BASE | {"_check", "_core", "_data", "_edges", "_model", "_regulators"},
    "_result": BASE
    | {"_check", "_data", "_edges", "_model", "_regulators", "_study"}
    | {"_version"},
    "_inference": BASE
    | {"_check", "_core", "_data", "_edges", "_model", "_regulators", "_result", "_settings"}
    | {"_study"},
    "_cli": BASE | {"_check", "_data", "_edges", "_settings", "_version"},
    "datasets": BASE | {"_check", "_core", "_data", "_settings"},
    "get": BASE | {"_check", "_core", "_data", "_edges", "_result"},
    "pl": BASE | {"_check", "_data", "_edges", "get"},
    "pp": BASE | {"_check", "_core", "_data", "datasets"},
    "tl": BASE
    | {"_check", "_core", "_data", "_edges", "_inference", "_model", "_result", "_settings"}
    | {"_study", "get"},
}
#: Files of `_model` that rooms without torch may import.
WITHOUT_TORCH = "spatrace_sc._model.config"


def within(module, *prefixes):
    return any(module == p or module.startswith(p + ".") for p in prefixes)


def files_of(room):
    return [name for name in FILES if structure.room(name) == room]


def test_imports_are_resolved():
    assert len(FILES) > 100
    assert "spatrace_sc._core.exposure" in structure.imports("pp/_ligand_exposure.py")
    assert structure.rooms_entered("tl/_infer_ccc.py") >= {"_study", "_result", "_data"}


def test_every_room_has_a_rule_and_the_rules_have_no_circle():
    assert set(ROOMS) == set(MAY_IMPORT)
    left = dict(MAY_IMPORT)
    while left:
        free = [room for room, needs in left.items() if not needs & set(left)]
        assert free, f"a circle among {sorted(left)}"
        left = {room: needs for room, needs in left.items() if room not in free}


@pytest.mark.parametrize("name", FILES)
def test_imports_go_one_way(name):
    assert structure.rooms_entered(name) <= MAY_IMPORT[structure.room(name)]


@pytest.mark.parametrize("name", files_of("_core"))
def test_core_knows_neither_anndata_nor_torch(name):
    wrong = ("anndata", "scanpy", "spatialdata", "torch")
    assert not [m for m in structure.imports(name) if within(m, *wrong)]


@pytest.mark.parametrize("name", files_of("_model"))
def test_the_model_knows_no_anndata(name):
    wrong = ("anndata", "scanpy", "squidpy", "spatialdata", "pandas")
    assert not [m for m in structure.imports(name) if within(m, *wrong)]


@pytest.mark.parametrize("name", [n for r in ("_result", "get", "pl", "pp") for n in files_of(r)])
def test_reading_and_drawing_take_no_torch(name):
    modules = structure.imports(name)
    assert not [m for m in modules if within(m, "torch")]
    of_model = {m for m in modules if within(m, "spatrace_sc._model")} - {"spatrace_sc._model"}
    assert all(within(m, WITHOUT_TORCH) for m in of_model)


@pytest.mark.parametrize("name", files_of("pl"))
def test_plots_do_not_read_uns(name):
    nodes = ast.walk(structure.tree(name))
    assert not [n.lineno for n in nodes if isinstance(n, ast.Attribute) and n.attr == "uns"]


@pytest.mark.parametrize("name", [n for n in FILES if structure.room(n) != "_result"])
def test_slots_of_a_result_are_known_in_one_room(name):
    assert not list(structure.literal_result_keys(name))


def test_literal_result_keys_are_seen(monkeypatch):
    source = 'a = result["x"]\nb = r.slots["y"]\nc = adata.uns[key]["z"]\nd = table["score"]\n'
    monkeypatch.setattr(structure, "tree", lambda name: ast.parse(source))
    assert list(structure.literal_result_keys("any")) == [1, 2, 3]


@pytest.mark.parametrize("name", FILES)
def test_files_are_short(name):
    assert len(structure.text(name).splitlines()) <= structure.MAX_FILE_LINES


@pytest.mark.parametrize("name", FILES)
def test_lines_are_short(name):
    assert not structure.long_lines(name)


@pytest.mark.parametrize("name", FILES)
def test_functions_are_short(name):
    bodies = {f.name: structure.body_length(f) for f in structure.functions(name)}
    assert not {f: n for f, n in bodies.items() if n > structure.MAX_BODY_LINES}


@pytest.mark.parametrize("name", FILES)
def test_functions_take_few_positional_parameters(name):
    numbers = {f.name: structure.n_positional(f) for f in structure.functions(name)}
    assert not {f: n for f, n in numbers.items() if n > structure.MAX_POSITIONAL}


@pytest.mark.parametrize("name", FILES)
def test_no_assert(name):
    nodes = ast.walk(structure.tree(name))
    assert not [node.lineno for node in nodes if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("name", [n for n in FILES if n != "_cli/demo.py"])
def test_no_print(name):
    calls = [node for node in ast.walk(structure.tree(name)) if isinstance(node, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize("name", FILES)
def test_figures_are_not_shown(name):
    nodes = ast.walk(structure.tree(name))
    assert not [n.lineno for n in nodes if isinstance(n, ast.Attribute) and n.attr == "show"]
    assert "matplotlib.pyplot.show" not in structure.imports(name)


@pytest.mark.parametrize("name", FILES)
def test_warnings_are_never_switched_off_for_good(name):
    """`warnings.simplefilter` and `filterwarnings` only inside `catch_warnings`."""
    nodes = list(ast.walk(structure.tree(name)))
    guarded = set()
    for node in nodes:
        if isinstance(node, ast.With) and any(
            "catch_warnings" in ast.unparse(item) for item in node.items
        ):
            guarded |= {inner.lineno for inner in ast.walk(node) if hasattr(inner, "lineno")}
    switches = {"simplefilter", "filterwarnings"}
    calls = [n for n in nodes if isinstance(n, ast.Attribute) and n.attr in switches]
    assert not [c.lineno for c in calls if c.lineno not in guarded]


@pytest.mark.parametrize("name", FILES)
def test_errors_are_not_swallowed(name):
    nodes = ast.walk(structure.tree(name))
    handlers = [n for n in nodes if isinstance(n, ast.ExceptHandler)]
    silent = [h for h in handlers if h.type is None or all(isinstance(s, ast.Pass) for s in h.body)]
    assert not [h.lineno for h in silent]


#: Attributes and methods of an AnnData that give its matrices.
MATRICES = {"X", "layers", "raw", "to_df", "obs_vector", "var_vector", "chunk_X", "chunked_X"}
#: Rooms that read AnnData of the user's but never their matrices: that is what `_data` is for.
#: `_core` and `_model` know no AnnData, `datasets` builds them.
READERS = sorted(set(ROOMS) - {"_core", "_data", "_model", "datasets"})
#: Files that read matrices which the package has built itself, with `get`.
READ_BUILT_MATRICES = {
    "get/_sample_features.py",
    "pl/_drawing/mapped_quantity.py",
    "tl/_compare.py",
}


def matrices_read(name):
    """Lines of a file that read a matrix of an AnnData."""
    nodes = ast.walk(structure.tree(name))
    return [n.lineno for n in nodes if isinstance(n, ast.Attribute) and n.attr in MATRICES]


@pytest.mark.parametrize("name", [n for room in READERS for n in files_of(room)])
def test_matrices_of_the_user_have_one_reader(name):
    assert bool(matrices_read(name)) == (name in READ_BUILT_MATRICES)


def test_matrices_that_are_read_are_seen(monkeypatch):
    source = 'a = adata.X\nb = AnnData(X=a, layers={})\nc = data.layers["x"]\nd = t.raw.var\n'
    monkeypatch.setattr(structure, "tree", lambda name: ast.parse(source))
    assert matrices_read("any") == [1, 3, 4]


#: Attributes of an AnnData that hold values of cells and genes.
TABLES = {"obs", "obsm", "obsp", "var", "varm"}
#: Files that read such values themselves, and why. All others read them with `_data`.
READ_TABLES = {
    "get/_knockout.py": "slots that tl.knockout wrote, returned as they are",
    "pl/_drawing/mapped_quantity.py": "the AnnData that get.activity has built",
    "pl/_drawing/slices.py": "the AnnData that get.activity has built",
    "pp/_gene_roles.py": "values of a column that is in the way, for the message",
    "pp/_overwrite_checks.py": "values that were written before, compared as they are",
    "pp/_pseudotime.py": "an AnnData of its own, for scanpy",
    "pp/_spatialdata_regions.py": "instances of elements, whose type must stay",
    "tl/_comparison_groups.py": "number of values of every column, for the message",
}
#: Rooms that may read values: `_data` for all others, `_result` its own slots.
VALUE_READERS = sorted(set(READERS) - {"_result"})


def values_read(name):
    """Lines of a file that read a column or a slot; writing one or asking for its name is none."""
    return sorted(
        n.lineno
        for n in ast.walk(structure.tree(name))
        if isinstance(n, ast.Subscript)
        and isinstance(n.ctx, ast.Load)
        and isinstance(n.value, ast.Attribute)
        and n.value.attr in TABLES
    )


@pytest.mark.parametrize("name", [n for room in VALUE_READERS for n in files_of(room)])
def test_columns_and_slots_of_the_user_have_one_reader(name):
    assert bool(values_read(name)) == (name in READ_TABLES)


def test_columns_and_slots_that_are_read_are_seen(monkeypatch):
    source = (
        'a = adata.obs["x"]\nadata.obs["x"] = a\nb = "x" in adata.obsm\nc = t.obsm[k][:, 0]\n'
        'd = f"{adata.obs.columns}"\ne = cells.adata.obsp[k]\ndel adata.var["x"]\n'
    )
    monkeypatch.setattr(structure, "tree", lambda name: ast.parse(source))
    assert values_read("any") == [1, 4, 6]
