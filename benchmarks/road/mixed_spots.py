"""Mixed spots: single cells binned into spots, with and without proportions of cell types.

python -m benchmarks.road.mixed_spots [recovery | strata | attribution] [worlds] [seeds]

Cells of two simulators are binned on a square grid into spots of about 2, 5, 10 and 30 cells.
Counts are summed and log-normalised again; the time of a spot is the mean of its cells that have
one. The radius is the largest of 5 distances between cells and 2 distances between spots.

Spots without a time send only; with labels, which need a time in every spot of a type, they are
left out.

- ``recovery``: edges and pairs against the truth (AUPRC), and calls at q ≤ 0.1 with their false
  share. Rows: single cells; labels of the largest type without `proportions`; true proportions;
  noisy proportions (Dirichlet around the truth); with and without ``own``.
- ``strata``: the same with decoys permuted among spots of one label, not of similar proportions.
- ``attribution``: error of the shares of sender and receiver types in each true pair, against
  those that single cells with known types give. Labels are compared with shares by proportion
  alone, and by proportion times level, as the package computes them. Types that are assigned to
  cells at random show what that costs where genes do not depend on types. It draws a figure.

Default seeds were not used in development, which saw seeds 1 to 3 and 701 to 704.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import KEYS, discoveries, machine, rank_scores
from benchmarks.worlds import tissues_agents
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._core.communication import type_scores
from spatrace_sc._core.exposure import neighbour_weights
from spatrace_sc._core.type_shares import unit_sums_of_mixtures
from spatrace_sc._core.type_sums import Scene, unit_sums
from spatrace_sc._data.cell_types import one_hot
from spatrace_sc._study import decoy_strata

#: Cells per spot; distance between cells; cells of a tissue.
SIZES, SPACING, N_CELLS = (2, 5, 10, 30), 10.0, 6_000
#: Precision of noisy proportions: the error of a proportion of 0.5 is about 0.11.
PRECISION, FLOOR = 20.0, 0.2
SEEDS = (811, 812, 813)
#: Where the figure of the documentation is.
FIGURE = Path(__file__).resolve().parents[2] / "docs" / "_static" / "mixed_spots.png"
#: Ways of describing spots: labels of the largest type or proportions, and ``own``.
WAYS = (("label", False), ("noisy", True), ("noisy", False), ("true", True))


def simulated(seed: int) -> AnnData:
    """Return the simulated tissue of the package: senders and receivers are different types."""
    few = dict.fromkeys(("n_ligands", "n_receptors", "n_pairs", "n_tfs"), 8)
    return st.datasets.simulated(seed, n_cells=N_CELLS, n_targets=40, **few)


def agents(seed: int) -> AnnData:
    """Return the mechanistic tissue, in which all types secrete, also to themselves."""
    with patch.object(tissues_agents, "CELLS_OF_SLICE", N_CELLS // 3):
        return tissues_agents.agents(seed)


WORLDS: dict[str, Callable[[int], AnnData]] = {"simulated": simulated, "agents": agents}


def spots(cells: AnnData, n: int, seed: int) -> AnnData:
    """Return spots of about ``n`` cells, with true and with noisy proportions in ``obsm``."""
    coords, side = cells.obsm["spatial"], SPACING * np.sqrt(n)
    sample, names = pd.factorize(cells.obs["sample"].astype(str))
    code = np.zeros((len(sample), 3), dtype=int)
    code[:, 0] = sample
    for s in np.unique(sample):
        rows = sample == s
        code[rows, 1:] = (coords[rows] - coords[rows].min(axis=0)) // side
    unique, spot = np.unique(code, axis=0, return_inverse=True)
    member = sparse.csr_matrix((np.ones(len(sample)), (spot.ravel(), np.arange(len(sample)))))
    size = np.asarray(member.sum(axis=1))
    counts = sparse.csr_matrix(member @ sparse.csr_matrix(cells.layers["counts"]))
    total = np.asarray(counts.sum(axis=1)).ravel()
    scale = sparse.diags(np.median(total) / np.maximum(total, 1))
    types = one_hot(cells.obs["cell_type"].to_numpy(dtype=str))
    true = np.asarray(member @ types.values) / size
    rng = np.random.default_rng([seed, n])
    noisy = np.stack([rng.dirichlet(PRECISION * p + FLOOR) for p in true])
    obs_names = [f"spot{k}" for k in range(len(unique))]
    obs = pd.DataFrame({"sample": names[unique[:, 0]]}, index=obs_names)
    stages = cells.obs.groupby(cells.obs["sample"].astype(str), observed=True)["stage"].first()
    obs["stage"] = obs["sample"].map(stages).astype(str)
    clock = cells.obs["dpt_pseudotime"].to_numpy(dtype=float)
    known = np.isfinite(clock)
    n_known = member @ known.astype(float)
    summed = member @ np.where(known, clock, 0.0)
    obs["dpt_pseudotime"] = np.where(n_known > 0, summed / np.maximum(n_known, 1), np.nan)
    obs["cell_type"] = types.names[true.argmax(axis=1)]
    adata = AnnData((scale @ counts).log1p().tocsr(), obs, cells.var.copy())
    adata.layers["counts"] = counts
    adata.obsm["spatial"] = np.asarray(member @ coords) / size
    for key, values in (("true", true), ("noisy", noisy)):
        adata.obsm[key] = pd.DataFrame(values, index=adata.obs_names, columns=types.names)
    adata.uns["truth"] = cells.uns["truth"]
    adata.uns["arguments"] = cells.uns.get("arguments", {})
    return adata


def radius_of(n: int) -> float:
    """Return 5 distances between cells, or 2 between spots where these are more."""
    return max(5 * SPACING, 2 * SPACING * np.sqrt(n))


def scores(adata: AnnData, n: int, seed: int, **options: object) -> dict[str, float]:
    """Return AUPRC, calls and false share of each kind of an inference."""
    arguments = {"sample_key": "sample", "stage_key": "stage"} | dict(adata.uns["arguments"])
    for name in ("senders", "receivers"):
        arguments.pop(name, None)
    started = time.perf_counter()
    table = st.tl.infer_ccc(adata, **arguments | options, radius=radius_of(n), seed=seed, copy=True)
    row: dict[str, float] = {"seconds": time.perf_counter() - started}
    for kind, keys in KEYS.items():
        edges, truth = getattr(st.get, kind)(table), adata.uns["truth"][kind]
        row[f"{kind}: AUPRC"] = rank_scores(edges, truth, keys)["AUPRC"]
        row[f"{kind}: called"], row[f"{kind}: false"] = discoveries(edges, truth, keys)
    row["receivers"] = int(np.isfinite(table.obsm["spatrace_activity"]).all(axis=1).sum())
    return row


def recovery(world: str, seed: int) -> Iterator[dict[str, object]]:
    """Yield a row per size of spots and way of describing them."""
    cells = WORLDS[world](seed)
    cells.uns.setdefault("arguments", {})
    head = {"world": world, "seed": seed}
    yield {**head, "cells": 1, "types": "cells", "own": False} | scores(cells, 1, seed)
    for n in SIZES:
        binned = spots(cells, n, seed)
        timed = binned[binned.obs["dpt_pseudotime"].notna()].copy()
        for types, own in WAYS:
            if types == "label":
                row = scores(timed, n, seed, own=own)
            else:
                row = scores(binned, n, seed, own=own, proportions=types)
            yield {**head, "cells": n, "types": types, "own": own} | row


def strata(world: str, seed: int) -> Iterator[dict[str, object]]:
    """Yield rows of noisy proportions and three ways of permuting decoys."""
    cells = WORLDS[world](seed)
    for n in SIZES:
        binned = spots(cells, n, seed)
        for name, least in (("label", 10**9), ("similar, 50", 50), ("similar, 20", 20)):
            with patch.object(decoy_strata, "MIN_SIMILAR", least):
                row = scores(binned, n, seed, proportions="noisy")
            yield {"world": world, "seed": seed, "cells": n, "strata": name} | row


def _scene(adata: AnnData, n: int, types: np.ndarray, *, own: bool) -> tuple[Scene, pd.DataFrame]:
    """Return all cells as senders and receivers, with the activity of the true pairs."""
    pairs = adata.uns["truth"]["lr_pairs"].astype(str)
    counts = sparse.csr_matrix(adata.layers["counts"]).astype(float)
    total = np.asarray(counts.sum(axis=1))
    ligands, receptors = (list(dict.fromkeys(pairs[c])) for c in ("ligand", "receptor"))
    level = {
        name: counts[:, adata.var_names.get_indexer(genes)].toarray() / total * np.median(total)
        for name, genes in (("ligand", ligands), ("receptor", receptors))
    }
    sample = pd.factorize(adata.obs["sample"])[0]
    every = np.ones(adata.n_obs, dtype=bool)
    weights = neighbour_weights(
        adata.obsm["spatial"], sample, every, every, radius=radius_of(n), own=own
    )
    ligand = np.array([ligands.index(name) for name in pairs["ligand"]])
    receptor = np.array([receptors.index(name) for name in pairs["receptor"]])
    dose = (weights @ level["ligand"])[:, ligand] * level["receptor"][:, receptor]
    half = np.array([np.median(column[column > 0]) for column in dose.T])
    zero = np.zeros(adata.n_obs, dtype=int)
    return Scene(
        weights=weights,
        expression=level["ligand"].astype(np.float32),
        activity=(dose / (dose + half)).astype(np.float32),
        pair_ligand=ligand,
        sender_types=types,
        receiver_types=types,
        sender_block=zero,
        receiver_block=zero,
        unit=zero,
        unit_stage=np.array([0]),
        pair_receptor=receptor,
        receptor=level["receptor"].astype(np.float32),
    ), pairs


def _shares(scene: Scene, how: str) -> np.ndarray:
    """(types, types, pairs) shares of sender and receiver types in the signal of each pair."""
    if how == "proportion":
        with patch("spatrace_sc._core.type_shares.shares", lambda p, _: p.astype(np.float32)):
            sums = unit_sums_of_mixtures(scene)
        counts = np.asarray(scene.receiver_types.sum(axis=0, keepdims=True), dtype=float)
    else:
        sums, counts = unit_sums(scene)
    score = type_scores(sums, counts, scene.unit_stage)[0]
    return score / np.maximum(score.sum(axis=(0, 1), keepdims=True), 1e-12)


def attribution(world: str, seed: int) -> Iterator[dict[str, object]]:
    """Yield the mean error (total variation) of the shares of types, and how often the first is."""
    cells = WORLDS[world](seed)
    labels = cells.obs["cell_type"].to_numpy(dtype=str)
    shuffled = np.random.default_rng(seed).permutation(labels)
    for kind, names in (("as simulated", labels), ("unrelated to genes", shuffled)):
        typed = cells.copy()
        typed.obs["cell_type"] = names
        own = world == "agents"
        truth = _shares(_scene(typed, 1, one_hot(names).values, own=own)[0], "level")
        for n in SIZES:
            binned = spots(typed, n, seed)
            for noise in ("true", "noisy"):
                mixed = binned.obsm[noise].to_numpy()
                largest = np.eye(mixed.shape[1])[mixed.argmax(axis=1)]
                for how, types in (("label", largest), ("proportion", mixed), ("level", mixed)):
                    shares = _shares(_scene(binned, n, types, own=True)[0], how)
                    first = [t.reshape(-1, t.shape[2]).argmax(axis=0) for t in (shares, truth)]
                    yield {
                        **{"world": world, "seed": seed, "types": kind, "cells": n},
                        **{"proportions": noise, "by": how},
                        "error": float(np.abs(shares - truth).sum(axis=(0, 1)).mean() / 2),
                        "first": float((first[0] == first[1]).mean()),
                    }


def figure(rows: pd.DataFrame, path: Path) -> None:
    """Draw the error of the shares of types by the size of spots, with noisy proportions."""
    titles = {"label": "largest type", "proportion": "proportion", "level": "proportion × level"}
    drawn, axes = plt.subplots(
        1, len(WORLDS), figsize=(7.2, 2.8), sharey=True, layout="constrained"
    )
    for ax, world in zip(axes, WORLDS, strict=True):
        part = rows[(rows["world"] == world) & (rows["proportions"] == "noisy")]
        part = part[part["types"] == "as simulated"]
        for (how, title), colour in zip(
            titles.items(), ("#999999", "#56b4e9", "#d55e00"), strict=True
        ):
            values = part[part["by"] == how].groupby("cells")["error"]
            mean, low, high = values.mean(), values.min(), values.max()
            ax.fill_between(mean.index, low, high, color=colour, alpha=0.2, linewidth=0)
            ax.plot(mean.index, mean, marker="o", markersize=4, color=colour, label=title)
        ax.set(xscale="log", xticks=SIZES, xticklabels=SIZES, xlabel="cells per spot", ylim=(0, 1))
        ax.set_title(world, fontsize=10)
        ax.minorticks_off()
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("wrongly attributed share")
    axes[-1].legend(frameon=False, fontsize=8, title="attributed by", title_fontsize=8)
    drawn.savefig(path, dpi=150)
    plt.close(drawn)


def summary(rows: pd.DataFrame, task: str) -> str:
    """Return means over the seeds, as a table."""
    groups = {
        "recovery": ["world", "cells", "types", "own"],
        "strata": ["world", "cells", "strata"],
        "attribution": ["world", "types", "cells", "proportions", "by"],
    }[task]
    values = [c for c in rows.columns if c not in (*groups, "seed")]
    mean = rows.groupby(groups, sort=False)[values].mean()
    if task != "attribution":
        for kind in KEYS:  # of all calls of the seeds together
            called = rows.assign(wrong=rows[f"{kind}: false"] * rows[f"{kind}: called"])
            summed = called.groupby(groups, sort=False)[["wrong", f"{kind}: called"]].sum()
            mean[f"{kind}: false"] = summed["wrong"] / summed[f"{kind}: called"]
    return mean.round(3).to_string()


if __name__ == "__main__":
    words = sys.argv[1:]
    tasks = {"recovery": recovery, "strata": strata, "attribution": attribution}
    task = words[0] if words and words[0] in tasks else "recovery"
    seeds = [int(word) for word in words if word.isdigit()] or list(SEEDS)
    worlds = [word for word in words if word in WORLDS] or list(WORLDS)
    st.settings.progress = False
    print(machine().rsplit(";", 1)[0], "; seeds", seeds, flush=True)
    listed = []
    for world in worlds:
        for seed in seeds:
            for row in tasks[task](world, seed):
                listed.append(row)
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
                sys.stdout.flush()
    print(summary(pd.DataFrame(listed), task))
    if task == "attribution" and set(worlds) == set(WORLDS):
        figure(pd.DataFrame(listed), FIGURE)
