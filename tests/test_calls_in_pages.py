"""Every call, command and link that a page prints exists, with such arguments."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path

import pytest

import spatrace_sc as st
from spatrace_sc._cli.arguments import parse

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.parts)),
    *sorted((ROOT / "docs").glob("*.txt")),
    ROOT / "benchmarks" / "README.md",
]
FENCE = re.compile(r"^```+(\{?[\w -]*\}?[^\n]*)\n(.*?)^```+\s*$", flags=re.DOTALL | re.MULTILINE)


def name(page):
    return page.relative_to(ROOT).as_posix()


def snippets(text):
    """Python of a page: fenced blocks, and inline code that names ``st``."""
    for kind, block in FENCE.findall(text):
        if kind.strip("{}").split("}")[0] in {"python", "code-cell"}:
            yield "\n".join(line for line in block.splitlines() if not line.startswith(":"))
    yield from re.findall(r"(?<!`)`([^`\n]*\bst\.[^`\n]*)`(?!`)", FENCE.sub("", text))


def parsed(code):
    """Syntax tree of a snippet, in which ``…`` stands for further arguments, or None."""
    for source in (code, re.sub(r",?\s*(…|\.\.\.)\s*(?=[,)\]}])", "", code)):
        try:
            return ast.parse(source.strip())
        except SyntaxError:
            continue
    return None


def dotted(node):
    """Names of ``st.a.b``, or None for anything that does not begin with ``st``."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return names[::-1] if isinstance(node, ast.Name) and node.id == "st" and names else None


def resolved(names):
    """What ``st.a.b`` is, as far as it belongs to the package."""
    value = st
    for attribute in names:
        value = getattr(value, attribute)
        if not inspect.ismodule(value):
            return value
    return value


def faults(code):
    """What a snippet names or passes that does not exist."""
    tree = parsed(code)
    if tree is None:
        for layer, public in re.findall(r"\bst\.(datasets|pp|tl|get|pl)\.(\w+)", code):
            if public not in getattr(st, layer).__all__:
                yield f"st.{layer}.{public} does not exist"
        return
    for node in ast.walk(tree):
        names = dotted(node)
        if names:
            try:
                resolved(names)
            except AttributeError:
                yield f"st.{'.'.join(names)} does not exist"
        if isinstance(node, ast.Call) and (names := dotted(node.func)):
            yield from wrong_arguments(node, names)


def wrong_arguments(call, names):
    """Arguments that a function of the package does not take."""
    try:
        function = resolved(names)
        signature = inspect.signature(function)
    except (AttributeError, ValueError, TypeError):
        return
    if inspect.isfunction(function) and function.__name__ != names[-1]:
        return  # a method of what the function returns
    positional = [None for a in call.args if not isinstance(a, ast.Starred)]
    given = {word.arg: None for word in call.keywords if word.arg}
    try:
        signature.bind_partial(*positional, **given)
    except TypeError as error:
        yield f"st.{'.'.join(names)}: {error}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_calls_of_a_page_exist(page):
    text = page.read_text(encoding="utf-8")
    if page.name == "CHANGELOG.md":
        pytest.skip("it tells of calls of earlier versions")
    assert not [fault for code in snippets(text) for fault in faults(code)]


def test_calls_that_do_not_exist_are_seen():
    page = (
        "`st.pl.heat(adata)` `st.get.lr_pairs(adata, stages=1)` `st.tl.infer_ccc(adata, …)`\n"
        "```python\nst.pl.spatial(adata, 'A^B', 'late')\nst.Config(n_block=3).to_dict()\n```\n"
    )
    found = [fault for code in snippets(page) for fault in faults(code)]
    assert len(found) == 4
    assert "st.pl.heat does not exist" in found
    assert sum("stages" in f or "n_block" in f or "positional" in f for f in found) == 3


def commands(text):
    """Command lines of this package in a page, continued lines joined."""
    for kind, block in FENCE.findall(text):
        if kind.strip() in {"bash", "console", "sh", ""}:
            for line in re.sub(r"\\\n\s*", " ", block).splitlines():
                if found := re.match(r"\$? ?(?:spatrace-sc|python -m spatrace_sc)\b(.*)", line):
                    yield shlex.split(found[1], comments=True)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_command_lines_of_a_page_are_understood(page):
    for arguments in commands(page.read_text(encoding="utf-8")):
        assert parse(arguments)


def test_options_that_do_not_exist_are_seen(capsys):
    (arguments,) = commands("```bash\nspatrace-sc run a.h5ad \\\n  --slice s --out o\n```\n")
    with pytest.raises(SystemExit):
        parse(arguments)
    assert "--slice" in capsys.readouterr().err


def anchors(page):
    """Anchors of the headings of a page, as GitHub and MyST make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = [
        re.sub(r"[*`]|\]\([^)]*\)|\[", "", h) for h in re.findall(r"^#+ +(.+)$", text, re.M)
    ]
    slugs = {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


def broken_links(page, text):
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text)):
        if re.match(r"(https?|mailto):", link):
            continue
        file, _, anchor = link.partition("#")
        if page.suffix == ".txt":  # it lies at the root of the built site
            file = re.sub(r"\.html$", ".md", file)
        target = (page.parent / file).resolve() if file else page
        if not target.exists():
            yield link
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_of_a_page_lead_to_files_and_headings(page):
    assert not list(broken_links(page, page.read_text(encoding="utf-8")))


def test_broken_links_are_seen():
    page = ROOT / "README.md"
    text = "[a](docs/nowhere.md) [b](docs/method.md#no-such-heading) [c](docs/method.md) [d](#x-y)"
    assert len(list(broken_links(page, text))) == 3


def test_calls_of_liana_exist():
    li = pytest.importorskip("liana")
    text = (DOCS / "coming_from" / "liana.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`li\.(\w+)\.(\w+)", text))
    assert len(named) > 10
    assert not [f"li.{m}.{f}" for m, f in named if not hasattr(getattr(li, m, None), f)]
