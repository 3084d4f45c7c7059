"""Figures of the package's structure: sizes of files and functions, and imports between rooms.

python tests/structure.py
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = "spatrace_sc"
ROOT = Path(__file__).resolve().parents[1] / "src" / PACKAGE
MAX_FILE_LINES, MAX_BODY_LINES, MAX_POSITIONAL, MAX_COLUMNS = 300, 60, 6, 100
#: Names of variables that hold a stored result as a dictionary.
RESULT_NAMES = {"result", "stored", "slots"}
#: The only room that knows the slots of a stored result.
RESULT_ROOM = "_result"


def files() -> list[str]:
    """Paths of all source files relative to the package."""
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


@cache
def text(name: str) -> str:
    """Content of a file."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def tree(name: str) -> ast.Module:
    """Syntax tree of a file."""
    return ast.parse(text(name))


def room(name: str) -> str:
    """First part of a path or of a module name within the package: a folder or a single file."""
    return name.removesuffix(".py").replace(".", "/").split("/")[0]


@cache
def imports(name: str) -> frozenset[str]:
    """Dotted names that a file imports anywhere; ``from a import b`` gives ``a`` and ``a.b``."""
    package = [PACKAGE, *Path(name).parent.parts]
    modules: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            modules |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return frozenset(modules)


def rooms_entered(name: str) -> set[str]:
    """Rooms of the package that a file imports from, other than its own."""
    prefix = f"{PACKAGE}."
    inside = {module.removeprefix(prefix) for module in imports(name) if module.startswith(prefix)}
    known = {room(file) for file in files()}
    return {room(module) for module in inside} & known - {room(name)}


def functions(name: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(tree(name)) if isinstance(node, kinds)]


def body_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def n_positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Parameters that can be given by position, ``self`` among them."""
    return len(function.args.posonlyargs) + len(function.args.args)


def long_lines(name: str) -> list[int]:
    """Numbers of the lines that are too long; a line that holds a URL may be."""
    return [
        number
        for number, line in enumerate(text(name).splitlines(), 1)
        if len(line) > MAX_COLUMNS and "://" not in line
    ]


def literal_result_keys(name: str) -> Iterator[int]:
    """Numbers of the lines in which a stored result is read by a literal key."""
    for node in ast.walk(tree(name)):
        if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Constant):
            continue
        base = node.value
        by_name = isinstance(base, ast.Name) and base.id in RESULT_NAMES
        by_slot = isinstance(base, ast.Attribute) and base.attr == "slots"
        in_uns = (
            isinstance(base, ast.Subscript)
            and isinstance(base.value, ast.Attribute)
            and base.value.attr == "uns"
            and isinstance(base.slice, ast.Name)
            and base.slice.id in {"key", "key_added"}
        )
        if isinstance(node.slice.value, str) and (by_name or by_slot or in_uns):
            yield node.lineno


def main() -> None:
    """Print the figures."""
    every = files()
    bodies = sorted(body_length(f) for name in every for f in functions(name))
    sizes = {name: len(text(name).splitlines()) for name in every}
    wide = [
        f"{name}:{f.name}"
        for name in every
        for f in functions(name)
        if n_positional(f) > MAX_POSITIONAL
    ]
    keys = [name for name in every if room(name) != RESULT_ROOM and any(literal_result_keys(name))]
    largest = max(sizes, key=sizes.__getitem__)
    print(f"files                                    {len(every)}")
    print(f"lines                                    {sum(sizes.values())}")
    print(f"longest file                             {sizes[largest]} ({largest})")
    print(f"functions                                {len(bodies)}")
    print(
        f"lines of a body: median, p95, longest    {bodies[len(bodies) // 2]}, "
        f"{bodies[int(len(bodies) * 0.95)]}, {bodies[-1]}"
    )
    print(f"more than {MAX_POSITIONAL} positional parameters        {len(wide)} {', '.join(wide)}")
    print(
        f"lines longer than {MAX_COLUMNS} characters         "
        f"{sum(len(long_lines(name)) for name in every)}"
    )
    print(f"literal result keys outside {RESULT_ROOM}      {len(keys)} {', '.join(keys)}")
    print("\nroom              files  lines  imports from")
    by_room = Counter(room(name) for name in every)
    for name, n in sorted(by_room.items()):
        inside = [file for file in every if room(file) == name]
        entered = sorted(set().union(*(rooms_entered(file) for file in inside)))
        lines = sum(sizes[file] for file in inside)
        print(f"{name:<18}{n:>5}{lines:>7}  {', '.join(entered)}")


if __name__ == "__main__":
    main()
