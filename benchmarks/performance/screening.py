"""Screening of edges and pairs, compared with a fit without screening.

python -m benchmarks.performance.screening [--seeds 610 611 ...] [--pairs 40] [--targets 300]
                                           [--cells 5000] [--keep 400 200 100] [--null] [--markdown]

A simulated tissue with ``pairs`` ligands and as many receptors is inferred in this process, on one
thread:

- ``exact``: every pair and decoy is a candidate for every target until no column of any target
  violates the optimality conditions by a thousandth of λ, solved to the sixth decimal. This is the
  fit without screening.
- ``default``: the default. A target adds its strongest violations, at most twenty at each of at
  most five checks of all columns.
- ``keep n``: only *n* pairs are refitted (``Config.max_pairs``).

The table has the share of the top 1 % of edges in ``exact`` (of those with an effect, if these are
fewer) that have a score, and that are in the top 1 %; the shares of its significant edges and of
the true pairs that are refitted; significant edges and pairs with their false shares; and CPU
seconds.
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

#: Share of the strongest edges that are compared, and the q up to which an edge is significant.
TOP_SHARE, SIGNIFICANT = 0.01, 0.1


@contextmanager
def exactly() -> Iterator[None]:
    """Solve at the chosen λ until no column violates its conditions by a thousandth of it.

    There are at most 200 checks of all columns.
    """
    before = refit.MAX_FIRST_PASS_CHECKS, lasso.MAX_CHECKS, lasso.VIOLATION_FACTOR
    refit.MAX_FIRST_PASS_CHECKS, lasso.MAX_CHECKS, lasso.VIOLATION_FACTOR = 200, 200, 1.001
    try:
        yield
    finally:
        refit.MAX_FIRST_PASS_CHECKS, lasso.MAX_CHECKS, lasso.VIOLATION_FACTOR = before


def infer(
    adata: Any, most: int, exact: bool = False
) -> tuple[dict[str, pd.DataFrame], float, float]:
    """Return tables of one inference with the truth, λ, and CPU seconds."""
    inferred = adata.copy()
    training = (
        st.TrainingConfig(tolerance=1e-6, max_iterations=5000) if exact else st.TrainingConfig()
    )
    config = st.Config(training=training, max_pairs=most, progress=False)
    started = time.process_time()
    with exactly() if exact else nullcontext():
        st.tl.infer_ccc(inferred, sample_key="sample", config=config, device="cpu")
    spent = time.process_time() - started
    truth = adata.uns["truth"]
    return (
        {
            name: label(getattr(st.get, name)(inferred), truth[name], KEYS[name])
            for name in ("lr_targets", "lr_pairs")
        },
        float(inferred.uns["spatrace"]["model"]["penalty"]),
        spent,
    )


def calls(table: pd.DataFrame) -> tuple[int, float]:
    """Return the number of significant rows and their false share."""
    called = table[table["q_value"] <= SIGNIFICANT]
    return len(called), float((~called["true"]).mean()) if len(called) else 0.0


def names(table: pd.DataFrame) -> pd.Series:
    """Return the names of pairs."""
    return table["ligand"].astype(str) + "^" + table["receptor"].astype(str)


def compare(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of one tissue, the fit without screening first."""
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
    significant, true = edges[edges["q_value"] <= SIGNIFICANT], pairs[pairs["true"]]
    rows = []
    for name, most in [
        ("exact", every),
        ("default", every),
        *((f"keep {n}", n) for n in options.keep),
    ]:
        tables, penalty, cpu = (exact, lam, spent) if name == "exact" else infer(adata, most)
        table = tables["lr_targets"]
        scored = set(edge_names(table[table["score"] > 0]))
        # pairs that are not refitted have p = 1
        competing = set(names(tables["lr_pairs"][tables["lr_pairs"]["p_value"] < 1]))
        share = lambda table, refitted=competing: (
            float(names(table).isin(refitted).mean()) if len(table) else np.nan
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
                "significant refitted": share(significant),
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
    """Return the top 1 % of all edges, or those with a score if these are fewer."""
    return edges[edges["score"] > 0].nlargest(int(TOP_SHARE * len(edges)), "score")


def edge_names(table: pd.DataFrame) -> pd.Series:
    """Return the names of edges."""
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
    parser.add_argument("--null", action="store_true", help="ligands without an effect")
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
