"""An order of cells and genes that depends on the data alone, not on the order in the file.

Random draws follow this order, so the same data give the same tables however a file lists its
cells and genes, and whether genes are named by symbol or by identifier.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._data.matrix_forms import InMemory
from .records import Cells

#: Significant digits of the total expression that decides between genes detected equally often.
TOTAL_DIGITS = 4


def order_of_cells(cells: Cells, names: NDArray[np.str_]) -> NDArray[np.intp]:
    """Return the positions of the cells by slice, coordinates and time, then by name."""
    keys = (names, cells.time, *cells.coords.T[::-1], cells.sample)
    order: NDArray[np.intp] = np.lexsort(keys)
    return order


def take_cells(cells: Cells, order: NDArray[np.intp]) -> Cells:
    """Return the columns of the cells in another order."""
    columns = cells._asdict()
    mixture = columns.pop("mixture")
    moved = {name: column[order] for name, column in columns.items()}
    if mixture is not None:
        mixture = mixture._replace(values=mixture.values[order])
    return Cells(**moved, mixture=mixture)


def rank_genes(
    matrix: InMemory, positions: Mapping[str, int], labels: Mapping[str, str]
) -> dict[str, int]:
    """Return the rank of every gene, by its name in ``var_names``.

    Genes are in the order of the number of cells that express them, then of their total
    expression, then of their label. ``positions`` are the columns of ``matrix``.
    """
    names = list(positions)
    values = matrix[:, np.array([positions[name] for name in names], dtype=np.intp)]
    detected = np.asarray((values > 0).sum(axis=0)).ravel()
    sums = np.asarray(values.sum(axis=0, dtype=np.float64)).ravel()
    total = np.array([float(f"{x:.{TOTAL_DIGITS - 1}e}") for x in sums])
    shown = np.array([labels[name] for name in names], dtype=str)
    order = np.lexsort((shown, total, detected))
    return {names[position]: rank for rank, position in enumerate(order)}


def sort_genes(genes: Iterable[str], rank: Mapping[str, int]) -> NDArray[np.str_]:
    """Return genes in the order of their ranks."""
    return np.array(sorted(genes, key=rank.__getitem__), dtype=str)


def order_stages(
    stage: NDArray[np.str_], time: NDArray[np.float64]
) -> tuple[NDArray[np.integer], list[str]]:
    """Return the stage code of every receiver and the names, by mean time of their receivers."""
    mean_time = pd.Series(time).groupby(stage).mean().sort_values(kind="stable")
    names = [str(name) for name in mean_time.index]
    return pd.Index(names).get_indexer(pd.Index(stage.astype(str))), names
