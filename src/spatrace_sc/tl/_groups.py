"""Names for what the data cannot tell apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._model.records import Evidence
from .._model.separability import Rivals
from ._result import Values
from ._study import Study

#: Edges of a table, the strongest first, whose rivals are looked for, whatever their q.
STRONGEST = 100
#: Members named; of larger groups the first, and how many more there are.
NAMED = 12
BETWEEN = " | "


def edges_to_check(evidence: Evidence, values: dict[str, Values], n_tfs: int, level: float) -> NDArray[np.int64]:
    """(edges, 2) regulator, TF genes first, and target of what has q ≤ level, belongs to a pair that has, or is among the strongest of its kind."""
    found = []
    for task, edges, first in (("tf", evidence.tf, 0), ("lr", evidence.lr, n_tfs)):
        size = np.abs(edges.effect)
        strongest = np.argsort(-size, kind="stable")[:STRONGEST]
        chosen = (values[task][1] <= level) | np.isin(np.arange(len(size)), strongest[size[strongest] > 0])
        if task == "lr":
            chosen |= (values["pair"][1] <= level)[edges.regulator] & (size > 0)
        found.append(np.stack([first + edges.regulator[chosen], edges.target[chosen]], axis=1))
    return np.concatenate(found).astype(np.int64)


def only_told_apart(evidence: Evidence, values: dict[str, Values], rivals: Rivals, n_tfs: int) -> dict[str, Values]:
    """Values in which pairs that another pair could replace on all their targets, and their edges, have q = 1: the evidence is for the group."""
    same = np.unique(rivals.regulator[rivals.target < 0]) - n_tfs
    q_pair, q_edge = values["pair"][1].copy(), values["lr"][1].copy()
    q_pair[same] = 1.0
    q_edge[np.isin(evidence.lr.regulator, same)] = 1.0
    return values | {"pair": (values["pair"][0], q_pair), "lr": (values["lr"][0], q_edge)}


def add_groups(tables: dict[str, pd.DataFrame], study: Study, rivals: Rivals) -> list[str]:
    """Write a column ``group`` with the number of a group, 0 for none, into every table; returns the names, the first empty."""
    n_f, n_r = len(study.genes["tfs"]), len(study.genes["receptors"])
    members: dict[tuple[int, int], list[int]] = defaultdict(list)
    for regulator, rival, target in zip(rivals.regulator, rivals.rival, rivals.target, strict=True):
        members[int(regulator), int(target)].append(int(rival))
    names = {"": 0}
    code = {
        edge: names.setdefault(_group_name([edge[0], *others], study), len(names)) for edge, others in members.items()
    }
    tf, lr, pairs = tables["tf_targets"], tables["lr_targets"], tables["lr_pairs"]

    def of(regulator: Iterable[int], target: Iterable[int]) -> NDArray[np.int32]:
        return np.array([code.get(key, 0) for key in zip(regulator, target, strict=True)], dtype=np.int32)

    tables["tf_targets"] = tf.assign(group=of(tf["tf"], tf["target"]))
    number = n_f + lr["ligand"] * n_r + lr["receptor"]
    tables["lr_targets"] = lr.assign(group=of(number, lr["target"]))
    number = n_f + pairs["ligand"] * n_r + pairs["receptor"]
    tables["lr_pairs"] = pairs.assign(group=of(number, np.full(len(pairs), -1)))
    return list(names)


def _group_name(regulators: list[int], study: Study) -> str:
    n_f, n_r, genes = len(study.genes["tfs"]), len(study.genes["receptors"]), study.genes
    shown = [
        str(genes["tfs"][k])
        if k < n_f
        else f"{genes['ligands'][(k - n_f) // n_r]}^{genes['receptors'][(k - n_f) % n_r]}"
        for k in sorted(set(regulators))
    ]
    more = len(shown) - NAMED
    return BETWEEN.join(shown if more <= 0 else [*shown[:NAMED], f"{more} more"])
