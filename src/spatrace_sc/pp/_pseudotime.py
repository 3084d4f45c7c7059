"""Diffusion pseudotime from a root."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackError

from .._check import closest, find_labels, labels, shorten
from .._core.identical_rows import identical_rows
from .._errors import DataError, InvalidArgumentError, warn

logger = logging.getLogger("spatrace_sc")

#: Scanpy gives components with a larger eigenvalue hardly any weight in its pseudotime.
MAX_EIGENVALUE = 0.9994
#: Types of at least this many cells are checked for preceding the root's type.
MIN_CELLS_OF_TYPE = 20
#: Neighbours of each cell, diffusion components that are computed, and those that are used.
N_NEIGHBORS, N_COMPONENTS, N_COMPONENTS_USED = 30, 15, 10
#: Scanpy's diffusion map needs three components, and these two cells more.
MIN_DISTINCT_CELLS = 5
#: So many identical cells draw a warning.
MANY_IDENTICAL = 10


def diffusion_pseudotime(
    adata: AnnData,
    mask: NDArray[np.bool_],
    representation: NDArray[np.float64],
    types: NDArray[np.object_],
    root: str,
) -> NDArray[np.float64]:
    """Return (all cells,) scanpy's diffusion pseudotime among the masked cells.

    ``representation`` (masked cells, dimensions) are their coordinates in expression space. Cells
    with the same coordinates are one point of the diffusion map. Cells outside the mask, and cells
    that are not connected to the root, get NaN.
    """
    import scanpy as sc

    names, type_of_cell = adata.obs_names[mask], types[mask].astype(str)
    first, point = identical_rows(representation)
    _report_identical(point, names)
    points = AnnData(obs=pd.DataFrame(index=names[first]), obsm={"X_pca": representation[first]})
    _add_diffusion_map(points)
    component = np.asarray(points.obsm["X_diffmap"])[point, 1]
    root_index = _root_index(names, component, type_of_cell, root)
    points.uns["iroot"] = int(point[root_index])
    sc.tl.dpt(points, n_dcs=min(N_COMPONENTS_USED, points.obsm["X_diffmap"].shape[1]))
    time = points.obs["dpt_pseudotime"].to_numpy(dtype=float)[point]
    time = np.where(np.isfinite(time), time, np.nan)
    _warn_of_ignored_components(points)
    _warn_if_not_first(time, type_of_cell, str(type_of_cell[root_index]), root)
    n_unreachable = int(np.isnan(time).sum())
    if n_unreachable:
        logger.warning(
            "%d cells are not connected to the root, get no pseudotime and are not analysed.",
            n_unreachable,
        )
    time_of_all = np.full(adata.n_obs, np.nan)
    time_of_all[mask] = time
    return time_of_all


def _report_identical(point: NDArray[np.intp], names: pd.Index) -> None:
    """Log cells that share a point; warn if a point has many; require enough points."""
    n_cells = np.bincount(point)
    if len(n_cells) < MIN_DISTINCT_CELLS:
        raise DataError(
            f"the {len(point)} cells that need a pseudotime have {len(n_cells)} different "
            f"expression profiles in the genes that are used; at least {MIN_DISTINCT_CELLS} are "
            "needed. Include more cells (`receivers`), more genes (`st.pp.gene_roles`), or supply "
            "your own pseudotime (`time_key`)."
        )
    n_sharing = int(n_cells[n_cells > 1].sum())
    if not n_sharing:
        return
    members = names[point == n_cells.argmax()]
    finding = (
        f"{n_sharing} of {len(point)} cells have the same expression as another cell in the genes "
        f"that are used, up to {len(members)} cells of one profile ({shorten(members, 3)}); cells "
        "of one profile get the same pseudotime."
    )
    if len(members) < MANY_IDENTICAL:
        logger.info(finding)
        return
    warn(
        f"{finding} They may have no counts in these genes, or be copies: leave them out, use more "
        "genes (`st.pp.gene_roles`), or name a representation of all genes (`use_rep`)."
    )


def _add_diffusion_map(cells: AnnData) -> None:
    """Add the neighbour graph and the diffusion map of scanpy."""
    import scanpy as sc

    # Scanpy's default above 8191 cells, pynndescent, fails: version 0.7 returns a csr_array, which
    # scanpy before 1.12 cannot read. Exact neighbours are as fast up to about 50 000 cells.
    sc.pp.neighbors(
        cells,
        use_rep="X_pca",
        method="gauss",
        n_neighbors=min(N_NEIGHBORS, len(cells) - 1),
        transformer="sklearn",
    )
    try:
        sc.tl.diffmap(cells, n_comps=min(N_COMPONENTS, len(cells) - 2))
    except ArpackError as error:
        total = np.asarray(cells.obsp["connectivities"].sum(axis=1)).ravel()
        raise DataError(
            f"the diffusion map of {len(cells)} cells cannot be computed "
            f"({int((~np.isfinite(total)).sum())} cells have no finite weight in the neighbour "
            f"graph): {error}. Use more genes (`st.pp.gene_roles`), name a representation "
            "(`use_rep`), or supply your own pseudotime (`time_key`)."
        ) from error


def _root_index(
    cells: pd.Index, component: NDArray[np.floating], type_of_cell: NDArray[np.str_], root: object
) -> int:
    """Return the index of the root: the named cell, or the most extreme cell of the named type."""
    names = labels(root, "root")
    available = np.unique(type_of_cell)
    root_types, _ = find_labels(names, available)
    is_cell = len(names) == 1 and names[0] in set(cells)
    if is_cell and root_types:
        raise InvalidArgumentError(
            f"`root={root!r}` is the name of a cell and of a cell type; rename the cells, e.g. "
            "`adata.obs_names = 'cell' + adata.obs_names`."
        )
    if is_cell:
        return int(np.flatnonzero(cells == names[0])[0])
    if len(names) != 1 or not root_types:
        raise InvalidArgumentError(
            f"`root={root!r}` is neither a cell nor a cell type of the receivers; types are "
            f"{shorten(available, 15)}.{closest(str(root), available)}"
        )
    members = np.flatnonzero(type_of_cell == root_types[0])
    sign = 1.0 if component[members].mean() >= component.mean() else -1.0
    index = int(members[np.argmax(sign * component[members])])
    logger.info(
        "root: cell %r of type %r, the most extreme along the first diffusion component.",
        *(cells[index], root_types[0]),
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
            "barely contribute to scanpy's pseudotime, which may miss the longest path. Compute it "
            "on a subset of the cells (`sc.pp.sample`), or supply your own pseudotime."
        )


def _warn_if_not_first(
    time: NDArray[np.float64], type_of_cell: NDArray[np.str_], root_type: str, root: str
) -> None:
    """Warn if another type precedes the root's type.

    That is the case if half of its cells are earlier than three quarters of the root's type. The
    diffusion map and the choice of the root then contradict each other.
    """
    by_type = pd.Series(time).groupby(type_of_cell)
    median = by_type.median()
    is_early = (median < by_type.quantile(0.25)[root_type]) & (by_type.count() >= MIN_CELLS_OF_TYPE)
    earlier = median[is_early].sort_values()
    if len(earlier):
        listed = shorten(f"{name} ({value:.2f})" for name, value in earlier.items())
        warn(
            f"the cells of `root={root!r}`, type {root_type!r}, are not the first in the "
            f"pseudotime that starts there: median {median[root_type]:.2f}, earlier are {listed}. "
            "Time may follow something other than development, or this type is not the earliest. "
            "Inspect it (`sc.pl.embedding(adata, basis, color=time_key)`), choose another root or "
            "a cell, or supply your own pseudotime."
        )
