"""Genes that are known to signal, as liana lists them."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from spatrace_sc._data import known_signaling
from spatrace_sc._data.known_signaling import listed_by_liana

TABLES = {
    "consensus": pd.DataFrame(
        {"ligand": ["WNT5A", None, "HLA-A"], "receptor": ["FZD2_LRP6", "complex:ITGA1_ITGB1", ""]}
    ),
    "mouseconsensus": pd.DataFrame({"ligand": ["Ccl21a"], "receptor": ["Ccr7&Cd74"]}),
    "another": pd.DataFrame({"ligand": ["X"], "receptor": ["Y"]}),
}


@pytest.fixture(autouse=True)
def fresh():
    listed_by_liana.cache_clear()
    yield
    listed_by_liana.cache_clear()


def liana_with(monkeypatch, tables):
    calls = []
    rs = SimpleNamespace(
        show_resources=lambda: list(tables), select_resource=lambda n: calls.append(n) or tables[n]
    )
    monkeypatch.setattr(known_signaling, "import_module", lambda name: SimpleNamespace(rs=rs))
    return calls


def test_subunits_in_upper_case(monkeypatch):
    calls = liana_with(monkeypatch, TABLES)
    human = {"WNT5A", "HLA-A", "FZD2", "LRP6", "ITGA1", "ITGB1"}
    assert listed_by_liana() == human | {"CCL21A", "CCR7", "CD74"}
    assert listed_by_liana() is listed_by_liana()
    assert calls == ["consensus", "mouseconsensus"]


def test_a_version_without_mouse_genes(monkeypatch):
    liana_with(monkeypatch, {"consensus": TABLES["consensus"]})
    assert "WNT5A" in listed_by_liana()
    assert "CCR7" not in listed_by_liana()


def test_without_liana(monkeypatch, caplog):
    def refuse(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(known_signaling, "import_module", refuse)
    with caplog.at_level("INFO", "spatrace_sc"):
        assert listed_by_liana() == frozenset()
    assert "No module named 'liana'" in caplog.text
