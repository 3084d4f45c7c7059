"""Names for what the data cannot tell apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._core.statistics import benjamini_hochberg
from .._model.evidence.rivals import Rivals
from .._model.records import Evidence
from .._study.records import Study
from .edge_tables import Values

#: Edges of a table, the strongest first, whose rivals are looked for, whatever their q.
STRONGEST = 100
#: Members named; of larger groups the first, and how many more there are.
NAMED = 12
BETWEEN = " | "
#: Pairs with a larger q, and without an edge that has, are not asked whether another would do as well in their place.
ASKED = 0.3
#: Stands for all targets of a pair.
WHOLE = -1


def edges_to_check(
    evidence: Evidence, values: dict[str, Values], n_tfs: int, level: float
) -> NDArray[np.int64]:
    """(edges, 2) regulator, TF genes first, and target of what has q ≤ level, belongs to a pair that has, or is among the strongest of its kind."""
    found = []
    for task, edges, first in (("tf", evidence.tf, 0), ("lr", evidence.lr, n_tfs)):
        size = np.abs(edges.effect)
        strongest = np.argsort(-size, kind="stable")[:STRONGEST]
        chosen = (values[task][1] <= level) | np.isin(
            np.arange(len(size)), strongest[size[strongest] > 0]
        )
        if task == "lr":
            chosen |= (values["pair"][1] <= level)[edges.regulator] & (size > 0)
        found.append(np.stack([first + edges.regulator[chosen], edges.target[chosen]], axis=1))
    return np.concatenate(found).astype(np.int64)


def pairs_to_check(
    evidence: Evidence, values: dict[str, Values], n_tfs: int, edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Numbers, TF genes first, of pairs that have q ≤ 0.3, or an edge that has or that is checked."""
    asked = np.flatnonzero(_smallest_q(evidence, values) <= ASKED)
    return np.union1d(n_tfs + asked, edges[edges[:, 0] >= n_tfs, 0])


def _smallest_q(evidence: Evidence, values: dict[str, Values]) -> NDArray[np.float64]:
    """(P,) q against decoys of a pair or of its best edge, whichever is smaller."""
    smallest = values["pair"][1].copy()
    np.minimum.at(smallest, evidence.lr.regulator, values["lr"][1])
    return smallest


def only_told_apart(
    evidence: Evidence, values: dict[str, Values], rivals: Rivals, n_tfs: int, level: float
) -> tuple[dict[str, Values], Rivals, NDArray[np.float64]]:
    """Values in which a pair must explain its targets better than any other in its place; rivals with those of whole pairs among them, as of target −1; and (P,) the floor under the q of a pair and of all its edges.

    The p of a pair is the largest over the others that were tried. Its q after Benjamini and Hochberg is that floor: among the pairs that have
    such others and q ≤ ``level``, or such an edge, and of one with a larger q among those with up to that q. What no p that small speaks against is named as a rival.
    """
    largest = np.full(len(values["pair"][1]), np.nan)
    np.fmax.at(largest, rivals.pair - n_tfs, rivals.p_value)
    floor, limit = _floor(largest, _smallest_q(evidence, values), level)
    pair = values["pair"][0], np.maximum(values["pair"][1], floor)
    edge = values["lr"][0], np.maximum(values["lr"][1], floor[evidence.lr.regulator])
    same = np.flatnonzero(rivals.p_value > limit[rivals.pair - n_tfs])
    same = same[np.argsort(-rivals.p_value[same], kind="stable")]
    named = replace(
        rivals,
        regulator=np.r_[rivals.regulator, rivals.pair[same]],
        rival=np.r_[rivals.rival, rivals.stand_in[same]],
        target=np.r_[rivals.target, np.full(len(same), WHOLE)],
    )
    return values | {"pair": pair, "lr": edge}, named, floor


def _floor(
    p: NDArray[np.float64], smallest_q: NDArray[np.float64], level: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(P,) q after Benjamini and Hochberg among the pairs with a p whose ``smallest_q`` is at most a pair's own, or ``level`` if that is larger, 0 of pairs that are not asked or have no p; and the p that is small enough."""
    floor, limit = np.zeros(len(p)), np.full(len(p), level)
    reach = np.maximum(smallest_q, level)
    for q in np.unique(reach[smallest_q <= ASKED]):
        asked = (smallest_q <= q) & np.isfinite(p)
        adjusted = benjamini_hochberg(p[asked])
        here = reach == q
        floor[here & asked] = adjusted[here[asked]]
        limit[here] = q * max(1, (adjusted <= q).sum()) / max(1, len(adjusted))
    return floor, limit


def add_groups(tables: dict[str, pd.DataFrame], study: Study, rivals: Rivals) -> list[str]:
    """Write a column ``group`` with the number of a group, 0 for none, into every table; returns the names, the first empty. Who could stand in for a pair could do so on each of its edges, but for those of its own genes."""
    n_f, n_r = len(study.genes["tfs"]), len(study.genes["receptors"])
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for regulator, rival, target in zip(rivals.regulator, rivals.rival, rivals.target, strict=True):
        members[int(regulator), int(target)].append(int(rival))
    lr, pairs = tables["lr_targets"], tables["lr_pairs"]
    number = n_f + lr["ligand"] * n_r + lr["receptor"]
    whole = rivals.target == WHOLE
    genes = {int(k): _genes_of(int(k), study) for k in np.unique(rivals.rival[whole])}
    replaceable = np.isin(number, rivals.regulator[whole])
    for pair, target in zip(number[replaceable], lr["target"][replaceable], strict=True):
        others = [k for k in members[pair, WHOLE] if study.genes["targets"][target] not in genes[k]]
        if others:
            members[pair, target] += others
    names = {"": 0}
    code = {
        edge: names.setdefault(_group_name([edge[0], *others], study), len(names))
        for edge, others in members.items()
        if others
    }
    tf = tables["tf_targets"]

    def of(regulator: Iterable[int], target: Iterable[int]) -> NDArray[np.int32]:
        return np.array(
            [code.get(key, 0) for key in zip(regulator, target, strict=True)], dtype=np.int32
        )

    tables["tf_targets"] = tf.assign(group=of(tf["tf"], tf["target"]))
    tables["lr_targets"] = lr.assign(group=of(number, lr["target"]))
    number = n_f + pairs["ligand"] * n_r + pairs["receptor"]
    tables["lr_pairs"] = pairs.assign(group=of(number, np.full(len(pairs), WHOLE)))
    return list(names)


def _genes_of(pair: int, study: Study) -> tuple[object, object]:
    """Ligand and receptor of a pair."""
    pair -= len(study.genes["tfs"])
    n_r = len(study.genes["receptors"])
    return study.genes["ligands"][pair // n_r], study.genes["receptors"][pair % n_r]


def _group_name(regulators: list[int], study: Study) -> str:
    """Of many the first are named, in the order of genes."""
    n_f = len(study.genes["tfs"])
    distinct = list(dict.fromkeys(regulators))
    shown = [
        str(study.genes["tfs"][k]) if k < n_f else "^".join(map(str, _genes_of(k, study)))
        for k in sorted(distinct[:NAMED])
    ]
    more = len(distinct) - NAMED
    return BETWEEN.join(shown if more <= 0 else [*shown, f"{more} more"])
