"""The gallery: its figures are documented, and its page shows their code."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec

import matplotlib.pyplot as plt
import numpy as np
import pytest
from benchmarks.gallery import __main__ as gallery

MODULES = [n for n in gallery.SECTIONS if find_spec(f"benchmarks.gallery.{n}") is not None]


@pytest.mark.parametrize("name", MODULES)
def test_every_figure_has_a_sentence_and_code_of_one_call(name):
    module = import_module(f"benchmarks.gallery.{name}")
    assert module.FIGURES
    for key, function in module.FIGURES.items():
        sentence = inspect.getdoc(function)
        assert sentence, key
        assert sentence.endswith("."), key
        code = gallery.code_of(function)
        compile(code, key, "exec")
        assert "st." in code
        assert "figure = " in code
        assert sentence not in code


def test_pictures_are_small(tmp_path):
    figure, ax = plt.subplots(figsize=(7, 5))
    ax.imshow(np.random.default_rng(0).random((60, 60, 3)))
    size = gallery.save(figure, tmp_path / "figure.png")
    assert size == (tmp_path / "figure.png").stat().st_size
    assert 1000 < size <= gallery.LARGEST


def test_only_the_section_is_replaced(tmp_path, monkeypatch):
    page = tmp_path / "gallery.md"
    page.write_text("a\n<!-- maps -->\nold\n<!-- end of maps -->\nb\n<!-- x -->\nkept\n")
    monkeypatch.setattr(gallery, "PAGE", page)
    gallery.write_page({"maps": r"new \1"})
    text = page.read_text()
    assert "old" not in text
    assert r"new \1" in text
    assert text.startswith("a\n")
    assert text.endswith("b\n<!-- x -->\nkept\n")
    with pytest.raises(SystemExit, match="no markers"):
        gallery.write_page({"edges": ""})


def test_the_page_has_a_section_for_every_module():
    text = gallery.PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- {n} -->" in text and f"<!-- end of {n} -->" in text for n in MODULES)


def test_chosen_figures_exist_and_are_drawn():
    modules = [import_module(f"benchmarks.gallery.{n}") for n in MODULES]
    known = {key for module in modules for key in module.FIGURES}
    for data, chosen in gallery.CHOSEN.items():
        assert set(chosen) <= known
        drawn = {p.stem.removeprefix(f"{data}_") for p in gallery.PICTURES.glob(f"{data}_*.png")}
        assert drawn == set(chosen)
