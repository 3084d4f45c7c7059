"""The documents lead somewhere, and their examples run as printed."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from _helpers import FEW_GENES, NOTHING_SIGNIFICANT
from anndata import AnnData

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "method").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_placeholders(page):
    text = page.read_text()
    assert "@@" not in text
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def python_blocks(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def published(lists, organism, roles, orthologs):
    """Stand in for the published lists of an organism."""
    assert (organism, orthologs) == ("mouse", None)
    return {role: partial(list, lists[role]) for role in roles}


def test_five_lines_of_the_readme_run_on_a_file(tmp_path, monkeypatch):
    adata = st.datasets.simulated(n_cells=400, n_targets=8, **FEW_GENES)
    adata.X = adata.layers.pop("counts")
    adata.obs["slice"] = adata.obs["sample"].astype(str)
    adata.obs["stage_number"] = adata.obs["stage_time"].where(adata.obs["dpt_pseudotime"].notna())
    (code,) = python_blocks("README.md")
    assert len(code.strip().splitlines()) == 5
    lists = {
        f"{role}s": list(adata.var_names[adata.var.pop(role)])
        for role in ("ligand", "receptor", "tf", "target")
    }
    adata = adata[:, [gene for genes in lists.values() for gene in genes]].copy()
    read = partial(published, lists)
    monkeypatch.setattr("spatrace_sc.pp._published_lists.published_lists", read)
    monkeypatch.chdir(tmp_path)
    adata.write_h5ad("yours.h5ad")
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "first.png").stat().st_size > 10_000


def test_the_page_about_gene_lists_runs(monkeypatch):
    lists = {
        "ligands": ["Wnt3a", "Fgf8", "Dll1", "Bmp4", "Shh", "Fgfr3", "Fgfr4"],
        "receptors": ["Fzd1", "Fgfr1", "Fgfr3", "Notch1", "Acvr2a_Bmpr1a", "Cd8a", "Ptprc"],
        "tfs": ["T", "Tbx6", "Mesp2", "Sox2"],
    }
    genes = {part for names in lists.values() for name in names for part in name.split("_")}
    genes |= {"Ptch1", "Fgfr4", "Lfng", "Hes7", "Axin2", "Meox1", "Pax3", "Myf5"}
    counts = np.random.default_rng(0).poisson(2, (50, len(genes))).astype(np.float32)
    adata = AnnData(np.log1p(counts), var=pd.DataFrame(index=sorted(genes)))
    monkeypatch.setattr(
        "spatrace_sc.pp._published_lists.published_lists", partial(published, lists)
    )
    look, remove, own = python_blocks("docs/genes.md")
    exec(look, {"st": st, "adata": adata})
    assert adata.var.loc["Fgfr3", ["ligand", "receptor"]].all()
    exec(remove, {"adata": adata})
    assert not adata.var.loc["Fgfr3", "ligand"]
    assert adata.var.loc["Fgfr3", "receptor"]
    assert not adata.var.loc["Ptprc", "receptor"]
    exec(own, {"st": st, "adata": adata})
    assert list(adata.var_names[adata.var["target"]]) == sorted(
        ["Lfng", "Hes7", "Axin2", "Meox1", "Pax3", "Myf5"]
    )
    assert set(adata.uns["gene_roles"]["complexes"]["complex"]) == {"Bmpr1a_Acvr2a"}


@pytest.mark.slow
def test_the_script_of_the_tour_runs(tmp_path, monkeypatch):
    (code,) = python_blocks("docs/tour.md")
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("simulated()", "simulated(n_cells=900)"), "tour.md", "exec"), {})
    assert (tmp_path / "top_edges.png").stat().st_size > 10_000
    assert (tmp_path / "result.h5ad").exists()
