"""Checks of a matrix of transitions, whatever its source."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from ... import _keys
from ..._core.cell_order import has_cycle
from ..._core.transitions import reach, row_normalise, with_ends
from ..._errors import DataError, InvalidArgumentError
from .cells import Cells, Notes

logger = logging.getLogger("spatrace_sc")

#: Largest share of the mass between cells of different time that may lead back.
MAX_BACKWARD = 0.5
#: Rounding error of a float32 sum.
ROUNDING = 1e-5
#: Deviation of a row's sum from 1 above which the row counts as rescaled.
RESCALED = 1e-3
#: Shares above this are logged.
LOGGED_SHARE = 0.005
#: Number of steps in the table of reach.
N_STEPS = 8


def checked(matrix: sparse.csr_matrix, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
    """Return the transitions that lead forward, without cycles, with rows that sum to 1.

    The second value holds the shares that were left out, averaged over rows. Left out are
    transitions of a cell to itself and to earlier cells. If cycles remain among cells of the same
    time, transitions against the order of the cells are left out too. A row without any remaining
    transition gets 1 on its diagonal.
    """
    total = np.asarray(matrix.sum(axis=1)).ravel()
    filled = total > 0
    if not filled.any():
        raise DataError(
            "there is no transition among the analysed cells; check `method` and `receivers`."
        )
    entries = matrix.tocoo()
    row, col = entries.row, entries.col
    weight = entries.data.astype(np.float64) / total[row]
    is_self = row == col
    is_backward = cells.time[col] < cells.time[row]
    is_later = cells.time[col] > cells.time[row]
    _check_direction(float(weight[is_later].sum()), float(weight[is_backward].sum()), cells)
    valid = ~is_self & ~is_backward & (weight > 0)
    circular = np.zeros(len(row), dtype=bool)
    if has_cycle(row[valid], col[valid], len(cells.time)):
        circular = valid & ~is_later & (cells.order[col] <= cells.order[row])
        valid &= ~circular
    n_rows = float(filled.sum())
    notes = {
        "own": float(weight[is_self].sum()) / n_rows,
        "backward": float(weight[is_backward].sum()) / n_rows,
        "circular": float(weight[circular].sum()) / n_rows,
        "rescaled_rows": float((np.abs(total[filled] - 1.0) > RESCALED).mean()),
    }
    forward = sparse.csr_matrix(
        (entries.data[valid], (row[valid], col[valid])), shape=matrix.shape, dtype=np.float32
    )
    return _rescaled(with_ends(forward)), notes


def _check_direction(forward: float, backward: float, cells: Cells) -> None:
    """Require that most of the mass between cells of different time leads forward."""
    if forward > 0 and backward <= MAX_BACKWARD * (forward + backward):
        return
    share = backward / max(forward + backward, 1e-300)
    raise InvalidArgumentError(
        f"{100 * share:.0f} % of the transitions between cells of different "
        f"`time_key={cells.time_key!r}` lead back in time"
        + (", and none forward" if forward == 0 else "")
        + ": rows must be the earlier cells. Is the matrix transposed (pass `matrix.T`), or "
        "does it have no direction?"
    )


def _rescaled(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Divide rows by their sum; a matrix whose rows sum to 1 is returned bit by bit."""
    total = np.asarray(matrix.sum(axis=1)).ravel()
    if np.abs(total - 1.0).max() <= ROUNDING:
        matrix.sort_indices()
        return matrix
    return row_normalise(matrix)


def log_left_out(notes: Notes) -> None:
    """Log the shares of a user's transitions that were not used."""
    reasons = {
        "outside": "lead to cells that are not analysed (no time, or not in `receivers`)",
        "backward": "lead back in time",
        "circular": "form cycles within one time",
        "own": "lead from a cell to itself",
    }
    for name, reason in reasons.items():
        if notes.get(name, 0.0) > LOGGED_SHARE:
            logger.warning(
                "%.0f %% of the transitions %s and were left out.", 100 * notes[name], reason
            )
    if notes["rescaled_rows"] > LOGGED_SHARE:
        logger.info(
            "%.0f %% of the rows did not sum to 1 and were rescaled.", 100 * notes["rescaled_rows"]
        )


def reach_table(matrix: sparse.csr_matrix, cells: Cells) -> pd.DataFrame:
    """Return and log how far paths can be followed back, with one row per number of steps."""
    share, span = reach(matrix, cells.time, n_steps=N_STEPS)
    logger.info(
        "paths: %s of the cells can be followed back 1, 2, 3, 4 steps; 3 steps span %s of `%s` on "
        "average.",
        ", ".join(f"{100 * s:.0f} %" for s in share[:4]),
        "nothing" if np.isnan(span[2]) else f"{span[2]:.3g}",
        cells.time_key,
    )
    columns: tuple[NDArray[np.generic], ...] = (np.arange(1, N_STEPS + 1), share, span)
    return pd.DataFrame(dict(zip(_keys.REACH_COLUMNS, columns, strict=True)))
