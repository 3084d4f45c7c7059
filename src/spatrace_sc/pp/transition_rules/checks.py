"""What every matrix of transitions goes through, wherever it comes from."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from scipy import sparse

from ... import _keys
from ..._core.transitions import has_cycle, reach, row_normalise, with_ends
from ..._errors import DataError, InvalidArgumentError
from .cells import Cells

logger = logging.getLogger("spatrace_sc")

#: Share of the mass between cells of different time that may lead back; above, the matrix is taken for a transposed one.
MAX_BACKWARD = 0.5
#: Rounding of a sum of float32.
EXACT = 1e-5
#: Steps of the report on reach.
N_STEPS = 8


def checked(matrix: sparse.csr_matrix, cells: Cells) -> tuple[sparse.csr_matrix, dict[str, float]]:
    """Only what goes forward, rows sum to 1, without cycles; and the shares of what was left out, averaged over rows.

    Left out are transitions of a cell to itself, to earlier cells and, among cells of the same time, those that run against the order of the cells where
    they would close a circle. A row of which nothing is left gets 1 on its diagonal.
    """
    total = np.asarray(matrix.sum(axis=1)).ravel()
    filled = total > 0
    if not filled.any():
        raise DataError(
            "there is no transition among the cells that take part; check `method` and `receivers`."
        )
    entries = matrix.tocoo()
    row, col = entries.row, entries.col
    weight = entries.data.astype(np.float64) / total[row]
    time = cells.time
    own, back = row == col, time[col] < time[row]
    ahead = time[col] > time[row]
    masses = {"forward": weight[ahead].sum(), "backward": weight[back].sum()}
    if masses["forward"] == 0 or masses["backward"] > MAX_BACKWARD * (
        masses["forward"] + masses["backward"]
    ):
        share = masses["backward"] / max(masses["forward"] + masses["backward"], 1e-300)
        raise InvalidArgumentError(
            f"{100 * share:.0f} % of the transitions between cells of different `time_key={cells.time_key!r}` lead back in time"
            + (", and none forward" if masses["forward"] == 0 else "")
            + ": rows must be the earlier cells. Is the matrix transposed (pass `matrix.T`), or without direction?"
        )
    kept = ~own & ~back & (weight > 0)
    against = np.zeros(len(row), dtype=bool)
    if has_cycle(row[kept], col[kept], len(time)):
        against = kept & ~ahead & (cells.order[col] <= cells.order[row])
        kept &= ~against
    n = float(filled.sum())
    notes = {
        "own": float(weight[own].sum()) / n,
        "backward": float(weight[back].sum()) / n,
        "circular": float(weight[against].sum()) / n,
        "rescaled_rows": float((np.abs(total[filled] - 1.0) > 1e-3).mean()),
    }
    result = sparse.csr_matrix(
        (entries.data[kept], (row[kept], col[kept])), shape=matrix.shape, dtype=np.float32
    )
    return rescaled(with_ends(result)), notes


def rescaled(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows that do not sum to 1 divided by their sum; others are left as they are, to the last bit."""
    total = np.asarray(matrix.sum(axis=1)).ravel()
    if np.abs(total - 1.0).max() <= EXACT:
        matrix.sort_indices()
        return matrix
    return row_normalise(matrix)


def log_left_out(notes: dict[str, float]) -> None:
    """What of a user's transitions was not used, by its share."""
    texts = {
        "outside": "lead to cells that take no part (no time, or not in `receivers`)",
        "backward": "lead back in time",
        "circular": "lead round in circles within one time",
        "own": "stay in their cell",
    }
    for name, text in texts.items():
        if notes.get(name, 0.0) > 0.005:
            logger.warning(
                "%.0f %% of the transitions %s and were left out.", 100 * notes[name], text
            )
    if notes["rescaled_rows"] > 0.005:
        logger.info(
            "%.0f %% of the rows did not sum to 1 and were rescaled.", 100 * notes["rescaled_rows"]
        )


def reach_table(matrix: sparse.csr_matrix, cells: Cells) -> pd.DataFrame:
    """How far paths can be followed back: a row per number of steps, logged."""
    share, span = reach(matrix, cells.time, n_steps=N_STEPS)
    logger.info(
        "paths: %s of the cells can be followed back 1, 2, 3, 4 steps; 3 steps span %s of `%s` on average.",
        ", ".join(f"{100 * s:.0f} %" for s in share[:4]),
        "nothing" if np.isnan(span[2]) else f"{span[2]:.3g}",
        cells.time_key,
    )
    return pd.DataFrame(
        dict(zip(_keys.REACH_COLUMNS, (np.arange(1, N_STEPS + 1), share, span), strict=True))
    )
