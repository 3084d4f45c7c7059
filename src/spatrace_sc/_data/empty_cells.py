"""Cells without counts, or far shallower than others of their type, which take no part."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._check import shorten
from .._errors import DataError, warn
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of, has_counts

#: A cell with a smaller share of the molecules of the median cell of its type is too shallow.
MIN_DEPTH_SHARE = 0.1
#: Fewest cells of a type in a slice that have a median of their own.
MIN_CELLS_OF_TYPE = 20
#: Names of left-out cells that the warning shows.
N_SHOWN = 3


def empty_cells(matrix: InMemory | OnDisk) -> NDArray[np.bool_]:
    """(cells,) mask of the cells in which no gene is above 0."""
    masks = [~has_counts(block) for block in blocks_of(matrix)]
    return np.concatenate(masks) if masks else np.empty(0, dtype=bool)


def warn_of_empty_cells(
    empty: NDArray[np.bool_], names: NDArray[np.str_], **masks: NDArray[np.bool_]
) -> None:
    """Warn of empty cells that would take part, by role: ``receivers=mask, senders=mask``.

    Raises
    ------
    DataError
        If no cell of a role has counts.
    """
    taking_part = np.any(list(masks.values()), axis=0)
    n_empty = int((empty & taking_part).sum())
    if not n_empty:
        return
    for role, mask in masks.items():
        if not (mask & ~empty).any():
            raise DataError(
                f"none of the {int(mask.sum())} {role} has a single count; check the matrix and "
                "the layer."
            )
    counts = ", ".join(f"{int((mask & empty).sum())} {role}" for role, mask in masks.items())
    shown = shorten(names[empty & taking_part], N_SHOWN)
    warn(
        f"{n_empty} of {int(taking_part.sum())} cells ({100 * n_empty / taking_part.sum():.2g} %) "
        f"have no counts at all and are left out ({counts}): {shown}. Their zeros would look like "
        "genes that are switched off. Drop them, e.g. by `sc.pp.filter_cells(adata, min_counts=1)` "
        "before normalisation."
    )


def shallow_cells(
    molecules: NDArray[np.float64] | None,
    sample: NDArray[np.generic],
    types: NDArray[np.generic],
    empty: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """(cells,) mask of the cells with few molecules for their type and slice, ``empty`` ones aside.

    They have less than a tenth of the median over cells of the same type and slice, or over all
    cells of the slice where these are few. None is marked if ``molecules`` (cells,) are unknown.
    """
    if molecules is None:
        return np.zeros(len(empty), dtype=bool)
    depth = pd.Series(np.where(empty, np.nan, molecules))
    slices = pd.Series(np.asarray(sample).astype(str))
    of_type = depth.groupby([slices, pd.Series(np.asarray(types).astype(str))])
    usual = of_type.transform("median").where(
        of_type.transform("count") >= MIN_CELLS_OF_TYPE, depth.groupby(slices).transform("median")
    )
    return np.asarray((depth < MIN_DEPTH_SHARE * usual).to_numpy(dtype=bool))


def warn_of_shallow_cells(
    shallow: NDArray[np.bool_], names: NDArray[np.str_], **masks: NDArray[np.bool_]
) -> None:
    """Warn of shallow cells that would take part, by role: ``receivers=mask, senders=mask``."""
    taking_part = np.any(list(masks.values()), axis=0)
    n_shallow = int((shallow & taking_part).sum())
    if not n_shallow:
        return
    counts = ", ".join(f"{int((mask & shallow).sum())} {role}" for role, mask in masks.items())
    warn(
        f"{n_shallow} of {int(taking_part.sum())} cells ({100 * n_shallow / taking_part.sum():.2g} "
        "%) have less than a tenth of the molecules of the median cell of their type and slice and "
        f"are left out ({counts}): {shorten(names[shallow & taking_part], N_SHOWN)}. Single "
        "molecules would look like strong expression there."
    )
