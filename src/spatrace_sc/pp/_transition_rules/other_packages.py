"""Transitions from the objects of CellRank and moscot.

The objects are recognised by their attributes, so that the packages need not be installed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from ..._check import shorten
from ..._data.cell_matrices import as_sparse, stored_matrix
from ..._errors import DataError, InvalidArgumentError, MissingKeyError
from .cells import Cells, Notes
from .matrices import among
from .rules import check_transport, join_within

logger = logging.getLogger("spatrace_sc")

#: Rows or columns of a coupling that are computed together.
BLOCK_SIZE = 512


@dataclass(frozen=True)
class CellRank:
    """Transition matrix of a CellRank kernel, or of a sum of kernels.

    Such kernels contain transitions to the cell itself and, with soft thresholds and
    connectivities, to earlier cells. Both are removed, rows are rescaled, and the shares are
    logged.

    Parameters
    ----------
    kernel
        Kernel on which ``compute_transition_matrix`` has been called, computed forward. Its cells
        are matched by name. None: ``obsp[key]``.
    key
        Slot that ``kernel.write_to_adata()`` writes.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> adata.obsp["T_fwd"] = st.pp.transitions(adata, copy=True)  # or kernel.write_to_adata()
    >>> st.pp.transitions(adata, method=st.pp.CellRank())
    >>> adata.uns["transitions"]["params"]["method"]
    'CellRank'
    """

    kernel: Any = None
    key: str = "T_fwd"

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        if self.kernel is None:
            if self.key not in cells.adata.obsp:
                raise MissingKeyError(
                    f"CellRank's `adata.obsp[{self.key!r}]` does not exist; it has "
                    f"{shorten(cells.adata.obsp.keys())}. Call `kernel.write_to_adata()`, or pass "
                    "the kernel as `method`."
                )
            return among(cells, stored_matrix(cells.adata, self.key))
        if getattr(self.kernel, "backward", False):
            raise InvalidArgumentError(
                "the kernel runs backward in time (`kernel.backward` is True); compute it "
                "forward, its rows must be the earlier cells."
            )
        matrix = self.kernel.transition_matrix
        if matrix is None:
            raise InvalidArgumentError(
                "the kernel has no transition matrix yet; call `kernel.compute_transition_matrix()`"
                " first."
            )
        names = pd.Index(self.kernel.adata.obs_names)
        entries = as_sparse(matrix, "`kernel.transition_matrix`", len(names)).tocoo()
        index = cell_indices(names, cells.adata, "the kernel")
        n = cells.adata.n_obs
        return among(
            cells,
            sparse.csr_matrix(
                (entries.data, (index[entries.row], index[entries.col])), shape=(n, n)
            ),
        )


@dataclass(frozen=True)
class Moscot:
    """Couplings of moscot between stages.

    Parameters
    ----------
    problem
        A solved problem over time, e.g.
        ``TemporalProblem(adata).prepare("stage_time").solve()``; it may be spatiotemporal. Its
        cells are matched by name. None: a ``TemporalProblem`` on the representation is solved,
        for which moscot must be installed.
    epsilon, tau
        Passed to moscot as ``epsilon`` and ``tau_a`` when a problem is solved.
    within
        Share of the transitions that lead to later cells of the same stage, as in
        :class:`spatrace_sc.pp.OptimalTransport`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> st.pp.Moscot(within=0.3)  # method=..., or a solved problem as it is: method=problem
    Moscot(problem=None, epsilon=0.05, tau=1.0, within=0.3)
    """

    problem: Any = None
    epsilon: float = 0.05
    tau: float = 1.0
    within: float = 0.5

    def __post_init__(self) -> None:
        check_transport(self.epsilon, self.tau, self.within)

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        problem = self.problem if self.problem is not None else self._solve(cells)
        solutions = {k: s for k, s in dict(problem.solutions).items() if s is not None}
        if not solutions:
            raise InvalidArgumentError(
                "the moscot problem has no solution; call `problem.prepare(...).solve(...)` first."
            )
        n = cells.adata.n_obs
        rows, cols, data, shares = [], [], [], []
        for key, solution in solutions.items():
            pair, owner = problem.problems[key], f"moscot's problem {key}"
            source = cell_indices(pd.Index(pair.adata_src.obs_names), cells.adata, owner)
            target = cell_indices(pd.Index(pair.adata_tgt.obs_names), cells.adata, owner)
            block, share = strongest_of(solution, cells.n_neighbors)
            rows.append(source[block.row])
            cols.append(target[block.col])
            data.append(block.data)
            shares.append(share)
        least = min(shares)
        logger.info(
            "moscot: at least %.0f %% of the mass between two stages retained.", 100 * least
        )
        matrix = sparse.csr_matrix(
            (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=(n, n)
        )
        between, notes = among(cells, matrix)
        return join_within(between, cells, self.within), {"least_kept_mass": least} | notes

    def _solve(self, cells: Cells) -> Any:
        """Return a solved problem on the representation."""
        try:
            from moscot.problems.time import TemporalProblem
        except ImportError as error:
            raise InvalidArgumentError(
                '`method="moscot"` needs moscot, which is not installed: `pip install moscot` '
                '(which installs JAX), or use `method="optimal_transport"`.'
            ) from error
        names = cells.adata.obs_names[cells.mask]
        table = AnnData(
            cells.representation.astype(np.float32),
            obs=pd.DataFrame({"stage": pd.Categorical(cells.stage.astype(float))}, index=names),
            obsm={"X_rep": cells.representation},
        )
        problem = TemporalProblem(table).prepare(time_key="stage", joint_attr="X_rep")
        return problem.solve(epsilon=float(self.epsilon), tau_a=float(self.tau), scale_cost="mean")


def cell_indices(names: pd.Index, adata: AnnData, owner: str) -> NDArray[np.intp]:
    """Return the rows of ``adata`` with these names; ``owner`` says whose cells they are."""
    if not adata.obs_names.is_unique:
        raise DataError(
            "`adata.obs_names` has repeated names; call `adata.obs_names_make_unique()`."
        )
    index: NDArray[np.intp] = adata.obs_names.get_indexer(names)
    missing = names[index < 0]
    if len(missing):
        raise InvalidArgumentError(
            f"{len(missing)} of {len(names)} cells of {owner} are not in `adata.obs_names` "
            f"({shorten(missing, 3)}); it was computed on other cells."
        )
    return index


def strongest_of(solution: Any, k: int) -> tuple[sparse.coo_matrix, float]:
    """Return the ``k`` largest entries of every row and column, and their share of the mass.

    The coupling is computed in blocks of rows and of columns, never as a dense matrix.
    """
    n, m = solution.shape
    total, parts = 0.0, []
    for size, apply, by_row in ((n, solution.push, True), (m, solution.pull, False)):
        for start in range(0, size, BLOCK_SIZE):
            index = np.arange(start, min(size, start + BLOCK_SIZE))
            block = _columns(apply, index, size)  # (other side, index)
            total += float(block.sum()) if by_row else 0.0
            other = np.argsort(-block, axis=0, kind="stable")[:k]
            repeated = np.broadcast_to(index, other.shape)
            row, col = (repeated, other) if by_row else (other, repeated)
            value = np.take_along_axis(block, other, axis=0)
            parts.append((row.ravel(), col.ravel(), value.ravel()))
    row, col, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    _, first = np.unique(row.astype(np.int64) * m + col, return_index=True)
    first = first[value[first] > 0]
    if total <= 0 or not np.isfinite(total):
        raise DataError("a moscot coupling has no mass or is not finite; did the solver converge?")
    strongest = sparse.coo_matrix((value[first], (row[first], col[first])), shape=(n, m))
    return strongest, float(value[first].sum() / total)


def _columns(
    apply: Callable[[Any], Any], index: NDArray[np.intp], size: int
) -> NDArray[np.float64]:
    """Return the coupling's rows or columns at ``index``, as columns."""
    indicator = np.zeros((size, len(index)), dtype=np.float32)
    indicator[index, np.arange(len(index))] = 1.0
    return np.asarray(apply(indicator), dtype=np.float64)
