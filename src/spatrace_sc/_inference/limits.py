"""The one reason that keeps an edge from being significant."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._core.statistics import decoys_at_least
from .._edges import LR_PAIRS, LR_TARGETS, TF_TARGETS
from .._model.evidence.minimum_effect import EffectTest
from .._model.records import Draw, Evidence
from .._regulators import Regulators
from .edge_tables import Values

#: Index of every reason in :data:`_keys.LIMITS`.
CODE = {reason: code for code, reason in enumerate(_keys.LIMITS)}
#: Codes of all candidates of a task, int8.
Codes = NDArray[np.int8]


def limits(
    evidence: Evidence,
    test: EffectTest,
    against_decoys: dict[str, NDArray[np.float64]],
    values: tuple[dict[str, Values], dict[str, Values], dict[str, Values]],
    *,
    noise_known: bool,
) -> dict[str, Codes]:
    """Return the codes of the tasks ``tf`` and ``lr``, of the listed edges, and ``pair``.

    ``against_decoys`` is the second result of :func:`p_and_q`. ``values`` are p and q before the
    test among neighbouring cells, after it, and after the rival test as well. The first reason
    that holds is given:

    - q against decoys is above 0.1. The list is too short if the edge exceeds every decoy in more
      than half of the refits all the same (TF edges: and passes the test of the minimum effect, or
      else that is the reason); otherwise the edge is weaker than decoys.
    - TF edges: p of the test of the minimum effect is above 0.1. If it is not, the adjustment for
      all candidates keeps q above 0.1. Without ``noise_known`` no TF edge is tested.
    - The test among neighbouring cells raises q above 0.1.
    - Pairs and their edges: the rival test, or a strong pair with the same ligand or receptor,
      keeps q above 0.1.

    Whether an edge has an effect is left to :func:`add_limits`.
    """
    before, local, tested = values
    pairs = np.arange(len(evidence.pair_score))
    wanted = {"tf": evidence.tf.index, "lr": evidence.lr.index, "pair": pairs}
    below = test.p_value.ravel() > _keys.MAX_SIGNIFICANT_Q
    rival = np.int8(CODE["a rival explains it"])
    last = {
        "tf": np.where(below, CODE["below the minimum effect"], CODE["too many candidates"]),
        "lr": np.full(len(evidence.lr.index), rival),
        "pair": np.full(len(pairs), rival),
    }
    too_short = CODE["list too short"]
    short = {
        "tf": np.where(below, CODE["below the minimum effect"], too_short),
        "lr": np.full(len(evidence.lr.index), too_short),
        "pair": np.full(len(pairs), too_short),
    }
    codes = {}
    for task, candidates in wanted.items():
        above = np.isin(candidates, _above_all_decoys(evidence.draws[task]))
        code = np.where(above, short[task], CODE["weaker than decoys"])
        code = np.where(against_decoys[task] <= _keys.MAX_SIGNIFICANT_Q, last[task], code)
        if task == "tf" and not noise_known:
            code[:] = CODE["noise not known"]
        located = before[task][1] <= _keys.MAX_SIGNIFICANT_Q
        located &= local[task][1] > _keys.MAX_SIGNIFICANT_Q
        code = np.where(located, CODE["location explains it"], code)
        significant = tested[task][1] <= _keys.MAX_SIGNIFICANT_Q
        codes[task] = np.where(significant, CODE[""], code).astype(np.int8)
    return codes


def _above_all_decoys(draws: list[Draw]) -> NDArray[np.integer]:
    """Return the candidates that no decoy reaches in more than half of the refits."""
    above = []
    for d in draws:
        positive = d.score > 0
        free = decoys_at_least(d.score[positive], (d.null_score, d.null_weight)) == 0
        above.append(d.items[positive][free])
    items, n_refits = np.unique(np.concatenate(above), return_counts=True)
    return np.asarray(items[n_refits > len(draws) // 2])


def add_limits(
    tables: dict[str, pd.DataFrame],
    genes: Regulators,
    evidence: Evidence,
    codes: dict[str, Codes],
) -> None:
    """Write the codes as a column ``limited_by`` into the compact tables.

    Their rows are the edges with an effect. The others need no code: they have no effect.
    """
    candidates = {
        TF_TARGETS: ("tf", evidence.tf.index),
        LR_TARGETS: ("lr", evidence.lr.index),
        LR_PAIRS: ("pair", np.arange(genes.n_pairs)),
    }
    for kind, (task, index) in candidates.items():
        table = tables[kind.name]
        row = np.searchsorted(index, genes.candidate(table, kind))
        tables[kind.name] = table.assign(limited_by=codes[task][row])
