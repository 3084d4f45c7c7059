"""Screening of pairs against the fit of all: what it keeps, what is called, what it costs.

python -m benchmarks.performance.screening [--seeds 610 611 ...] [--pairs 40] [--targets 300] [--cells 5000] [--keep 400 200 100] [--null] [--markdown]

A simulated tissue with ``pairs`` ligands and as many receptors is inferred once with all pairs and once for every ``keep`` (``Config.max_pairs``), in this process, on one thread. Printed: the share of the
pairs kept, of the edges that the full fit ranks in its top 1 % (of those with an effect, if these are fewer), of its supported edges and of the true pairs those whose pair is kept; supported edges and pairs with the share that is false; CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import KEYS, label

import spatrace_sc as st

TOP = 0.01
SUPPORTED = 0.1


def infer(adata: Any, most: int) -> tuple[dict[str, pd.DataFrame], float]:
    """Tables with truth of one inference, and its CPU seconds."""
    found = adata.copy()
    started = time.process_time()
    st.tl.infer_ccc(found, sample_key="sample", config=st.Config(max_pairs=most, progress=False), device="cpu")
    spent = time.process_time() - started
    truth = adata.uns["truth"]
    return {
        name: label(getattr(st.get, name)(found), truth[name], KEYS[name]) for name in ("lr_targets", "lr_pairs")
    }, spent


def calls(table: pd.DataFrame) -> tuple[int, float]:
    """Supported rows and the share of them that is false."""
    called = table[table["q_value"] <= SUPPORTED]
    return len(called), float((~called["true"]).mean()) if len(called) else 0.0


def names(table: pd.DataFrame) -> pd.Series:
    return table["ligand"].astype(str) + "^" + table["receptor"].astype(str)


def compare(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of one tissue, the full fit first."""
    strength = {"signal_strength": 0.0} if options.null else {}
    adata = st.datasets.simulated(
        seed,
        n_cells=options.cells,
        n_ligands=options.pairs,
        n_receptors=options.pairs,
        n_pairs=options.pairs,
        n_targets=options.targets,
        depth=options.depth,
        **strength,
    )
    full, spent = infer(adata, options.pairs**2)
    edges, pairs = full["lr_targets"], full["lr_pairs"]
    ranked = edges[edges["score"] > 0].nlargest(int(TOP * len(edges)), "score")
    supported, true = edges[edges["q_value"] <= SUPPORTED], pairs[pairs["true"]]
    rows = []
    for most in [options.pairs**2, *options.keep]:
        tables, cpu = (full, spent) if most == options.pairs**2 else infer(adata, most)
        # pairs that do not compete are not among the p-values below 1
        competing = set(names(tables["lr_pairs"][tables["lr_pairs"]["p_value"] < 1]))
        share = lambda table, kept=competing: float(names(table).isin(kept).mean()) if len(table) else np.nan
        (n_edges, false_edges), (n_pairs, false_pairs) = calls(tables["lr_targets"]), calls(tables["lr_pairs"])
        rows.append(
            {
                "seed": seed,
                "kept": min(1.0, most / options.pairs**2),
                "top 1 %": share(ranked),
                "supported kept": share(supported),
                "true pairs kept": share(true),
                "edges": n_edges,
                "false edges": false_edges,
                "pairs": n_pairs,
                "false pairs": false_pairs,
                "CPU s": cpu,
            }
        )
        print(pd.DataFrame(rows[-1:]).round(3).to_string(header=len(rows) == 1), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[610, 611, 612, 613, 614])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--targets", type=int, default=300)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--depth", type=float, default=3000.0)
    parser.add_argument("--keep", type=int, nargs="+", default=[400, 200, 100])
    parser.add_argument("--null", action="store_true", help="ligands that do nothing")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = pd.DataFrame([row for seed in options.seeds for row in compare(seed, options)])
    median = rows.drop(columns="seed").groupby("kept", sort=False).median().reset_index()
    print(median.round(3).to_markdown(index=False) if options.markdown else median.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
