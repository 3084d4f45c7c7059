"""Controls on real tissue, a mouse embryo and a human heart, and on the simulated tissue.

python -m benchmarks.controls.real [--data simulated embryo heart erythroid] [--radii 0.4 1 2]
                                   [--out results] [--figures docs/_static]

"embryo" (its somite lineage) and "heart" are those of the gallery (``benchmarks.gallery``), with
the most variable genes; "erythroid" is the lineage of ``benchmarks.worlds.known_regulation``.
Prints what the controls say, draws ``controls_<data>.png``, and compares radii, in multiples of
the default. Draws that are in ``--out`` are not run again. It takes about ten times as long as
the inference.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import pandas as pd
from anndata import AnnData
from benchmarks._scores import machine
from benchmarks.gallery.data import load
from benchmarks.worlds import lineages

import spatrace_sc as st

#: Draws of every kind on a tissue. The erythroid lineage has 80 TFs, which takes minutes a draw.
DRAWS = {"n_sham": 2, "n_misplaced": 2, "n_implants": 3, "n_halves": 1}
FEW_DRAWS = {"n_sham": 2, "n_misplaced": 1, "n_implants": 2, "n_halves": 0}


def erythroid() -> AnnData:
    """Return the erythroid lineage of the mouse embryos after an inference."""
    adata = lineages.tissue("erythroid")
    st.tl.infer_ccc(adata, **adata.uns["arguments"])
    return adata


def report(adata: AnnData) -> str:
    """Return what the controls say, and their tables at q ≤ .1, as Markdown."""
    sentences = adata.uns["spatrace"]["controls"]["sentences"]
    false = st.get.controls(adata)
    false = false[false["threshold"].round(2) == 0.1].drop(columns="threshold")
    power = st.get.controls(adata, "power").drop(columns=["low", "high"])
    balance = st.get.controls(adata, "balance")
    worst = balance.groupby(["role", "feature"])["standardised_difference"].mean().unstack()
    parts = [*sentences, *(markdown(table) for table in (false, power, worst.reset_index()))]
    return "\n\n".join(map(str, parts))


def markdown(table: pd.DataFrame) -> str:
    """Return a table with two decimals."""
    rounded = table.round(2).astype(object).where(table.notna(), "–")
    lines = [list(map(str, rounded.columns)), ["---"] * rounded.shape[1]]
    lines += [list(map(str, row)) for row in rounded.to_numpy()]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        nargs="+",
        choices=("simulated", "embryo", "heart", "erythroid"),
        default=["embryo"],
    )
    parser.add_argument("--radii", nargs="*", type=float, default=[])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--figures", type=Path, default=Path("docs/_static"))
    parser.add_argument("--jobs", type=int, default=1)
    given = parser.parse_args()
    st.settings.progress = False
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(machine())
    for name in given.data:
        adata = erythroid() if name == "erythroid" else load(name)
        draws = FEW_DRAWS if name == "erythroid" else DRAWS
        folder = given.out / name
        given.out.mkdir(exist_ok=True)
        st.tl.controls(adata, **draws, checkpoint=folder, n_jobs=given.jobs)
        axes = st.pl.controls(adata)
        axes[0].figure.savefig(given.figures / f"controls_{name}.png", dpi=110)
        print(f"\n### {name}\n\n{report(adata)}")
        if given.radii:
            radius = float(st.get.params(adata)["radius"])
            values = [radius * factor for factor in given.radii]
            st.tl.controls(
                adata,
                over={"radius": values},
                n_implants=2,
                n_misplaced=1,
                checkpoint=given.out / f"{name}_radii",
                n_jobs=given.jobs,
            )
            print(f"\n{markdown(st.get.controls(adata, 'settings'))}")


if __name__ == "__main__":
    main()
