"""Group pairs that change the same targets in the same cells at the same time."""

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
from .._check import RandomSource, seed_of, share_of_one, whole
from .._core import modules as core
from .._data.table import as_table, check_copy
from .._errors import DataError, InvalidArgumentError
from .._inference.enrichment import enrich, enrichment_package, usable_sets
from .._inference.module_profiles import PairProfiles, block_activity
from .._inference.module_tables import module_tables
from .._result import Result, add_modules, spread_over_cells
from .._settings import settings

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


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
    rng: RandomSource | None = None,
    seed: int | None = None,
    progress: bool | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Group ligand–receptor pairs that change the same targets in the same cells.

    Two tables are factorised together, non-negatively, with one common factor for the pairs.
    ``T`` (pairs × targets) holds the effects, direct and through TFs. ``A`` (pairs × blocks of
    neighbouring cells) holds the activity, so a module is active at one location and time::

        minimise over W, H, C >= 0:   a * ||T - W H||^2 + (1 - a) * ||A - W C||^2

    Both tables are prepared first. Activity is centred over blocks. Every column is split into its
    positive and its negative part, so that a pair that raises a gene does not resemble one that
    lowers it. Every row is scaled to length 1, so that no table and no strong pair dominates.

    Rows of ``H`` and ``C`` together have length 1. Weight of pair *p* in module *k*, score of
    the module in cell *i*, and its effect on target *g*::

        w[p, k]      = W[p, k] / sum_j W[p, j]
        score[i, k]  = sum_p w[p, k] * activity[i, p]
        effect[k, g] = sum_p w[p, k] * effect[p, g]

    Scores and effects are in standard deviations. The scores of a cell add up to the activity of
    all its pairs. A block holds ten or more receiving cells of one type and slice that are close
    in space and time. There are at most 500 blocks, or one per type and slice if these are more,
    so millions of cells cost little.

    *Number of modules.* Targets and blocks are split at random into halves, and each half is
    factorised separately, for every number of modules from 2 to half the number of pairs.
    Stability is the similarity of the two sets of weights: the mean cosine of the best matching,
    averaged over ``n_draws`` splits. A null stability comes from data in which the targets and
    blocks of every pair are shuffled. Candidates are the numbers that leave at least two pairs
    in every module. The largest one is chosen whose excess over the null is within 0.03 of the
    best excess. If no excess reaches 0.1, there is one module.

    ``docs/method/derived.md`` and ``docs/modules.md`` give details.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`.
    n_modules
        Number of modules, at most the number of pairs. None: chosen by stability.
    max_modules
        Largest number of modules that is tried.
    max_q
        Largest ``q_value`` (:func:`spatrace_sc.get.lr_pairs`) of a pair that is grouped, above 0
        and at most 1. All effects of these pairs count, by their size. Pairs beyond
        ``config.max_activity`` have no stored activity and are left out.
    target_share
        Weight ``a`` of the targets relative to location and time, above 0 and at most 1. 1:
        targets alone.
    n_draws
        Number of random splits from which the stability is computed.
    enrichment
        Gene sets that describe the targets: a table with columns source, target[, weight], as in
        decoupler. A set needs at least five targets of the result.
    enrichment_with
        ``"decoupler"``: univariate linear model (``ulm``) of the effects on all targets; the
        score is *t*. ``"gseapy"``: over-representation analysis (``ora``) of the targets that a
        module changes more than any other module, against all targets of the result; the score
        is the odds ratio. None: the first of the two that is installed.
    rng
        Seed of the splits and the initial factors, or a :class:`numpy.random.Generator` that draws
        one. None: 0.
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
    None, or with ``copy=True`` an AnnData. Writes

    - ``uns[key]["modules"]``: tables of pairs, targets, stages, stability and enrichment, and
      the parameters. Read them with :func:`spatrace_sc.get.modules`.
    - ``obsm[key + "_modules"]``: cells × modules, float32. NaN in cells that do not receive.
      Read it with names by :func:`spatrace_sc.get.activity` with ``kind="modules"``.

    Raises
    ------
    MissingKeyError, InvalidArgumentError, DataError
        If there is no result under ``key``, an argument is invalid, or no cell receives.
    MissingPackageError
        If ``enrichment`` is given and neither decoupler nor gseapy is installed.

    Notes
    -----
    Modules are descriptive; they have no q-value. Pairs that the data cannot distinguish
    (``group`` in the tables of pairs) look alike by construction. Fewer than four pairs form one
    module. Without any pair the tables are empty, and the log says so.

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
    _check(n_modules, max_modules, max_q, target_share, n_draws)
    drawn = seed_of(rng, seed)
    result = Result.read(adata, key, of_cells=True)
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
    inputs = [profiles.effect, block_activity(adata, result.source, profiles)]
    shares = [float(target_share), 1.0 - float(target_share)]
    curve = pd.DataFrame(columns=_keys.MODULES["stability"])
    if n_modules is None:
        bars = settings.progress if progress is None else progress
        n_modules, curve = _choose_number(
            inputs, shares, max_modules, n_draws=n_draws, seed=drawn, progress=bars
        )
    fit = None
    if n_modules:
        fit = core.factorise(core.joint_table(inputs, shares).values, n_modules, drawn)
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
        "seed": drawn,
        "error": fit.error if fit else 0.0,
    }
    tables = {**modules.tables, "stability": curve, "enrichment": enriched, "params": params}
    if copy:
        adata = adata.copy()
    rows = np.flatnonzero(profiles.receivers)
    add_modules(adata, key, tables, spread_over_cells(modules.scores, rows, adata.n_obs))
    return adata if copy else None


def _check(
    n_modules: int | None,
    max_modules: int,
    max_q: float,
    target_share: float,
    n_draws: int,
) -> None:
    if n_modules is not None:
        whole(n_modules, "n_modules")
    whole(max_modules, "max_modules")
    whole(n_draws, "n_draws")
    share_of_one(max_q, "max_q")
    share_of_one(target_share, "target_share")


def _read_profiles(adata: AnnData, result: Result, max_q: float) -> PairProfiles:
    """Return the pairs up to ``max_q`` that have an activity, with their effects and activities."""
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
            "0) and are left out of the modules.",
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


def _choose_number(
    inputs: list[NDArray[np.float64]],
    shares: list[float],
    max_modules: int,
    *,
    n_draws: int,
    seed: int,
    progress: bool,
) -> tuple[int, pd.DataFrame]:
    """Return the number of modules and the stability curve it was chosen from."""
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
                "admits more pairs."
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
            "No grouping into modules of at least two pairs is clearly more stable than in "
            "shuffled data: all pairs make one module."
        )
    else:
        k = ranks.index(rank)
        logger.info(
            "%d modules: stability %.2f, %.2f in shuffled data.", rank, observed[k], shuffled[k]
        )
    curve = {"rank": ranks, "stability": observed, "shuffled": shuffled, "smallest": smallest}
    return rank, pd.DataFrame(curve | {"chosen": [r == rank for r in ranks]})
