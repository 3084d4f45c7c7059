"""Markdown tables of known regulation: tissues in lines, methods in columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmarks.worlds.report import number

#: Method → name in the tables.
NAMES = {"ours": "package", "pearson": "Pearson", "ridge": "ridge", "trees": "extra trees"}
#: Ranks up to this one count as first.
N_FIRST = 5
Row = dict[str, Any]


def report(rows: list[Row]) -> str:
    """Return all tables."""
    parts = {
        "Tissues": tissues(rows),
        "TF edges: AUROC (AUPRC over base) against DoRothEA A–C": rankings(rows, "tf_targets"),
        "TF edges at q ≤ .1": called(rows),
        "What limits the listed TF edges": limits(rows),
        "Known TF edges": edges(rows),
        "Rank of the known TF among all TFs of its target": ranks_of_target(rows),
        f"Known TFs among the first {N_FIRST} of their target": first(rows),
        "Strongest TF edges of the package": strongest(rows),
        "L–R pairs: AUROC (AUPRC over base) against liana's consensus": rankings(rows, "lr_pairs"),
        "Known signals": signals(rows),
    }
    return "\n\n".join(f"### {title}\n\n{table}" for title, table in parts.items())


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *lines])


def tissues(rows: list[Row]) -> str:
    """Return the sizes of the tissues and their count noise."""
    head = ["tissue", "cells", "molecules", "TFs", "targets", "ligands", "receptors"]
    head += ["count noise of TFs", "largest effect / se"]
    columns = ["cells", "molecules", "tf", "target", "ligand", "receptor"]
    lines = []
    for row in rows:
        noise = [row.get("noise", {}).get(name) for name in ("noise_share", "largest_t")]
        cells = ["–" if value is None else number(value, 2) for value in noise]
        lines.append([row["tissue"], *(str(row["size"][c]) for c in columns), *cells])
    return markdown(head, lines)


def rankings(rows: list[Row], task: str) -> str:
    """Return the AUROC and the AUPRC over the base rate, and their means over tissues."""
    head = ["tissue", "listed of candidates", "sd of chance", *NAMES.values()]
    lines = []
    for row in rows:
        scores = row["scores"][task]
        own = scores["ours"]
        lines.append(
            [row["tissue"], f"{own['listed']} of {own['candidates']}", number(own["chance"], 2)]
            + [pair(scores[m]["AUROC"], scores[m]["x base"]) for m in NAMES]
        )
    means = [
        pair(
            *(float(np.mean([r["scores"][task][m][s] for r in rows])) for s in ("AUROC", "x base"))
        )
        for m in NAMES
    ]
    return markdown(head, [*lines, ["mean", "", "", *means]])


def pair(auroc: float, ratio: float) -> str:
    """Return AUROC (AUPRC over base)."""
    return f"{number(auroc, 2)} ({ratio:.1f})"


def called(rows: list[Row]) -> str:
    """Return numbers of called edges, and of those that are listed."""
    head = ["tissue", "TF edges called", "of genes in listed edges", "listed"]
    head += ["L–R pairs called", "LR → target edges called"]
    lines = []
    for row in rows:
        tf_edges = [row["calls"][c] for c in ("called", "judged", "listed")]
        numbers = [*tf_edges, row["pairs_called"], row["signals_called"]]
        lines.append([row["tissue"], *map(str, numbers)])
    return markdown(head, lines)


def limits(rows: list[Row]) -> str:
    """Return how many listed edges have each value of ``limited_by``."""
    reasons = sorted({reason for r in rows for reason in r["calls"]["limits"]})
    head = ["tissue", *(reason or "significant" for reason in reasons)]
    return markdown(
        head, [[r["tissue"], *(str(r["calls"]["limits"].get(k, 0)) for k in reasons)] for r in rows]
    )


def edges(rows: list[Row]) -> str:
    """Return what the package says of known TF edges, and the ranks of all methods."""
    head = ["tissue", "edge", "known from", "effect ± se", "q", "limited by"]
    head += ["robustness (benchmark)", "candidates", *(f"rank: {n}" for n in NAMES.values())]
    lines = [
        [row["tissue"], f"{arrow(e)}", f"{e['reference']}", *described(e)]
        for row in rows
        for e in row["edges"]
    ]
    return markdown(head, lines)


def arrow(edge: Row) -> str:
    """Return TF and target with an arrow or a bar for repression; a star if DoRothEA lists it."""
    return f"{edge['tf']} {'→' if edge['sign'] > 0 else '⊣'} {edge['target']}" + (
        "\\*" if edge["listed"] else ""
    )


def described(edge: Row) -> list[str]:
    """Return the cells of an edge after its name; empty ones if it is no candidate."""
    if "effect" not in edge:
        return ["not measured", *[""] * (4 + len(NAMES))]
    effect, se = edge["effect"], edge["effect_se"]
    robustness = [edge.get(c) for c in ("robustness", "benchmark")]
    strength = ["–" if v is None else number(v, 2) for v in robustness]
    return [
        f"{effect:+.3f}" + (f" ± {se:.3f}" if se is not None else "") if effect else "0",
        f"{edge['q_value']:.2g}",
        edge["limited_by"] or "significant",
        f"{strength[0]} ({strength[1]})",
        str(edge.get("candidates", "")),
        *(rank(edge.get("ranks", {}), m) for m in NAMES),
    ]


def rank(ranks: dict[str, float | None], method: str) -> str:
    """Return a rank, or a dash where the score is 0."""
    value = ranks.get(method)
    return "–" if value is None else f"{value:.0f}"


def ranks_of_target(rows: list[Row]) -> str:
    """Return the rank of each known TF among the TFs of the same target."""
    head = ["tissue", "edge", "TFs", *NAMES.values()]
    lines = [
        [row["tissue"], arrow(e), str(e["candidates_of_target"])]
        + [rank(e["ranks_of_target"], m) for m in NAMES]
        for row in rows
        for e in row["edges"]
        if "candidates_of_target" in e
    ]
    return markdown(head, lines)


def first(rows: list[Row]) -> str:
    """Return how many known TFs are among the first of their target."""
    lines = []
    for name, chosen in [*((r["tissue"], [r]) for r in rows), ("all", rows)]:
        ranks = [e["ranks_of_target"] for r in chosen for e in r["edges"] if e["ranks_of_target"]]
        counts = [sum((rank[m] or N_FIRST + 1) <= N_FIRST for rank in ranks) for m in NAMES]
        lines.append([name, str(len(ranks)), *map(str, counts)])
    return markdown(["tissue", "known edges", *NAMES.values()], lines)


def strongest(rows: list[Row]) -> str:
    """Return the strongest edges of the package."""
    head = ["tissue", "rank", "edge", "effect ± se", "minimum effect", "q", "limited by"]
    lines = []
    for row in rows:
        for e in row["strongest"]:
            effect, q, limit = described(e)[:3]
            name = arrow(e | {"sign": np.sign(e["effect"])})
            minimum = "–" if e["minimum_effect"] is None else number(e["minimum_effect"], 2)
            lines.append([row["tissue"], str(e["rank"]), name, effect, minimum, q, limit])
    return markdown(head, lines)


def signals(rows: list[Row]) -> str:
    """Return what the package says of known signals, and the ranks of all methods."""
    head = ["tissue", "signal", "known from", "effect ± se", "q", "limited by", "candidates"]
    head += [f"rank: {n}" for n in NAMES.values()]
    lines = []
    for row in rows:
        for s in row["signals"]:
            cells = described(s)
            del cells[3]
            name = f"{s['ligand']}–{s['receptor']} → {s['target']}"
            lines.append([row["tissue"], name, s["reference"], *cells])
    return markdown(head, lines)
