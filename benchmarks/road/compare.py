"""Differences between groups of simulated tissues, compared with the planted ones.

python -m benchmarks.road.compare [seed ...] [--figure docs/_static/compare.png]
python -m benchmarks.road.compare 1 2 3 --tissues fields --neighbourhood

Four tissues for every seed, and one that runs if it is named:

- stage: 4 000 cells, three stages, one slice each. All have the same wiring, but other levels and
  saturation. Nothing should be called.
- null: 8 000 cells, three stages, two slices of each in condition A and two in condition B, all
  alike. Nothing should be called.
- lost: the same, but signals have no effect in B. Every pair edge is lost there, no TF edge is.
- some: the same, but the counts of a quarter of the targets are shuffled in B within slice, type
  and bin of time. All their edges are lost there, no others are.
- fields: as `stage`, with three hidden smooth fields of four radii that many genes share. Nothing
  should be called.

With ``--neighbourhood`` every comparison runs a second time, in which the state of the
neighbourhood competes with the regulators.

Conditions are compared twice: with all slices as replicates, and with one slice of every stage in
each condition (rows `blocks`), so that three slices are the replicates. In the tissues `stage` and
`fields` spatial blocks are the unit. The table has the number of tested differences and of those
called at q ≤ .1. Where something is planted, it also has the planted ones among both. About 4
minutes per seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import matplotlib

matplotlib.use("Agg")

import anndata as ad
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from benchmarks._scores import machine
from benchmarks.calibration.nuisances import Nuisances, disturbed
from numpy.typing import NDArray
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._inference import group_slopes
from spatrace_sc._inference.restore import Restored
from spatrace_sc._study.neighbourhood import neighbourhood_state

KINDS = ("tf_targets", "lr_targets", "tfs", "lr_pairs", "tf_activity", "lr_pair_activity")
#: Slices of a stage in each condition, and share of the targets that lose their regulators.
SLICES, SHARE = 2, 0.25
#: Tissues whose stages are compared, and length scale of the fields in radii.
BY_STAGE, FIELD_LENGTH = ("stage", "fields"), 4.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[540, 541, 542, 543, 544])
    parser.add_argument("--tissues", nargs="*", default=["stage", "null", "lost", "some"])
    parser.add_argument("--neighbourhood", action="store_true", help="compare with it, too")
    parser.add_argument(
        "--figure", type=Path, help="draw pair edges of the tissue `lost` of the first seed"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    rows = []
    for seed in given.seeds:
        for tissue in given.tissues:
            adata, hit = simulate(seed, tissue)
            config = st.Config(progress=False)
            st.tl.infer_ccc(
                adata, sample_key="sample", stage_key="stage", config=config, device="cpu"
            )
            chosen = differences(adata, tissue, hit, neighbourhood=given.neighbourhood)
            rows += [{"seed": seed, "tissue": tissue} | row for row in chosen]
            if given.figure and tissue == "lost" and seed == given.seeds[0]:
                compare(adata, tissue, "slices")
                axes = st.pl.comparison(adata, "lr_targets")
                axes.figure.savefig(given.figure, dpi=110, bbox_inches="tight")
            print(pd.DataFrame(rows[-len(chosen) :]).to_string(index=False), flush=True)
    table = (
        pd.DataFrame(rows)
        .drop(columns="seed")
        .groupby(["tissue", "unit", "neighbourhood", "kind"], sort=False)
        .sum()
    )
    print("\nall seeds together\n", table.to_string())


def differences(
    adata: AnnData, tissue: str, hit: set[str], *, neighbourhood: bool
) -> list[dict[str, object]]:
    """Return counts of differences by unit, and with the neighbourhood if that is asked for."""
    rows: list[dict[str, object]] = []
    for unit in ("blocks",) if tissue in BY_STAGE else ("slices", "blocks"):
        for name in ("no", "yes") if neighbourhood else ("no",):
            with neighbourhoods_compete() if name == "yes" else nullcontext():
                compare(adata, tissue, unit)
            of = {"unit": unit, "neighbourhood": name}
            rows += [of | {"kind": kind} | count(adata, kind, tissue, hit) for kind in KINDS]
    return rows


@contextmanager
def neighbourhoods_compete() -> Iterator[None]:
    """Add the state of the neighbourhood to the regressions in every group."""
    without = group_slopes._nuisance

    def nuisance(restored: Restored, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        state = group_slopes._standardise(neighbourhood_state(restored.study)[rows])
        return np.hstack([without(restored, rows), state])

    with patch.object(group_slopes, "_nuisance", nuisance):
        yield


def compare(adata: AnnData, tissue: str, unit: str) -> None:
    """Compare stages, or conditions with all slices or with one slice of every stage."""
    if tissue in BY_STAGE:
        st.tl.compare(adata, "stage")
    elif unit == "slices":
        st.tl.compare(adata, "condition", reference="A")
    else:
        chosen = one_slice_a_stage(adata)
        adata.obs["one_slice"] = pd.Series(
            adata.obs["condition"].astype(str), index=adata.obs_names
        ).where(chosen)
        st.tl.compare(adata, "one_slice", reference="A")


def one_slice_a_stage(adata: AnnData) -> np.ndarray:
    """Return the cells of the first slice of every stage and condition."""
    frame = adata.obs[["condition", "stage", "sample"]].astype(str)
    first = frame.groupby(["condition", "stage"])["sample"].transform("min")
    return (frame["sample"] == first).to_numpy()


def count(adata: AnnData, kind: str, tissue: str, hit: set[str]) -> dict[str, int]:
    """Count tested, called and planted differences, both, and those that are called lost."""
    table = st.get.comparison(adata, kind)
    planted = pd.Series(False, index=table.index)
    if tissue == "lost":
        planted |= kind in {"lr_targets", "lr_pairs"}
    elif tissue == "some" and "target" in table:
        planted |= table["target"].isin(hit)
    called = table["q_value"] <= 0.1
    return {
        "tested": len(table),
        "called": int(called.sum()),
        "planted": int(planted.sum()),
        "both": int((called & planted).sum()),
        "lost": int((called & planted & (table["change"] == "lost")).sum()),
    }


def simulate(seed: int, tissue: str) -> tuple[AnnData, set[str]]:
    """Return a tissue, and the targets whose counts are shuffled in condition B."""
    if tissue == "stage":
        return st.datasets.simulated(seed), set()
    if tissue == "fields":
        return disturbed(seed, Nuisances(field_length=FIELD_LENGTH)), set()
    full = st.datasets.simulated(seed, n_cells=8000, n_slices=2 * SLICES)
    silent = (
        st.datasets.simulated(seed, n_cells=8000, n_slices=2 * SLICES, signal_strength=0.0)
        if tissue == "lost"
        else full
    )
    first = part(full, range(1, SLICES + 1), "A")
    second = part(silent, range(SLICES + 1, 2 * SLICES + 1), "B")
    hit: set[str] = set()
    if tissue == "some":
        second, hit = shuffled(second, np.random.default_rng(seed))
    adata = ad.concat([first, second], merge="same")
    adata.var = full.var.copy()
    adata.obs["stage"] = pd.Categorical(
        adata.obs["stage"].astype(str), list(full.obs["stage"].cat.categories), ordered=True
    )
    return adata, hit


def part(adata: AnnData, slices: range, condition: str) -> AnnData:
    """Return some slices of every stage as a condition."""
    number = adata.obs["sample"].astype(str).str.split("_slice").str[1].astype(int)
    chosen = adata[number.isin(slices).to_numpy()].copy()
    chosen.obs["condition"] = condition
    chosen.obs["sample"] = chosen.obs["sample"].astype(str) + condition
    chosen.obs_names = chosen.obs_names + condition
    del chosen.obsm["true_signal"]
    return chosen


def shuffled(adata: AnnData, rng: np.random.Generator) -> tuple[AnnData, set[str]]:
    """Return data with the counts of some targets shuffled, normalised again, and these targets.

    Counts are shuffled among cells of one slice, type and twelfth of time.
    """
    names = np.sort(adata.var_names[adata.var["target"]])
    hit = rng.choice(names, int(SHARE * len(names)), replace=False)
    time = pd.cut(adata.obs["dpt_pseudotime"], 12).astype(str)
    stratum = pd.factorize(
        adata.obs["sample"].astype(str) + adata.obs["cell_type"].astype(str) + time
    )[0]
    counts = adata.layers["counts"].toarray()
    for gene in hit:
        column = adata.var_names.get_loc(gene)
        for s in np.unique(stratum):
            rows = np.flatnonzero(stratum == s)
            counts[rows, column] = counts[rng.permutation(rows), column]
    total = np.maximum(counts.sum(1, keepdims=True), 1.0)
    adata.X = sparse.csr_matrix((counts * 1e4 / total).astype(np.float32)).log1p()
    adata.layers["counts"] = sparse.csr_matrix(counts)
    return adata, set(map(str, hit))


if __name__ == "__main__":
    main()
