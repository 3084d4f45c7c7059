"""Regulators that the data cannot distinguish: the rival test, and names for their groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import false_discovery_control

from .. import _keys
from .._edges import LR_PAIRS, LR_TARGETS, NAME_SEPARATOR, TF_TARGETS
from .._model.evidence.rivals import Rivals
from .._model.records import Evidence
from .._regulators import Indices, Regulators
from .edge_tables import Values

#: The strongest edges of a table that are tested against rivals, whatever their q.
N_STRONGEST_TESTED = 100
#: Largest number of members of a group that are named; of larger groups the first.
MAX_NAMED = 12
#: Pairs with a larger q, and without an edge below it, are not tested against rivals.
MAX_Q_TESTED = 0.3
#: Stands for all targets of a pair.
ALL_TARGETS = -1


def edges_to_test(
    evidence: Evidence, values: dict[str, Values], genes: Regulators
) -> NDArray[np.int64]:
    """(edges, 2) regulator and target of the edges that are tested against rivals.

    These are the significant ones, those of significant pairs, and the strongest of each kind.
    """
    parts = []
    for task, edges, first in (("tf", evidence.tf, 0), ("lr", evidence.lr, genes.n_tfs)):
        size = np.abs(edges.effect)
        strongest = np.argsort(-size, kind="stable")[:N_STRONGEST_TESTED]
        strongest = strongest[size[strongest] > 0]
        tested = values[task][1] <= _keys.MAX_SIGNIFICANT_Q
        tested |= np.isin(np.arange(len(size)), strongest)
        if task == "lr":
            tested |= (values["pair"][1] <= _keys.MAX_SIGNIFICANT_Q)[edges.regulator] & (size > 0)
        parts.append(np.stack([first + edges.regulator[tested], edges.target[tested]], axis=1))
    return np.concatenate(parts).astype(np.int64)


def pairs_to_test(
    evidence: Evidence, values: dict[str, Values], genes: Regulators, edges: NDArray[np.int64]
) -> Indices:
    """Return the regulator indices of pairs that are tested against rivals.

    These are pairs with q ≤ 0.3, or with an edge that has such a q or is tested itself.
    """
    candidates = np.flatnonzero(smallest_q(evidence, values) <= MAX_Q_TESTED)
    of_edges = edges[edges[:, 0] >= genes.n_tfs, 0]
    return np.union1d(genes.regulator_of_pair(candidates), of_edges)


def smallest_q(evidence: Evidence, values: dict[str, Values]) -> NDArray[np.float64]:
    """(P,) q against decoys of a pair or of its best edge, whichever is smaller."""
    smallest = values["pair"][1].copy()
    np.minimum.at(smallest, evidence.lr.regulator, values["lr"][1])
    return smallest


def apply_rival_test(
    evidence: Evidence, values: dict[str, Values], rivals: Rivals, genes: Regulators
) -> tuple[dict[str, Values], Rivals, NDArray[np.float64]]:
    """Require that a pair explains its targets better than any pair substituted for it.

    The p of a pair is the largest over its rivals. Its q by Benjamini and Hochberg is a floor under
    the q of the pair and of all its edges. It is computed among the pairs that have rivals and are
    significant themselves or by an edge; for a pair with a larger q, among those with up to that q.

    Returns
    -------
    Values with the floor applied; rivals, with those that no small p excludes as rivals of the
    target −1; and the floor (P,).
    """
    largest = np.full(genes.n_pairs, np.nan)
    pair = genes.pair_of_regulator(rivals.pair)
    np.fmax.at(largest, pair, rivals.p_value)
    floor, limit = q_floor(largest, smallest_q(evidence, values))
    tested = {
        "pair": (values["pair"][0], np.maximum(values["pair"][1], floor)),
        "lr": (values["lr"][0], np.maximum(values["lr"][1], floor[evidence.lr.regulator])),
    }
    equal = np.flatnonzero(rivals.p_value > limit[pair])
    equal = equal[np.argsort(-rivals.p_value[equal], kind="stable")]
    named = replace(
        rivals,
        regulator=np.r_[rivals.regulator, rivals.pair[equal]],
        rival=np.r_[rivals.rival, rivals.stand_in[equal]],
        target=np.r_[rivals.target, np.full(len(equal), ALL_TARGETS)],
    )
    return values | tested, named, floor


def q_floor(
    p: NDArray[np.float64], smallest_q: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return q by Benjamini and Hochberg of a second test, and the largest p that is significant.

    Both are computed among the candidates whose q of the first test, ``smallest_q``, is at most
    0.1; for one with a larger q, up to 0.3, among those with up to that q. The floor is 0 for
    candidates that are not tested, whose p is NaN.
    """
    floor, limit = np.zeros(len(p)), np.full(len(p), _keys.MAX_SIGNIFICANT_Q)
    level = np.maximum(smallest_q, _keys.MAX_SIGNIFICANT_Q)
    for q in np.unique(level[smallest_q <= MAX_Q_TESTED]):
        tested = (smallest_q <= q) & np.isfinite(p)
        adjusted = false_discovery_control(p[tested])
        at_level = level == q
        floor[at_level & tested] = adjusted[at_level[tested]]
        limit[at_level] = q * max(1, (adjusted <= q).sum()) / max(1, len(adjusted))
    return floor, limit


def add_groups(tables: dict[str, pd.DataFrame], genes: Regulators, rivals: Rivals) -> list[str]:
    """Write a column ``group``, the index of a group or 0, into every table.

    Returns the names of the groups, the first empty. A rival of a pair as a whole is a rival on
    each of its edges, except on the rival's own genes.
    """
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for regulator, rival, target in zip(rivals.regulator, rivals.rival, rivals.target, strict=True):
        members[int(regulator), int(target)].append(int(rival))
    tf, lr, pairs = (tables[kind.name] for kind in (TF_TARGETS, LR_TARGETS, LR_PAIRS))
    edge_regulator = genes.regulator_of_pair(genes.pair_of_rows(lr))
    pair_regulator = genes.regulator_of_pair(genes.pair_of_rows(pairs))
    _pass_to_edges(members, rivals, genes, edge_regulator, lr["target"].to_numpy())
    names = {"": 0}
    code = {
        edge: names.setdefault(_group_name([edge[0], *others], genes), len(names))
        for edge, others in members.items()
        if others
    }

    def numbers(regulator: Iterable[int], target: Iterable[int]) -> NDArray[np.int32]:
        edges = zip(regulator, target, strict=True)
        return np.array([code.get(edge, 0) for edge in edges], dtype=np.int32)

    tables[TF_TARGETS.name] = tf.assign(group=numbers(tf["tf"], tf["target"]))
    tables[LR_TARGETS.name] = lr.assign(group=numbers(edge_regulator, lr["target"]))
    all_targets = np.full(len(pairs), ALL_TARGETS)
    tables[LR_PAIRS.name] = pairs.assign(group=numbers(pair_regulator, all_targets))
    return list(names)


def _pass_to_edges(
    members: dict[tuple[int, int], list[int]],
    rivals: Rivals,
    genes: Regulators,
    regulator: Indices,
    target: NDArray[np.integer],
) -> None:
    """Add the rivals of whole pairs to those of their edges."""
    of_pairs = rivals.target == ALL_TARGETS
    distinct = np.unique(rivals.rival[of_pairs])
    genes_of_rival = genes.pair_genes(genes.pair_of_regulator(distinct)).to_numpy()
    genes_of = dict(zip(distinct.tolist(), map(set, genes_of_rival), strict=True))
    replaceable = np.isin(regulator, rivals.regulator[of_pairs])
    for pair, gene in zip(regulator[replaceable], target[replaceable], strict=True):
        others = [
            rival
            for rival in members[pair, ALL_TARGETS]
            if genes.targets[gene] not in genes_of[rival]
        ]
        if others:
            members[pair, gene] += others


def _group_name(regulators: list[int], genes: Regulators) -> str:
    """Names of the members in the order of genes; of many the first."""
    distinct = list(dict.fromkeys(regulators))
    names = [genes.regulator_name(regulator) for regulator in sorted(distinct[:MAX_NAMED])]
    if len(distinct) > MAX_NAMED:
        names.append(f"{len(distinct) - MAX_NAMED} more")
    return NAME_SEPARATOR.join(names)
