"""Inference on a simulated tissue: ``python -m spatrace_sc demo``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from anndata import AnnData

import spatrace_sc as st

from .._edges import LR_PAIRS, LR_TARGETS, TF_TARGETS, EdgeKind

#: Figures are saved at this resolution, in dots per inch.
RESOLUTION = 150


def demo(options: argparse.Namespace) -> None:
    """Simulate a tissue, infer its edges, compare the strongest with the truth, save figures."""
    print("Simulating a tissue: 3 stages, 12 active ligand–receptor pairs of 144.", flush=True)
    adata = st.datasets.simulated(options.seed, n_cells=options.cells)
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", rng=options.seed)

    truth = adata.uns["truth"]
    for kind, title, table in (
        (LR_TARGETS, "Which pair changes which gene", st.get.lr_targets(adata)),
        (TF_TARGETS, "Which TF regulates which gene", st.get.tf_targets(adata)),
        (LR_PAIRS, "Which ligand acts through which receptor", st.get.lr_pairs(adata)),
    ):
        report(f"{title} ({kind.title})", kind, table, truth[kind.name])
    options.out.mkdir(parents=True, exist_ok=True)
    draw(adata, options.out)
    adata.write_h5ad(options.out / "simulated.h5ad")
    files = ", ".join(sorted(path.name for path in options.out.iterdir()))
    print(f"\nWrote {files} to {options.out.resolve()}")


def report(
    title: str, kind: EdgeKind, table: pd.DataFrame, truth: pd.DataFrame, top_n: int = 10
) -> None:
    """Print the strongest edges with the truth, and the share of true ones among them."""
    labels = truth[kind.columns].assign(truth=truth["kind"] if "kind" in truth else "true")
    if "sign" in truth:
        labels["truth"] = labels["truth"] + truth["sign"].map({1: " +", -1: " -"})
    ranked = table.merge(labels, on=kind.columns, how="left").fillna({"truth": "false"})
    top = ranked.head(top_n)[[*kind.columns, kind.size, "q_value", "evidence", "truth"]]
    formats = {kind.size: "{:.3f}".format, "q_value": "{:.2g}".format}
    print(f"\n{title}\n{top.to_string(index=False, formatters=formats)}")
    n_true = int((truth["kind"] == "direct").sum()) if "kind" in truth else len(truth)
    precision = (~ranked["truth"].head(n_true).str.startswith(("false", "indirect"))).mean()
    print(
        f"There are {n_true} true edges. Of the {n_true} strongest, {precision:.0%} are true; "
        f"{n_true / len(table):.1%} would be true by chance."
    )


def draw(adata: AnnData, folder: Path) -> None:
    """Save four figures of the result."""
    import matplotlib.pyplot as plt

    figures: dict[str, Callable[[], object]] = {
        "activity_map": lambda: st.pl.spatial(adata, sample_key="sample", stage_key="stage"),
        "top_edges": lambda: st.pl.top_edges(adata, truth=adata.uns["truth"]["lr_targets"]),
        "effect_heatmap": lambda: st.pl.effect_heatmap(adata),
        "training_history": lambda: st.pl.training_history(adata),
    }
    for name, figure in figures.items():
        figure()
        plt.gcf().savefig(folder / f"{name}.png", dpi=RESOLUTION, bbox_inches="tight")
        plt.close("all")
