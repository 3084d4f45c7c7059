"""q of pairs and their edges after the test among neighbouring cells."""

from __future__ import annotations

import numpy as np
import torch

from .._model.evidence.local_slopes import local_test
from .._model.fit import Fit
from .._model.records import Evidence, Problem
from .._study.neighbourhood import nearest_receivers
from .._study.records import Study
from .edge_tables import Values
from .indistinguishable import MAX_Q_TESTED, q_floor, smallest_q


def apply_local_test(
    study: Study, problem: Problem, fitted: Fit, evidence: Evidence, values: dict[str, Values]
) -> dict[str, Values]:
    """Return values in which pairs and their edges must hold among neighbouring cells.

    The q of this test by Benjamini and Hochberg is a floor under the q of an edge, and under that
    of a pair. It is computed among the edges or pairs that are significant without it; for one
    with a larger q, up to 0.3, among those with up to that q.
    """
    lr, genes = evidence.lr, study.genes
    q, of_pair = values["lr"][1], smallest_q(evidence, values)
    edges, pairs = (np.flatnonzero(each <= MAX_Q_TESTED) for each in (q, of_pair))
    if not len(pairs):
        return values
    usable = problem.usable.cpu().numpy()
    tested = local_test(
        *(problem, fitted, np.stack([lr.regulator[edges], lr.target[edges]], axis=1), pairs),
        torch.from_numpy(nearest_receivers(study, usable)),
    )
    p_edge, p_pair = np.full(len(q), np.nan), np.full(genes.n_pairs, np.nan)
    p_edge[edges], p_pair[pairs] = tested
    return values | {
        "lr": (values["lr"][0], np.maximum(q, q_floor(p_edge, q)[0])),
        "pair": (
            values["pair"][0],
            np.maximum(values["pair"][1], q_floor(p_pair, of_pair)[0]),
        ),
    }
