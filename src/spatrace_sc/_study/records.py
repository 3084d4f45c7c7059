"""The record that holds one data set as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._data.cell_types import Mixture, one_hot
from .._regulators import Regulators


class Cells(NamedTuple):
    """Checked columns of ``obs`` and coordinates of all cells, and masks of senders and receivers.

    ``sample`` has codes, ``types`` and ``stage`` names; ``time`` is NaN where a cell has none.
    ``mixture`` holds the proportions of cell types where cells are mixed spots; ``types`` then has
    the type of the largest proportion.
    """

    coords: NDArray[np.float64]
    types: NDArray[np.str_]
    sample: NDArray[np.integer]
    stage: NDArray[np.str_]
    time: NDArray[np.float64]
    senders: NDArray[np.bool_]
    receivers: NDArray[np.bool_]
    mixture: Mixture | None = None

    def mixture_of(self, mask: NDArray[np.generic]) -> Mixture:
        """Return the proportions of types in some cells; a single type where none were given."""
        if self.mixture is None:
            return one_hot(self.types[mask])
        return self.mixture.among(mask)


@dataclass(frozen=True)
class CountNoise:
    """Share of the variance of TFs that is count noise; zeros where the data are not counts.

    ``logged`` (F,) of log-normalised expression and ``level`` (F,) of the level at ``scale``
    (:func:`spatrace_sc._study.count_noise.tf_levels`). ``overdispersion`` of the counts.
    """

    logged: NDArray[np.float64]
    level: NDArray[np.float64]
    scale: float
    overdispersion: float


@dataclass(frozen=True)
class Study:
    """One data set as arrays. Receivers and senders are numbered separately.

    - ``cells``: columns of all cells; properties give those of receivers and senders. ``rows``
      (cells,): their positions in the file.
    - ``stage`` (receivers,): position in ``stages``, which are in order of time; ``time``
      (receivers,).
    - ``radius``: in the units of the coordinates; ``um_per_unit``: their size, None if not known;
      ``weights`` (receivers, senders): kernel over
      distance; ``own_weights`` (receivers, senders): the part of it at which a receiver is its own
      sender, None if no cell signals to itself.
    - ``sender_ligand`` (senders, L), ``exposure`` (receivers, L), ``receptor`` (receivers, R):
      linear; ``tf`` (receivers, F), ``target`` (receivers, G): log-normalised.
    - ``noise``: count noise of the TFs; ``unit`` (cells,): linear value of one molecule, None if
      the data are not counts.
    - ``backward`` (receivers, receivers): transitions from each cell to the cells it came from;
      ``state`` (receivers, receivers): weights of earlier cells of nearly the same state, by which
      expression is denoised.
    - ``reads_tfs_alone``: whether the present level of a TF is read from that TF alone; False
      for results up to form 2.
    - ``former_covariates``: whether covariates are those of results up to form 3, without the
      state of the neighbourhood and with time to its cube.
    - ``named_covariates`` (receivers, C): numeric values of the covariates that the user named.
    """

    genes: Regulators
    cells: Cells
    rows: NDArray[np.intp]
    stage: NDArray[np.integer]
    stages: list[str]
    time: NDArray[np.float64]
    radius: float
    weights: sparse.csr_matrix
    sender_ligand: NDArray[np.float32]
    exposure: NDArray[np.float32]
    receptor: NDArray[np.float32]
    tf: NDArray[np.float32]
    noise: CountNoise
    unit: NDArray[np.float64] | None
    target: NDArray[np.float32]
    backward: sparse.csr_matrix
    state: sparse.csr_matrix
    reads_tfs_alone: bool = True
    former_covariates: bool = False
    own_weights: sparse.csr_matrix | None = None
    named_covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    um_per_unit: float | None = None

    @property
    def noise_known(self) -> bool:
        """Whether the count noise is known: the data are log1p of normalised counts."""
        return self.unit is not None

    @property
    def receivers(self) -> NDArray[np.bool_]:
        """(cells,) mask."""
        return self.cells.receivers

    @property
    def receiver_rows(self) -> NDArray[np.intp]:
        """(receivers,) positions in the file."""
        return self.rows[self.receivers]

    @property
    def sender_rows(self) -> NDArray[np.intp]:
        """(senders,) positions in the file."""
        return self.rows[self.senders]

    @property
    def senders(self) -> NDArray[np.bool_]:
        """(cells,) mask."""
        return self.cells.senders

    @property
    def coords(self) -> NDArray[np.float64]:
        """(receivers, 2 or 3) coordinates."""
        return self.cells.coords[self.receivers]

    @property
    def receiver_types(self) -> NDArray[np.str_]:
        """(receivers,) cell types."""
        return self.cells.types[self.receivers]

    @property
    def receiver_mixture(self) -> Mixture:
        """(receivers, K) proportions of cell types."""
        return self.cells.mixture_of(self.receivers)

    @property
    def receiver_sample(self) -> NDArray[np.integer]:
        """(receivers,) codes of the samples."""
        return self.cells.sample[self.receivers]

    @property
    def sender_types(self) -> NDArray[np.str_]:
        """(senders,) cell types."""
        return self.cells.types[self.senders]

    @property
    def sender_sample(self) -> NDArray[np.integer]:
        """(senders,) codes of the samples."""
        return self.cells.sample[self.senders]
