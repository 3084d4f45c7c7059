"""Forward transitions between receivers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from .. import _keys
from .._check import labels, whole
from .._data.cells import categories, cell_mask, receivers_with_time, time_column
from .._data.embedding import embed
from .._data.empty_cells import empty_cells, warn_of_empty_cells
from .._data.expression import expression_by_slice
from .._data.table import as_table, detach_view
from ._overwrite_checks import check_time, check_transitions, distinct_times
from ._pseudotime import diffusion_pseudotime
from ._transition_rules.cells import Cells, Notes, Rule
from ._transition_rules.checks import checked, log_left_out, reach_table
from ._transition_rules.lookup import rule_of
from ._transition_rules.rules import Pseudotime, parameters

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def transitions(
    data: AnnData | SpatialData,
    *,
    method: Any = "pseudotime",
    time_key: str = _keys.TIME,
    stage_key: str | None = None,
    sample_key: str | None = None,
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
    """Compute the probabilities that cells turn into later cells.

    Transitions follow pseudotime, come from optimal transport between stages, or are taken from
    another package. By default they lead to forward nearest neighbours in expression space along
    time, with

    P_ij ∝ exp(-d_ij² / (2 σ_i σ_j)) for nearest neighbours j with t_j > t_i,

    where d is the Euclidean distance between principal components and σ the mean distance of a
    cell to its candidates. If ``time_key`` holds stages (few values shared by many cells), half of
    the neighbours come from the next stage. The other half come from the same stage, where cells
    are ordered by the stage that their expression predicts.

    Whatever the method, the stored transitions lead forward along ``time_key``, have no cycles, and
    their rows sum to 1. Transitions of a cell to itself, to earlier cells, and to cells that are
    not analysed are left out, and their share is logged. A matrix with more than half of its mass
    leading back in time is an error.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    method
        ``"pseudotime"``: as above. ``"stages"``: neighbours in the next stage only, see
        :class:`spatrace_sc.pp.Stages`. ``"optimal_transport"``: between consecutive stages, see
        :class:`spatrace_sc.pp.OptimalTransport`. ``"moscot"``: the same solved by moscot, if it is
        installed; or a solved moscot problem. ``"cellrank"``: the matrix that
        ``kernel.write_to_adata()`` has written; or a CellRank kernel. A rule with options:
        ``st.pp.OptimalTransport(epsilon=0.1)``, ``st.pp.Moscot(...)``, ``st.pp.CellRank(...)``. A
        key of ``obsp``, or a cells × cells matrix (sparse, or dense up to 10 000 cells) with the
        earlier cells in rows.
    time_key
        Numeric column of ``obs``: pseudotime, or real stages. Cells without a time (NaN, inf) are
        not analysed.
    stage_key
        Column of ``obs`` with the stages that transitions connect, ordered by their mean time.
        None: ``time_key``, which then must hold stages. ``"pseudotime"``, CellRank and matrices do
        not use it.
    sample_key
        Column of ``obs`` with the slice. A gene that is NaN in every cell of a slice counts as
        not measured there and has the mean of its cell type in other slices. None: the stages
        of ``stage_key`` are the slices.
    root
        Name of a cell, or of a cell type in ``obs[cell_type_key]``, whose most extreme cell in
        diffusion space is taken. Diffusion pseudotime (scanpy's, on exact nearest neighbours) is
        computed from it and written to ``obs[time_key]``. A pseudotime of an earlier call is
        replaced; if ``obs[time_key]`` holds anything else, ``root`` must be None.
    cell_type_key
        Column of ``obs`` with cell types.
    receivers
        Cell types to analyse. None: every type that has time (all, when pseudotime is computed).
    use_rep
        Slot of ``obsm`` with the representation, e.g. ``"X_pca"``, or an integrated one when
        samples have batch effects. None: principal components of the flagged genes, computed on
        the receivers.
    n_pcs
        Number of dimensions of the representation.
    n_neighbors
        Number of neighbours in each direction of time.
    layer
        Layer of log-normalised expression for the principal components. None: ``X``.
    table_key
        Table of a SpatialData.
    key_added
        Slot of ``obsp`` and ``uns``. Transitions of an earlier call are replaced; anything else
        there is an error.
    copy
        Return the matrix instead of writing it.

    Returns
    -------
    None, or with ``copy=True`` the cells × cells CSR matrix: row = earlier cell, column = later
    cell. Rows of receivers sum to 1 (a cell without a later neighbour has 1 on its diagonal);
    other rows are empty. Writes

    - ``obsp[key_added]``: the matrix;
    - ``uns[key_added]["params"]``: the arguments; ``["rule"]``: the options of the method;
    - ``uns[key_added]["checks"]``: the shares that were left out (``own``, ``backward``,
      ``circular``, ``outside``), the share of rows that were rescaled, and for transport
      ``least_kept_mass`` between two stages;
    - ``uns[key_added]["reach"]``: table of how far paths lead back, read by
      :func:`spatrace_sc.get.transition_reach`. :func:`spatrace_sc.tl.infer_ccc` follows paths
      three steps back, and predicts only cells that have a path;
    - a computed pseudotime to ``obs[time_key]``, and its sorted values to
      ``uns[key_added]["pseudotime"]``, by which a later call recognises it.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError
        If time is missing without a ``root``, constant, or NaN in a receiver; if ``root``, a type
        or ``method`` is unknown; if the method needs stages and there are none; if a matrix has
        another shape, negative or non-finite entries, or leads back in time; if
        ``method="moscot"`` and moscot is not installed.

    Warns
    -----
    SpatraceWarning
        If other cell types precede the root's type in the computed pseudotime; if expression looks
        like raw counts; if a gene is NaN in every cell of a slice.

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
    rule = rule_of(method, adata)
    slice_key = stage_key if sample_key is None else sample_key
    matrix, unmeasured = expression_by_slice(adata, layer, slice_key, refuse_raw=root is not None)
    empty = empty_cells(matrix)
    whole(n_neighbors, "n_neighbors")
    whole(n_pcs, "n_pcs")
    types = categories(adata, cell_type_key, "cell_type_key")
    gaps: dict[str, Any] = {"unmeasured": unmeasured, "types": types}
    if not copy:
        check_transitions(adata, key_added)
    if root is not None:
        check_time(adata, time_key, root)
        candidates = cell_mask(types, receivers, "receivers", adata.n_obs)
        warn_of_empty_cells(empty, adata.obs_names.to_numpy(dtype=str), receivers=candidates)
        candidates &= ~empty
        representation = embed(adata, matrix, candidates, use_rep, n_pcs, **gaps)
        time = diffusion_pseudotime(adata, candidates, representation, types, root)
        mask = candidates & np.isfinite(time)
        embed_cells = lambda: representation[mask[candidates]]
    else:
        time = time_column(adata, time_key, cell_type_key=cell_type_key)
        mask = receivers_with_time(time, types, receivers, time_key)
        warn_of_empty_cells(empty, adata.obs_names.to_numpy(dtype=str), receivers=mask)
        mask &= ~empty
        embed_cells = lambda: embed(adata, matrix, mask, use_rep, n_pcs, **gaps)
    cells = Cells(adata, mask, time[mask], time_key, stage_key, int(n_neighbors), embed_cells)
    block, checks = _compute(rule, cells)
    reach = reach_table(block, cells)
    if copy:
        return cells.scatter(block)
    detach_view(adata)
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
            "root": "" if root is None else str(root),
        },
        "rule": parameters(rule),
        "checks": checks,
        _keys.REACH: reach,
    } | ({} if root is None else {_keys.PSEUDOTIME: distinct_times(time)})
    is_default_time = root is not None and time_key == _keys.TIME
    _log_usage(key_added, time_key, receivers, is_default_time=is_default_time)
    return None


def _compute(rule: Rule, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
    """Return the checked transitions among the cells, and the shares that were left out."""
    matrix, notes = rule(cells)
    block, shares = checked(matrix, cells)
    if not isinstance(rule, Pseudotime):
        log_left_out(notes | shares)
    return block, notes | shares


def _log_usage(
    key: str, time_key: str, receivers: Sequence[str] | None, *, is_default_time: bool
) -> None:
    """Log the arguments with which the inference takes the matrix as it is."""
    arguments: dict[str, Any] = {"transitions_key": key}
    if time_key != _keys.TIME:
        arguments["time_key"] = time_key
    if receivers is not None:
        arguments["receivers"] = labels(receivers, "receivers")
    logger.info(
        "Written to obsp[%r]. The inference uses these transitions only when they are named: "
        "st.tl.infer_ccc(..., %s).%s",
        *(key, ", ".join(f"{argument}={value!r}" for argument, value in arguments.items())),
        f" The pseudotime in obs[{time_key!r}] is used by default." if is_default_time else "",
    )
