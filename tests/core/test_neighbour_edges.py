from __future__ import annotations

import numpy as np
import pytest

from spatrace_sc._core import neighbour_edges
from spatrace_sc._core.cell_order import (
    order_of_cells,
)
from spatrace_sc._core.transitions import (
    backward,
    forward_knn,
)


@pytest.mark.parametrize("stages", [0, 4])
def test_of_many_cells_some_are_the_candidates_of_all(stages, monkeypatch):
    monkeypatch.setattr(neighbour_edges, "MAX_CANDIDATES", 60)
    monkeypatch.setattr(neighbour_edges, "CHUNK", 70)
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(400, 6))
    time = rng.integers(stages, size=400).astype(float) if stages else rng.random(400)
    order = order_of_cells(embedding, time)
    forward = forward_knn(embedding, time, n_neighbors=8)
    edges = forward.tocoo()
    off = edges.row != edges.col
    assert (order[edges.col[off]] > order[edges.row[off]]).all()
    np.testing.assert_allclose(np.asarray(forward.sum(axis=1)).ravel(), 1, rtol=1e-5)
    past = backward(forward)
    assert (np.diff(past.indptr)[order > order.min()] > 0).all(), (
        "every cell but the first has a past"
    )
    assert set(edges.row[off]) | set(edges.col[off]) == set(range(400))
    # every edge has a candidate at one end, and candidates are few
    linked = np.bincount(np.concatenate([edges.row[off], edges.col[off]]), minlength=400)
    hubs = np.argsort(-linked)[: 60 * max(1, stages) + 60 * bool(stages)]
    assert (np.isin(edges.row[off], hubs) | np.isin(edges.col[off], hubs)).mean() > 0.9


def test_chunks_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    embedding, time = rng.normal(size=(300, 5)), rng.random(300)
    at_once = forward_knn(embedding, time, n_neighbors=6)
    monkeypatch.setattr(neighbour_edges, "CHUNK", 37)
    np.testing.assert_allclose(
        forward_knn(embedding, time, n_neighbors=6).toarray(), at_once.toarray(), atol=1e-6
    )
