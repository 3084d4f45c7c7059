"""Seconds of the refits, estimated from their sizes before they begin."""

from __future__ import annotations

import time

import torch

#: Passes over all columns that a refit costs, and seconds beside them: of a refit, and per output.
N_PASSES, SECONDS_PER_REFIT, SECONDS_PER_OUTPUT = 22, 0.1, 0.0015
#: Rows, inner columns and columns of the product that measures this machine.
PRODUCT = (1024, 4096, 256)
#: Products per second, in 10⁹ operations, of the core on which the seconds were measured.
REFERENCE_SPEED = 88.0


def refit_seconds(n_columns: int, n_cells: int, n_outputs: int, speed: float) -> float:
    """Seconds of one refit on one core.

    Parameters
    ----------
    n_columns
        Regulators and their decoys.
    n_cells
        Cells of the refit.
    n_outputs
        Targets and TF genes that are predicted.
    speed
        10⁹ operations a second in a product of matrices (:func:`product_speed`).
    """
    operations = 2e-9 * n_columns * n_cells * n_outputs
    beside = SECONDS_PER_REFIT + SECONDS_PER_OUTPUT * n_outputs
    return N_PASSES * operations / speed + beside * REFERENCE_SPEED / speed


def product_speed() -> float:
    """10⁹ operations a second in a product of matrices; it takes some hundredths of a second."""
    n, k, m = PRODUCT
    left, right = torch.ones(n, k), torch.ones(k, m)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        left @ right
        seconds.append(time.perf_counter() - started)
    return 2e-9 * n * k * m / max(min(seconds), 1e-9)
