"""What the fitted model leaves of a target for one regulator, by the signal of this or of another.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._core.binned_means import bin_of, binned_means, line
from .._data.cells import label_text
from .._model.evidence.edge_strength import residual_of
from .._model.evidence.rival_candidates import first_column
from .._model.evidence.rival_edges import contribution
from .._regulators import Regulators
from .restore import Restored, restore


def regulator_index(genes: Regulators, name: tuple[str, ...]) -> int:
    """Return the index of a TF, or of a pair given as (ligand, receptor); −1 if it is unknown."""
    if len(name) == 1:
        return int(genes.index("tfs", list(name))[0])
    ligand, receptor = (
        int(genes.index(role, [gene])[0])
        for role, gene in zip(("ligands", "receptors"), name, strict=True)
    )
    if min(ligand, receptor) < 0:
        return -1
    return int(genes.regulator_of_pair(genes.pair(ligand, receptor)))


@torch.no_grad()
def partial_residuals(
    adata: AnnData, key: str, regulators: list[tuple[str, ...]], target: str, n_bins: int
) -> pd.DataFrame:
    """Return binned partial residuals of a target for the first regulator.

    The residuals of the fitted model plus the contribution of the first regulator, in standard
    deviations of the target, are averaged in bins of the signal of each regulator. Signals are in
    standard deviations. The table has a row per bin over all cells (``stage`` and ``sample`` are
    empty) and one per bin, stage and slice.
    """
    model = restore(adata, key)
    problem, usable = model.problem, model.problem.usable
    design, residual = residual_of(problem, model.fit)
    view, genes = design.at(usable), model.genes
    numbers = [regulator_index(genes, name) for name in regulators]
    gene = genes.index("targets", [target])
    added = contribution(view, model.fit.weights, problem, numbers[0], gene)
    partial = (residual.values[:, torch.as_tensor(gene)] + added)[:, 0].double().numpy()
    cells = _cells(adata, model, usable.numpy())
    tables = []
    for number in numbers:
        column = torch.as_tensor([first_column(problem) + number])
        signal = _standard(view[column][0].double().numpy())
        table = _binned(signal, partial, cells, n_bins)
        tables.append(table.assign(against=genes.regulator_name(number)))
    return pd.concat(tables, ignore_index=True)


def _cells(adata: AnnData, model: Restored, usable: NDArray[np.bool_]) -> pd.DataFrame:
    """Return ``block, stage, sample`` of the usable receivers, the latter two as indices."""
    study, column = model.study, model.result.source.slice_column
    names = np.zeros(len(study.stage), dtype=object)
    names[:] = ""
    if column is not None:
        names = label_text(adata, column, "sample_key")[model.rows]
    stages = np.array(study.stages or [""], dtype=object)[study.stage]
    block = model.problem.block.numpy()
    return pd.DataFrame({"block": block, "stage": stages, "sample": names})[usable]


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with mean 0 and standard deviation 1; constant ones become 0."""
    sd = float(values.std())
    centred: NDArray[np.float64] = values - values.mean()
    centred /= sd if sd > 1e-9 else np.inf
    return centred


def _binned(
    signal: NDArray[np.float64], partial: NDArray[np.float64], cells: pd.DataFrame, n_bins: int
) -> pd.DataFrame:
    """Return the means of all cells, and of every stage and slice, with the slope over all."""
    block = cells["block"].to_numpy()
    code = bin_of(signal, n_bins)
    groups = [("", "", np.ones(len(signal), dtype=bool))]
    for (stage, sample), rows in cells.reset_index(drop=True).groupby(
        ["stage", "sample"], sort=False
    ):
        groups.append((str(stage), str(sample), np.isin(np.arange(len(signal)), rows.index)))
    tables = []
    for stage, sample, mask in groups:
        bins = binned_means(signal[mask], partial[mask], code[mask], block[mask])
        values = dict(zip(_keys.BINNED, bins, strict=True))
        names = {"stage": stage, "sample": sample, "bin": np.unique(code[mask])}
        tables.append(pd.DataFrame(names | values))
    slope = dict(zip(_keys.FITTED_LINE, line(signal, partial, block), strict=True))
    return pd.concat(tables, ignore_index=True).assign(**slope)
