"""Measures of public text: words of a page, long sentences, and words of our own making.

python tests/readability.py [FILE ...]    # list what test_readability.py counts
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "spatrace_sc"
#: A sentence with more words is long.
MAX_SENTENCE = 30
#: A page with more words is long.
MAX_PAGE = 1500

#: Words of our own making, and what this field says instead.
PRIVATE = {
    r"told apart": "distinguished",
    r"\btells? apart": "distinguish",
    r"\bhollow\b": "not significant",
    r"\bsurer\b": "more powerful",
    r"worth naming": "above a minimum meaningful effect",
    r"\b(bears?|bore|borne) (it |them )?out\b": "confirmed, or supported by the data",
    r"\bdown to this one\b": "at this rank",
    r"\bso many\b": "a number",
    r"\bwhat is not\b": "a noun",
    r"\bin hardly any\b": "in very few",
    r"\bdo(es)? as well in (its|their) place\b": "explain as well if substituted",
    r"\b(is|are|was) told\b(?! apart)": "predicted, or given",
    r"\bno further than\b": "within",
    r"\bstands? in one with\b": "is in",
    r"\bwho lives there\b": "cells at this location",
    r"\bexchang(e|es|ed|ing) (cell )?types\b": "permuting cell-type labels",
    r"\bexchanged labels\b": "permuted labels",
    r"\bnothing can be told\b": "cannot be estimated",
    r"\bthe whole that is\b": "in total",
    r"\bis on its data again\b": "restored",
    r"\bgone wrong in its\b": "failed in its",
    r"\bone('s)? own making\b": "private",
}

ABBREVIATIONS = re.compile(r"\b(e\.g|i\.e|et al|cf|vs|Fig|Eq|Nr|approx|ca|resp|etc)\.")
FENCE = re.compile(r"^([ \t]*)(```+|~~~+).*?^\1\2\s*$", flags=re.DOTALL | re.MULTILINE)
MATHS = re.compile(r"\$\$.*?\$\$", flags=re.DOTALL)


def pages() -> list[Path]:
    """Pages that a reader of the project meets."""
    docs = ROOT / "docs"
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
        *sorted(p for p in docs.rglob("*.md") if not {"_build", "generated"} & set(p.parts)),
        ROOT / "benchmarks" / "README.md",
    ]


def prose(text: str) -> list[str]:
    """Paragraphs and list items of a page, without code, equations, tables and headings."""
    text = MATHS.sub("", FENCE.sub("", text))
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    lines = []
    for line in text.splitlines():
        if re.match(r"\s*(\||#|!\[|<|:::|\([\w-]+\)=$)", line):
            lines.append("")
        elif re.match(r"\s*([-*+]|\d+\.)\s", line):
            lines += ["", re.sub(r"^\s*([-*+]|\d+\.)\s+", "", line)]
        else:
            lines.append(line)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", "\n".join(lines)) if block]


def sentences(paragraph: str, enumerates: bool = False) -> list[str]:
    """Sentences of a paragraph; inline code, equations and links count as one word.

    In text that ``enumerates``, such as docstrings, a semicolon ends a sentence.
    """
    text = re.sub(r"\]\([^)]*\)", "]", paragraph)
    text = re.sub(r"``?[^`]+``?|\$[^$]+\$", "CODE", text)
    text = ABBREVIATIONS.sub(lambda found: found[0].replace(".", ""), text)
    text = re.sub(r"[*_]{1,2}", "", text)
    ends = r"(?<=[.!?])[)\]\"”]?\s+(?=[\"“(\[]?(?:[A-ZÄÖÜ0-9µ≥]|[pq]\b))"
    parts = re.split(ends, text)
    if enumerates:
        parts = [clause for part in parts for clause in re.split(r";|::", part)]
    return [part for part in parts if part.strip()]


def n_words(text: str) -> int:
    """Number of words; numbers and signs alone are none."""
    return sum(bool(re.search(r"[^\W\d_]{2,}|\b[aAI]\b", word)) for word in text.split())


def long_sentences(text: str, enumerates: bool = False) -> list[str]:
    """Sentences of a page with more than :data:`MAX_SENTENCE` words."""
    found = (s for paragraph in prose(text) for s in sentences(paragraph, enumerates))
    return [s for s in found if n_words(s) > MAX_SENTENCE]


def words_of_page(text: str) -> int:
    """Number of words of a page outside code and equations, those of tables included."""
    return n_words(MATHS.sub("", FENCE.sub("", text)))


def private_words(text: str) -> list[str]:
    """Words of our own making in a text, each with the word to use."""
    plain = " ".join(text.split())
    return [
        f"{found[0]!r}: say {instead!r}"
        for pattern, instead in PRIVATE.items()
        for found in re.finditer(pattern, plain, flags=re.IGNORECASE)
    ]


def public_docstrings() -> dict[str, str]:
    """Docstrings of all public functions, classes, and their members."""
    import spatrace_sc as st

    texts = {"spatrace_sc": inspect.getdoc(st) or ""}
    for layer in ("datasets", "pp", "tl", "get", "pl"):
        module = getattr(st, layer)
        for name in module.__all__:
            texts[f"{layer}.{name}"] = inspect.getdoc(getattr(module, name)) or ""
    for name in st.__all__:
        public = getattr(st, name)
        if inspect.isclass(public):
            texts[name] = inspect.getdoc(public) or ""
    return texts


def prose_of_docstring(text: str) -> str:
    """A docstring as a page: without its examples, equations, headings and names of parameters."""
    text = text.partition("\nExamples\n---")[0]
    lines, indented = [], False
    for line in text.splitlines():
        if re.fullmatch(r"-{3,}", line.strip()):
            lines[-1] = ""  # the heading above
        elif indented and (not line.strip() or line.startswith(" ")):
            continue  # an equation after "::"
        else:
            indented = False
            lines.append(line if line.startswith((" ", "-")) else f"\n{line}" if not line else line)
        indented = indented or line.rstrip().endswith("::")
    text = "\n".join(lines)
    text = re.sub(r"^[\w, *]+$\n(?= {4})", "\n", text, flags=re.MULTILINE)  # names of parameters
    return re.sub(r":\w+:`[~.]?([^`]+)`", r"`\1`", text)


def messages() -> Iterator[tuple[str, str]]:
    """Texts of errors, warnings and log messages: file with line, and text."""
    calls = {"warn", "info", "warning", "error", "debug"}
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = node.exc if isinstance(node, ast.Raise) else node
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if isinstance(node, ast.Raise) or name in calls:
                for argument in call.args[:1]:
                    if text := literal(argument):
                        yield f"{path.relative_to(ROOT)}:{call.lineno}", text


def literal(node: ast.expr) -> str:
    """Text of a string, in which every value stands as one word."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            literal(part) if isinstance(part, ast.Constant) else "X" for part in node.values
        )
    if isinstance(node, ast.BinOp):
        return literal(node.left) + literal(node.right)
    return ""


def findings(page: Path) -> list[str]:
    """Long sentences and private words of a page."""
    text = page.read_text(encoding="utf-8")
    return [*long_sentences(text), *private_words(text)]


def main() -> None:
    """Print what is counted."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    for page in chosen:
        n, found = words_of_page(page.read_text(encoding="utf-8")), findings(page)
        print(f"\n{page.relative_to(ROOT)}: {n} words, {len(found)} findings")
        for item in found:
            print(f"  [{n_words(item)}] {item}")
    if not sys.argv[1:]:
        print()
        for name, text in public_docstrings().items():
            for item in [*long_sentences(prose_of_docstring(text), True), *private_words(text)]:
                print(f"{name}: [{n_words(item)}] {item}")
        for where, text in messages():
            for item in [*long_sentences(text, True), *private_words(text)]:
                print(f"{where}: [{n_words(item)}] {item}")


if __name__ == "__main__":
    main()
