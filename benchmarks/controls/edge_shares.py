"""How much of the variance of its target every true edge of a simulated tissue causes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.calibration.nuisances import Nuisances, disturbed
from numpy.typing import NDArray
from scipy.stats import poisson

from spatrace_sc.datasets import _simulated
from spatrace_sc.datasets._wiring import Wiring

#: Molecules per cell, and overdispersion, at which levels count as known.
DEEP, NO_NOISE = 300_000.0, 1e-9
#: Most molecules of a target in a cell that are summed over.
MAX_COUNT = 80


def edge_shares(
    adata: AnnData, seed: int, nuisances: Nuisances, arguments: dict[str, Any]
) -> pd.DataFrame:
    """Return the share of the variance of its target that every direct edge causes.

    The tissue is simulated again without the edge, with the same random numbers. What changes in
    the expected log-normalised expression is the contribution of the edge; its variance over the
    receivers is divided by that of the target. Delays and saturation are included. One edge of each
    target is removed at a time.

    Returns
    -------
    Table with columns ``table``, ``regulator``, ``target`` and ``share``.
    """
    levels = replace(
        nuisances,
        leakage=0.0,
        markers=False,
        wrong_types=0.0,
        capture=1.0,
        shallow=0.0,
        overdispersion=NO_NOISE,
    )
    receives = adata.obs["dpt_pseudotime"].notna().to_numpy()
    total = np.asarray(adata.layers["counts"].sum(axis=1)).ravel()[receives]
    observed = adata[receives].to_df().var()

    def expected(edges: list[tuple[str, str, str]]) -> pd.DataFrame:
        with _without(edges):
            deep = disturbed(seed, levels, depth=DEEP, **arguments)
        part = deep[adata.obs_names[receives]]
        targets = adata.var_names[adata.var["target"]]
        return _expected_log(part.to_df()[targets], total)

    rounds = _rounds(adata.uns["truth"])
    whole = expected([])
    rows = []
    for edges in rounds:
        change = (whole - expected(edges)).var()
        rows += [(*edge, change[edge[2]] / observed[edge[2]]) for edge in edges]
    return pd.DataFrame(rows, columns=["table", "regulator", "target", "share"])


def _rounds(truth: dict[str, pd.DataFrame]) -> list[list[tuple[str, str, str]]]:
    """Return all direct edges in lists that hold at most one edge of each target."""
    direct = truth["lr_targets"][truth["lr_targets"]["kind"] == "direct"]
    pairs = (direct["ligand"] + "^" + direct["receptor"]).tolist()
    tfs = truth["tf_targets"]
    edges = [("lr_targets", *edge) for edge in zip(pairs, direct["target"], strict=True)]
    edges += [("tf_targets", *edge) for edge in zip(tfs["tf"], tfs["target"], strict=True)]
    rounds: list[list[tuple[str, str, str]]] = []
    for edge in edges:
        fit = next((r for r in rounds if edge[2] not in {e[2] for e in r}), None)
        if fit is None:
            rounds.append([edge])
        else:
            fit.append(edge)
    return rounds


@contextmanager
def _without(edges: list[tuple[str, str, str]]) -> Iterator[None]:
    """Simulate without some edges, everything else being equal."""
    original, named = _simulated.random_wiring, _simulated.draw_names
    made: list[Wiring] = []

    def wiring(*args: Any, **kwargs: Any) -> Wiring:
        made.append(original(*args, **kwargs))
        return made[-1]

    def names(*args: Any, **kwargs: Any) -> dict[str, NDArray[Any]]:
        drawn = named(*args, **kwargs)
        _remove(made[-1], drawn, edges)
        return drawn

    with (
        patch.object(_simulated, "random_wiring", wiring),
        patch.object(_simulated, "draw_names", names),
    ):
        yield


def _remove(
    wiring: Wiring, names: dict[str, NDArray[Any]], edges: list[tuple[str, str, str]]
) -> None:
    """Set the strength of the edges to 0."""
    target = {str(name): k for k, name in enumerate(names["target"])}
    tf = {str(name): k for k, name in enumerate(names["tf"])}
    ligand, receptor = names["ligand"][wiring.pairs[:, 0]], names["receptor"][wiring.pairs[:, 1]]
    pair = {f"{a}^{b}": k for k, (a, b) in enumerate(zip(ligand, receptor, strict=True))}
    for table, regulator, gene in edges:
        if table == "tf_targets":
            matrix, row = wiring.tf_target, tf[regulator]
        else:
            matrix, row = wiring.pair_target, pair[regulator]
        if matrix[row, target[gene]] == 0:
            raise ValueError(f"no edge {regulator} → {gene}")
        matrix[row, target[gene]] = 0.0


def _expected_log(deep: pd.DataFrame, total: NDArray[np.floating]) -> pd.DataFrame:
    """Return the expected log-normalised expression at the depth of the cells."""
    share = np.expm1(deep.to_numpy(dtype=float)) / 1e4
    mean, unit = share * total[:, None], 1e4 / total[:, None]
    result = np.zeros_like(mean)
    for count in range(1, MAX_COUNT + 1):
        result += poisson.pmf(count, mean) * np.log1p(count * unit)
    return pd.DataFrame(result, index=deep.index, columns=deep.columns)
