"""Screening of edges and of pairs against the fit of all: what it keeps, what is called, what it costs.

python -m benchmarks.performance.screening [--seeds 610 611 ...] [--pairs 40] [--targets 300] [--cells 5000] [--keep 400 200 100] [--null] [--markdown]

A simulated tissue with ``pairs`` ligands and as many receptors is inferred in this process, on one thread:

``exact``     every pair and decoy is a candidate for every target until no column of any target violates the optimality conditions by a thousandth of λ, solved to the sixth decimal: what a fit without screening ends with.
``default``   as users get it: a target takes in the strongest of its violations, at most twenty at each of at most five looks at all columns.
``keep n``    only *n* pairs are refitted (``Config.max_pairs``).

Printed: the share of the edges that ``exact`` ranks in its top 1 % (of those with an effect, if these are fewer) that have a score, and that are in the top 1 % here; of its supported edges and of the true pairs those that are refitted; supported edges and pairs with the share that is false; CPU seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import KEYS, label

import spatrace_sc as st
from spatrace_sc._model.evidence import refit
from spatrace_sc._model.regression import lasso

TOP = 0.01
SUPPORTED = 0.1


@contextmanager
def exactly() -> Iterator[None]:
    """Solves at the chosen λ end where no column violates its conditions by a thousandth of it, after 200 looks at the latest."""
    before = refit.MAX_FIRST_PASS_CHECKS, lasso.MAX_CHECKS, lasso.VIOLATION_FACTOR
    refit.MAX_FIRST_PASS_CHECKS, lasso.MAX_CHECKS, lasso.VIOLATION_FACTOR = 200, 200, 1.001
    try:
        yield
    finally:
        refit.MAX_FIRST_PASS_CHECKS, lasso.MAX_CHECKS, lasso.VIOLATION_FACTOR = before


def infer(
    adata: Any, most: int, exact: bool = False
) -> tuple[dict[str, pd.DataFrame], float, float]:
    """Tables with truth of one inference, λ, and its CPU seconds."""
    found = adata.copy()
    training = (
        st.TrainingConfig(tolerance=1e-6, max_iterations=5000) if exact else st.TrainingConfig()
    )
    config = st.Config(training=training, max_pairs=most, progress=False)
    started = time.process_time()
    with exactly() if exact else nullcontext():
        st.tl.infer_ccc(found, sample_key="sample", config=config, device="cpu")
    spent = time.process_time() - started
    truth = adata.uns["truth"]
    return (
        {
            name: label(getattr(st.get, name)(found), truth[name], KEYS[name])
            for name in ("lr_targets", "lr_pairs")
        },
        float(found.uns["spatrace"]["model"]["penalty"]),
        spent,
    )


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
    every = options.pairs**2
    exact, lam, spent = infer(adata, every, exact=True)
    ranked = top(exact["lr_targets"])
    edges, pairs = exact["lr_targets"], exact["lr_pairs"]
    supported, true = edges[edges["q_value"] <= SUPPORTED], pairs[pairs["true"]]
    rows = []
    for name, most in [
        ("exact", every),
        ("default", every),
        *((f"keep {n}", n) for n in options.keep),
    ]:
        tables, penalty, cpu = (exact, lam, spent) if name == "exact" else infer(adata, most)
        table = tables["lr_targets"]
        scored = set(edge_names(table[table["score"] > 0]))
        # pairs that do not compete are not among the p-values below 1
        competing = set(names(tables["lr_pairs"][tables["lr_pairs"]["p_value"] < 1]))
        share = lambda table, kept=competing: (
            float(names(table).isin(kept).mean()) if len(table) else np.nan
        )
        (n_edges, false_edges), (n_pairs, false_pairs) = calls(table), calls(tables["lr_pairs"])
        rows.append(
            {
                "seed": seed,
                "fit": name,
                "same λ": penalty == lam,
                "top 1 % refitted": share(ranked),
                "scored": float(edge_names(ranked).isin(scored).mean()),
                "in top 1 %": float(edge_names(ranked).isin(set(edge_names(top(table)))).mean()),
                "supported refitted": share(supported),
                "true pairs refitted": share(true),
                "edges": n_edges,
                "false edges": false_edges,
                "pairs": n_pairs,
                "false pairs": false_pairs,
                "CPU s": cpu,
            }
        )
        print(pd.DataFrame(rows[-1:]).round(3).to_string(header=len(rows) == 1), flush=True)
    return rows


def top(edges: pd.DataFrame) -> pd.DataFrame:
    """The top 1 % of all edges, or those with a score if these are fewer."""
    return edges[edges["score"] > 0].nlargest(int(TOP * len(edges)), "score")


def edge_names(table: pd.DataFrame) -> pd.Series:
    return names(table) + ">" + table["target"].astype(str)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[610, 611, 612, 613, 614])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--targets", type=int, default=300)
    parser.add_argument("--cells", type=int, default=5000)
    parser.add_argument("--depth", type=float, default=3000.0)
    parser.add_argument("--keep", type=int, nargs="*", default=[400, 200, 100])
    parser.add_argument("--null", action="store_true", help="ligands that do nothing")
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = pd.DataFrame([row for seed in options.seeds for row in compare(seed, options)])
    median = rows.drop(columns="seed").groupby("fit", sort=False).median().reset_index()
    print(
        median.round(3).to_markdown(index=False)
        if options.markdown
        else median.round(3).to_string(index=False)
    )


if __name__ == "__main__":
    main()
