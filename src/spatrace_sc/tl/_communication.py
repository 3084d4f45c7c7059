"""Who talks to whom, with a null of the user's choice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, one_of, positive, shorten, whole
from .._data.table import as_table, check_copy
from .._edges import PAIR_SEPARATOR, joined
from .._errors import InvalidArgumentError
from .._inference.communication import (
    BLOCK_SIDE_IN_RADII,
    ActivityAtExposure,
    cells_matrix,
    communication_tables,
)
from .._inference.read_communication import read_communication_input
from .._result import Result, add_communication, between_cells
from .._settings import settings

if TYPE_CHECKING:
    from spatialdata import SpatialData

NULLS = ("labels", "positions")


def communication(
    data: AnnData | SpatialData,
    *,
    pairs: Sequence[str | tuple[str, str]] | str | None = None,
    null: str = "labels",
    block_size: float | None = None,
    n_permutations: int = 499,
    seed: int = 0,
    progress: bool | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    r"""Which cell type talks to which, at which stage, through which pair.

    The score of sender type *a*, receiver type *b*, stage *t* and pair *lr* is what cells of *b* receive from cells of *a*, on average:

    .. math::
        S_{ab,t,lr} = \frac{1}{|b, t|} \sum_{i \in b, t} A_{i,lr} \, \frac{\sum_{j \in a} w_{ij} x_{jl}}{\sum_j w_{ij} x_{jl}}

    with *A* the activity of the pair in the receiver (:func:`spatrace_sc.get.activity`; standard deviations of the targets), *w* the kernel over distance and *x* the ligand's expression in the sender. It is 0 or more.

    A row claims two things, and needs both: that the pair acts (:func:`spatrace_sc.get.lr_pairs`), and that it does so between *these* types. For the second,

    - ``null="labels"`` exchanges the types of senders among senders, and those of receivers among receivers, within squares of the slice. Place, expression and activity stay; only what the cells are called
      moves. Small p: the types have it, not just whoever lives there. In a square of one type nothing can move, so types that never mix with others cannot be told from their place.
    - ``null="positions"`` moves senders, type and expression together, among the sender positions of a square. Small p: the type stands closer to the receivers than others of the square do.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of :func:`spatrace_sc.tl.infer_ccc`.
    pairs
        ``"ligand^receptor"`` or ``(ligand, receptor)``: pairs of which the cells × cells matrix is stored too, besides that of all pairs together.
    null
        ``"labels"`` or ``"positions"``.
    block_size
        Side of the squares, in the units of the coordinates. None: twice the radius. ``inf``: the whole slice.
    n_permutations
        No p is below 1 / (1 + n).
    seed
        Of the permutations.
    progress
        Show a bar. None: ``st.settings.progress``.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Replaces

    - ``uns[key]["communication"]``, ``uns[key]["communication_by_stage"]``: read them with :func:`spatrace_sc.get.communication`.
    - ``obsp[key + "_communication"]``: sparse, row = sender, column = receiver: how much of the receiver's activity, summed over the listed pairs, comes from that sender, in standard deviations of the
      targets. ``obsp[key + "_communication_ligand--receptor"]`` the same of one pair. Sums over rows and columns: :func:`spatrace_sc.get.sent_received`.
    - ``uns[key]["communication_params"]``.

    Raises
    ------
    MissingKeyError, InvalidArgumentError, DataError

    Notes
    -----
    p is the larger of the pair's and the types'; q the larger of the pair's q and of Benjamini–Hochberg over the types' p, among the rows of pairs with q ≤ 0.1. The cells of the slices at hand are what is permuted:
    p speaks of these slices. How far it holds in others is in ``score_se``, ``n_slices`` and ``slices_above``.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.communication(adata, n_permutations=99, progress=False)
    >>> len(st.get.communication(adata, "E1")) == len(st.get.communication(adata))
    True
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    result = Result.read(adata, key)
    _check(null, block_size, n_permutations, seed)
    tissue = read_communication_input(adata, result)
    side = BLOCK_SIDE_IN_RADII * float(result.source.radius or 0.0)
    side = side if block_size is None else float(block_size)
    named = _named_pairs(pairs, tissue.pairs)
    tables = communication_tables(
        tissue,
        block_size=side,
        n_permutations=int(n_permutations),
        rng=np.random.default_rng(seed),
        progress=settings.progress if progress is None else progress,
        at_exposure=_at_exposure(adata, key) if null == "positions" else None,
    )
    params = {
        "null": null,
        "block_size": side,
        "n_permutations": int(n_permutations),
        "seed": int(seed),
    }
    if copy:
        adata = adata.copy()
    add_communication(adata, key, tables, params)
    senders, receivers = tissue.cells.senders, tissue.cells.receivers
    matrices = {_keys.communication_key(key): cells_matrix(tissue)} | {
        _keys.communication_key(key, name): cells_matrix(tissue, np.array([index]))
        for index, name in named.items()
    }
    for slot, matrix in matrices.items():
        adata.obsp[slot] = between_cells(matrix, senders, receivers)
    return adata if copy else None


def _check(null: str, block_size: float | None, n_permutations: int, seed: int) -> None:
    one_of(null, "null", NULLS)
    if block_size is not None and block_size != np.inf:
        positive(
            block_size, "block_size", " in the units of the coordinates, or inf for whole slices"
        )
    whole(n_permutations, "n_permutations", low=1)
    whole(seed, "seed", low=0)


def _named_pairs(
    pairs: Sequence[str | tuple[str, str]] | str | None, listed: pd.DataFrame
) -> dict[int, str]:
    """Return position and name of the pairs of which a matrix is stored too."""
    known = list(joined(listed, ["ligand", "receptor"]))
    wanted: list[Any] = [pairs] if isinstance(pairs, str) else list(pairs or [])
    if len(wanted) == 2 and all(isinstance(p, str) and PAIR_SEPARATOR not in p for p in wanted):
        wanted = [(wanted[0], wanted[1])]  # a single (ligand, receptor)
    names = [p if isinstance(p, str) else PAIR_SEPARATOR.join(map(str, p)) for p in wanted]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidArgumentError(
            f"`pairs` names {shorten(unknown)}, not among the {len(known)} pairs with an activity; "
            f"the strongest are {shorten(known)}.{closest(unknown[0], known)} "
            "Give 'ligand^receptor' or (ligand, receptor); `Config(max_activity=...)` says how "
            "many pairs have one."
        )
    keys = [_keys.communication_key("", name) for name in names]
    slots = pd.Series(names, index=keys, dtype=object).drop_duplicates()
    if slots.index.has_duplicates:
        alike = slots[slots.index.duplicated(keep=False)]
        raise InvalidArgumentError(
            f"`pairs`: {shorten(alike)} would share a slot; ask for one at a time."
        )
    return {known.index(name): name for name in names}


def _at_exposure(adata: AnnData, key: str) -> ActivityAtExposure:
    """Import torch only where the model is restored."""
    from .._inference.moved_senders import activity_at_exposure

    return activity_at_exposure(adata, key)
