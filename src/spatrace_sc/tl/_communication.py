"""Who talks to whom, with a null of the user's choice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import closest, positive, shorten, whole
from .._core.exposure import linear, neighbour_weights
from .._data.cells import categories, coordinates
from .._data.expression import columns, expression
from .._data.genes import names_by_label
from .._data.table import as_table, check_copy
from .._errors import DataError, InvalidArgumentError
from .._inference.communication import BLOCK_RADII, Talk, cells_matrix, talk
from .._result import stored
from .._settings import settings

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

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
    result = stored(adata, key)
    _check(null, block_size, n_permutations, seed)
    what = _read(adata, result, key)
    side = (
        BLOCK_RADII * float(result["params"]["radius"]) if block_size is None else float(block_size)
    )
    names = _named_pairs(pairs, what.pairs)
    tables = talk(
        what,
        block_size=side,
        n_permutations=int(n_permutations),
        rng=np.random.default_rng(seed),
        progress=settings.progress if progress is None else progress,
        moved=_at_exposure(adata, key) if null == "positions" else None,
    )
    params = {
        "null": null,
        "block_size": side,
        "n_permutations": int(n_permutations),
        "seed": int(seed),
    }
    if copy:
        adata = adata.copy()
    adata.uns[key] = dict(adata.uns[key]) | tables | {"communication_params": params}
    adata.obsp[_keys.communication_key(key)] = _of_cells(adata, result, cells_matrix(what))
    for number, name in names.items():
        matrix = cells_matrix(what, np.array([number]))
        adata.obsp[_keys.communication_key(key, name)] = _of_cells(adata, result, matrix)
    return adata if copy else None


def _check(null: str, block_size: float | None, n_permutations: int, seed: int) -> None:
    if null not in NULLS:
        raise InvalidArgumentError(
            f"`null` must be one of {shorten(NULLS)}, found {null!r}.{closest(str(null), NULLS)}"
        )
    if block_size != np.inf:
        positive(
            block_size, "block_size", " in the units of the coordinates, or inf for whole slices"
        )
    whole(n_permutations, "n_permutations", low=1)
    whole(seed, "seed", low=0)


def _named_pairs(
    pairs: Sequence[str | tuple[str, str]] | str | None, listed: pd.DataFrame
) -> dict[int, str]:
    """Number and name of the pairs asked for."""
    known = list(listed["ligand"].astype(str) + "^" + listed["receptor"].astype(str))
    wanted: list[Any] = [pairs] if isinstance(pairs, str) else list(pairs or [])
    if len(wanted) == 2 and all(isinstance(p, str) and "^" not in p for p in wanted):
        wanted = [(wanted[0], wanted[1])]  # a single (ligand, receptor)
    names = [p if isinstance(p, str) else "^".join(map(str, p)) for p in wanted]
    unknown = [n for n in names if n not in known]
    if unknown:
        raise InvalidArgumentError(
            f"`pairs` names {shorten(unknown)}, not among the {len(known)} pairs with an activity; the strongest are {shorten(known)}.{closest(unknown[0], known)} "
            "Give 'ligand^receptor' or (ligand, receptor); `Config(max_activity=...)` says how many pairs have one."
        )
    slots = pd.Series(
        names, index=[_keys.communication_key("", n) for n in names], dtype=object
    ).drop_duplicates()
    if slots.index.has_duplicates:
        alike = slots[slots.index.duplicated(keep=False)]
        raise InvalidArgumentError(
            f"`pairs`: {shorten(alike)} would share a slot; ask for one at a time."
        )
    return {known.index(name): name for name in names}


def _masks(
    adata: AnnData, result: dict[str, Any]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.str_]]:
    """Who sends, who receives, and the type of every cell."""
    params = result["params"]
    types = categories(adata, str(params["cell_type_key"]), "cell_type_key").astype(str)
    return (
        np.isin(types, list(map(str, params["senders"]))),
        np.isin(types, list(map(str, params["receivers"]))),
        types,
    )


def _read(adata: AnnData, result: dict[str, Any], key: str) -> Talk:
    """What of the data and of the result is needed. Cells that were taken away since the inference are missed as senders; their receivers' activity is what it was."""
    params, genes = result["params"], result["genes"]
    sending, receiving, types = _masks(adata, result)
    slices = str(params["sample_key"])
    sample = (
        pd.factorize(categories(adata, slices, "sample_key"))[0]
        if slices
        else np.zeros(adata.n_obs, dtype=np.intp)
    )
    stage_key = str(params["stage_key"]) or slices
    stage_of = (
        categories(adata, stage_key, "stage_key").astype(str)
        if stage_key
        else np.full(adata.n_obs, "all")
    )
    activity = np.asarray(adata.obsm[result["obsm"]], dtype=np.float32)[receiving]
    if not np.isfinite(activity).all() or not sending.any() or not receiving.any():
        raise DataError(
            f"the cells or their types are not those that `adata.uns[{key!r}]` was inferred from; call `st.tl.infer_ccc(adata, key_added={key!r})` again."
        )
    _check_senders(result, sample, np.flatnonzero(sending), stage_of[receiving], sample[receiving])
    coords = coordinates(adata, str(params["spatial_key"]))
    name = names_by_label(adata, str(params["gene_symbols"]) or None)
    lost = [str(g) for g in genes["ligands"] if str(g) not in name]
    if lost:
        raise DataError(
            f"the ligands {shorten(lost)}, which `adata.uns[{key!r}]` was inferred with, are gone."
        )
    place = adata.var_names.get_indexer([name[str(g)] for g in genes["ligands"]])
    matrix = expression(adata, str(params["layer"]) or None)
    weights = neighbour_weights(coords, sample, receiving, sending, radius=float(params["radius"]))
    listed = result["activity_pairs"].astype({"ligand": str, "receptor": str})
    stages = [str(s) for s in result["stages"]]
    return Talk(
        pairs=listed,
        activity=activity,
        ligand=pd.Index(list(map(str, genes["ligands"]))).get_indexer(listed["ligand"].astype(str)),
        sender_ligand=linear(columns(matrix[np.flatnonzero(sending)], place)),
        weights=weights[receiving][:, sending],
        sender_type=types[sending],
        receiver_type=types[receiving],
        sender_sample=sample[sending],
        receiver_sample=sample[receiving],
        stage=pd.Index(stages).get_indexer(pd.Index(stage_of[receiving])),
        stages=stages,
        sender_coords=coords[sending],
        receiver_coords=coords[receiving],
    )


def _check_senders(
    result: dict[str, Any],
    sample: NDArray[np.integer],
    senders: NDArray[np.integer],
    stage: NDArray[np.str_],
    receiver_sample: NDArray[np.integer],
) -> None:
    """Every stage with receivers has a slice with senders."""
    sends = np.isin(receiver_sample, np.unique(sample[senders]))
    silent = sorted(set(stage) - set(stage[sends]))
    if silent:
        there = sorted(set(stage[sends]))
        raise DataError(
            f"the stages {shorten(silent)} have receivers but no cell that sends ({shorten(map(str, result['params']['senders']))}) in any of their slices; those with senders are {shorten(there)}. "
            "Leave them out (`adata[...]`), or name other `senders` in `st.tl.infer_ccc`."
        )


def _of_cells(
    adata: AnnData, result: dict[str, Any], matrix: sparse.csr_matrix
) -> sparse.csr_matrix:
    """Senders × receivers as cells × cells."""
    sending, receiving, _ = _masks(adata, result)
    entries = matrix.tocoo()
    rows, cols = np.flatnonzero(sending)[entries.row], np.flatnonzero(receiving)[entries.col]
    return sparse.csr_matrix((entries.data, (rows, cols)), shape=(adata.n_obs, adata.n_obs))


def _at_exposure(adata: AnnData, key: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """(receivers, L) exposure now → (receivers, P) activity, earlier exposures and receptors as they are; receivers as they stand in the data."""
    import torch

    from .._inference.edge_tables import regulator_levels
    from .._inference.restore import restore

    found = restore(adata, key)
    study, problem, fit = found.study, found.problem, found.fit
    listed = found.result["activity_pairs"]
    left, right = (
        pd.Index(study.genes[role]).get_indexer(listed[role[:-1]].astype(str))
        for role in ("ligands", "receptors")
    )
    number = left * len(study.genes["receptors"]) + right
    spread = regulator_levels(problem, fit, problem.n_tfs + number).std(axis=0)
    strength = listed["score"].to_numpy(dtype=np.float32)
    scale = np.divide(strength, spread, out=np.zeros_like(spread), where=spread > 0)
    chosen = torch.as_tensor(number)
    now = fit.look.exposure[:, -1:]
    here = np.argsort(
        found.rows
    )  # the receivers as they stand, out of their order at the inference
    then = np.argsort(here)

    @torch.no_grad()
    def activity(exposure: NDArray[np.float32]) -> NDArray[np.float32]:
        moved = fit.attended.exposure + now * (
            torch.as_tensor(exposure[then]) - torch.as_tensor(study.exposure)
        )
        signal = fit.network.signal(moved.clamp_min(0.0), fit.attended.receptor, chosen)
        levels: NDArray[np.float32] = (
            signal * (1.0 + fit.network.gate(fit.look.context, problem.n_tfs + chosen))
        ).numpy() * scale
        return levels[here]

    return activity
