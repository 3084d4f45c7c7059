"""Forward transitions between receivers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import closest, shorten, whole
from .._data.cells import categories, cell_mask, receivers_with_time, time_column
from .._data.embedding import embed
from .._data.expression import expression
from .._data.table import as_table, own
from .._errors import InvalidArgumentError, warn
from ._rerun import check_time, check_transitions, remembered
from .transition_rules.cells import Cells
from .transition_rules.checks import checked, log_left_out, reach_table
from .transition_rules.other_packages import CellRank, Moscot, as_rule
from .transition_rules.rules import OptimalTransport, Pseudotime, Rule, Stages, parameters

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Types of so many cells are looked at for being earlier than the root's.
ENOUGH = 20
#: What a name as ``method`` stands for.
RULES: dict[str, Rule] = {
    "pseudotime": Pseudotime(),
    "stages": Stages(),
    "optimal_transport": OptimalTransport(),
    "moscot": Moscot(),
    "cellrank": CellRank(),
}


def transitions(
    data: AnnData | SpatialData,
    *,
    method: Any = "pseudotime",
    time_key: str = _keys.TIME,
    stage_key: str | None = None,
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
    r"""Which cells could turn into which: by pseudotime, by optimal transport between stages, or from another package.

    By default forward nearest neighbours in expression space along time,

    .. math:: P_{ij} \propto \exp\left(-\frac{d_{ij}^2}{2 \sigma_i \sigma_j}\right) \quad \text{for nearest neighbours } j \text{ with } t_j > t_i

    with *d* the Euclidean distance between principal components and :math:`\sigma` a cell's mean distance to its candidates. If ``time_key`` holds stages (few values shared by many
    cells) half of the neighbours are taken from the same stage, in the order in which expression predicts the stage, and half from the next stage.

    Whatever the source, what is written goes forward along ``time_key``, has no cycles, and its rows sum to 1. Transitions of a cell to itself or to earlier cells, and to cells that take no
    part, are left out and their share is logged; if more than half of the mass leads back in time the matrix is refused.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    method
        ``"pseudotime"``: the above. ``"stages"``: neighbours in the next stage only, :class:`spatrace_sc.pp.Stages`. ``"optimal_transport"``: :class:`spatrace_sc.pp.OptimalTransport` between consecutive stages. ``"moscot"``: the same solved by moscot, if
        installed; or a solved moscot problem. ``"cellrank"``: what ``kernel.write_to_adata()`` has written; or a CellRank kernel. A rule with options of its own:
        ``st.pp.OptimalTransport(epsilon=0.1)``, ``st.pp.Moscot(...)``, ``st.pp.CellRank(...)``. A key of ``obsp``, or a cells × cells matrix (sparse, or dense up to 10 000 cells): row =
        earlier cell.
    time_key
        Numeric column of ``obs``: pseudotime, or real stages. Cells without a time (NaN, inf) take no part.
    stage_key
        Column of ``obs`` with the stages between which there are transitions, ordered by their mean time. None: ``time_key``, which then must hold stages. ``"pseudotime"``, CellRank and matrices do not use it.
    root
        If ``obs[time_key]`` does not exist: the name of a cell, or of a cell type in ``obs[cell_type_key]`` whose most extreme cell in diffusion space is taken, from which
        scanpy's diffusion pseudotime is computed and written to ``obs[time_key]``. One that an earlier call computed is computed anew; if another exists, ``root`` must be None.
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
        Slot of ``obsp`` and ``uns``. Transitions of an earlier call are replaced; anything else there is refused.
    copy
        Return the matrix instead of writing it.

    Returns
    -------
    None, or with ``copy=True`` the cells × cells CSR matrix: row = earlier cell, column = later cell, rows of receivers sum to 1 (a cell with no later neighbour keeps 1 on its
    diagonal), other rows are empty. Writes

    - ``obsp[key_added]``: the matrix;
    - ``uns[key_added]["params"]``: the arguments; ``["rule"]``: the options of the method; ``["checks"]``: shares of what was left out (``own``, ``backward``, ``circular``,
      ``outside``), of rows that were rescaled, and for transport ``least_kept_mass`` between two stages;
    - ``uns[key_added]["reach"]``: table of how far paths can be followed back; read it with :func:`spatrace_sc.get.transition_reach`. :func:`spatrace_sc.tl.infer_ccc` looks back three steps and predicts only cells that have one;
    - pseudotime to ``obs[time_key]`` where it was computed, and its sorted values to ``uns[key_added]["pseudotime"]``, by which a later call knows it.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        If time is missing (and no ``root`` given), constant, or NaN in a receiver; if ``root``, a type or ``method`` is unknown; if there are no stages where the method needs them; if a matrix
        has another shape, negative or non-finite entries, or leads back in time; if moscot is asked for and not installed.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.transitions(adata)
    >>> adata.obsp["transitions"].shape
    (300, 300)
    >>> st.pp.transitions(
    ...     adata,
    ...     method="optimal_transport",
    ...     time_key="stage_time",
    ...     receivers=["receiver_0", "receiver_1"],
    ... )
    >>> list(st.get.transition_reach(adata).columns)
    ['steps', 'cells', 'time_back']
    """
    adata = as_table(data, table_key)
    rule = as_rule(method, RULES, adata)
    expression(adata, layer, refuse_raw=root is not None)
    whole(n_neighbors, "n_neighbors")
    whole(n_pcs, "n_pcs")
    types = categories(adata, cell_type_key, "cell_type_key")
    if not copy:
        check_transitions(adata, key_added)
    if root is not None:
        check_time(adata, time_key, root)
        everyone = cell_mask(types, receivers, "receivers", adata.n_obs)
        representation = embed(adata, everyone, use_rep, n_pcs, layer)
        time = _diffusion_pseudotime(adata, everyone, representation, types, root)
        mask = everyone & np.isfinite(time)
        _look_at_root(
            time[mask],
            types[mask].astype(str),
            types[mask & (adata.obs_names == root)].astype(str),
            root,
        )
        if not mask[everyone].all():
            logger.warning(
                "%d cells are not connected to the root and get no pseudotime; they take no part.",
                int((everyone & ~mask).sum()),
            )
        place = lambda: representation[mask[everyone]]
    else:
        time = time_column(adata, time_key, cell_type_key=cell_type_key)
        mask = receivers_with_time(time, types, receivers, time_key)
        place = lambda: embed(adata, mask, use_rep, n_pcs, layer)
    cells = Cells(adata, mask, time[mask], time_key, stage_key, int(n_neighbors), place)
    found, notes = rule(cells)
    block, shares = checked(found, cells)
    if not isinstance(rule, Pseudotime):
        log_left_out(notes | shares)
    reached = reach_table(block, cells)
    if copy:
        return cells.scatter(block)
    own(adata)
    if root is not None:
        adata.obs[time_key] = time
    adata.obsp[key_added] = cells.scatter(block)
    adata.uns[key_added] = {
        "params": {
            "method": type(rule).__name__,
            "time_key": time_key,
            "stage_key": stage_key or "",
            "n_neighbors": int(n_neighbors),
            "n_pcs": int(n_pcs),
            "use_rep": use_rep or "",
            "root": root or "",
        },
        "rule": parameters(rule),
        "checks": notes | shares,
        _keys.REACH: reached,
    } | ({} if root is None else {_keys.PSEUDOTIME: remembered(time)})
    _tell_how_to_use(key_added, time_key, receivers)
    return None


def _tell_how_to_use(key: str, time_key: str, receivers: Sequence[str] | None) -> None:
    """The arguments with which the inference takes the matrix as it is."""
    arguments = (
        {"transitions_key": key, "time_key": time_key}
        if time_key != _keys.TIME
        else {"transitions_key": key}
    )
    named = [f"{argument}={value!r}" for argument, value in arguments.items()]
    if receivers is not None:
        named.append(
            f"receivers={[receivers] if isinstance(receivers, str) else [str(r) for r in receivers]!r}"
        )
    logger.info(
        "Written to obsp[%r]. The inference uses it only when it is named: st.tl.infer_ccc(..., %s).",
        *(key, ", ".join(named)),
    )


def _diffusion_pseudotime(
    adata: AnnData,
    mask: NDArray[np.bool_],
    representation: NDArray[np.float64],
    types: NDArray[np.object_],
    root: str,
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


def _look_at_root(
    time: NDArray[np.float64], types: NDArray[np.str_], of_root: NDArray[np.str_], root: str
) -> None:
    """Warn where cells of another type come earlier, half of them before three quarters of the root's type: the diffusion map and the root tell different stories."""
    by_type = pd.Series(time).groupby(types)
    median, first = by_type.median(), str(of_root[0]) if len(of_root) else root
    early = (median < by_type.quantile(0.25)[first]) & (by_type.size() >= ENOUGH)
    earlier = median[early].sort_values()
    if len(earlier):
        found = shorten(f"{name} ({value:.2f})" for name, value in earlier.items())
        warn(
            f"the cells of `root={root!r}`, type {first!r}, are not the first in the pseudotime that starts there: median {median[first]:.2f}, earlier are {found}. "
            "Time may run along something else than development, or the type is no beginning; look at it (`sc.pl.embedding(adata, basis, color=time_key)`), choose another root or a cell, or bring a pseudotime of your own."
        )
