"""Test which cell types signal to which, with a null model of the user's choice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import RandomSource, closest, one_of, positive, seed_of, shorten, whole
from .._data.table import as_table, check_copy
from .._edges import PAIR_SEPARATOR, joined
from .._errors import InvalidArgumentError
from .._inference.communication import (
    BLOCK_SIDE_IN_RADII,
    ActivityOfReceivers,
    cells_matrix,
    communication_tables,
)
from .._inference.read_communication import read_communication_input
from .._result import Result, add_communication, between_cells
from .._settings import settings

if TYPE_CHECKING:
    from spatialdata import SpatialData

#: Null models: what is permuted.
NULLS = ("labels", "positions")


def communication(
    data: AnnData | SpatialData,
    *,
    pairs: Sequence[str | tuple[str, str]] | str | None = None,
    null: str = "labels",
    block_size: float | None = None,
    n_permutations: int = 499,
    rng: RandomSource | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Test which cell types signal to which others, by stage and by ligand–receptor pair.

    :func:`spatrace_sc.tl.infer_ccc` has already filled these tables with default settings. This
    function recomputes them with yours.

    The score of sender type *a*, receiver type *b* and pair *lr* in stage *t* is what a receiver
    of type *b* gets from senders of type *a*, on average::

        S[a, b, t, lr] = mean over receivers i of type b in stage t of
                         A[i, lr] * E_a[i, l] / E[i, l]
        E_a[i, l]      = sum over senders j of type a of w[i, j] * x[j, l]

    ``A`` is the activity of the pair in the receiver (:func:`spatrace_sc.get.activity`), in
    standard deviations of the targets. ``E`` is the exposure to the ligand: ``w`` is the kernel
    over distance, ``x`` the expression of the ligand in the sender. Scores are 0 or more.

    In mixed spots (``proportions`` of :func:`spatrace_sc.tl.infer_ccc`) with proportions ``p``,
    spot j sends the share ``p[j, a] m[a, l] / sum over c of p[j, c] m[c, l]`` of its ligand from
    type *a*. ``m`` is the level of the ligand in a type: the non-negative regression of its
    expression on the proportions. The receptor divides the activity of a receiver among its types
    in the same way. The mean over receivers of type *b* is weighted by ``p[i, b]``
    (``docs/spots.md``).

    A row makes two claims and needs both: the pair acts (:func:`spatrace_sc.get.lr_pairs`), and
    it acts between *these* cell types. A permutation test addresses the second claim:

    - ``null="labels"`` permutes cell-type labels, or the proportions of mixed spots, within local
      squares of the slice, among senders and among receivers. Location, expression and activity
      stay in place. A small p means that the cell types matter beyond location. In single-type
      squares nothing can be permuted: type and location are confounded.
    - ``null="positions"`` permutes the positions of senders within local squares; type and
      expression move together. A small p means that the type is closer to the receivers than
      other senders of the square.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`.
    pairs
        Pairs, as ``"ligand^receptor"`` or ``(ligand, receptor)``, whose cells × cells matrix is
        stored in addition to the matrix of all pairs together.
    null
        ``"labels"`` or ``"positions"``.
    block_size
        Side of the local squares, in the units of the coordinates. None: twice the radius.
        ``inf``: the whole slice.
    n_permutations
        Number of permutations. No p is below 1 / (1 + n).
    rng
        Seed of the permutations, or a :class:`numpy.random.Generator` that draws one. None: 0.
    seed
        Former name of ``rng``.
    progress
        Show a progress bar. None: ``st.settings.progress``.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Replaces

    - ``uns[key]["communication"]`` and ``uns[key]["communication_by_stage"]``: read them with
      :func:`spatrace_sc.get.communication`.
    - ``obsp[key + "_communication"]``: sparse cells × cells matrix, row = sender, column =
      receiver. An entry is the share of the receiver's activity that comes from that sender,
      summed over the listed pairs, in standard deviations of the targets.
      ``obsp[key + "_communication_ligand--receptor"]`` holds the same for one pair. Read row and
      column sums with :func:`spatrace_sc.get.sent_received`.
    - ``uns[key]["communication_params"]``: the arguments.

    Raises
    ------
    MissingKeyError, InvalidArgumentError, DataError
        If there is no result under ``key``, an argument is invalid, or the cells are not those
        of the inference.

    Notes
    -----
    p is the larger of the pair's p and the p of the cell types. q is the larger of the pair's q
    and the Benjamini–Hochberg adjusted p of the cell types, among the rows of pairs with
    q ≤ 0.1.

    The test permutes the cells of the slices in the data, so p refers to these slices only.
    ``score_se``, ``n_slices`` and ``slices_above`` show how well a row replicates between
    slices. ``docs/method/derived.md`` and ``docs/communication.md`` describe the test.

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
    result = Result.read(adata, key, of_cells=True)
    drawn = seed_of(rng, seed)
    _check(null, block_size, n_permutations)
    tissue = read_communication_input(adata, result)
    side = BLOCK_SIDE_IN_RADII * float(result.source.radius or 0.0)
    side = side if block_size is None else float(block_size)
    named = _named_pairs(pairs, tissue.pairs)
    tables = communication_tables(
        tissue,
        block_size=side,
        n_permutations=int(n_permutations),
        rng=np.random.default_rng(drawn),
        progress=settings.progress if progress is None else progress,
        moved_activity=_moved_activity(adata, key) if null == "positions" else None,
    )
    params = {
        "null": null,
        "block_size": side,
        "n_permutations": int(n_permutations),
        "seed": drawn,
    }
    if copy:
        adata = adata.copy()
    add_communication(adata, key, tables, params)
    matrices = {_keys.communication_key(key): cells_matrix(tissue)} | {
        _keys.communication_key(key, name): cells_matrix(tissue, np.array([index]))
        for index, name in named.items()
    }
    for slot, matrix in matrices.items():
        adata.obsp[slot] = between_cells(
            matrix, tissue.sender_rows, tissue.receiver_rows, adata.n_obs
        )
    return adata if copy else None


def _check(null: str, block_size: float | None, n_permutations: int) -> None:
    one_of(null, "null", NULLS)
    if block_size is not None and block_size != np.inf:
        positive(
            block_size, "block_size", " in the units of the coordinates, or inf for whole slices"
        )
    whole(n_permutations, "n_permutations", low=1)


def _named_pairs(
    pairs: Sequence[str | tuple[str, str]] | str | None, listed: pd.DataFrame
) -> dict[int, str]:
    """Return the index and the name of every pair whose matrix is stored separately."""
    known = list(joined(listed, ["ligand", "receptor"]))
    wanted: list[Any] = [pairs] if isinstance(pairs, str) else list(pairs or [])
    if len(wanted) == 2 and all(isinstance(p, str) and PAIR_SEPARATOR not in p for p in wanted):
        wanted = [(wanted[0], wanted[1])]  # a single (ligand, receptor)
    names = [p if isinstance(p, str) else PAIR_SEPARATOR.join(map(str, p)) for p in wanted]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidArgumentError(
            f"`pairs` names {shorten(unknown)}, not among the {len(known)} pairs with an activity; "
            f"the strongest are {shorten(known)}.{closest(unknown[0], known)} Give "
            "'ligand^receptor' or (ligand, receptor); `Config(max_activity=...)` sets how many "
            "pairs have one."
        )
    keys = [_keys.communication_key("", name) for name in names]
    slots = pd.Series(names, index=keys, dtype=object).drop_duplicates()
    if slots.index.has_duplicates:
        alike = slots[slots.index.duplicated(keep=False)]
        raise InvalidArgumentError(
            f"`pairs`: {shorten(alike)} would share a slot; request one at a time."
        )
    return {known.index(name): name for name in names}


def _moved_activity(adata: AnnData, key: str) -> ActivityOfReceivers:
    """Return what gives the activity of moved senders; importing torch only when it is needed."""
    from .._inference.moved_senders import activity_at_exposure

    return partial(activity_at_exposure, adata, key)
