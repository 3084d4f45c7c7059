"""Run the main job on the simulated tissue: ``python -m spatrace_sc``."""

from __future__ import annotations

import argparse
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from anndata import AnnData


def main() -> None:
    """Simulate, infer, print the strongest edges beside the truth, write the result and figures."""
    parser = argparse.ArgumentParser(prog="python -m spatrace_sc", description=main.__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("results/demo"), help="folder for the result and figures"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the tissue and of the inference"
    )
    parser.add_argument("--cells", type=int, default=4000, help="cells of the tissue")
    options = parser.parse_args()
    os.environ.setdefault("MPLBACKEND", "Agg")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("spatrace_sc").setLevel(logging.INFO)

    import spatrace_sc as st

    print("Simulating tissue: 3 stages, senders and receivers, 12 acting pairs of 144.", flush=True)
    adata = st.datasets.simulated(options.seed, n_cells=options.cells)
    started = time.perf_counter()
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", seed=options.seed)
    print(f"\nInference took {time.perf_counter() - started:.0f} s.")

    truth = adata.uns["truth"]
    report(
        "LR→TG: which pair changes which gene",
        st.get.lr_targets(adata),
        truth["lr_targets"],
        ["ligand", "receptor", "target"],
    )
    report(
        "TF→TG: which factor drives which gene",
        st.get.tf_targets(adata),
        truth["tf_targets"],
        ["tf", "target"],
    )
    report(
        "L–R: which ligand acts through which receptor",
        st.get.lr_pairs(adata),
        truth["lr_pairs"],
        ["ligand", "receptor"],
    )
    options.out.mkdir(parents=True, exist_ok=True)
    draw(adata, options.out)
    adata.write_h5ad(options.out / "simulated.h5ad")
    print(
        f"\nWrote {', '.join(sorted(p.name for p in options.out.iterdir()))} to {options.out.resolve()}"
    )


def report(
    title: str, table: pd.DataFrame, truth: pd.DataFrame, keys: list[str], top: int = 10
) -> None:
    """Print the strongest edges, in few columns, beside the truth."""
    marks = truth[keys].assign(truth=truth["kind"] if "kind" in truth else "true")
    if "sign" in truth:
        marks["truth"] = marks["truth"] + truth["sign"].map({1: " +", -1: " -"})
    ranked = table.merge(marks, on=keys, how="left").fillna({"truth": "false"})
    n_true = int((truth["kind"] == "direct").sum()) if "kind" in truth else len(truth)
    hits = (~ranked["truth"].head(n_true).str.startswith(("false", "indirect"))).mean()
    size = "effect" if "effect" in ranked else "score"
    shown = ranked.head(top)[[*keys, size, "q_value", "evidence", "truth"]]
    formats = {size: "{:.3f}".format, "q_value": "{:.2g}".format}
    print(f"\n{title}\n{shown.to_string(index=False, formatters=formats)}")
    print(
        f"Of the {n_true} strongest (as many as are true) {hits:.0%} are true; by chance {n_true / len(table):.1%}."
    )


def draw(adata: AnnData, folder: Path) -> None:
    """One figure of each kind."""
    import matplotlib.pyplot as plt

    import spatrace_sc as st

    figures: dict[str, Callable[[], object]] = {
        "activity_map": lambda: st.pl.activity_map(
            adata, None, stage_key="stage", sample_key="sample"
        ),
        "top_edges": lambda: st.pl.top_edges(adata, truth=adata.uns["truth"]["lr_targets"]),
        "effect_heatmap": lambda: st.pl.effect_heatmap(adata),
        "training_history": lambda: st.pl.training_history(adata),
    }
    for name, make in figures.items():
        make()
        plt.gcf().savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
        plt.close("all")


if __name__ == "__main__":
    main()
