"""The five lines of the README on the mouse embryo (Lohoff et al. 2022), from raw counts, timed.

python -m benchmarks.road.five_lines [--download] [--most 16]

Time is a pseudotime from neuromesodermal progenitors along the somites, whose types receive.
``--most`` keeps that many ligands, receptors and TFs of the published lists, those of the highest
mean expression.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from benchmarks._data import data_file, gene_list
from benchmarks._scores import machine

import spatrace_sc as st

ROOT = "NMP"
RECEIVERS = ["NMP", "Presomitic mesoderm", "Anterior somitic tissues", "Dermomyotome", "Sclerotome"]


def shorten_lists(adata: AnnData, n: int) -> None:
    """Flag only the ``n`` ligands, receptors and TFs of the highest mean expression."""
    mean = pd.Series(np.asarray(adata.X.mean(axis=0)).ravel(), index=adata.var_names)
    for role in ("ligand", "receptor", "tf"):
        kept = mean[adata.var[role].to_numpy()].nlargest(n).index
        adata.var[role] = adata.var_names.isin(kept)


def main() -> None:
    """Run the lines and print the seconds that each takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--download", action="store_true", help="TFs of AnimalTFDB in place of the file"
    )
    parser.add_argument("--most", type=int, help="ligands, receptors and TFs to keep of each list")
    arguments = parser.parse_args()
    tfs = None if arguments.download else gene_list("gene_lists", "mouse_tfs.txt")
    print(machine())
    st.settings.verbosity = "info"
    marks = [("start", time.perf_counter())]

    def mark(name: str) -> None:
        marks.append((name, time.perf_counter()))

    adata = sc.read_h5ad(data_file("mouse_embryo_seqfish", "embryo.h5ad"))
    adata = adata[adata.obs["cell_type"] != "Low quality"].copy()
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    mark("read and normalise")
    st.pp.gene_roles(adata, organism="mouse", tfs=tfs)
    if arguments.most is not None:
        shorten_lists(adata, arguments.most)
    mark("gene_roles")
    st.pp.transitions(adata, root=ROOT, cell_type_key="cell_type", sample_key="embryo")
    mark("pseudotime")
    st.tl.infer_ccc(adata, cell_type_key="cell_type", sample_key="embryo", receivers=RECEIVERS)
    mark("infer_ccc")
    with TemporaryDirectory() as folder:
        figure = st.pl.top_edges(adata).figure
        figure.savefig(Path(folder) / "first.png", bbox_inches="tight")
    mark("top_edges")
    roles = adata.var[["ligand", "receptor", "tf", "target"]].sum()
    print(roles.to_string())
    for (_, before), (name, after) in pairwise(marks):
        print(f"{name:20s} {after - before:7.1f} s")
    print(f"{'all':20s} {marks[-1][1] - marks[0][1]:7.1f} s")


if __name__ == "__main__":
    main()
