"""What fewer candidates of the neighbour search cost and save.

python -m benchmarks.performance.candidates [--worlds simulated agents] [--seeds 901 902]
                                            [--candidates 50000 20000] [--cells 100000]

Transitions connect every cell with its nearest neighbours. In large tissues these are searched
among ``MAX_CANDIDATES`` cells, evenly spaced along their order. ``simulated`` is a tissue of
``--cells`` cells, ``agents`` the mechanistic tissue of 2 400 cells from another simulator, which
shows from how few candidates on something is lost (``--candidates 50000 600 250``). Each row is one
inference with default settings on one thread: CPU seconds, and for TF → target edges, pair → target
edges and pairs the AUPRC, the number at q ≤ 0.1 and the false share among those.
"""

from __future__ import annotations

import argparse
import time

import torch
from anndata import AnnData
from benchmarks._scores import KEYS
from benchmarks.performance.large import SLICE, judged
from benchmarks.worlds.tissues_agents import agents

import spatrace_sc as st
from spatrace_sc._core import neighbour_edges

WORLDS = ("simulated", "agents")
COLUMNS = ("world", "seed", "candidates", "CPU seconds", *KEYS)


def tissue(world: str, seed: int, n_cells: int) -> AnnData:
    """Return a tissue with known truth and the arguments of its inference in ``uns``."""
    if world == "agents":
        return agents(seed)
    adata = st.datasets.simulated(seed, n_cells=n_cells, n_slices=max(1, n_cells // SLICE))
    adata.uns["arguments"] = {"sample_key": "sample", "stage_key": "stage"}
    return adata


def row(world: str, seed: int, n_cells: int, candidates: int) -> tuple[str, ...]:
    """Return the cells of one row: an inference with this many candidates."""
    adata = tissue(world, seed, n_cells)
    usual = neighbour_edges.MAX_CANDIDATES
    neighbour_edges.MAX_CANDIDATES = candidates
    try:
        start = time.process_time()
        config = st.Config(progress=False)
        st.tl.infer_ccc(adata, **adata.uns["arguments"], config=config, device="cpu")
        seconds = time.process_time() - start
    finally:
        neighbour_edges.MAX_CANDIDATES = usual
    scores = []
    for name, keys in KEYS.items():
        found = judged(getattr(st.get, name)(adata), adata.uns["truth"][name], keys)
        auprc = "unknown" if found["auprc"] is None else f"{found['auprc']:.3f}"
        scores.append(f"{auprc}; {found['called']}, {found['false']:.2f}")
    return world, str(seed), str(candidates), f"{seconds:.0f}", *scores


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=["simulated"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[901, 902])
    parser.add_argument("--candidates", nargs="+", type=int, default=[50_000, 20_000])
    parser.add_argument("--cells", type=int, default=100_000)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for world in options.worlds:
        for seed in options.seeds:
            for candidates in options.candidates:
                cells = row(world, seed, options.cells, candidates)
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
