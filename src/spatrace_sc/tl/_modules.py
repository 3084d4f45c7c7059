"""Pairs that share targets, place and time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from tqdm.auto import tqdm

from .. import _keys, get
from .._check import share_of_one, whole
from .._core import modules as core
from .._data.cells import categories, coordinates, time_column
from .._data.table import as_table, check_copy
from .._errors import DataError, InvalidArgumentError
from .._inference.enrichment import enrich, enrichment_package, usable_sets
from .._inference.module_tables import Scene, module_tables
from .._settings import settings
from ..get._modules import pair_activity

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Receiving cells of one block, and the most blocks: cells are averaged over blocks before they are factorised.
BLOCK, MOST_BLOCKS = 10, 500


def modules(
    data: AnnData | SpatialData,
    *,
    n_modules: int | None = None,
    max_modules: int = 10,
    max_q: float = 0.1,
    target_share: float = 0.5,
    n_draws: int = 20,
    enrichment: pd.DataFrame | None = None,
    enrichment_with: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    r"""Group pairs that change the same targets in the same cells at the same time.

    Effects of the pairs on targets, *T* (pairs × targets, direct and through TFs), and their activity, *A* (pairs × blocks of neighbouring cells), are factorised together with one factor of pairs:

    .. math::
        \min_{W, H, C \ge 0} \; a \, \lVert \tilde T - W H \rVert^2 + (1 - a) \, \lVert \tilde A - W C \rVert^2

    A tilde says: the activity of a pair is centred over blocks, every column is split into its part above and its part below 0, so that a pair that raises a gene and one that lowers it do not look alike, and every row has length 1, so that
    neither table and no strong pair dominates. With the rows of *H* and *C* together of length 1, the weight of pair *p* in module *k* is :math:`w_{pk} = W_{pk} / \sum_j W_{pj}`, the score of the module in cell *i* and its effect on target *g* are

    .. math::
        s_{ik} = \sum_p w_{pk} \, activity_{ip} \qquad e_{kg} = \sum_p w_{pk} \, effect_{pg}

    in standard deviations: the modules of a cell add up to the activity of all its pairs. A block is ten or more receiving cells of one type and slice that are near each other in space and time; there are at most 500, or one for every type and slice, so millions of cells cost little.

    *How many modules:* both halves of the data (targets and blocks, split at random) are factorised on their own for every number from 2 to half of the pairs. Stability is how alike the two sets of weights are (mean cosine, best pairing, mean over ``n_draws`` splits). The same is done with every
    pair's targets and blocks shuffled. Of the numbers that leave two pairs or more to every module, the largest is taken whose stability exceeds that of shuffled data by at most 0.03 less than the best one does; one module where none does by 0.1.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of :func:`spatrace_sc.tl.infer_ccc`.
    n_modules
        None: by stability. A number: so many, at most as many as there are pairs.
    max_modules
        The most that are tried.
    max_q
        Largest ``q_value`` of a pair (:func:`spatrace_sc.get.lr_pairs`) that takes part, above 0 and at most 1. Of these pairs every effect counts, by its size. Pairs beyond ``config.max_activity`` have no activity and take no part.
    target_share
        *a* above, above 0 and at most 1: how much targets count beside place and time. 1: targets alone.
    n_draws
        Random halves for the stability.
    enrichment
        Sets of genes to describe the targets with: table ``source, target`` and, if wanted, ``weight``, as decoupler has it. A set needs five targets of the result.
    enrichment_with
        ``"decoupler"``: univariate linear model (``ulm``) of the effects on all targets, score is *t*. ``"gseapy"``: over-representation (``ora``) of the targets that a module changes more than the others do, against all targets of the result, score is the odds ratio. None: the first that is installed.
    seed
        Of the splits and starts.
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
    None, or with ``copy=True`` an AnnData. Writes

    - ``uns[key]["modules"]``: tables of pairs, targets, stages, stability and enrichment, and the parameters; read them with :func:`spatrace_sc.get.modules`.
    - ``obsm[key + "_modules"]``: cells × modules, float32, NaN in cells that do not receive; :func:`spatrace_sc.get.activity` with ``kind="modules"`` gives it with names.

    Raises
    ------
    MissingKeyError, InvalidArgumentError, DataError
    MissingPackageError
        ``enrichment`` without decoupler and gseapy.

    Notes
    -----
    Modules describe; they carry no q of their own. Pairs that the data cannot tell apart (``group`` in the tables of pairs) look alike by construction. Fewer than four pairs are one module. No pair: empty tables and a line in the log.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.modules(adata, max_q=1.0, n_modules=2)
    >>> adata.obsm["spatrace_modules"].shape
    (600, 2)
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    _check(n_modules, max_modules, max_q, target_share, n_draws, seed)
    scene = _read(adata, max_q, key)
    sets = None if enrichment is None else usable_sets(enrichment, scene.targets)
    package = (
        enrichment_package(enrichment_with)
        if sets is not None or enrichment_with is not None
        else None
    )
    if n_modules is not None and n_modules > len(scene.pairs):
        raise InvalidArgumentError(
            f"`n_modules` is {n_modules}, but only {len(scene.pairs)} pairs have q ≤ {max_q:g}; ask for fewer or raise `max_q`."
        )
    tables, shares = (
        [scene.effect, _pooled(adata, scene, key)],
        [float(target_share), 1.0 - float(target_share)],
    )
    curve = pd.DataFrame(columns=_keys.MODULES["stability"])
    if n_modules is None:
        bars = settings.progress if progress is None else progress
        n_modules, curve = _chosen(tables, shares, max_modules, n_draws, seed, bars)
    fit = (
        core.factorise(core.joint_table(tables, shares).values, n_modules, seed)
        if n_modules
        else None
    )
    weight = core.membership(fit.weight) if fit else np.empty((len(scene.pairs), 0))
    found, scores, effects = module_tables(adata, scene, weight, key)
    found["stability"] = curve
    found["enrichment"] = pd.DataFrame(columns=_keys.MODULES["enrichment"])
    if sets is not None and package is not None and n_modules:
        found["enrichment"] = enrich(effects, sets, package)
    found["params"] = {
        **{
            "n_modules": n_modules,
            "max_modules": max_modules,
            "max_q": float(max_q),
            "n_draws": n_draws,
        },
        **{"target_share": shares[0], "seed": seed, "error": fit.error if fit else 0.0},
    }
    if copy:
        adata = adata.copy()
    _write(adata, scene, found, scores, key)
    return adata if copy else None


def _check(
    n_modules: int | None,
    max_modules: int,
    max_q: float,
    target_share: float,
    n_draws: int,
    seed: int,
) -> None:
    if n_modules is not None:
        whole(n_modules, "n_modules")
    whole(max_modules, "max_modules")
    whole(n_draws, "n_draws")
    whole(seed, "seed", low=0)
    share_of_one(max_q, "max_q")
    share_of_one(target_share, "target_share")


def _read(adata: AnnData, max_q: float, key: str) -> Scene:
    """Supported pairs that have an activity, with their effects."""
    values, pairs = pair_activity(adata, key=key)
    known = get.lr_pairs(adata, key=key)
    known = known.loc[known["q_value"] <= max_q, ["ligand", "receptor"]].astype(str)
    pairs = pairs.assign(column=np.arange(len(pairs))).merge(known, on=["ligand", "receptor"])
    pairs = pairs.sort_values(["ligand", "receptor"], kind="stable", ignore_index=True)
    if len(pairs) < len(known):
        logger.info(
            "%d of %d pairs with q ≤ %g have no stored activity (`config.max_activity`, or score 0) and take no part in modules.",
            *(len(known) - len(pairs), len(known), max_q),
        )
    receiving: NDArray[np.bool_] = np.asarray(np.isfinite(values).all(axis=1))
    if values.shape[1] and not receiving.any():
        raise DataError(
            f"no cell of `adata` receives: the activity under `key={key!r}` is NaN in all {adata.n_obs} cells; modules need receivers."
        )
    edges = get.lr_targets(adata, key=key)
    targets = sorted(edges["target"].astype(str).unique())
    total = edges.assign(total=edges["effect"] + edges["mediated"])
    row = pd.MultiIndex.from_frame(pairs[["ligand", "receptor"]]).get_indexer(
        pd.MultiIndex.from_frame(total[["ligand", "receptor"]].astype(str))
    )
    effect = np.zeros((len(pairs), len(targets)))
    ours = row >= 0
    effect[row[ours], pd.Index(targets).get_indexer(total["target"][ours].astype(str))] = total[
        "total"
    ][ours]
    activity = values[np.flatnonzero(receiving)[:, None], pairs.pop("column").to_numpy()]
    return Scene(pairs, targets, effect, activity, receiving)


def _pooled(adata: AnnData, scene: Scene, key: str) -> NDArray[np.float64]:
    """(pairs, blocks) activity in blocks of neighbouring cells, less its mean."""
    if scene.pairs.empty:
        return np.empty((0, 0))
    used, here = get.params(adata, key=key), scene.receiving
    xy = coordinates(adata, used["spatial_key"])[here]
    time = np.nan_to_num(time_column(adata, used["time_key"])[here])
    names = [
        categories(adata, used[k], k)[here].astype(str)
        for k in ("sample_key", "cell_type_key")
        if used[k]
    ]
    strata = pd.factorize(pd.MultiIndex.from_arrays(names), sort=True)[0]
    extent = max(np.ptp(xy[strata == s], axis=0).max() for s in np.unique(strata))
    place = np.column_stack([xy / (extent or 1.0), time / (np.ptp(time) or 1.0)])
    block = core.cell_blocks(place, strata, size=BLOCK, at_most=MOST_BLOCKS)
    means = core.block_means(scene.activity, block).T
    centred: NDArray[np.float64] = means - means.mean(axis=1, keepdims=True)
    return centred


def _chosen(
    tables: list[NDArray[np.float64]],
    shares: list[float],
    max_modules: int,
    draws: int,
    seed: int,
    progress: bool,
) -> tuple[int, pd.DataFrame]:
    """Number of modules and the curve that led to it."""
    n = len(tables[0])
    ranks = list(range(2, min(max_modules, n // 2) + 1))
    if not ranks:
        if n:
            logger.info(
                "%d pairs make one module: two modules need four pairs (or `max_modules` of at least 2).",
                n,
            )
        else:
            logger.info(
                "No pair has q ≤ `max_q` and an activity: there are no modules. A larger `max_q` admits more."
            )
        return min(n, 1), pd.DataFrame(columns=_keys.MODULES["stability"])
    with tqdm(
        total=2 * draws * len(ranks), desc="modules", disable=not progress, leave=False, delay=5
    ) as bar:
        tick: Callable[[], object] = bar.update
        observed, shuffled = core.stability(
            tables, shares, ranks, draws=draws, seed=seed, tick=tick
        )
    smallest = core.smallest_module(core.joint_table(tables, shares), ranks, seed)
    rank = core.choose_rank(ranks, observed, shuffled, smallest)
    if rank == 1:
        logger.info(
            "No number of modules of two pairs or more is clearly more stable than in shuffled data: all pairs make one module."
        )
    else:
        k = ranks.index(rank)
        logger.info(
            "%d modules: stability %.2f, %.2f in shuffled data.", rank, observed[k], shuffled[k]
        )
    curve = {"rank": ranks, "stability": observed, "shuffled": shuffled, "smallest": smallest}
    return rank, pd.DataFrame(curve | {"chosen": [r == rank for r in ranks]})


def _write(
    adata: AnnData, scene: Scene, found: dict[str, Any], scores: NDArray[np.float32], key: str
) -> None:
    slot = _keys.modules_key(key)
    every = np.full((adata.n_obs, scores.shape[1]), np.nan, dtype=np.float32)
    every[scene.receiving] = scores
    adata.obsm[slot] = every
    adata.uns[key] = dict(adata.uns[key]) | {"modules": found | {"obsm": slot}}
