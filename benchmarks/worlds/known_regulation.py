"""Known regulation in a mouse embryo and a human heart: ranked, called, and what limits it.

python -m benchmarks.worlds.known_regulation [--tissues erythroid ...] [--seed 0]
                                             [--out known_regulation.json] [--report]
                                             [--figure known_regulation.png]

Every lineage of ``benchmarks.worlds.lineages`` is run with the package and simple methods. A
tissue that has a result in ``--out`` is not repeated; ``--report`` runs nothing. Then Markdown
tables are printed, and ``--figure`` draws them. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import KEYS, label, machine, rank_scores
from benchmarks.recovery.tables import Tables
from benchmarks.worlds.judge import MAX_Q
from benchmarks.worlds.known_figure import draw
from benchmarks.worlds.known_report import report
from benchmarks.worlds.lineages import LINEAGES, Lineage, tissue
from benchmarks.worlds.methods import load
from benchmarks.worlds.tissues_shared import as_tissue

import spatrace_sc as st
from spatrace_sc._inference import edge_tests
from spatrace_sc._inference.tf_effects import TFEffects
from spatrace_sc._model.evidence.errors_in_variables import noise_share
from spatrace_sc._model.records import Problem

METHODS = ["ours", "pearson", "ridge", "trees"]
#: Columns of a known edge in the table of the package.
COLUMNS = ["effect", "effect_se", "minimum_effect", "p_value", "q_value", "limited_by"]
COLUMNS += ["robustness", "benchmark", "rests_on", "direction"]
#: Strongest edges that are printed, of all TFs and of a TF without a known target.
N_STRONGEST, N_OF_TF = 5, 3
Row = dict[str, Any]


def run(name: str, seed: int) -> Row:
    """Return what all methods say of a lineage."""
    adata = tissue(name)
    with recorded_noise() as noise:
        tables = {method: load(method)(as_tissue(adata), seed) for method in METHODS}
    row = {"tissue": name, "size": size(adata), "noise": noise}
    return row | judge(adata.uns["truth"], tables, LINEAGES[name])


@contextmanager
def recorded_noise() -> Iterator[Row]:
    """Record what the test of TF edges sees of count noise during an inference.

    ``noise_share`` is the median over TFs of the share of the variance of a TF's level in the cell
    itself that is count noise. ``largest_t`` is the largest tested effect in standard errors.
    """
    seen: Row = {}
    estimate = edge_tests.tf_effects

    def spy(problem: Problem, *others: Any) -> TFEffects:
        effects = estimate(problem, *others)
        known = np.isfinite(effects.joint.se) & (effects.joint.se > 0)
        t = np.abs(effects.joint.effect[known]) / effects.joint.se[known]
        seen["noise_share"] = round(float(noise_share(problem).median()), 3)
        seen["largest_t"] = round(float(t.max()), 2) if len(t) else None
        return effects

    with patch.object(edge_tests, "tf_effects", spy):
        yield seen


def size(adata: AnnData) -> dict[str, int]:
    """Return the number of receiving cells, their median molecules and genes of every role."""
    receiving = adata.obs["cell_type"].isin(adata.uns["arguments"]["receivers"]).to_numpy()
    molecules = np.asarray(adata.layers["counts"][receiving].sum(axis=1)).ravel()
    roles = {role: int(adata.var[role].sum()) for role in ("tf", "target", "ligand", "receptor")}
    return {"cells": int(receiving.sum()), "molecules": int(np.median(molecules))} | roles


def judge(truth: dict[str, pd.DataFrame], tables: dict[str, Tables], lineage: Lineage) -> Row:
    """Return scores, calls, limits and known edges of all methods."""
    row: Row = {"scores": {}, "edges": [], "signals": []}
    for task in ("tf_targets", "lr_pairs"):
        row["scores"][task] = {
            method: scores(result[task], truth[task], KEYS[task])
            for method, result in tables.items()
            if task in result
        }
    row["calls"] = calls(tables["ours"]["tf_targets"], truth["tf_targets"])
    row["pairs_called"] = int((tables["ours"]["lr_pairs"]["q_value"] <= MAX_Q).sum())
    row["signals_called"] = int((tables["ours"]["lr_targets"]["q_value"] <= MAX_Q).sum())
    listed = {(e.tf, e.target) for e in truth["tf_targets"].itertuples()}
    row["strongest"] = strongest(tables["ours"]["tf_targets"], listed, lineage.others)
    for edge in lineage.edges:
        found = describe(tables, "tf_targets", edge[:2])
        row["edges"].append(edge._asdict() | {"listed": edge[:2] in listed} | found)
    for signal in lineage.signals:
        row["signals"].append(signal._asdict() | describe(tables, "lr_targets", signal[:3]))
    return row


def scores(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> dict[str, float]:
    """Return the scores of a ranking among candidates that the truth can judge.

    These are the candidates of which every gene occurs in a listed edge in its role: of the others,
    nothing is listed. ``chance`` is the standard deviation of the AUROC of a random ranking.
    """
    table = judged(table, truth, keys)
    n, n_true = len(table), len(truth)
    chance = np.sqrt((n + 1) / (12 * n_true * (n - n_true)))
    ranked = rank_scores(table, truth, keys)
    return {name: round(float(ranked[name]), 4) for name in ("AUROC", "x base")} | {
        "candidates": n,
        "listed": n_true,
        "chance": round(float(chance), 4),
    }


def judged(table: pd.DataFrame, truth: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return the candidates without edges of a gene on itself, of genes in listed edges."""
    table = table.astype(dict.fromkeys(keys, str))
    known = np.logical_and.reduce([table[key].isin(truth[key]) for key in keys])
    return table[known & (table[keys[0]] != table[keys[-1]]).to_numpy()]


def calls(table: pd.DataFrame, truth: pd.DataFrame) -> Row:
    """Return the number of called edges, and what limits the listed edges that are not called."""
    keys = KEYS["tf_targets"]
    labelled = label(table, truth, keys)
    labelled = labelled[labelled["tf"] != labelled["target"]]
    called = labelled["q_value"] <= MAX_Q
    in_reach = labelled.index.isin(judged(labelled, truth, keys).index)
    limits = labelled.loc[labelled["true"], "limited_by"].astype(str).value_counts()
    return {
        "called": int(called.sum()),
        "judged": int((called & in_reach).sum()),
        "listed": int((called & labelled["true"]).sum()),
        "limits": {str(reason): int(n) for reason, n in limits.items()},
    }


def strongest(
    table: pd.DataFrame, listed: set[tuple[str, str]], others: tuple[str, ...]
) -> list[Row]:
    """Return the strongest edges of all TFs, and those of ``others``."""
    table = table[table["tf"] != table["target"]].astype(dict.fromkeys(KEYS["tf_targets"], str))
    table = table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    parts = [table.head(N_STRONGEST), *(table[table["tf"] == tf].head(N_OF_TF) for tf in others)]
    return [
        {"tf": e.tf, "target": e.target, "rank": int(k) + 1, "listed": (e.tf, e.target) in listed}
        | {c: plain(getattr(e, c)) for c in COLUMNS if c in table}
        for part in parts
        for k, e in zip(part.index, part.itertuples(), strict=True)
    ]


def describe(tables: dict[str, Tables], task: str, edge: tuple[str, ...]) -> Row:
    """Return what every method says of an edge; an edge that is no candidate has no ranks.

    ``ranks`` hold each method's rank of the edge among all candidates and, of TFs, among those of
    its target. Ties get their mean rank; an edge with score 0 has none.
    """
    found: Row = {"ranks": {}, "ranks_of_target": {}}
    for method, result in tables.items():
        table = result[task].astype(dict.fromkeys(KEYS[task], str))
        table = table[table[KEYS[task][0]] != table["target"]].reset_index(drop=True)
        genes = zip(KEYS[task], edge, strict=True)
        match = np.logical_and.reduce([table[key] == gene for key, gene in genes])
        if not match.any():
            continue
        k = int(np.flatnonzero(match)[0])
        same = table["target"] == table["target"][k]
        found |= {"candidates": len(table), "candidates_of_target": int(same.sum())}
        score = table["score"]
        for name, among in (("ranks", score), ("ranks_of_target", score[same])):
            rank = float(among.rank(ascending=False)[k])
            found[name][method] = rank if score[k] > 0 else None
        if method == "ours":
            found |= {c: plain(table[c][k]) for c in COLUMNS if c in table}
    return found


def plain(value: object) -> str | float | None:
    """Return a value as JSON holds it."""
    if isinstance(value, str):
        return value
    number = float(str(value))
    return None if np.isnan(number) else number


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = Path(__file__).parent / "results"
    parser.add_argument("--tissues", nargs="+", choices=list(LINEAGES), default=list(LINEAGES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=folder / "known_regulation.json")
    parser.add_argument("--report", action="store_true", help="run nothing, only print")
    parser.add_argument("--figure", type=Path, help="draw scores and known edges into this file")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    st.settings.progress = False
    rows = json.loads(given.out.read_text()) if given.out.exists() else {}
    for name in () if given.report else given.tissues:
        if name not in rows:
            rows[name] = run(name, given.seed)
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(rows, ensure_ascii=False, indent=1))
    chosen = [rows[name] for name in given.tissues if name in rows]
    if not chosen:
        raise SystemExit(f"no results of these tissues in {given.out}.")
    print(f"{machine()}; seed {given.seed}\n")
    print(report(chosen))
    if given.figure:
        draw(chosen, given.figure)


if __name__ == "__main__":
    main()
