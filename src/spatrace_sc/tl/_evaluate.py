"""Score a ranking of edges against a known network."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._check import RandomSource, seed_of, shorten, whole
from .._core.networks import ranking_scores, rewire
from .._data.table import as_table
from .._edges import EDGE_KINDS, TESTED_KINDS, EdgeKind, public_word
from .._errors import DataError, InvalidArgumentError

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Kinds of edges that can be evaluated.
JUDGED_KINDS = [kind.name for kind in TESTED_KINDS]
#: Columns of measures, in the order of the table.
MEASURES = ["auroc", "auprc", "auprc_ratio", "early_precision"]
#: Measures of two networks that differ by less are equal.
TIE_TOLERANCE = 1e-12


def evaluate(
    data: AnnData | SpatialData | pd.DataFrame,
    reference: pd.DataFrame,
    *,
    edges: str = "tf_targets",
    score: str = "score",
    n_random: int = 100,
    rng: RandomSource | None = None,
    seed: int | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
) -> pd.DataFrame:
    """Score a ranking of edges against a reference network.

    The same scores are computed for random networks with the degrees of the reference: each
    source and each target has as many true edges as in the reference. A ranking that only knows
    which genes have many edges scores as well on them.

    Only candidates whose source and target both occur in the reference are scored, because the
    reference does not cover other genes.

    Parameters
    ----------
    data
        AnnData or SpatialData with a result of :func:`spatrace_sc.tl.infer_ccc`; or any table
        with the columns of ``edges`` and ``score``.
    reference
        Tidy table of known edges. Its columns are ``source`` and ``target`` (sources that are
        pairs are written ``ligand^receptor``), or those of the edge table itself, such as
        ``tf, target`` or ``ligand, receptor, target``.
    edges
        ``"tf_targets"``, ``"lr_targets"`` or ``"lr_pairs"``.
    score
        Column to rank by, in descending order.
    n_random
        Number of random networks, 0 for none. No p is below 1 / (n_random + 1).
    rng
        Seed of the random networks, or a :class:`numpy.random.Generator` that draws one. None: 0.
    seed
        Former name of ``rng``.
    key, table_key
        Name of the result; table of a SpatialData.

    Returns
    -------
    Table with the columns
    ``measure, value, random_mean, random_sd, p_value, n_candidates, n_true`` and one row per
    measure. Nothing is written.

    - ``auroc``: area under the ROC curve.
    - ``auprc``: average precision.
    - ``auprc_ratio``: average precision relative to the share of true edges.
    - ``early_precision``: precision among the strongest candidates, as many as there are true
      edges.

    ``p_value`` is the share of networks that score at least as high, the reference counted as
    one of them.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        If there is no result under ``key``, a table lacks its columns, or an argument is
        invalid.
    DataError
        If none, or all, of the candidates are true edges, so that nothing can be ranked.

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
    drawn = seed_of(rng, seed)
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
    known = sources.get_indexer(known_source), targets.get_indexer(known_target)
    within = (known[0] >= 0) & (known[1] >= 0)
    network[known[0][within], known[1][within]] = True
    candidate = np.zeros_like(network)
    candidate[row[judged], column[judged]] = True
    n_missing = int((network & ~candidate).sum())
    if n_missing:
        logger.info(
            "%d edges of the reference are not among the candidates and are left out.", n_missing
        )
    true = (network & candidate)[row[judged], column[judged]]
    if not true.any() or true.all():
        raise DataError(
            f"{int(true.sum())} of {len(true)} candidates with a source and a target of the "
            "reference are true: nothing to rank. Do the names agree? Sources of the table: "
            f"{shorten(np.unique(source), 3)}; of the reference: "
            f"{shorten(np.unique(known_source), 3)}."
        )
    return _against_chance(
        network,
        (row[judged], column[judged]),
        table[score].to_numpy(dtype=float)[judged],
        n_random,
        drawn,
    )


def _against_chance(
    network: NDArray[np.bool_],
    judged: tuple[NDArray[np.intp], NDArray[np.intp]],
    value: NDArray[np.float64],
    n_random: int,
    seed: int,
) -> pd.DataFrame:
    """Return the measures of the judged entries of a network, and those of random networks."""
    true = network[judged]
    observed = ranking_scores(true, value)
    rng = np.random.default_rng(seed)
    random = pd.DataFrame(
        [ranking_scores(rewire(network, rng)[judged], value) for _ in range(n_random)],
        columns=MEASURES,
        dtype=float,
    )
    n_at_least = [(random[m] >= observed[m] - TIE_TOLERANCE).sum() for m in MEASURES]
    return pd.DataFrame(
        {
            "measure": MEASURES,
            "value": [observed[m] for m in MEASURES],
            "random_mean": random.mean().to_numpy(),
            "random_sd": random.std(ddof=0).to_numpy(),
            "p_value": (1.0 + np.array(n_at_least)) / (1.0 + n_random),
            "n_candidates": len(true),
            "n_true": int(true.sum()),
        }
    )


def _named(
    table: pd.DataFrame, kind: EdgeKind, argument: str
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return the names of sources and targets of a table."""
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
