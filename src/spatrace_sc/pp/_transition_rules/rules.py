"""Rules of transitions along pseudotime and between stages: one small callable each."""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import _keys
from ..._check import at_least_zero, positive, share_below_one, share_of_one, whole
from ..._core.transitions import blend, forward_knn, within_stages
from ..._core.transport import TOLERANCE, couple, unit_mean
from ..._data.cells import coordinates
from ..._errors import DataError
from .cells import Cells, Notes

logger = logging.getLogger("spatrace_sc")


@dataclass(frozen=True)
class Pseudotime:
    """Forward nearest neighbours along time, see :func:`spatrace_sc.pp.transitions`."""

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        return forward_knn(cells.representation, cells.time, n_neighbors=cells.n_neighbors), {}


@dataclass(frozen=True)
class Stages:
    """Nearest neighbours in the next stage, weighted as those along time.

    Each cell is linked to its ``n_neighbors // 2`` nearest cells of the next stage, and of the
    stage before. Unlike ``method="pseudotime"`` with stages as time, cells are not ordered within
    a stage unless ``within`` is above 0; cells of the first stage then have no past.

    Parameters
    ----------
    within
        At least 0, below 1: share of the transitions that lead to later cells of the same stage,
        as in :class:`spatrace_sc.pp.OptimalTransport`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> receivers = ["receiver_0", "receiver_1"]
    >>> st.pp.transitions(adata, method="stages", time_key="stage_time", receivers=receivers)
    >>> adata.uns["transitions"]["reach"]["cells"].round(2)[:3].tolist()
    [0.64, 0.3, 0.0]
    """

    within: float = 0.0

    def __post_init__(self) -> None:
        share_below_one(self.within, "within")

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        stage = cells.stage
        entries = forward_knn(
            cells.representation, stage.astype(float), n_neighbors=cells.n_neighbors
        ).tocoo()
        is_next = stage[entries.col] == stage[entries.row] + 1
        between = sparse.csr_matrix(
            (entries.data[is_next], (entries.row[is_next], entries.col[is_next])),
            shape=entries.shape,
        )
        return join_within(between, cells, self.within), {}


@dataclass(frozen=True)
class OptimalTransport:
    """Entropic optimal transport between the cells of consecutive stages.

    From earlier cells i to later cells j it minimises, over couplings T::

        sum_ij T_ij C_ij + ε sum_ij T_ij (log T_ij - 1),  C_ij = ‖x_i - x_j‖² + w ‖s_i - s_j‖²

    with x in expression space and s in space, each squared distance divided by its mean, and C
    divided by its mean. All later cells receive the same mass. All earlier cells give the same
    mass if ``tau`` is 1, otherwise more or less. T exists only on each cell's ``n_candidates``
    nearest cells of the other stage, seen from either side, so memory grows linearly with the
    number of cells. The ``n_neighbors`` strongest entries of every row and column are retained.

    Parameters
    ----------
    epsilon
        Entropy ε, in units of the mean cost. Small: few likely descendants; large: any.
    tau
        Above 0, at most 1. Below 1, earlier cells may have more or fewer descendants, as where
        cells divide or die; the weight of the deviation is ε τ / (1 - τ).
    within
        At least 0, below 1: share of the transitions that lead to later cells of the same stage,
        by expression. The order within a stage is the one in which expression predicts the stage,
        or ``time_key`` if it is finer. With 0 there are no such transitions, and cells of the
        first stage have no past.
    n_candidates
        Number of cells of the other stage that a cell can be coupled with. The size of the
        largest stage: all cells.
    space
        Weight w of the positions relative to expression. Above 0, ``obsm[spatial_key]`` must hold
        positions of all stages aligned to one frame; this cannot be checked. For slices that are
        not aligned use 0, or pass a solved problem of moscot (fused Gromov-Wasserstein).
    spatial_key
        Slot of ``obsm`` with positions.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> receivers = ["receiver_0", "receiver_1"]
    >>> rule = st.pp.OptimalTransport(epsilon=0.1)
    >>> st.pp.transitions(adata, method=rule, time_key="stage_time", receivers=receivers)
    >>> adata.uns["transitions"]["params"]["method"]
    'OptimalTransport'
    """

    epsilon: float = 0.05
    tau: float = 1.0
    within: float = 0.5
    n_candidates: int = 200
    space: float = 0.0
    spatial_key: str = _keys.SPATIAL

    def __post_init__(self) -> None:
        check_transport(self.epsilon, self.tau, self.within)
        whole(self.n_candidates, "n_candidates")
        at_least_zero(self.space, "space")

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        position = None
        if self.space > 0:
            position = coordinates(cells.adata, self.spatial_key)[cells.mask]
            logger.warning(
                "optimal transport compares `adata.obsm[%r]` across stages as it is: the slices "
                "must be aligned to one frame.",
                self.spatial_key,
            )
        groups = [np.flatnonzero(cells.stage == code) for code in range(cells.stage.max() + 1)]
        rows, cols, data, notes = [], [], [], []
        for earlier, later in pairwise(groups):
            places = self._places(cells.representation, position, earlier, later)
            block, note = couple(
                *places,
                epsilon=float(self.epsilon),
                tau=float(self.tau),
                n_candidates=int(self.n_candidates),
                n_kept=cells.n_neighbors,
            )
            self._check_solution(note, cells.stage[earlier[0]], cells.stage[later[0]])
            entries = block.tocoo()
            rows.append(earlier[entries.row])
            cols.append(later[entries.col])
            data.append(entries.data)
            notes.append(note)
        n = len(cells.time)
        between = sparse.csr_matrix(
            (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=(n, n)
        )
        least = min(note["kept_mass"] for note in notes)
        logger.info(
            "optimal transport: at least %.0f %% of the mass between two stages retained.",
            100 * least,
        )
        worst = {
            f"largest_{name}": max(note[name] for note in notes)
            for name in ("source_error", "change")
        }
        return join_within(between, cells, self.within), {"least_kept_mass": least} | worst

    def _check_solution(self, note: Notes, earlier: int, later: int) -> None:
        """Require a finite solution, and warn if it has not converged."""
        if not np.isfinite(note["change"]):
            raise DataError(
                "optimal transport has no solution that can be computed with "
                f"`epsilon={self.epsilon}` and `tau={self.tau}`; use larger values."
            )
        if note["change"] > TOLERANCE:
            logger.warning(
                "optimal transport between stages %d and %d did not converge in %d steps; %.1f %% "
                "of the mass leaves the wrong cells. Use a larger `epsilon` or more "
                "`n_candidates`, or `tau` below 1.",
                *(earlier, later, note["steps"], 100 * note["source_error"]),
            )

    def _places(
        self,
        expression: NDArray[np.float64],
        position: NDArray[np.float64] | None,
        earlier: NDArray[np.intp],
        later: NDArray[np.intp],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return coordinates of both stages; squared distances are the cost, up to a factor."""
        if position is None:
            return expression[earlier], expression[later]
        scaled = []
        for values, weight in ((expression, 1.0), (position, self.space)):
            unit = unit_mean(values[earlier], values[later])
            scaled.append(values * (np.sqrt(weight) / unit))
        joint = np.hstack(scaled)
        return joint[earlier], joint[later]


def check_transport(epsilon: object, tau: object, within: object) -> None:
    """Check the options that every kind of transport has."""
    positive(epsilon, "epsilon")
    share_of_one(tau, "tau")
    share_below_one(within, "within")


def join_within(between: sparse.csr_matrix, cells: Cells, within: float) -> sparse.csr_matrix:
    """Add transitions within stages, with the share ``within``, to those between stages."""
    if within == 0:
        return between
    same_stage = within_stages(
        cells.representation, cells.stage, cells.order, n_neighbors=max(1, cells.n_neighbors // 2)
    )
    return blend(between, same_stage, float(within))


def parameters(rule: Any) -> dict[str, float | int | str]:
    """Return the fields of a rule that can be stored: numbers and text."""
    return {
        f.name: v for f in fields(rule) if isinstance(v := getattr(rule, f.name), int | float | str)
    }
