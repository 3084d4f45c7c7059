"""Seconds of every figure with many cells.

python -m benchmarks.performance.figures [cells] [--markdown]

A small simulated tissue is analysed and repeated until it has that many cells, with its expression
and its matrices between cells. Each figure is drawn and saved as PNG of 150 dpi; the first figure
is drawn once more before, so that no imports are measured.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import scanpy as sc
from anndata import AnnData
from benchmarks._scores import machine
from benchmarks.performance.report import repeated, small_tissue
from scipy import sparse

import spatrace_sc as st

DPI = 150
N_PERMUTATIONS = 9


def analysed() -> AnnData:
    """Return a small result with everything that figures read."""
    small = small_tissue()
    st.tl.modules(small, max_q=1.0, n_modules=3, progress=False)
    pairs = list(st.get.activity(small).var_names)
    st.tl.communication(small, pairs=pairs, n_permutations=N_PERMUTATIONS, progress=False)
    st.tl.compare(small, "stage")
    st.tl.cascades(small, max_q=1.0)
    tf, target = st.get.tf_targets(small)[["tf", "target"]].iloc[0].astype(str)
    st.tl.knockout(small, tf=tf)
    st.tl.partial_residuals(small, tf, target)
    st.pp.transitions(small, cell_type_key="cell_type", time_key="stage_time")
    sc.pp.pca(small, n_comps=10)
    return small


def many_cells(n_cells: int) -> AnnData:
    """Return the result for copies of its cells, with their expression and matrices."""
    small = analysed()
    adata = repeated(small, n_cells)
    cell = np.arange(n_cells) % small.n_obs
    adata.X = sparse.csr_matrix(small.X)[cell]
    copies = sparse.identity(-(-n_cells // small.n_obs), format="csr", dtype=np.float32)
    for name, matrix in small.obsp.items():
        whole = sparse.kron(copies, sparse.csr_matrix(matrix), format="csr")
        adata.obsp[name] = whole[:n_cells, :n_cells]
    others = {name: value for name, value in small.uns.items() if name != "spatrace"}
    adata.uns.update(others)
    return adata


def figures(adata: AnnData) -> dict[str, Callable[[], Any]]:
    """Return what draws each figure."""
    pl = st.pl
    truth = adata.uns["truth"]["tf_targets"]
    table = st.tl.evaluate(adata, truth, n_random=9)
    tf, target = st.get.tf_targets(adata)[["tf", "target"]].iloc[0].astype(str)
    return {
        "spatial": lambda: pl.spatial(adata),
        "spatial, TF": lambda: pl.spatial(adata, kind="tfs"),
        "spatial, target": lambda: pl.spatial(adata, kind="targets"),
        "flow": lambda: pl.flow(adata),
        "flow, streamlines": lambda: pl.flow(adata, style="stream"),
        "trajectory": lambda: pl.trajectory(adata, "pca"),
        "trajectory, tissue": lambda: pl.trajectory(adata, "spatial", sample_key="sample"),
        "trend": lambda: pl.trend(adata),
        "trend, time": lambda: pl.trend(adata, kind="tfs", time_key="latent_time"),
        "stages": lambda: pl.stages(adata),
        "communication": lambda: pl.communication(adata),
        "communication_stages": lambda: pl.communication_stages(adata),
        "dotplot": lambda: pl.dotplot(adata),
        "chord": lambda: pl.chord(adata),
        "network": lambda: pl.network(adata),
        "roles": lambda: pl.roles(adata),
        "pair_heatmap": lambda: pl.pair_heatmap(adata),
        "volcano": lambda: pl.volcano(adata, "lr_targets"),
        "layers": lambda: pl.layers(adata),
        "sankey": lambda: pl.sankey(adata),
        "edge": lambda: pl.edge(adata, tf, target),
        "cascades": lambda: pl.cascades(adata),
        "top_edges": lambda: pl.top_edges(adata, "lr_targets"),
        "effect_heatmap": lambda: pl.effect_heatmap(adata, "tf_targets"),
        "attention": lambda: pl.attention(adata),
        "modules": lambda: pl.modules(adata),
        "comparison": lambda: pl.comparison(adata),
        "knockout": lambda: pl.knockout(adata),
        "training_history": lambda: pl.training_history(adata),
        "evaluation": lambda: pl.evaluation(table),
    }


def seconds(draw: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU seconds to draw a figure and to save it."""
    wall, cpu = time.perf_counter(), time.process_time()
    figure = np.ravel(np.array(draw(), dtype=object))[0].figure
    figure.savefig(BytesIO(), format="png", dpi=DPI)
    times = time.perf_counter() - wall, time.process_time() - cpu
    plt.close("all")
    return times


def main() -> None:
    """Print the seconds of every figure, slowest first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="?", type=int, default=50_000)
    parser.add_argument("--markdown", action="store_true", help="print a table for the docs")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print(machine())
    adata = many_cells(given.cells)
    drawn = figures(adata)
    seconds(next(iter(drawn.values())))
    times = {name: seconds(draw) for name, draw in drawn.items()}
    print(f"{adata.n_obs} cells, {len(times)} figures")
    row = "| {} | {:.1f} | {:.1f} |" if given.markdown else "{:<24}{:>8.2f}{:>8.2f}"
    for name, (wall, cpu) in sorted(times.items(), key=lambda item: -item[1][0]):
        print(row.format(name, wall, cpu))


if __name__ == "__main__":
    main()
