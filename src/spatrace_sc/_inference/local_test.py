"""q of edges after the test among neighbouring cells."""

from __future__ import annotations

import numpy as np
import torch

from .._model.evidence.local_slopes import local_test, local_test_of_tfs
from .._model.fit import Fit
from .._model.records import Evidence, Problem
from .._study.neighbourhood import nearest_receivers
from .._study.records import Study
from .edge_tables import Values
from .indistinguishable import MAX_Q_TESTED, q_floor, smallest_q


def apply_local_test(
    study: Study, problem: Problem, fitted: Fit, evidence: Evidence, values: dict[str, Values]
) -> dict[str, Values]:
    """Return values in which edges and pairs must hold among neighbouring cells.

    The q of this test by Benjamini and Hochberg is a floor under the q of an edge, and under that
    of a pair. It is computed among the edges or pairs that are significant without it; for one
    with a larger q, up to 0.3, among those with up to that q.
    """
    genes, q = study.genes, {task: q for task, (_, q) in values.items()}
    q_best = smallest_q(evidence, values)
    chosen = {task: np.flatnonzero(q[task] <= MAX_Q_TESTED) for task in ("tf", "lr")}
    pairs = np.flatnonzero(q_best <= MAX_Q_TESTED)
    if not len(pairs) and not len(chosen["tf"]):
        return values
    neighbours = torch.from_numpy(nearest_receivers(study, problem.usable.cpu().numpy()))
    tf, lr = (
        np.stack([edges.regulator[rows], edges.target[rows]], axis=1)
        for edges, rows in ((evidence.tf, chosen["tf"]), (evidence.lr, chosen["lr"]))
    )
    of_pairs = local_test(problem, fitted, lr, pairs, neighbours)
    p = {task: np.full(len(q[task]), np.nan) for task in ("tf", "lr")}
    p["tf"][chosen["tf"]] = local_test_of_tfs(problem, fitted, tf, neighbours)
    p["lr"][chosen["lr"]] = of_pairs.edge
    p_pair = np.full(genes.n_pairs, np.nan)
    p_pair[pairs] = of_pairs.pair
    floor = {task: q_floor(p[task], q[task])[0] for task in p}
    floor["pair"] = q_floor(p_pair, q_best)[0]
    return {task: (values[task][0], np.maximum(q[task], floor[task])) for task in values}
