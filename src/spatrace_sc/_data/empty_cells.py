"""Cells without a single count, which take no part in any analysis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._check import shorten
from .._errors import DataError, warn
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of, has_counts

#: Names of empty cells that the warning shows.
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
        f"have no counts at all and are left out ({counts}): {shown}. Their zeros would pass for "
        "expression that is switched off. Drop them, e.g. by "
        "`sc.pp.filter_cells(adata, min_counts=1)` before normalisation."
    )
