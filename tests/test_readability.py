"""Public text can be read: short sentences, short pages, and words of the field.

``python tests/readability.py`` lists what is counted here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import readability
from readability import ROOT, long_sentences, private_words, words_of_page

PAGES = readability.pages()
DOCSTRINGS = readability.public_docstrings()


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages_have_short_sentences_and_words_of_the_field(page):
    assert not readability.findings(page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pages_are_short(page):
    assert words_of_page(page.read_text(encoding="utf-8")) <= readability.MAX_PAGE


@pytest.mark.parametrize("public", DOCSTRINGS)
def test_docstrings_have_short_lines_and_sentences(public):
    text = DOCSTRINGS[public]
    assert max(map(len, text.splitlines())) <= 100
    assert not long_sentences(readability.prose_of_docstring(text), True)
    assert not private_words(text)


@pytest.mark.parametrize(
    "public", [n for n in DOCSTRINGS if "." in n and n.split(".")[1].islower()]
)
def test_the_first_line_of_a_docstring_is_a_sentence(public):
    first, _, rest = DOCSTRINGS[public].partition("\n")
    assert first.endswith("."), first
    assert not rest.strip() or rest.startswith("\n"), "a blank line follows the first"


def test_messages_have_short_sentences_and_words_of_the_field():
    texts = list(readability.messages())
    assert len(texts) > 300
    found = {where: [*long_sentences(t, True), *private_words(t)] for where, t in texts}
    assert not {where: items for where, items in found.items() if items}


def test_what_is_counted():
    long = "one " * 31 + "word."
    page = (
        f"# A title of many words\n\n{long} Short.\n\n- an item\n- {long}\n\n| {long} |\n"
        f"```\n{long}\n```\n\n$$ {long} $$\n\nIt is 0.1, e.g. here. `{long}` is code.\n"
    )
    assert [readability.n_words(s) for s in long_sentences(page)] == [32, 32]
    halves = f"{'one ' * 20}; {'two ' * 20}."
    assert len(long_sentences(halves)) == 1
    assert not long_sentences(halves, True)
    assert (
        words_of_page("Two words.\n```\nnot these\n```\n$$ nor = these $$\n| a | table row |") == 5
    )
    assert len(private_words("Edges that are told apart\nare not hollow.")) == 2
    assert not private_words("A hollowed value that was sold.")


def test_docstrings_are_read_without_their_code():
    text = (
        "First line.\n\nText::\n\n    y = a + b\n\nMore.\n\nParameters\n----------\nname, other\n"
        "    What it is.\n\nExamples\n--------\n>>> code\n"
    )
    prose = readability.prose_of_docstring(text)
    assert "y = a" not in prose
    assert "code" not in prose
    assert "Parameters" not in prose
    assert "name, other" not in prose
    assert "What it is." in prose
    assert "More." in prose
