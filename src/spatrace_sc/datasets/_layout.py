"""Positions and types of simulated cells: slices whose domains move between stages."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .._errors import InvalidArgumentError

#: Area per cell, in squared coordinate units (read them as µm).
AREA_PER_CELL = 100.0
#: Domains with different mixtures of cell types.
N_DOMAINS = 5


def domain_layout(
    rng: np.random.Generator,
    *,
    n_cells: int,
    n_stages: int,
    n_slices: int,
    n_sender_types: int,
    n_receiver_types: int,
    receiver_fraction: float,
) -> pd.DataFrame:
    """Positions and types of cells, slice by slice.

    Cells lie on a jittered hexagonal grid (about 10 µm apart). Five domains are the Voronoi cells
    of centres that drift by up to a quarter of the slice between the first and the last stage.
    Every domain has its own mixture of types, so senders and receivers are zoned but mixed.

    Returns
    -------
    One row per cell: ``x``, ``y``, ``cell_type``, ``sample``, ``stage``, ``stage_time`` and
    ``is_receiver``.
    """
    start = rng.uniform(0.1, 0.9, (N_DOMAINS, 2))
    drift = rng.uniform(-0.25, 0.25, (N_DOMAINS, 2))
    senders = [f"sender_{k}" for k in range(n_sender_types)]
    receivers = [f"receiver_{k}" for k in range(n_receiver_types)]
    sender_mixture = rng.dirichlet(np.full(n_sender_types, 0.4), N_DOMAINS)
    receiver_mixture = rng.dirichlet(np.full(n_receiver_types, 1.0), N_DOMAINS)
    mixture = np.hstack(
        [(1.0 - receiver_fraction) * sender_mixture, receiver_fraction * receiver_mixture]
    )
    names = np.array(senders + receivers)
    per_slice = np.full(n_stages * n_slices, n_cells // (n_stages * n_slices))
    per_slice[: n_cells % (n_stages * n_slices)] += 1
    frames = []
    for number, size in enumerate(per_slice):
        stage, replicate = divmod(number, n_slices)
        jitter = rng.normal(0, 0.03, (N_DOMAINS, 2))
        centres = start + drift * stage / max(1, n_stages - 1) + jitter
        xy = _hexagonal(rng, int(size))
        domain = ((xy[:, None, :] - centres) ** 2).sum(-1).argmin(1)
        cumulative = np.cumsum(mixture[domain], axis=1)
        code = (rng.random((len(xy), 1)) * cumulative[:, -1:] > cumulative).sum(1)
        side = np.sqrt(size * AREA_PER_CELL)
        frames.append(
            pd.DataFrame(
                {
                    "x": xy[:, 0] * side,
                    "y": xy[:, 1] * side,
                    "cell_type": names[code],
                    "sample": f"E{stage + 1}_slice{replicate + 1}",
                    "stage": f"E{stage + 1}",
                    "stage_time": float(stage + 1),
                    "is_receiver": code >= n_sender_types,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def given_layout(
    layout: pd.DataFrame, receivers: list[str] | None, receiver_fraction: float
) -> pd.DataFrame:
    """Cells of a real tissue, with the columns of :func:`domain_layout`.

    Raises
    ------
    InvalidArgumentError
        A column is missing, a receiver type is unknown, or there are no senders or no receivers.
    """
    missing = [c for c in ("x", "y", "cell_type", "sample", "stage") if c not in layout]
    if missing:
        raise InvalidArgumentError(
            f"`layout` lacks the columns {missing}; it has {list(layout.columns)}."
        )
    cells = layout.reset_index(drop=True).copy()
    if "stage_time" not in cells:
        stage = cells["stage"]
        categorical = isinstance(stage.dtype, pd.CategoricalDtype)
        order = list(stage.cat.categories if categorical else stage.unique())
        cells["stage_time"] = stage.map({s: k + 1.0 for k, s in enumerate(order)}).astype(float)
    types = cells["cell_type"].astype(str)
    frequency = types.value_counts(normalize=True)
    if receivers is None:
        n_receivers = int((frequency.cumsum() < receiver_fraction).sum()) + 1
        receivers = list(frequency.index[:n_receivers])
    unknown = sorted(set(receivers) - set(frequency.index))
    if unknown:
        raise InvalidArgumentError(
            f"`receivers` names {unknown}, which are not in `layout`; its types are "
            f"{sorted(frequency.index)}."
        )
    cells["is_receiver"] = types.isin(receivers)
    if cells["is_receiver"].all() or not cells["is_receiver"].any():
        raise InvalidArgumentError(
            "`layout` needs senders and receivers, but all its cells are of one kind. Name some, "
            "not all, of its cell types as `receivers`."
        )
    for column in ("cell_type", "sample", "stage"):
        cells[column] = cells[column].astype(str)
    return cells


def _hexagonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """Points of a jittered hexagonal grid in the unit square."""
    step = 1.0 / np.sqrt(size) * np.sqrt(2 / np.sqrt(3)) * 0.98
    rows = np.arange(0, 1 + step, step * np.sqrt(3) / 2)
    columns = np.arange(0, 1 + step, step)
    grid = np.array([(x + (r % 2) * step / 2, y) for r, y in enumerate(rows) for x in columns])
    grid = grid[(grid <= 1.0).all(1)]
    while len(grid) < size:
        grid = np.vstack([grid, rng.random((size - len(grid), 2))])
    chosen = np.sort(rng.choice(len(grid), size, replace=False))
    return grid[chosen] + rng.normal(0, 0.2 * step, (size, 2))
