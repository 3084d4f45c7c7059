"""Recovery of edges with transitions from different sources; stages are known, time is not.

python -m benchmarks.road.transitions [seed ...] [--stages 3 6] [--cells 2400] [--sources name ...]
                                      [--csv rows.csv]
python -m benchmarks.road.transitions --read rows.csv [more.csv ...]
                                      [--figure docs/_static/transitions.png]

Every row is one simulated tissue and one source; `infer_ccc` has its defaults otherwise. Sources
named `stages: ...` use `stage_time` only. About 10 s per row on one core.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from benchmarks._scores import KEYS, Cost, machine, rank_scores
from benchmarks.road.simulated import truths
from scipy import sparse

import spatrace_sc as st

#: Task → score that is reported.
SCORE_OF = {
    "lr_targets direct": "AUPRC",
    "lr_targets + indirect": "AUPRC",
    "tf_targets": "AUPRC",
    "lr_pairs": "AUROC",
}
#: Prepares a tissue with the given receivers, and returns the column of time for the inference.
Source = Callable[[AnnData, list[str]], str]


def by_time(column: str) -> Source:
    """Return the source with neighbours along a column of time."""

    def prepare(adata: AnnData, receivers: list[str]) -> str:
        st.pp.transitions(adata, time_key=column, receivers=receivers)
        return column

    return prepare


def latent_links(adata: AnnData, receivers: list[str]) -> str:
    """Use neighbours along the latent time, but only the stages as time of the inference."""
    along = st.pp.transitions(adata, time_key="latent_time", receivers=receivers, copy=True)
    st.pp.transitions(adata, method=along, time_key="stage_time", receivers=receivers)
    return "stage_time"


def between_only(adata: AnnData, receivers: list[str]) -> str:
    """Use nearest neighbours in the next stage, none within a stage."""
    st.pp.transitions(adata, method="stages", time_key="stage_time", receivers=receivers)
    return "stage_time"


def random_links(adata: AnnData, receivers: list[str]) -> str:
    """Use thirty random cells of the next stage."""
    rng = np.random.default_rng(0)
    receiving = adata.obs["cell_type"].isin(receivers).to_numpy()
    stage = adata.obs["stage_time"].to_numpy()
    rows, cols = [], []
    for now in np.unique(stage)[:-1]:
        earlier = np.flatnonzero(receiving & (stage == now))
        later = np.flatnonzero(receiving & (stage == now + 1))
        rows.append(np.repeat(earlier, 30))
        cols.append(rng.choice(later, 30 * len(earlier)))
    entries = (np.concatenate(rows), np.concatenate(cols))
    links = sparse.csr_matrix((np.ones(len(entries[0])), entries), shape=(adata.n_obs,) * 2)
    st.pp.transitions(adata, method=links, time_key="stage_time", receivers=receivers)
    return "stage_time"


def diffusion(adata: AnnData, receivers: list[str]) -> str:
    """Use scanpy's pseudotime from a cell of the first stage.

    It is the cell that is furthest from the mean expression of the last stage.
    """
    receiving = adata.obs["cell_type"].isin(receivers).to_numpy()
    stage = adata.obs["stage_time"].to_numpy()[receiving]
    expression = np.asarray(adata[receiving].X.toarray())
    first = np.flatnonzero(stage == stage.min())
    distance = np.square(expression[first] - expression[stage == stage.max()].mean(axis=0)).sum(
        axis=1
    )
    root = adata.obs_names[receiving][first[np.argmax(distance)]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        st.pp.transitions(adata, root=root, receivers=receivers, time_key="computed_time")
    return "computed_time"


def transport(**options: float) -> Source:
    """Return the source with optimal transport between stages."""

    def prepare(adata: AnnData, receivers: list[str]) -> str:
        st.pp.transitions(
            adata,
            method=st.pp.OptimalTransport(**options),
            time_key="stage_time",
            receivers=receivers,
        )
        return "stage_time"

    return prepare


SOURCES: dict[str, Source] = {
    "latent time": by_time("latent_time"),
    "noisy pseudotime": by_time("dpt_pseudotime"),
    "latent kNN as links": latent_links,
    "stages: kNN": by_time("stage_time"),
    "stages: kNN between": between_only,
    "stages: OT": transport(),
    "stages: OT between": transport(within=0.0),
    "stages: OT with space": transport(space=0.5),
    "stages: diffusion": diffusion,
    "stages: random": random_links,
}


def run(seed: int, n_stages: int, n_cells: int, name: str) -> list[dict[str, object]]:
    """Return a row for every task."""
    adata = st.datasets.simulated(seed, n_stages=n_stages, n_cells=n_cells)
    receivers = sorted(
        adata.obs.loc[adata.obs["latent_time"].notna(), "cell_type"].astype(str).unique()
    )
    time_key = SOURCES[name](adata, receivers)
    reach = adata.uns["transitions"]["reach"].set_index("steps")["cells"]
    with Cost() as cost:
        st.tl.infer_ccc(
            adata,
            sample_key="sample",
            stage_key="stage",
            time_key=time_key,
            receivers=receivers,
            transitions_key="transitions",
            config=st.Config(progress=False),
            rng=seed,
            device="cpu",
        )
    head = {
        "stages": n_stages,
        "seed": seed,
        "source": name,
        "1 step": reach[1],
        "3 steps": reach[3],
        "s": cost.wall,
    }
    rows = []
    for task, (table, truth) in truths(adata).items():
        scores = rank_scores(getattr(st.get, table)(adata), truth, KEYS[table])
        rows.append(head | {"task": task, "score": scores[SCORE_OF[task]]})
    return rows


def report(frame: pd.DataFrame) -> None:
    """Print medians and ranges over seeds, a table for every number of stages."""
    for n_stages, part in frame.groupby("stages"):
        cells = part.groupby(["source", "task"], sort=False)["score"].agg(["median", "min", "max"])
        text = cells.apply(
            lambda r: f"{r['median']:.3f} ({r['min']:.3f}-{r['max']:.3f})", axis=1
        ).unstack("task")
        text = text[list(SCORE_OF)].set_axis([f"{t}, {m}" for t, m in SCORE_OF.items()], axis=1)
        reach = part.groupby("source", sort=False)[["1 step", "3 steps"]].median().round(2)
        print(f"\n{n_stages} stages, {part['seed'].nunique()} seeds: median (range)")
        print(reach.join(text).loc[list(part["source"].unique())].to_string())


def draw(frame: pd.DataFrame, path: Path) -> None:
    """Draw median and range over seeds of every source, a row for every number of stages."""
    shown = ["lr_targets direct", "tf_targets", "lr_pairs"]
    names, numbers = list(frame["source"].unique())[::-1], sorted(frame["stages"].unique())
    figure, axes = plt.subplots(
        len(numbers),
        len(shown),
        figsize=(10, 0.33 * len(names) * len(numbers) + 1),
        sharey=True,
        sharex="col",
        squeeze=False,
    )
    for row, n_stages in zip(axes, numbers, strict=True):
        for ax, task in zip(row, shown, strict=True):
            part = frame[(frame["stages"] == n_stages) & (frame["task"] == task)]
            score = part.groupby("source")["score"].agg(["median", "min", "max"]).loc[names]
            colours = ["tab:blue" if name.startswith("stages") else "tab:grey" for name in names]
            ax.hlines(range(len(names)), score["min"], score["max"], color=colours, lw=1.5)
            ax.scatter(score["median"], range(len(names)), color=colours, zorder=3)
            ax.set_yticks(range(len(names)), names)
            ax.grid(axis="x", alpha=0.3)
            ax.set_title(f"{n_stages} stages: {task}", fontsize=10)
    for ax, task in zip(axes[-1], shown, strict=True):
        ax.set_xlabel(SCORE_OF[task])
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[560, 561, 562, 563, 564])
    parser.add_argument("--stages", nargs="+", type=int, default=[3, 6])
    parser.add_argument("--sources", nargs="+", choices=list(SOURCES), default=list(SOURCES))
    parser.add_argument("--cells", type=int, default=2400)
    parser.add_argument("--csv", type=Path, help="write the rows to this file")
    parser.add_argument("--read", type=Path, nargs="+", help="report on the rows of earlier runs")
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    if given.read:
        frame = pd.concat([pd.read_csv(path) for path in given.read], ignore_index=True)
        report(frame)
        if given.figure:
            draw(frame, given.figure)
        return
    torch.set_num_threads(1)
    print(machine())
    rows = []
    for n_stages in given.stages:
        for seed in given.seeds:
            for name in given.sources:
                rows += run(seed, n_stages, given.cells, name)
                if given.csv:
                    pd.DataFrame(rows).to_csv(given.csv, index=False)
    report(pd.DataFrame(rows))
    if given.figure:
        draw(pd.DataFrame(rows), given.figure)


if __name__ == "__main__":
    main()
