"""Pairs that share targets, place and time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

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
from .._inference.module_tables import PairProfiles, module_tables
from .._result import Result, add_modules, spread_over_cells
from .._settings import settings

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Receiving cells in a block, and the most blocks: cells are averaged over blocks before they are
#: factorised.
CELLS_PER_BLOCK, MAX_BLOCKS = 10, 500


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
    result = Result.read(adata, key)
    profiles = _read_profiles(adata, result, max_q)
    sets = None if enrichment is None else usable_sets(enrichment, profiles.targets)
    package = None
    if sets is not None or enrichment_with is not None:
        package = enrichment_package(enrichment_with)
    if n_modules is not None and n_modules > len(profiles.pairs):
        raise InvalidArgumentError(
            f"`n_modules` is {n_modules}, but only {len(profiles.pairs)} pairs have "
            f"q ≤ {max_q:g}; ask for fewer or raise `max_q`."
        )
    inputs = [profiles.effect, _block_activity(adata, result, profiles)]
    shares = [float(target_share), 1.0 - float(target_share)]
    curve = pd.DataFrame(columns=_keys.MODULES["stability"])
    if n_modules is None:
        bars = settings.progress if progress is None else progress
        n_modules, curve = _choose_number(
            inputs, shares, max_modules, n_draws=n_draws, seed=seed, progress=bars
        )
    fit = None
    if n_modules:
        fit = core.factorise(core.joint_table(inputs, shares).values, n_modules, seed)
    weight = core.membership(fit.weight) if fit else np.empty((len(profiles.pairs), 0))
    modules = module_tables(adata, result, profiles, weight)
    enriched = pd.DataFrame(columns=_keys.MODULES["enrichment"])
    if sets is not None and package is not None and n_modules:
        enriched = enrich(modules.effects, sets, package)
    params = {
        "n_modules": n_modules,
        "max_modules": max_modules,
        "max_q": float(max_q),
        "n_draws": n_draws,
        "target_share": shares[0],
        "seed": seed,
        "error": fit.error if fit else 0.0,
    }
    tables = {**modules.tables, "stability": curve, "enrichment": enriched, "params": params}
    if copy:
        adata = adata.copy()
    add_modules(adata, key, tables, spread_over_cells(modules.scores, profiles.receivers))
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


def _read_profiles(adata: AnnData, result: Result, max_q: float) -> PairProfiles:
    """Return significant pairs that have an activity, with their effects."""
    activity, listed = result.per_cell("activity"), result.activity_pairs
    columns = ["ligand", "receptor"]
    significant = get.lr_pairs(adata, key=result.key)
    significant = significant.loc[significant["q_value"] <= max_q, columns].astype(str)
    pairs = listed[[*columns, "score"]].assign(column=np.arange(len(listed)))
    pairs = pairs.merge(significant, on=columns)
    pairs = pairs.sort_values(columns, kind="stable", ignore_index=True)
    if len(pairs) < len(significant):
        logger.info(
            "%d of %d pairs with q ≤ %g have no stored activity (`config.max_activity`, or score "
            "0) and take no part in modules.",
            *(len(significant) - len(pairs), len(significant), max_q),
        )
    receivers: NDArray[np.bool_] = np.asarray(np.isfinite(activity).all(axis=1))
    if activity.shape[1] and not receivers.any():
        raise DataError(
            f"no cell of `adata` receives: the activity under `key={result.key!r}` is NaN in all "
            f"{adata.n_obs} cells; modules need receivers."
        )
    edges = get.lr_targets(adata, key=result.key)
    targets = sorted(edges["target"].astype(str).unique())
    row = pd.MultiIndex.from_frame(pairs[columns]).get_indexer(
        pd.MultiIndex.from_frame(edges[columns].astype(str))
    )
    used = row >= 0
    effect = np.zeros((len(pairs), len(targets)))
    target = pd.Index(targets).get_indexer(edges["target"][used].astype(str))
    effect[row[used], target] = (edges["effect"] + edges["mediated"])[used]
    values = activity[np.flatnonzero(receivers)[:, None], pairs.pop("column").to_numpy()]
    return PairProfiles(pairs, targets, effect, values, receivers)


def _block_activity(adata: AnnData, result: Result, profiles: PairProfiles) -> NDArray[np.float64]:
    """(pairs, blocks) mean activity in blocks of neighbouring cells, centred over blocks."""
    if profiles.pairs.empty:
        return np.empty((0, 0))
    source, rows = result.source, profiles.receivers
    coords = coordinates(adata, source.spatial_key)[rows]
    time = np.nan_to_num(time_column(adata, source.time_key)[rows])
    keys = {"sample_key": source.sample_key, "cell_type_key": source.cell_type_key}
    labels = [
        categories(adata, key, argument)[rows].astype(str)
        for argument, key in keys.items()
        if key is not None
    ]
    strata = pd.factorize(pd.MultiIndex.from_arrays(labels), sort=True)[0]
    extent = max(np.ptp(coords[strata == s], axis=0).max() for s in np.unique(strata))
    position = np.column_stack([coords / (extent or 1.0), time / (np.ptp(time) or 1.0)])
    block = core.cell_blocks(position, strata, size=CELLS_PER_BLOCK, at_most=MAX_BLOCKS)
    means = core.block_means(profiles.activity, block).T
    centred: NDArray[np.float64] = means - means.mean(axis=1, keepdims=True)
    return centred


def _choose_number(
    inputs: list[NDArray[np.float64]],
    shares: list[float],
    max_modules: int,
    *,
    n_draws: int,
    seed: int,
    progress: bool,
) -> tuple[int, pd.DataFrame]:
    """Return the number of modules and the stability curve behind it."""
    n = len(inputs[0])
    ranks = list(range(2, min(max_modules, n // 2) + 1))
    if not ranks:
        if n:
            logger.info(
                "%d pairs make one module: two modules need four pairs (or `max_modules` of at "
                "least 2).",
                n,
            )
        else:
            logger.info(
                "No pair has q ≤ `max_q` and an activity: there are no modules. A larger `max_q` "
                "admits more."
            )
        return min(n, 1), pd.DataFrame(columns=_keys.MODULES["stability"])
    with tqdm(
        total=2 * n_draws * len(ranks), desc="modules", disable=not progress, leave=False, delay=5
    ) as bar:
        tick: Callable[[], object] = bar.update
        observed, shuffled = core.stability(
            inputs, shares, ranks, draws=n_draws, seed=seed, tick=tick
        )
    smallest = core.smallest_module_sizes(core.joint_table(inputs, shares), ranks, seed)
    rank = core.choose_rank(ranks, observed, shuffled, smallest)
    if rank == 1:
        logger.info(
            "No number of modules of two pairs or more is clearly more stable than in shuffled "
            "data: all pairs make one module."
        )
    else:
        k = ranks.index(rank)
        logger.info(
            "%d modules: stability %.2f, %.2f in shuffled data.", rank, observed[k], shuffled[k]
        )
    curve = {"rank": ranks, "stability": observed, "shuffled": shuffled, "smallest": smallest}
    return rank, pd.DataFrame(curve | {"chosen": [r == rank for r in ranks]})
