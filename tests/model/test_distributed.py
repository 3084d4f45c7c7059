"""Two processes of torchrun give the results of one, and report why if they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from _helpers import N_GENES, NOTHING_SIGNIFICANT
from _two_processes import TABLES, fitted, result, tables
from scipy.stats import spearmanr
from torch import distributed as dist

import spatrace_sc as st
from spatrace_sc._model.runtime import distributed

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

SCRIPT = Path(__file__).parents[1] / "_two_processes.py"
LAUNCHED = (
    "WORLD_SIZE",
    "RANK",
    "LOCAL_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    distributed.ALONE_VARIABLE,
)


def without_launcher():
    return {k: v for k, v in os.environ.items() if k not in LAUNCHED}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Results of both processes, and their log."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(SCRIPT),
    ]
    environment = without_launcher() | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [*command, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)], done.stderr


@pytest.fixture(scope="module")
def alone():
    """The same in this process, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield {"fitted": fitted(), "tables": tables()}
    torch.set_num_threads(before)


def exchanged(ranks):
    return [results["exchanged"] for results in ranks[0]]


def test_work_is_shared_without_overlap(ranks):
    first, second = exchanged(ranks)
    assert (first["world"], second["world"]) == ((0, 2), (1, 2))
    assert (first["tasks"], second["tasks"]) == ([0, 2, 4], [1, 3])
    assert (first["rows"], second["rows"]) == (slice(0, 2), slice(2, 5))


def test_results_come_in_the_order_of_tasks_in_every_process(ranks):
    for results in exchanged(ranks):
        for task, (weights, draws) in enumerate(results["gathered"]):
            expected = result(task)
            assert torch.equal(weights, expected.weights)
            np.testing.assert_array_equal(draws["hit"], expected.draws["hit"])
        assert len(results["gathered"]) == 5
        assert results["fewer tasks than processes"] == [0]


def test_sums_broadcasts_and_weighted_gradients_by_hand(ranks):
    for results in exchanged(ranks):
        assert results["from 1"] == {"rank": 1}
        assert results["sum"].tolist() == [2.0, 1.0]
        first, none, last = results[
            "gradients"
        ]  # 3 cells and 1 cell: (3·[1, 2] + [2, 3]) / 4 and (3·0 + 10) / 4
        assert (first.tolist(), none, last.tolist()) == ([1.25, 2.25], None, [[2.5, 2.5]])
        assert results["without cells"].tolist() == [6.0, 6.0]  # only those of process 1 count


def test_processes_with_different_data_are_stopped(ranks):
    for results in exchanged(ranks):
        assert "training cells 3, 4" in results["error"]
        assert "cells 7" not in results["error"].replace("training cells", "")
        assert f"{distributed.ALONE_VARIABLE}=1" in results["error"]


def differences(one, other):
    return {
        name: float((value - other["state"][name]).abs().max())
        for name, value in one["state"].items()
    }


def test_training_makes_the_steps_of_one_process(ranks, alone):
    one, (first, second) = alone["fitted"], [results["fitted"] for results in ranks[0]]
    assert max(differences(first, second).values()) == 0
    assert str(first["log"]) == str(second["log"])
    assert max(differences(one, first).values()) < 1e-5
    torch.testing.assert_close(first["weights"], one["weights"], atol=1e-4, rtol=0)
    for alone_weights, shared_weights in zip(one["attention"], first["attention"], strict=True):
        torch.testing.assert_close(alone_weights, shared_weights, atol=1e-5, rtol=0)
    held_out = [[row["held_out"] for row in log] for log in (one["log"], first["log"])]
    np.testing.assert_allclose(held_out[1], held_out[0], atol=1e-5)


def test_without_averaged_gradients_it_would_not(ranks, alone):
    """The test above must notice this."""
    first, second = (results["not averaged"] for results in ranks[0])
    assert max(differences(first, second).values()) > 1e-3
    assert max(differences(alone["fitted"], first).values()) > 1e-3


#: Candidates that the p of a table is counted over; communication takes the p of its pairs.
CANDIDATES = {"lr_targets": N_GENES**2 * 5, "lr_pairs": N_GENES**2, "communication": N_GENES**2}
#: Steps of other counted columns: refits, permutations, slices.
STEPS = {"stability": 1 / 3, "type_p_value": 1 / 10, "n_slices": 1, "slices_above": 1}
#: Largest difference of a continuous column, 3e-4 where none is named: the solver stops at 1e-4.
#: Errors are a spread over three refits, and the p of a TF divides an effect by its error.
TOLERANCES = {"effect_se": 5e-3, "score_se": 5e-3, "p_value": 5e-2}


def step_of(name, column):
    """Change of a counted column by one count, and None of a continuous one."""
    if name in CANDIDATES and column in ("p_value", "pair_p_value"):
        return 1 / (1 + CANDIDATES[name])  # one decoy in every refit
    if name in CANDIDATES and column.endswith("q_value"):
        return 1 / 20  # one decoy among twenty hits
    return STEPS.get(column)


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_those_of_one_process(ranks, alone, name):
    """Sums over two halves round differently, so a decoy may fall on the other side of an edge.

    Counted columns agree within three counts, one a refit, in nine of ten rows and within eight in
    all; their ranks agree.
    """
    one, (first, second) = alone["tables"][name], [found["tables"][name] for found in ranks[0]]
    assert first.equals(second)
    names = [c for c in ("sender", "receiver", "ligand", "receptor", "tf", "target") if c in one]
    one, first = (
        table.astype(dict.fromkeys(names, str)).set_index(names).sort_index()
        for table in (one, first)
    )
    assert list(one.index) == list(first.index)
    for column in one.select_dtypes("number"):
        step = step_of(name, column)
        if step is None:
            atol = TOLERANCES.get(column, 3e-4)
            np.testing.assert_allclose(first[column], one[column], atol=atol, err_msg=column)
            continue
        counts = (first[column] - one[column]).abs() / step
        assert (counts < 3.001).mean() >= 0.9, column
        assert counts.max() < 8.001, column
        if one[column].nunique() > 1:
            assert spearmanr(first[column], one[column])[0] > 0.995, column


def test_one_process_speaks_for_all(ranks):
    log = ranks[1]
    assert log.count("receivers, 300 senders") == 1
    assert "this is process 0" in log
    assert "this is process 1" not in log


@pytest.fixture
def environment(monkeypatch):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("size", ["2", "two", "0"])
def test_processes_that_cannot_be_joined_are_an_error(environment, size):
    environment.setenv("WORLD_SIZE", size)
    with pytest.raises(st.DeviceError, match=rf"WORLD_SIZE='{size}'.*torchrun"):
        st.tl.infer_ccc(
            st.datasets.simulated(n_cells=100, n_targets=3, n_background=5), device="cpu"
        )
    assert not dist.is_initialized()


@pytest.mark.parametrize(
    "variables", [{}, {"WORLD_SIZE": "1"}, {"WORLD_SIZE": "2", distributed.ALONE_VARIABLE: "1"}]
)
def test_nothing_is_joined_where_one_process_works(environment, variables):
    for name, value in variables.items():
        environment.setenv(name, value)
    cpu = torch.device("cpu")
    assert distributed.init_from_environment(cpu) == cpu
    assert not dist.is_initialized()
    assert distributed.world() == (0, 1)


def test_a_process_without_a_gpu_of_its_own_is_an_error(environment):
    environment.setenv("WORLD_SIZE", "4")
    environment.setenv("LOCAL_RANK", "2")
    environment.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(st.DeviceError, match=r"nproc-per-node 2"):
        distributed.init_from_environment(torch.device("cuda"))


def test_one_process_exchanges_nothing():
    gradient = torch.tensor([1.0, 2.0])
    parameter = torch.zeros(2, requires_grad=True)
    parameter.grad = gradient
    distributed.average_gradients([parameter], 5.0)
    assert parameter.grad is gradient
    assert gradient.tolist() == [1.0, 2.0]
    assert list(distributed.gather_results(iter("abc"), 3)) == ["a", "b", "c"]
    assert list(distributed.share_tasks(3)) == [0, 1, 2]
    assert distributed.share_of(7) == slice(0, 7)
    assert distributed.broadcast(gradient) is gradient
    assert distributed.add_up(gradient) is gradient
    assert distributed.shows(True)
    assert not distributed.shows(False)
