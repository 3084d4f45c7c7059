"""Annotate a simulated gene network as a tissue that every method can read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import KEYS
from benchmarks.recovery.tissue import Tissue
from scipy import sparse

import spatrace_sc as st

#: Ligands and receptors without any effect, in worlds that have none of their own.
N_INERT = 3
#: Genes without a role, and the distance between cells at random positions.
N_BACKGROUND, SPACING = 150, 10.0
EDGE = ["tf", "target", "sign"]


@dataclass(frozen=True)
class World:
    """Expression of a gene network and its truth.

    - ``values`` (cells, genes): levels, before any technical noise.
    - ``edges``: one row per true edge of the network, with ``tf``, ``target`` and ``sign``.
      Edges of a gene on itself do not count.
    - ``time`` (cells,): real time. None: a diffusion pseudotime from the first type is used.
    - ``time_noise``: standard deviation of the noise of the estimated time, per range of time.
    """

    values: np.ndarray
    genes: list[str]
    types: np.ndarray
    tfs: list[str]
    targets: list[str]
    edges: pd.DataFrame
    time: np.ndarray | None = None
    time_noise: float = 0.05
    arguments: dict[str, Any] = field(default_factory=dict)


def inert_genes() -> tuple[list[str], list[str]]:
    """Return the names of the ligands and receptors without effect."""
    return [f"L{k}" for k in range(N_INERT)], [f"R{k}" for k in range(N_INERT)]


def quiet_levels(
    rng: np.random.Generator, values: np.ndarray, n: int, spread: float, noise: float
) -> np.ndarray:
    """Return (cells, n) levels around the median gene's, independent of everything else.

    ``spread`` and ``noise`` are the log standard deviations between genes and between cells.
    """
    middle = max(float(np.median(values.mean(axis=0))), 1e-6)
    gene, cell = rng.lognormal(0, spread, n), rng.lognormal(0, noise, (len(values), n))
    return np.asarray(middle * gene * cell)


def log_normalised(counts: np.ndarray) -> np.ndarray:
    """Return log1p of counts per 10 000."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.log1p(1e4 * share))


def with_inert_genes(
    rng: np.random.Generator, world: World, *, background: int, noise: float = 0.4
) -> np.ndarray:
    """Return (cells, network + inert + background genes) levels."""
    inert = quiet_levels(rng, world.values, 2 * N_INERT, 0.4, noise)
    return np.hstack([world.values, inert, quiet_levels(rng, world.values, background, 1.0, noise)])


def from_levels(rng: np.random.Generator, world: World) -> AnnData:
    """Return the tissue without technical noise: log1p of the levels themselves."""
    return annotate(rng, world, np.log1p(with_inert_genes(rng, world, background=0)))


def from_counts(rng: np.random.Generator, world: World, counts: np.ndarray) -> AnnData:
    """Return the tissue from counts of the genes of :func:`with_inert_genes`."""
    return annotate(rng, world, log_normalised(counts), counts)


def annotate(
    rng: np.random.Generator, world: World, x: np.ndarray, counts: np.ndarray | None = None
) -> AnnData:
    """Return an AnnData with roles, random positions, time and truth.

    ``x`` (cells, genes) has the genes of the network, the inert ones and any number of others.
    """
    ligands, receptors = inert_genes()
    named = [*world.genes, *ligands, *receptors]
    names = [*named, *(f"B{k}" for k in range(x.shape[1] - len(named)))]
    cells = pd.Index([f"cell{k}" for k in range(len(x))])
    adata = AnnData(
        X=np.asarray(x, dtype=np.float32),
        obs=pd.DataFrame({"cell_type": pd.Categorical(world.types.astype(str))}, index=cells),
        var=pd.DataFrame(index=pd.Index(names)),
        obsm={"spatial": rng.uniform(0, SPACING * np.sqrt(len(x)), (len(x), 2))},
    )
    if counts is not None:
        adata.layers["counts"] = sparse.csr_matrix(np.asarray(counts, dtype=np.float32))
    st.pp.gene_roles(
        adata, ligands=ligands, receptors=receptors, tfs=world.tfs, targets=world.targets
    )
    adata.obs["dpt_pseudotime"] = (
        diffusion_time(adata)
        if world.time is None
        else noisy_time(rng, world.time, world.time_noise)
    )
    adata.uns["truth"] = truth_of(world)
    adata.uns["arguments"] = {"time_key": "dpt_pseudotime"} | world.arguments
    return adata


def diffusion_time(adata: AnnData) -> np.ndarray:
    """Return (cells,) the pseudotime of ``st.pp.transitions`` with the first type as root."""
    timed = adata.copy()
    st.pp.transitions(timed, root=str(adata.obs["cell_type"].cat.categories[0]))
    return np.asarray(timed.obs["dpt_pseudotime"], dtype=float)


def noisy_time(rng: np.random.Generator, time: np.ndarray, noise: float) -> np.ndarray:
    """Return (cells,) the real time with noise, scaled to 0–1, as an estimate would be."""
    estimate = time + noise * np.ptp(time) * rng.normal(size=len(time))
    return np.asarray((estimate - estimate.min()) / np.ptp(estimate))


def no_edges() -> dict[str, pd.DataFrame]:
    """Return the tables of ``st.datasets.simulated`` without rows."""
    return {
        "tf_targets": pd.DataFrame(columns=EDGE),
        "tf_tfs": pd.DataFrame(columns=EDGE),
        "lr_targets": pd.DataFrame(columns=[*KEYS["lr_targets"], "sign", "kind"]),
        "lr_tfs": pd.DataFrame(columns=["ligand", "receptor", "tf", "sign"]),
        "lr_pairs": pd.DataFrame(columns=KEYS["lr_pairs"]),
    }


def truth_of(world: World) -> dict[str, pd.DataFrame]:
    """Return the tables of ``st.datasets.simulated``; those of signals are empty."""
    edges = world.edges.loc[world.edges["tf"] != world.edges["target"], EDGE]
    edges = edges.drop_duplicates(KEYS["tf_targets"])
    roles = {"tf_targets": world.targets, "tf_tfs": world.tfs}
    return no_edges() | {
        name: edges[edges["target"].isin(genes)].reset_index(drop=True)
        for name, genes in roles.items()
    }


def as_tissue(adata: AnnData) -> Tissue:
    """Return the input of a method: a copy of the AnnData without its truth, and the arguments."""
    hidden = adata.copy()
    truth, arguments = hidden.uns.pop("truth"), hidden.uns.pop("arguments")
    for slot, names in {
        "uns": ("simulation",),
        "obsm": ("true_signal",),
        "obs": ("latent_time",),
        "var": ("decoy",),
    }.items():
        for name in names:
            if name in getattr(hidden, slot):
                del getattr(hidden, slot)[name]
    return Tissue(hidden, arguments, {task: truth[task] for task in KEYS})
