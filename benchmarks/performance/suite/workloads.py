"""Hot paths on a simulated tissue of fixed seed, each a function of the prepared data.

A contributor sees here within minutes what a change costs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor

import spatrace_sc as st
from spatrace_sc._core.exposure import ligand_exposure, neighbour_weights
from spatrace_sc._core.paths import expected_history
from spatrace_sc._core.transitions import forward_knn
from spatrace_sc._data.embedding import principal_components
from spatrace_sc._inference.communication import (
    BLOCK_SIDE_IN_RADII,
    communication_input,
    communication_tables,
)
from spatrace_sc._model.evidence.resample import resample
from spatrace_sc._model.fit import Fit, fit
from spatrace_sc._model.network.fit_state import FitState
from spatrace_sc._model.network.observe import build_network, observe
from spatrace_sc._model.network.training import train_attention
from spatrace_sc._model.records import Problem
from spatrace_sc._model.regression.design import Design
from spatrace_sc._model.regression.lasso import largest_penalty, solve
from spatrace_sc._model.regression.penalty import base_penalty
from spatrace_sc._study.histories import decoy_drawer
from spatrace_sc._study.problem import build_problem
from spatrace_sc._study.read import read_study
from spatrace_sc._study.records import Study
from spatrace_sc._study.source import Source

SEED = 100
#: Options of the simulator: the measured size, 2 304 pairs for the slopes, and a size for tests at
#: which everything runs in a second.
FULL = {"n_cells": 4000}
MANY_PAIRS = {"n_ligands": 48, "n_receptors": 48}
TINY = {"n_cells": 300, "n_targets": 5, "n_background": 30}
SOURCE = Source(
    cell_type_key="cell_type",
    sample_key="sample",
    stage_key="stage",
    time_key="dpt_pseudotime",
    spatial_key="spatial",
    layer=None,
    transitions_key=None,
    gene_symbols=None,
    senders=None,
    receivers=None,
    radius=None,
)
#: Penalties of the sparse path as shares of the largest, and permutations of the communication.
LAMBDAS, N_PERMUTATIONS = (0.3, 0.1, 0.05), 20
#: Pairs whose communication is tested.
N_PAIRS = 12


@dataclass(frozen=True)
class Prepared:
    """A tissue and the parts of an inference that workloads need, each made once on first use."""

    options: tuple[tuple[str, int], ...]

    @cached_property
    def adata(self) -> AnnData:
        """The tissue without a result."""
        return st.datasets.simulated(SEED, **dict(self.options))

    @cached_property
    def config(self) -> st.Config:
        """A configuration with one epoch and two refits."""
        return st.Config(
            training=st.TrainingConfig(max_epochs=1),
            evidence=st.EvidenceConfig(n_resamples=2, n_permutations=N_PERMUTATIONS, n_workers=1),
            progress=False,
        )

    @cached_property
    def study(self) -> Study:
        """The tissue as arrays."""
        roles = dict.fromkeys(("ligands", "receptors", "tfs", "targets"))
        return read_study(self.adata, roles, SOURCE)

    @cached_property
    def problem(self) -> Problem:
        """The tissue as tensors."""
        return build_problem(self.study, self.config, None)

    @cached_property
    def fit(self) -> Fit:
        """A fit with one epoch of training."""
        return fit(self.problem, self.config, seed=SEED)

    @cached_property
    def y(self) -> Tensor:
        """(receivers, targets) standardised targets."""
        targets, rows = self.problem.targets, self.problem.usable
        return (targets - targets[rows].mean(0)) / targets[rows].std(0, correction=0).clamp_min(
            1e-6
        )

    @cached_property
    def design(self) -> Design:
        """The regulators under an untrained attention."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = build_network(self.problem, self.config, self.problem.usable)
        return observe(network, self.problem, self.problem.usable)[0]

    @cached_property
    def result(self) -> AnnData:
        """The tissue with a result."""
        adata = self.adata.copy()
        st.tl.infer_ccc(
            adata,
            sample_key="sample",
            stage_key="stage",
            config=self.config,
            rng=SEED,
            device="cpu",
        )
        return adata


@cache
def prepared(**options: int) -> Prepared:
    """Return the same object for the same options."""
    return Prepared(tuple(options.items()))


def neighbours(data: Prepared) -> object:
    """Kernel weights of the senders around every receiver."""
    cells = data.study.cells
    return neighbour_weights(
        *(cells.coords, cells.sample, cells.receivers, cells.senders), radius=data.study.radius
    )


def exposure(data: Prepared) -> object:
    """Sparse product of weights and ligands."""
    return ligand_exposure(data.study.weights, np.log1p(data.study.sender_ligand))


def components(data: Prepared) -> object:
    """Principal components, in which neighbours are searched."""
    matrix = data.adata.X[data.study.receivers]
    return principal_components(matrix, np.arange(matrix.shape[1]), 30)


def transitions(data: Prepared) -> object:
    """Forward nearest neighbours along time, with the targets as embedding."""
    return forward_knn(data.study.target, data.study.time)


def histories(data: Prepared) -> object:
    """Expected history of all regulators three steps back."""
    s = data.study
    return expected_history(s.backward, np.hstack([s.tf, s.receptor, s.exposure]), n_lags=3)


def slopes(data: Prepared) -> object:
    """All columns of a design with many pairs times all targets: one full check of the solver."""
    view = data.design.at(data.problem.usable)
    y = data.y[data.problem.usable]
    return [view.slopes(columns, y) for columns in data.design.blocks()]


def sparse_path(data: Prepared) -> object:
    """Weights at three penalties, each started from the one before."""
    rows, y, penalty, weights = data.problem.usable, data.y, base_penalty(data.problem), None
    top = largest_penalty(data.design, y[rows], rows, penalty)
    with torch.no_grad():
        for share in LAMBDAS:
            weights = solve(data.design, y[rows], rows, share * top, penalty, start=weights)
    return weights


def epoch(data: Prepared) -> object:
    """One epoch of the attention on all usable cells."""
    problem = data.problem
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = build_network(problem, data.config, problem.usable)
        held_out = data.fit.held_out
        training = problem.usable & ~held_out
        weights = data.fit.weights
        state = FitState(
            network, problem, data.design, data.y, weights, training, held_out, data.config
        )
        train_attention(state)
    return state.log


def first_fit(data: Prepared) -> object:
    """The whole first fit, with one epoch in each part."""
    return fit(data.problem, data.config, seed=SEED)


def refits(data: Prepared) -> object:
    """Two refits against decoys, and their summary."""
    draw = decoy_drawer(data.study, data.config.model.n_lags)
    return resample(data.problem, data.fit, draw, data.config, seed=SEED)


def communication(data: Prepared) -> object:
    """Permutation test of sender and receiver types, for twelve pairs."""
    s, genes = data.study, data.study.genes
    pairs = np.arange(min(N_PAIRS, genes.n_pairs))
    exposure, receptor = (
        s.exposure[:, genes.ligand_of(pairs)],
        s.receptor[:, genes.receptor_of(pairs)],
    )
    table = genes.pair_genes(pairs)
    listed = st.get.lr_pairs(data.result).iloc[: len(pairs)]
    table[["p_value", "q_value"]] = listed[["p_value", "q_value"]].to_numpy()
    scene = communication_input(
        *(s.cells, s.stages, genes),
        pairs=table,
        activity=(exposure * receptor).astype(np.float32),
        sender_ligand=s.sender_ligand,
        weights=s.weights,
    )
    return communication_tables(
        scene,
        block_size=BLOCK_SIDE_IN_RADII * s.radius,
        n_permutations=N_PERMUTATIONS,
        rng=np.random.default_rng(SEED),
        progress=False,
    )


def tables(data: Prepared) -> object:
    """Four tables, of the whole and of one stage."""
    stage = st.get.stages(data.result)[0]
    read = (st.get.tf_targets, st.get.lr_targets, st.get.lr_pairs, st.get.communication)
    return [table(data.result, stage=s) for table in read for s in (None, stage)]


def simulation(data: Prepared) -> object:
    """A tissue of the same options."""
    return st.datasets.simulated(SEED, **dict(data.options))


#: Name → workload, and the parts of the prepared data that it needs.
WORKLOADS: dict[str, tuple[Callable[[Prepared], object], tuple[str, ...]]] = {
    "neighbour weights": (neighbours, ("study",)),
    "ligand exposure": (exposure, ("study",)),
    "principal components": (components, ("study",)),
    "forward neighbours": (transitions, ("study",)),
    "expected history": (histories, ("study",)),
    "design columns and slopes": (slopes, ("design", "y")),
    "sparse path": (sparse_path, ("design", "y")),
    "epoch of attention": (epoch, ("design", "y", "fit")),
    "first fit": (first_fit, ("problem",)),
    "two refits": (refits, ("fit",)),
    "communication": (communication, ("study", "result")),
    "tables": (tables, ("result",)),
    "simulation": (simulation, ("adata",)),
}


def ready(name: str, options: dict[str, int]) -> Callable[[], object]:
    """Return the workload with its input prepared, to be called repeatedly."""
    function, parts = WORKLOADS[name]
    data = prepared(**options | (MANY_PAIRS if function is slopes else {}))
    for part in parts:
        getattr(data, part)
    return lambda: function(data)
