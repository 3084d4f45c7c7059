"""Which earlier cells each receiver came from, and which share its state."""

from __future__ import annotations

import logging
from typing import NamedTuple, TypeAlias

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._check import name_of_column, shorten
from .._core.cell_order import has_cycle, linear_extension, order_of_cells
from .._core.transitions import backward, forward_knn
from .._data.cell_matrices import stored_matrix
from .._data.embedding import principal_components, reliable_components
from .._data.transitions import written_transitions
from .._errors import InvalidArgumentError, MissingKeyError

logger = logging.getLogger("spatrace_sc")

#: Principal components and neighbours of the default transitions.
N_PCS, N_NEIGHBORS = 30, 30
#: Principal components tested for describing a cell's state.
N_STATE_PCS = 50
#: Largest share of transitions backward in time without a warning.
MAX_BACKWARD_SHARE = 0.01

Matrix: TypeAlias = "sparse.csr_matrix | NDArray[np.floating]"


class Ancestors(NamedTuple):
    """(receivers, receivers) matrices, rows sum to 1 or to 0.

    ``backward`` holds the transitions from each cell to the cells it came from, ``state`` the
    weights of earlier cells of nearly the same state.
    """

    backward: sparse.csr_matrix
    state: sparse.csr_matrix


def find_ancestors(
    adata: AnnData,
    matrix: Matrix,
    genes: NDArray[np.intp],
    rows: NDArray[np.intp],
    time: NDArray[np.float64],
    transitions_key: str | None,
) -> Ancestors:
    """Return the ancestors of the receivers, from ``obsp`` or by neighbours along time.

    ``matrix`` holds the receivers, of which ``genes`` are used; ``rows`` are the receivers'
    positions in ``adata``. Both results follow one order of
    cells, in which no cell comes before its ancestors.
    """
    if transitions_key is None:
        transitions, order = _along_time(adata, matrix, genes, time)
    else:
        transitions, order = _from_obsp(adata, matrix, genes, rows, time, transitions_key)
    return Ancestors(transitions, earlier_of_same_state(matrix, genes, time, order))


def earlier_of_same_state(
    matrix: Matrix,
    genes: NDArray[np.intp],
    time: NDArray[np.float64],
    order: NDArray[np.floating],
) -> sparse.csr_matrix:
    """Weights of the nearest earlier cells in the reliable principal components.

    "Earlier" is by the order of the transitions, so nothing of a cell that is yet to be predicted
    enters. A cell without earlier cells has weight 1 on itself.
    """
    embedding = reliable_components(matrix, genes, N_STATE_PCS)
    earlier = backward(forward_knn(embedding, time, n_neighbors=N_NEIGHBORS, order=order))
    without = np.flatnonzero(np.diff(earlier.indptr) == 0)
    ones = np.ones(len(without), dtype=np.float32)
    itself = sparse.coo_matrix((ones, (without, without)), shape=earlier.shape)
    return (earlier + itself.tocsr()).tocsr()


def _along_time(
    adata: AnnData, matrix: Matrix, genes: NDArray[np.intp], time: NDArray[np.float64]
) -> tuple[sparse.csr_matrix, NDArray[np.floating]]:
    """Backward transitions to the nearest earlier cells, and the order of cells."""
    unused = [name for name in written_transitions(adata) if name in adata.obsp]
    hint = "name your own with `transitions_key`"
    if unused:
        hint = (
            f"obsp[{unused[-1]!r}], which st.pp.transitions wrote, is used only if you name it, "
            f"`transitions_key={unused[-1]!r}`"
        )
    logger.info(
        "transitions: %d forward nearest neighbours along time, computed here; %s.",
        N_NEIGHBORS,
        hint,
    )
    embedding = principal_components(matrix, genes, N_PCS)
    order = order_of_cells(embedding, time)
    forward = forward_knn(embedding, time, n_neighbors=N_NEIGHBORS, order=order)
    return backward(forward), order


def _from_obsp(
    adata: AnnData,
    matrix: Matrix,
    genes: NDArray[np.intp],
    rows: NDArray[np.intp],
    time: NDArray[np.float64],
    key: str,
) -> tuple[sparse.csr_matrix, NDArray[np.floating]]:
    """Backward transitions of the user's matrix that go forward in time, and the order of cells."""
    entries = _read_transitions(adata, rows, key).tocoo()
    between = entries.row != entries.col
    forward = (time[entries.col] >= time[entries.row]) & between & (entries.data > 0)
    order = order_of_cells(principal_components(matrix, genes, N_PCS), time)
    agreeing = forward & (order[entries.col] > order[entries.row])
    if has_cycle(entries.row[forward], entries.col[forward], len(time)):
        forward = agreeing
    elif not (agreeing == forward).all():
        order = linear_extension(entries.row[forward], entries.col[forward], time)
    if not forward.any():
        raise InvalidArgumentError(
            f"`adata.obsp[{key!r}]` has no transition between receivers that goes forward along "
            "`time_key`; is it transposed?"
        )
    dropped = float(entries.data[between & ~forward].sum() / max(entries.data.sum(), 1e-12))
    if dropped > MAX_BACKWARD_SHARE:
        logger.warning(
            "%.0f %% of the transitions in obsp[%r] do not go forward in time and were left out.",
            100 * dropped,
            key,
        )
    edges = (entries.data[forward], (entries.row[forward], entries.col[forward]))
    return backward(sparse.csr_matrix(edges, shape=entries.shape)), order


def _read_transitions(adata: AnnData, rows: NDArray[np.intp], key: str) -> sparse.csr_matrix:
    """(receivers, receivers) the user's matrix, checked."""
    name_of_column(key, "transitions_key")
    if key not in adata.obsp:
        raise MissingKeyError(
            f"`transitions_key={key!r}` is not in `adata.obsp`; it has "
            f"{shorten(adata.obsp.keys())}. Call `st.pp.transitions(adata)` or leave it None."
        )
    return stored_matrix(adata, key)[rows][:, rows]
