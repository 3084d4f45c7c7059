"""Which earlier cells each receiver came from."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._check import shorten
from .._core.transitions import backward, forward_knn, has_cycle, linear_extension, order_of_cells
from .._data.embedding import principal_components, reliable_components
from .._data.on_disk import in_memory
from .._errors import DataError, InvalidArgumentError, MissingKeyError
from ..get._transitions import written_transitions

logger = logging.getLogger("spatrace_sc")

#: Principal components and neighbours of the default transitions.
N_PCS, N_NEIGHBORS = 30, 30


#: Principal components looked at for those that describe a cell's state.
N_STATE_PCS = 50


def earlier_in_state(
    matrix: sparse.csr_matrix | NDArray[np.floating],
    genes: NDArray[np.intp],
    time: NDArray[np.float64],
    order: NDArray[np.floating],
) -> sparse.csr_matrix:
    """Weights of the earlier cells that are nearest in the reliable principal components; cells that have none stand for themselves.

    Earlier in the order of the transitions, so that what is denoised with it holds nothing of cells that are yet to be predicted.
    """
    embedding = reliable_components(matrix, genes, N_STATE_PCS)
    earlier = backward(forward_knn(embedding, time, n_neighbors=N_NEIGHBORS, order=order))
    first = np.flatnonzero(np.diff(earlier.indptr) == 0)
    alone = sparse.coo_matrix(
        (np.ones(len(first), dtype=np.float32), (first, first)), shape=earlier.shape
    )
    return (earlier + alone.tocsr()).tocsr()


def read_backward(
    adata: AnnData,
    matrix: sparse.csr_matrix | NDArray[np.floating],
    genes: NDArray[np.intp],
    receiving: NDArray[np.bool_],
    time: NDArray[np.float64],
    transitions_key: str | None,
) -> tuple[sparse.csr_matrix, NDArray[np.floating]]:
    """Backward transitions among receivers and an order of them in which nobody comes before its ancestors: from ``obsp`` or, by default, forward nearest neighbours along time.

    ``matrix`` holds the receivers.
    """
    if transitions_key is None:
        unused = [k for k in written_transitions(adata) if k in adata.obsp]
        hint = (
            f"obsp[{unused[-1]!r}], which st.pp.transitions wrote, is taken only if you name it, `transitions_key={unused[-1]!r}`"
            if unused
            else "name your own with `transitions_key`"
        )
        logger.info(
            "transitions: %d forward nearest neighbours along time, computed here; %s.",
            N_NEIGHBORS,
            hint,
        )
        embedding = principal_components(matrix, genes, N_PCS)
        order = order_of_cells(embedding, time)
        return backward(forward_knn(embedding, time, n_neighbors=N_NEIGHBORS, order=order)), order
    if transitions_key not in adata.obsp:
        raise MissingKeyError(
            f"`transitions_key={transitions_key!r}` is not in `adata.obsp`; it has {shorten(adata.obsp.keys())}. Call `st.pp.transitions(adata)` or leave it None."
        )
    here = np.flatnonzero(receiving)
    given = sparse.csr_matrix(in_memory(adata.obsp[transitions_key]))[here][:, here].tocoo()
    if not np.isfinite(given.data).all() or (given.data < 0).any():
        raise DataError(
            f"`adata.obsp[{transitions_key!r}]` has negative or non-finite entries; it must hold transition probabilities."
        )
    forward = (time[given.col] >= time[given.row]) & (given.row != given.col) & (given.data > 0)
    order = order_of_cells(principal_components(matrix, genes, N_PCS), time)
    agreeing = forward & (order[given.col] > order[given.row])
    if has_cycle(given.row[forward], given.col[forward], len(time)):
        forward = agreeing
    elif not (agreeing == forward).all():
        order = linear_extension(given.row[forward], given.col[forward], time)
    dropped = float(
        given.data[(given.row != given.col) & ~forward].sum() / max(given.data.sum(), 1e-12)
    )
    if not forward.any():
        raise InvalidArgumentError(
            f"`adata.obsp[{transitions_key!r}]` has no transition between receivers that goes forward along `time_key`; is it transposed?"
        )
    if dropped > 0.01:
        logger.warning(
            "%.0f %% of the transitions in obsp[%r] do not go forward in time and were left out.",
            100 * dropped,
            transitions_key,
        )
    edges = (given.data[forward], (given.row[forward], given.col[forward]))
    return backward(sparse.csr_matrix(edges, shape=given.shape)), order
