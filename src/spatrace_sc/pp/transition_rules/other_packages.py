"""Transitions out of the objects of other packages, which are known by what they offer and imported late."""

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
from ..._errors import DataError, InvalidArgumentError, MissingKeyError
from .cells import Cells
from .rules import (
    Given,
    Notes,
    OptimalTransport,
    Pseudotime,
    Rule,
    Stages,
    Stored,
    among,
    as_sparse,
    check_transport,
    join_within,
)

logger = logging.getLogger("spatrace_sc")

#: Rows of a coupling that are looked at together.
BLOCK = 512


@dataclass(frozen=True)
class CellRank:
    """Transition matrix of a CellRank kernel, or of a sum of kernels.

    Their rows hold a cell's transitions to itself and, for soft thresholds and connectivities, to earlier cells: both are left out, rows are rescaled, and the shares are logged.

    Parameters
    ----------
    kernel
        Kernel whose ``compute_transition_matrix`` has been called, computed forward. Its cells are found by name. None: ``obsp[key]``.
    key
        Where ``kernel.write_to_adata()`` writes.

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
        """Matrix among the cells, and notes."""
        if self.kernel is None:
            if self.key not in cells.adata.obsp:
                raise MissingKeyError(
                    f"CellRank's `adata.obsp[{self.key!r}]` does not exist; it has {shorten(cells.adata.obsp.keys())}. Call `kernel.write_to_adata()`, or pass the kernel as `method`."
                )
            return Given(cells.adata.obsp[self.key], f"`adata.obsp[{self.key!r}]`")(cells)
        if getattr(self.kernel, "backward", False):
            raise InvalidArgumentError(
                "the kernel runs backward in time (`kernel.backward` is True); compute it forward, its rows must be the earlier cells."
            )
        matrix = self.kernel.transition_matrix
        if matrix is None:
            raise InvalidArgumentError(
                "the kernel has no transition matrix yet; call `kernel.compute_transition_matrix()` first."
            )
        names = pd.Index(self.kernel.adata.obs_names)
        block = as_sparse(matrix, "`kernel.transition_matrix`", len(names)).tocoo()
        place = positions(names, cells.adata, "the kernel")
        shape = (cells.adata.n_obs, cells.adata.n_obs)
        return among(
            cells,
            sparse.csr_matrix((block.data, (place[block.row], place[block.col])), shape=shape),
        )


@dataclass(frozen=True)
class Moscot:
    """Couplings of moscot between stages.

    Parameters
    ----------
    problem
        A solved problem over time, e.g. ``TemporalProblem(adata).prepare("stage_time").solve()``, also a spatiotemporal one. Its cells are found by name. None: a
        ``TemporalProblem`` on the representation is solved here; moscot must be installed.
    epsilon, tau
        Given to moscot as ``epsilon`` and ``tau_a`` when a problem is solved here.
    within
        Share of the transitions that lead to later cells of the same stage, as in :class:`spatrace_sc.pp.OptimalTransport`.

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
        """Matrix among the cells, and notes."""
        problem = self.problem if self.problem is not None else self._solve(cells)
        solutions = {k: s for k, s in dict(problem.solutions).items() if s is not None}
        if not solutions:
            raise InvalidArgumentError(
                "the moscot problem has no solution; call `problem.prepare(...).solve(...)` first."
            )
        n = cells.adata.n_obs
        rows, cols, data, kept = [], [], [], []
        for key, solution in solutions.items():
            part = problem.problems[key]
            source = positions(
                pd.Index(part.adata_src.obs_names), cells.adata, f"moscot's problem {key}"
            )
            target = positions(
                pd.Index(part.adata_tgt.obs_names), cells.adata, f"moscot's problem {key}"
            )
            block, share = strongest_of(solution, cells.n_neighbors)
            rows.append(source[block.row])
            cols.append(target[block.col])
            data.append(block.data)
            kept.append(share)
        logger.info(
            "moscot: at least %.0f %% of the mass between two stages kept.", 100 * min(kept)
        )
        whole = sparse.csr_matrix(
            (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape=(n, n)
        )
        between, notes = among(cells, whole)
        return join_within(between, cells, self.within), {"least_kept_mass": min(kept)} | notes

    def _solve(self, cells: Cells) -> Any:
        try:
            from moscot.problems.time import TemporalProblem
        except ImportError as error:
            raise InvalidArgumentError(
                '`method="moscot"` needs moscot, which is not installed: `pip install moscot` (it brings JAX), or take `method="optimal_transport"`.'
            ) from error
        names = cells.adata.obs_names[cells.mask]
        table = AnnData(
            cells.representation.astype(np.float32),
            obs=pd.DataFrame({"stage": pd.Categorical(cells.stage.astype(float))}, index=names),
            obsm={"X_rep": cells.representation},
        )
        problem = TemporalProblem(table).prepare(time_key="stage", joint_attr="X_rep")
        return problem.solve(epsilon=float(self.epsilon), tau_a=float(self.tau), scale_cost="mean")


def positions(names: pd.Index, adata: AnnData, owner: str) -> NDArray[np.intp]:
    """Rows of ``adata`` with these names."""
    if not adata.obs_names.is_unique:
        raise DataError(
            "`adata.obs_names` has repeated names; call `adata.obs_names_make_unique()`."
        )
    place: NDArray[np.intp] = adata.obs_names.get_indexer(names)
    lost = names[place < 0]
    if len(lost):
        raise InvalidArgumentError(
            f"{len(lost)} of {len(names)} cells of {owner} are not in `adata.obs_names` ({shorten(lost, 3)}); it was computed on other cells."
        )
    return place


def strongest_of(solution: Any, k: int) -> tuple[sparse.coo_matrix, float]:
    """The ``k`` largest entries of every row and column of a coupling, and the share of the mass that they hold; blocks of rows and columns, never the whole."""
    n, m = solution.shape
    total, kept = 0.0, []
    for size, apply, by_row in ((n, solution.push, True), (m, solution.pull, False)):
        for start in range(0, size, BLOCK):
            mine = np.arange(start, min(size, start + BLOCK))
            block = _columns(apply, mine, size)  # (the other side, mine)
            total += float(block.sum()) if by_row else 0.0
            other = np.argsort(-block, axis=0, kind="stable")[:k]
            here = np.broadcast_to(mine, other.shape)
            row, col = (here, other) if by_row else (other, here)
            kept.append(
                (row.ravel(), col.ravel(), np.take_along_axis(block, other, axis=0).ravel())
            )
    row, col, value = (np.concatenate(part) for part in zip(*kept, strict=True))
    _, first = np.unique(row.astype(np.int64) * m + col, return_index=True)
    first = first[value[first] > 0]
    if total <= 0 or not np.isfinite(total):
        raise DataError("a moscot coupling has no mass or is not finite; did the solver converge?")
    return sparse.coo_matrix((value[first], (row[first], col[first])), shape=(n, m)), float(
        value[first].sum() / total
    )


def _columns(apply: Callable[[Any], Any], mine: NDArray[np.intp], size: int) -> NDArray[np.float64]:
    ones = np.zeros((size, len(mine)), dtype=np.float32)
    ones[mine, np.arange(len(mine))] = 1.0
    return np.asarray(apply(ones), dtype=np.float64)


def as_rule(method: Any, rules: dict[str, Rule], adata: AnnData) -> Rule:
    """The rule that ``method`` names or stands for."""
    if isinstance(method, str):
        if method in rules:
            return rules[method]
        if method in adata.obsp:
            return Stored(method)
        raise InvalidArgumentError(
            f"`method={method!r}` is neither a method ({shorten(rules)}) nor a key of `adata.obsp`, which has {shorten(adata.obsp.keys())}."
        )
    if isinstance(
        method, Pseudotime | Stages | OptimalTransport | CellRank | Moscot | Given | Stored
    ):
        return method
    if sparse.issparse(method) or isinstance(method, np.ndarray):
        return Given(method)
    if hasattr(method, "solutions") and hasattr(method, "problems"):
        return Moscot(method)
    if hasattr(method, "transition_matrix") and hasattr(method, "adata"):
        return CellRank(method)
    raise InvalidArgumentError(
        f"`method` must be one of {shorten(rules)}, a key of `adata.obsp`, a matrix, a CellRank kernel, a solved moscot problem, or a rule such as `st.pp.OptimalTransport(...)`; found {type(method).__name__}."
    )
