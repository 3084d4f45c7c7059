"""Where transitions come from: one small callable per source."""

from __future__ import annotations

import logging
import numbers
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ... import _keys
from ..._check import positive, share_of_one, shorten, whole
from ..._core.transitions import blend, forward_knn, within_stages
from ..._core.transport import TOLERANCE, couple, unit_mean
from ..._data.cells import coordinates
from ..._errors import DataError, InvalidArgumentError, MissingKeyError
from .cells import Cells

logger = logging.getLogger("spatrace_sc")

#: What a rule says about its result, by name.
Notes = dict[str, float]
#: Cells in; (n, n) CSR among them and notes out. What comes out need not be normalised, and is checked afterwards.
Rule = Callable[[Cells], tuple[sparse.csr_matrix, Notes]]
#: Numbers in a dense matrix above which it is refused (0.8 GB).
MAX_DENSE = 10_000**2


@dataclass(frozen=True)
class Pseudotime:
    """Forward nearest neighbours along time: :func:`spatrace_sc.pp.transitions` has the equation."""

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """See :data:`Rule`."""
        return forward_knn(cells.representation, cells.time, n_neighbors=cells.n_neighbors), {}


@dataclass(frozen=True)
class Stages:
    """Nearest neighbours in the next stage, weighted as those along time.

    Each cell is linked to its ``n_neighbors // 2`` nearest of the next stage, and of the stage before. Unlike ``method="pseudotime"`` with stages as time, no order within a stage is
    guessed unless ``within`` asks for it: cells of the first stage have no past then.

    Parameters
    ----------
    within
        At least 0, below 1: share of the transitions that lead to later cells of the same stage, as in :class:`spatrace_sc.pp.OptimalTransport`.

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
        check_within(self.within)

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """See :data:`Rule`."""
        stage = cells.stage
        both = forward_knn(
            cells.representation, stage.astype(float), n_neighbors=cells.n_neighbors
        ).tocoo()
        kept = stage[both.col] == stage[both.row] + 1
        between = sparse.csr_matrix(
            (both.data[kept], (both.row[kept], both.col[kept])), shape=both.shape
        )
        return join_within(between, cells, self.within), {}


@dataclass(frozen=True)
class OptimalTransport:
    r"""Entropic optimal transport between the cells of consecutive stages.

    .. math:: \min_T \sum_{ij} T_{ij} C_{ij} + \varepsilon \sum_{ij} T_{ij} (\log T_{ij} - 1), \quad C_{ij} = \frac{\|x_i - x_j\|^2}{\text{mean}} + w \frac{\|s_i - s_j\|^2}{\text{mean}}

    from earlier cells *i* to later cells *j*, *x* in expression space and *s* in space, C divided by its mean. All later cells receive the same mass; all earlier cells give the same
    if ``tau`` is 1, otherwise more or less. T exists only on each cell's ``n_candidates`` nearest of the other stage, seen from either side, so memory grows with the number of cells and not with its
    square; the ``n_neighbors`` strongest of every row and column are kept.

    Parameters
    ----------
    epsilon
        Entropy, in units of the mean cost. Small: few likely descendants; large: any.
    tau
        Above 0, at most 1. Below 1 earlier cells may have more or fewer descendants (the weight of the deviation is ε τ / (1 − τ)), as where cells divide or die.
    within
        At least 0, below 1: share of the transitions that lead to later cells of the same stage, by expression (the order within a stage is that in which expression predicts the
        stage, or ``time_key`` if it is finer). With 0 there are none, and cells of the first stage have no past.
    n_candidates
        Cells of the other stage that a cell can be coupled with. As many as the largest stage: all.
    space
        Weight *w* of the positions beside expression. Above 0, ``obsm[spatial_key]`` must hold positions of all stages aligned to **one** frame; this cannot be checked. For slices
        that are not aligned leave it 0, or pass a solved problem of moscot (fused Gromov–Wasserstein).
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
        if (
            isinstance(self.space, bool)
            or not isinstance(self.space, numbers.Real)
            or not 0 <= self.space < np.inf
        ):
            raise InvalidArgumentError(
                f"`space` must be a number of at least 0, found {self.space!r}."
            )

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """See :data:`Rule`."""
        position = None
        if self.space > 0:
            position = coordinates(cells.adata, self.spatial_key)[cells.mask]
            logger.warning(
                "optimal transport compares `adata.obsm[%r]` across stages as it is: the slices must be aligned to one frame.",
                self.spatial_key,
            )
        groups = [np.flatnonzero(cells.stage == code) for code in range(cells.stage.max() + 1)]
        rows, cols, data, found = [], [], [], []
        for earlier, later in pairwise(groups):
            block, notes = couple(
                *self._places(cells.representation, position, earlier, later),
                epsilon=float(self.epsilon),
                tau=float(self.tau),
                n_candidates=int(self.n_candidates),
                n_kept=cells.n_neighbors,
            )
            if not np.isfinite(notes["change"]):
                raise DataError(
                    f"optimal transport has no solution that can be computed with `epsilon={self.epsilon}` and `tau={self.tau}`; take larger values."
                )
            if notes["change"] > TOLERANCE:
                logger.warning(
                    "optimal transport between stages %d and %d did not settle in %d steps; %.1f %% of the mass leaves from other cells than it should. Take a larger `epsilon` or more `n_candidates`, or `tau` below 1.",
                    *(
                        cells.stage[earlier[0]],
                        cells.stage[later[0]],
                        notes["steps"],
                        100 * notes["source_error"],
                    ),
                )
            entries = block.tocoo()
            rows.append(earlier[entries.row])
            cols.append(later[entries.col])
            data.append(entries.data)
            found.append(notes)
        n = len(cells.time)
        between = sparse.csr_matrix(
            (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=(n, n)
        )
        least = min(f["kept_mass"] for f in found)
        logger.info(
            "optimal transport: at least %.0f %% of the mass between two stages kept.", 100 * least
        )
        worst = {
            f"largest_{name}": max(f[name] for f in found) for name in ("source_error", "change")
        }
        return join_within(between, cells, self.within), {"least_kept_mass": least} | worst

    def _places(
        self,
        expression: NDArray[np.float64],
        position: NDArray[np.float64] | None,
        earlier: NDArray[np.intp],
        later: NDArray[np.intp],
    ) -> list[NDArray[np.float64]]:
        """Coordinates of either stage whose squared distances are the cost, up to a factor."""
        if position is None:
            return [expression[earlier], expression[later]]
        scaled = []
        for values, weight in ((expression, 1.0), (position, self.space)):
            unit = unit_mean(values[earlier], values[later])
            scaled.append(values * (np.sqrt(weight) / unit))
        both = np.hstack(scaled)
        return [both[earlier], both[later]]


@dataclass(frozen=True)
class Given:
    """A cells × cells matrix of the user's, row = earlier cell."""

    matrix: Any
    name: str = "`method`"

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """See :data:`Rule`."""
        return among(cells, as_sparse(self.matrix, self.name, cells.adata.n_obs))


@dataclass(frozen=True)
class Stored:
    """A slot of ``obsp``, row = earlier cell."""

    key: str

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """See :data:`Rule`."""
        if self.key not in cells.adata.obsp:
            raise MissingKeyError(
                f"{self.key!r} is not in `adata.obsp`; it has {shorten(cells.adata.obsp.keys())}."
            )
        return Given(cells.adata.obsp[self.key], f"`adata.obsp[{self.key!r}]`")(cells)


def check_transport(epsilon: object, tau: object, within: object) -> None:
    """The numbers that every kind of transport has."""
    positive(epsilon, "epsilon")
    if epsilon is None:
        raise InvalidArgumentError("`epsilon` must be a positive number, found None.")
    share_of_one(tau, "tau")
    check_within(within)


def check_within(within: object) -> None:
    """A share of at least 0 and below 1."""
    if (
        isinstance(within, bool)
        or not isinstance(within, numbers.Real)
        or not 0 <= float(within) < 1
    ):
        raise InvalidArgumentError(f"`within` must be at least 0 and below 1, found {within!r}.")


def join_within(between: sparse.csr_matrix, cells: Cells, within: float) -> sparse.csr_matrix:
    """Transitions between stages with those within a stage beside them."""
    if within == 0:
        return between
    own = within_stages(
        cells.representation, cells.stage, cells.order, n_neighbors=max(1, cells.n_neighbors // 2)
    )
    return blend(between, own, float(within))


def as_sparse(matrix: Any, name: str, n: int) -> sparse.csr_matrix:
    """A sparse or small dense matrix of the right shape as CSR, entries checked."""
    if sparse.issparse(matrix):
        found = matrix
    else:
        found = np.asarray(matrix)
        if found.dtype.kind not in "fiub" or found.ndim != 2:
            raise InvalidArgumentError(
                f"{name} must be a matrix of numbers, found {type(matrix).__name__}."
            )
        if found.size > MAX_DENSE:
            raise InvalidArgumentError(
                f"{name} is dense with {found.shape[0]} × {found.shape[1]} entries; above {MAX_DENSE:.0e} only sparse matrices are taken. Keep the largest entries of each row as scipy.sparse.csr_matrix."
            )
    if found.shape != (n, n):
        raise InvalidArgumentError(
            f"{name} has shape {found.shape}; cells × cells of the data is {(n, n)}."
        )
    result = sparse.csr_matrix(found, dtype=np.float64)
    if not np.isfinite(result.data).all() or (result.data < 0).any():
        raise DataError(
            f"{name} has negative or non-finite entries; it must hold transition probabilities."
        )
    return result


def among(cells: Cells, matrix: sparse.csr_matrix) -> tuple[sparse.csr_matrix, Notes]:
    """The part among the cells that take part, its rows as they are, and the share of its rows' mass that led elsewhere."""
    here = np.flatnonzero(cells.mask)
    rows = matrix[here]
    block = rows[:, here]
    total = float(rows.sum())
    return block, {"outside": 1.0 - float(block.sum()) / total if total > 0 else 0.0}


def parameters(rule: Any) -> dict[str, float | int | str]:
    """What of a rule's fields can be stored: numbers and text."""
    return {
        f.name: v for f in fields(rule) if isinstance(v := getattr(rule, f.name), int | float | str)
    }
