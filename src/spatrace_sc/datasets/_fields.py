"""Smooth random fields over a tissue, and decoys that resemble the gene they copy."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: Length over which expression varies in space, in units of the cell spacing.
FIELD_LENGTH = 8.0


def smooth_field(
    rng: np.random.Generator, xy: np.ndarray, length: float, n_features: int = 60
) -> np.ndarray:
    """A Gaussian random field with unit variance and squared-exponential covariance.

    ``length`` is that of the covariance. The field is a sum of random Fourier features.
    """
    frequency = rng.normal(0, 1.0 / length, (2, n_features))
    phase = rng.uniform(0, 2 * np.pi, n_features)
    weight = rng.normal(size=n_features)
    field: np.ndarray = np.sqrt(2.0 / n_features) * np.cos(xy @ frequency + phase) @ weight
    return field


def copied_fields(
    rng: np.random.Generator,
    cells: pd.DataFrame,
    copied: np.ndarray,
    spacing: float,
    likeness: float,
) -> np.ndarray:
    """(cells, genes) one smooth field per gene and slice.

    The field of a decoy correlates at ``likeness`` with that of the gene it copies (``copied``, -1
    for no decoy).
    """
    field = np.empty((len(cells), len(copied)))
    for sample in cells["sample"].unique():
        members = (cells["sample"] == sample).to_numpy()
        xy = cells.loc[members, ["x", "y"]].to_numpy()
        drawn = np.stack([smooth_field(rng, xy, FIELD_LENGTH * spacing) for _ in copied], axis=1)
        field[members] = resemble(drawn, copied, likeness)
    return field


def resemble(values: np.ndarray, copied: np.ndarray, likeness: float) -> np.ndarray:
    """Columns of decoys mixed with the column they copy, to correlation ``likeness``.

    The variance stays the same.
    """
    mixed = likeness * values[:, copied] + np.sqrt(1 - likeness**2) * values
    return np.where(copied >= 0, mixed, values)
