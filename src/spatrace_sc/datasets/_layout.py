"""Where simulated cells lie: slices of tissue whose domains move between stages."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: Area per cell, in squared coordinate units (read them as µm).
AREA_PER_CELL = 100.0


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

    Cells lie on a jittered hexagonal grid (about 10 µm apart). Five domains are the Voronoi cells of centres that drift by up to a quarter of
    the slice between the first and the last stage; every domain has its own mixture of types, so senders and receivers are zoned but mixed.

    Returns
    -------
    One row per cell: ``x``, ``y``, ``cell_type``, ``sample``, ``stage``, ``stage_time`` and ``is_receiver``.
    """
    n_domains = 5
    start = rng.uniform(0.1, 0.9, (n_domains, 2))
    drift = rng.uniform(-0.25, 0.25, (n_domains, 2))
    senders = [f"sender_{k}" for k in range(n_sender_types)]
    receivers = [f"receiver_{k}" for k in range(n_receiver_types)]
    mixture = np.hstack(
        [
            (1.0 - receiver_fraction) * rng.dirichlet(np.full(n_sender_types, 0.4), n_domains),
            receiver_fraction * rng.dirichlet(np.full(n_receiver_types, 1.0), n_domains),
        ]
    )
    names = np.array(senders + receivers)
    per_slice = np.full(n_stages * n_slices, n_cells // (n_stages * n_slices))
    per_slice[: n_cells % (n_stages * n_slices)] += 1
    frames = []
    for number, size in enumerate(per_slice):
        stage, replicate = divmod(number, n_slices)
        centres = start + drift * stage / max(1, n_stages - 1) + rng.normal(0, 0.03, (n_domains, 2))
        xy = _hexagonal(rng, int(size))
        domain = ((xy[:, None, :] - centres) ** 2).sum(-1).argmin(1)
        cumulative = np.cumsum(mixture[domain], axis=1)
        kind = (rng.random((len(xy), 1)) * cumulative[:, -1:] > cumulative).sum(1)
        side = np.sqrt(size * AREA_PER_CELL)
        frames.append(
            pd.DataFrame(
                {
                    "x": xy[:, 0] * side,
                    "y": xy[:, 1] * side,
                    "cell_type": names[kind],
                    "sample": f"E{stage + 1}_slice{replicate + 1}",
                    "stage": f"E{stage + 1}",
                    "stage_time": float(stage + 1),
                    "is_receiver": kind >= n_sender_types,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _hexagonal(rng: np.random.Generator, size: int) -> np.ndarray:
    """Points of a jittered hexagonal grid in the unit square."""
    step = 1.0 / np.sqrt(size) * np.sqrt(2 / np.sqrt(3)) * 0.98
    rows = np.arange(0, 1 + step, step * np.sqrt(3) / 2)
    grid = np.array(
        [
            (x + (r % 2) * step / 2, y)
            for r, y in enumerate(rows)
            for x in np.arange(0, 1 + step, step)
        ]
    )
    grid = grid[(grid <= 1.0).all(1)]
    while len(grid) < size:
        grid = np.vstack([grid, rng.random((size - len(grid), 2))])
    chosen = np.sort(rng.choice(len(grid), size, replace=False))
    return grid[chosen] + rng.normal(0, 0.2 * step, (size, 2))


def smooth_field(
    rng: np.random.Generator, xy: np.ndarray, length: float, n_features: int = 60
) -> np.ndarray:
    """A Gaussian random field with unit variance and squared-exponential covariance of the given length (random Fourier features)."""
    frequency = rng.normal(0, 1.0 / length, (2, n_features))
    phase = rng.uniform(0, 2 * np.pi, n_features)
    weight = rng.normal(size=n_features)
    field: np.ndarray = np.sqrt(2.0 / n_features) * np.cos(xy @ frequency + phase) @ weight
    return field
