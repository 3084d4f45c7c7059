"""A table of edges against a network that is known."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import shorten, whole
from .._core.networks import ranking_scores, rewire
from .._data.table import as_table
from .._edges import EDGE_KINDS, TESTED_KINDS, EdgeKind, public_word
from .._errors import DataError, InvalidArgumentError

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Kinds of edges that can be judged.
JUDGED_KINDS = [kind.name for kind in TESTED_KINDS]
MEASURES = ["auroc", "auprc", "auprc_ratio", "early_precision"]


def evaluate(
    data: AnnData | SpatialData | pd.DataFrame,
    reference: pd.DataFrame,
    *,
    edges: str = "tf_targets",
    score: str = "score",
    n_random: int = 100,
    seed: int = 0,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
) -> pd.DataFrame:
    """Score the ranking of edges against a reference network, and against random networks of the same degrees.

    Judged are the candidates whose source and whose target both occur in the reference: of others it says nothing. A random network gives every source and every target as many true edges as the
    reference does: a ranking that only knows which genes have many edges does as well on it.

    Parameters
    ----------
    data
        With a result of :func:`spatrace_sc.tl.infer_ccc`; or any table with the columns of ``edges`` and ``score``.
    reference
        Tidy table of known edges: columns ``source`` and ``target`` (``ligand^receptor`` where pairs act), or those of the table itself, such as ``tf, target`` or ``ligand, receptor, target``.
    edges
        ``"tf_targets"``, ``"lr_targets"`` or ``"lr_pairs"``.
    score
        Column to rank by, descending.
    n_random
        Random networks, 0 for none. No p is below 1 / (n_random + 1).
    seed
        Of the random networks.
    key, table_key
        Name of the result; table of a SpatialData.

    Returns
    -------
    Table with one row for each of ``auroc``, ``auprc`` (average precision), ``auprc_ratio`` (over the share of true edges) and ``early_precision`` (among as many of the strongest as are true): ``measure, value, random_mean,
    random_sd, p_value, n_candidates, n_true``. p is the share of random networks, the reference among them, that score at least as high. Nothing is written.

    Raises
    ------
    MissingKeyError, InvalidArgumentError, DataError

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.evaluate(adata, adata.uns["truth"]["tf_targets"], n_random=9)["measure"].tolist()
    ['auroc', 'auprc', 'auprc_ratio', 'early_precision']
    """
    kind = EDGE_KINDS[public_word(edges, JUDGED_KINDS, "edges")]
    whole(n_random, "n_random", low=0)
    whole(seed, "seed", low=0)
    table = (
        data
        if isinstance(data, pd.DataFrame)
        else getattr(get, kind.name)(as_table(data, table_key), key=key)
    )
    source, target = (pd.Index(names) for names in _named(table, kind, "data"))
    if score not in table:
        raise InvalidArgumentError(
            f"`score={score!r}` is not a column of the table; it has {shorten(table.columns)}."
        )
    known_source, known_target = (pd.Index(names) for names in _named(reference, kind, "reference"))
    sources, targets = (
        pd.Index(np.intersect1d(a, b)) for a, b in ((source, known_source), (target, known_target))
    )
    row, column = sources.get_indexer(source), targets.get_indexer(target)
    judged = (row >= 0) & (column >= 0)
    network = np.zeros((len(sources), len(targets)), dtype=bool)
    at, to = sources.get_indexer(known_source), targets.get_indexer(known_target)
    network[at[(at >= 0) & (to >= 0)], to[(at >= 0) & (to >= 0)]] = True
    candidate = np.zeros_like(network)
    candidate[row[judged], column[judged]] = True
    lost = int((network & ~candidate).sum())
    if lost:
        logger.info(
            "%d edges of the reference are not among the candidates and are left out.", lost
        )
    true = (network & candidate)[row[judged], column[judged]]
    if not true.any() or true.all():
        raise DataError(
            f"{int(true.sum())} of {len(true)} candidates with a source and a target of the reference are true: nothing to rank. Do the names agree? Sources of the table: {shorten(np.unique(source), 3)}; of the reference: {shorten(np.unique(known_source), 3)}."
        )
    return _against_chance(
        network,
        (row[judged], column[judged]),
        table[score].to_numpy(dtype=float)[judged],
        n_random,
        seed,
    )


def _against_chance(
    network: NDArray[np.bool_],
    place: tuple[NDArray[np.intp], NDArray[np.intp]],
    value: NDArray[np.float64],
    n_random: int,
    seed: int,
) -> pd.DataFrame:
    true = network[place]
    observed = ranking_scores(true, value)
    rng = np.random.default_rng(seed)
    random = pd.DataFrame(
        [ranking_scores(rewire(network, rng)[place], value) for _ in range(n_random)],
        columns=MEASURES,
        dtype=float,
    )
    found = pd.DataFrame({"measure": MEASURES, "value": [observed[m] for m in MEASURES]})
    found["random_mean"], found["random_sd"] = (
        random.mean().to_numpy(),
        random.std(ddof=0).to_numpy(),
    )
    at_least = [(random[m] >= observed[m] - 1e-12).sum() for m in MEASURES]
    found["p_value"] = (1.0 + np.array(at_least)) / (1.0 + n_random)
    return found.assign(n_candidates=len(true), n_true=int(true.sum()))


def _named(
    table: pd.DataFrame, kind: EdgeKind, argument: str
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the names of sources and targets."""
    if not isinstance(table, pd.DataFrame):
        raise InvalidArgumentError(f"`{argument}` must be a table, found {type(table).__name__}.")
    if set(kind.columns) <= set(table):
        source, target = kind.source_names(table), table[kind.target]
    elif {"source", "target"} <= set(table):
        source, target = table["source"], table["target"]
    else:
        raise InvalidArgumentError(
            f"`{argument}` must have columns source, target or {', '.join(kind.columns)}; it has "
            f"{shorten(table.columns)}."
        )
    return (
        source.astype(str).to_numpy(dtype=object),
        target.astype(str).to_numpy(dtype=object),
    )
