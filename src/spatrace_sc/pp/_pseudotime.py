"""Diffusion pseudotime from a root."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from .._check import closest, shorten
from .._errors import InvalidArgumentError, warn

logger = logging.getLogger("spatrace_sc")

#: Scanpy gives components with a larger eigenvalue hardly any weight in its pseudotime.
MAX_EIGENVALUE = 0.9994
#: Types of at least this many cells are checked for preceding the root's type.
MIN_CELLS_OF_TYPE = 20
#: Neighbours of each cell, diffusion components that are computed, and those that are used.
N_NEIGHBORS, N_COMPONENTS, N_COMPONENTS_USED = 30, 15, 10


def diffusion_pseudotime(
    adata: AnnData,
    mask: NDArray[np.bool_],
    representation: NDArray[np.float64],
    types: NDArray[np.object_],
    root: str,
) -> NDArray[np.float64]:
    """Return (all cells,) scanpy's diffusion pseudotime among the masked cells.

    ``representation`` (masked cells, dimensions) are their coordinates in expression space. Cells
    outside the mask, and cells that are not connected to the root, get NaN.
    """
    import scanpy as sc

    cells = AnnData(obs=adata.obs.loc[mask, []].copy(), obsm={"X_pca": representation})
    # Scanpy's default above 8191 cells, pynndescent, fails: version 0.7 returns a csr_array, which
    # scanpy before 1.12 cannot read. Exact neighbours are as fast up to about 50 000 cells.
    sc.pp.neighbors(
        cells,
        use_rep="X_pca",
        method="gauss",
        n_neighbors=min(N_NEIGHBORS, len(cells) - 1),
        transformer="sklearn",
    )
    sc.tl.diffmap(cells, n_comps=min(N_COMPONENTS, len(cells) - 2))
    labels = types[mask].astype(str)
    root_index = _root_index(cells, labels, root)
    cells.uns["iroot"] = root_index
    sc.tl.dpt(cells, n_dcs=min(N_COMPONENTS_USED, cells.obsm["X_diffmap"].shape[1]))
    time = cells.obs["dpt_pseudotime"].to_numpy(dtype=float)
    time = np.where(np.isfinite(time), time, np.nan)
    _warn_of_ignored_components(cells)
    _warn_if_not_first(time, labels, str(labels[root_index]), root)
    n_unreachable = int(np.isnan(time).sum())
    if n_unreachable:
        logger.warning(
            "%d cells are not connected to the root, get no pseudotime and are not analysed.",
            n_unreachable,
        )
    time_of_all = np.full(adata.n_obs, np.nan)
    time_of_all[mask] = time
    return time_of_all


def _root_index(cells: AnnData, labels: NDArray[np.str_], root: str) -> int:
    """Return the index of the root: the named cell, or the most extreme cell of the named type."""
    if root in set(cells.obs_names):
        return int(np.flatnonzero(cells.obs_names == root)[0])
    if root not in set(labels):
        available = np.unique(labels)
        raise InvalidArgumentError(
            f"`root={root!r}` is neither a cell nor a cell type of the receivers; types are "
            f"{shorten(available, 15)}.{closest(root, available)}"
        )
    members = np.flatnonzero(labels == root)
    component = np.asarray(cells.obsm["X_diffmap"])[:, 1]
    sign = 1.0 if component[members].mean() >= component.mean() else -1.0
    index = int(members[np.argmax(sign * component[members])])
    logger.info(
        "root: cell %r of type %r, the most extreme along the first diffusion component.",
        *(cells.obs_names[index], root),
    )
    return index


def _warn_of_ignored_components(cells: AnnData) -> None:
    """Warn if components vary too slowly for scanpy's pseudotime.

    One component per connected part of the graph is constant there, with eigenvalue 1, and
    deserves no weight. Others with an eigenvalue near 1 describe the longest paths among many
    cells.
    """
    n_parts, _ = connected_components(cells.obsp["connectivities"])
    values = np.asarray(cells.uns["diffmap_evals"])[:N_COMPONENTS_USED]
    n_ignored = int((values >= MAX_EIGENVALUE).sum()) - n_parts
    if n_ignored > 0:
        warn(
            f"{n_ignored} diffusion components have eigenvalues of at least {MAX_EIGENVALUE} and "
            "hardly count in scanpy's pseudotime, which may miss the longest path. Compute it on "
            "a subset of the cells (`sc.pp.sample`), or bring a pseudotime of your own."
        )


def _warn_if_not_first(
    time: NDArray[np.float64], labels: NDArray[np.str_], root_type: str, root: str
) -> None:
    """Warn if another type precedes the root's type.

    That is the case if half of its cells are earlier than three quarters of the root's type. The
    diffusion map and the choice of the root then contradict each other.
    """
    by_type = pd.Series(time).groupby(labels)
    median = by_type.median()
    is_early = (median < by_type.quantile(0.25)[root_type]) & (by_type.count() >= MIN_CELLS_OF_TYPE)
    earlier = median[is_early].sort_values()
    if len(earlier):
        listed = shorten(f"{name} ({value:.2f})" for name, value in earlier.items())
        warn(
            f"the cells of `root={root!r}`, type {root_type!r}, are not the first in the "
            f"pseudotime that starts there: median {median[root_type]:.2f}, earlier are {listed}. "
            "Time may follow something other than development, or the type is not the beginning. "
            "Inspect it (`sc.pl.embedding(adata, basis, color=time_key)`), choose another root or "
            "a cell, or bring a pseudotime of your own."
        )
