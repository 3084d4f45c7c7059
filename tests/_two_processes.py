"""Run by every process of tests/model/test_distributed.py.

torchrun --nproc-per-node 2 _two_processes.py FOLDER
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import NamedTuple

import _last_digits
import numpy as np
import torch
from _helpers import small_config, tissue
from _planted import CONFIG, planted

import spatrace_sc as st
from spatrace_sc._model.fit import fit
from spatrace_sc._model.network import steps
from spatrace_sc._model.runtime import distributed

TABLES = ("lr_targets", "tf_targets", "lr_pairs", "communication")


class Found(NamedTuple):
    """Something like the result of a task."""

    weights: torch.Tensor
    draws: dict[str, np.ndarray]


def result(task: int) -> Found:
    generator = torch.Generator().manual_seed(task)
    return Found(torch.rand(3, task + 1, generator=generator), {"hit": np.arange(task) > 1})


def exchanged(rank: int) -> dict:
    """Hand numbers through every function."""
    found = {
        "world": distributed.world(),
        "tasks": list(distributed.share_tasks(5)),
        "rows": distributed.share_of(5),
    }
    found["gathered"] = [
        tuple(r) for r in distributed.gather_results(map(result, distributed.share_tasks(5)), 5)
    ]
    found["fewer tasks than processes"] = list(
        distributed.gather_results(list(distributed.share_tasks(1)), 1)
    )
    found["from 1"] = distributed.broadcast({"rank": rank}, source=1)
    found["sum"] = distributed.add_up(torch.tensor([1.0, rank]))
    parameters = [
        torch.zeros(2, requires_grad=True),
        torch.zeros(1),
        torch.zeros(1, 2, requires_grad=True),
    ]
    parameters[0].grad, parameters[2].grad = (
        torch.tensor([1.0, 2.0]) + rank,
        torch.full((1, 2), 10.0 * rank),
    )
    distributed.average_gradients(parameters, 3.0 - 2 * rank)
    found["gradients"] = [p.grad for p in parameters]
    parameters[0].grad = torch.full((2,), 5.0 + rank)
    distributed.average_gradients(parameters[:1], float(rank))
    found["without cells"] = parameters[0].grad
    try:
        distributed.check_agreement(cells=7, training_cells=3 + rank)
    except st.DataError as error:
        found["error"] = str(error)
    return found


def fitted() -> dict:
    done = fit(planted(), CONFIG, seed=3)
    return {
        "state": done.network.state_dict(),
        "weights": done.weights.values,
        "log": done.history,
        "attention": done.attention,
    }


def tables() -> dict:
    adata = tissue()
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=small_config())
    return {name: getattr(st.get, name)(adata) for name in TABLES}


def main() -> None:
    torch.set_num_threads(1)
    _last_digits.change_as_asked()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    distributed.init_from_environment(torch.device("cpu"))
    rank = distributed.world()[0]
    found = {"exchanged": exchanged(rank), "fitted": fitted(), "tables": tables()}
    steps.average_gradients = lambda parameters, weight: None
    found["not averaged"] = fitted()
    torch.save(found, Path(sys.argv[1]) / f"{rank}.pt")


if __name__ == "__main__":
    main()
