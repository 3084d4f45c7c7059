"""Text that is broken into lines, and labels that end inside their figure."""

from __future__ import annotations

import textwrap

import pytest
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc.pl._drawing.fitted_text import TITLE, WIDTH, wrapped


def broken(text: str, width: int) -> list[str]:
    """Lines of a text in a room of some characters."""
    return wrapped([text], (width + 0.5) * WIDTH * TITLE, TITLE).split("\n")


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("short", 20, ["short"]),
        (
            "No size is found with probability 0.8",
            34,
            ["No size is found", "with probability 0.8"],
        ),
        ("one two three four five six", 12, ["one two", "three four", "five six"]),
        ("q is below q ≤ 0.1", 12, ["q is below", "q ≤ 0.1"]),
        ("averyveryverylongword", 12, ["averyveryver", "ylongword"]),
        ("ab averyveryverylongword", 22, ["ab", "averyveryverylongword"]),
    ],
)
def test_lines_are_about_equally_long(text: str, width: int, lines: list[str]) -> None:
    assert broken(text, width) == lines


def test_words_and_number_of_lines_stay() -> None:
    text = "the share of implanted signals that are found at this threshold, of all tables"
    for width in range(12, 90):
        lines = broken(text, width)
        assert " ".join(lines) == text
        assert len(lines) == len(textwrap.wrap(text, width))
        assert max(map(len, lines)) <= width


def test_labels_end_inside_the_figure(result: AnnData) -> None:
    adata = st.tl.modules(result, max_q=1.0, n_modules=2, copy=True)
    for figure in (st.pl.training_history(result).figure, st.pl.modules(adata)[0].figure):
        figure.draw_without_rendering()
        labels = [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label)]
        for box in (label.get_window_extent() for label in labels if label.get_text()):
            assert 0 <= box.x0 <= box.x1 <= figure.bbox.x1
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.y1
