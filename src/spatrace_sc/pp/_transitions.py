"""Forward transitions between receivers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._compat import as_table
from .._core.transitions import forward_knn
from .._errors import InvalidArgumentError
from .._prepare import embed
from .._validate import categories, cell_mask, closest, expression, receivers_with_time, shorten, time_column, whole

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def transitions(
    data: AnnData | SpatialData,
    *,
    time_key: str = _keys.TIME,
    root: str | None = None,
    cell_type_key: str = _keys.CELL_TYPE,
    receivers: Sequence[str] | None = None,
    use_rep: str | None = None,
    n_pcs: int = 30,
    n_neighbors: int = 30,
    layer: str | None = None,
    table_key: str = _keys.TABLE,
    key_added: str = _keys.TRANSITIONS,
    copy: bool = False,
) -> sparse.csr_matrix | None:
    r"""Which cells could turn into which: forward nearest neighbours in expression space along time.

    .. math:: P_{ij} \propto \exp\left(-\frac{d_{ij}^2}{2 \sigma_i \sigma_j}\right) \quad \text{for nearest neighbours } j \text{ with } t_j > t_i

    with *d* the Euclidean distance between principal components and :math:`\sigma` a cell's mean distance to its candidates. If ``time_key`` holds stages (few values shared by many
    cells) half of the neighbours are taken from the same stage, in the order in which expression predicts the stage, and half from the next stage.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    time_key
        Numeric column of ``obs``: pseudotime, or real stages. Cells without a time (NaN, inf) take no part.
    root
        If ``obs[time_key]`` does not exist: the name of a cell, or of a cell type in ``obs[cell_type_key]`` whose most extreme cell in diffusion space is taken, from which
        scanpy's diffusion pseudotime is computed and written to ``obs[time_key]``. If it exists, ``root`` must be None.
    cell_type_key
        Column of ``obs`` with cell types.
    receivers
        Cell types that take part. None: every type that has time (all, when pseudotime is computed).
    use_rep
        Slot of ``obsm`` with the representation, e.g. ``"X_pca"`` or an integrated one when samples have batch effects. None: principal components of the flagged genes,
        computed on the receivers.
    n_pcs
        Dimensions used.
    n_neighbors
        Neighbours in each direction of time.
    layer
        Layer of log-normalised expression for the principal components. None: ``X``.
    table_key
        Table of a SpatialData.
    key_added
        Slot of ``obsp``.
    copy
        Return the matrix instead of writing it.

    Returns
    -------
    None, or with ``copy=True`` the cells × cells CSR matrix: row = earlier cell, column = later cell, rows of receivers sum to 1 (a cell with no later neighbour keeps 1 on its
    diagonal), other rows are empty. Writes it to ``obsp[key_added]``, the parameters to ``uns[key_added]``, and pseudotime where it was computed.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        If time is missing (and no ``root`` given), constant, or NaN in a receiver; if ``root`` or a type is unknown.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.transitions(adata)
    >>> adata.obsp["transitions"].shape
    (300, 300)
    """
    adata = as_table(data, table_key)
    expression(adata, layer, refuse_raw=root is not None)
    whole(n_neighbors, "n_neighbors")
    whole(n_pcs, "n_pcs")
    types = categories(adata, cell_type_key, "cell_type_key")
    if root is not None and time_key in adata.obs:
        raise InvalidArgumentError(
            f"`root={root!r}` asks for a new pseudotime but `adata.obs[{time_key!r}]` exists; drop it (`del adata.obs[...]`), choose another `time_key`, or leave `root` out to use it as it is."
        )
    if root is not None:
        mask = cell_mask(types, receivers, "receivers", adata.n_obs)
        representation = embed(adata, mask, use_rep, n_pcs, layer)
        time = _diffusion_pseudotime(adata, mask, representation, types, root)
        reached = np.isfinite(time)
        if not reached[mask].all():
            logger.warning(
                "%d cells are not connected to the root and get no pseudotime; they take no part.",
                int((mask & ~reached).sum()),
            )
        representation, mask = representation[reached[mask]], mask & reached
    else:
        time = time_column(adata, time_key)
        mask = receivers_with_time(time, types, receivers, time_key)
        representation = embed(adata, mask, use_rep, n_pcs, layer)
    matrix = scatter(forward_knn(representation, time[mask], n_neighbors=n_neighbors), mask)
    if copy:
        return matrix
    if root is not None:
        adata.obs[time_key] = time
    adata.obsp[key_added] = matrix
    adata.uns[key_added] = {
        "params": {
            "time_key": time_key,
            "n_neighbors": int(n_neighbors),
            "n_pcs": int(n_pcs),
            "use_rep": use_rep or "",
            "root": root or "",
        }
    }
    return None


def scatter(block: sparse.csr_matrix, mask: NDArray[np.bool_]) -> sparse.csr_matrix:
    """A matrix among the masked cells as one among all cells."""
    place = np.flatnonzero(mask)
    entries = block.tocoo()
    return sparse.csr_matrix((entries.data, (place[entries.row], place[entries.col])), shape=(len(mask), len(mask)))


def _diffusion_pseudotime(
    adata: AnnData, mask: NDArray[np.bool_], representation: NDArray[np.float64], types: NDArray[np.object_], root: str
) -> NDArray[np.float64]:
    """Scanpy's DPT among the masked cells; NaN elsewhere and in cells the root cannot reach."""
    import scanpy as sc

    cells = AnnData(obs=adata.obs.loc[mask, []].copy(), obsm={"X_pca": representation})
    sc.pp.neighbors(cells, use_rep="X_pca", method="gauss", n_neighbors=min(30, len(cells) - 1))
    sc.tl.diffmap(cells, n_comps=min(15, len(cells) - 2))
    names = adata.obs_names[mask]
    if root in set(names):
        cells.uns["iroot"] = int(np.flatnonzero(names == root)[0])
    elif root in set(types[mask].astype(str)):
        members = np.flatnonzero(types[mask].astype(str) == root)
        component = np.asarray(cells.obsm["X_diffmap"])[:, 1]
        side = 1.0 if component[members].mean() >= component.mean() else -1.0
        cells.uns["iroot"] = int(members[np.argmax(side * component[members])])
        logger.info(
            "root: cell %r of type %r, the most extreme along the first diffusion component.",
            names[cells.uns["iroot"]],
            root,
        )
    else:
        available = np.unique(types[mask].astype(str))
        raise InvalidArgumentError(
            f"`root={root!r}` is neither a cell nor a cell type of the receivers; types are {shorten(available, 15)}.{closest(root, available)}"
        )
    sc.tl.dpt(cells, n_dcs=min(10, cells.obsm["X_diffmap"].shape[1]))
    time = np.full(adata.n_obs, np.nan)
    found = cells.obs["dpt_pseudotime"].to_numpy(dtype=float)
    time[mask] = np.where(np.isfinite(found), found, np.nan)
    return time
