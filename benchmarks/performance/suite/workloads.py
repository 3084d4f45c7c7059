"""Hot paths on a simulated tissue of fixed seed, each as a function of the prepared data. What a contributor changes should show here within minutes."""

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
from spatrace_sc._inference.communication import BLOCK_RADII, Talk, talk
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

SEED = 100
#: Options of the simulator: the size that is measured, and one at which everything runs in a second, for the tests. What the slopes are
#: measured with besides: 2 304 pairs.
FULL = {"n_cells": 4000}
MANY_PAIRS = {"n_ligands": 48, "n_receptors": 48}
TINY = {"n_cells": 300, "n_targets": 5, "n_background": 30}
KEYS = {
    "cell_type_key": "cell_type",
    "sample_key": "sample",
    "stage_key": "stage",
    "time_key": "dpt_pseudotime",
}
#: Penalties of the sparse solve, as shares of the largest; permutations of the communication.
LAMBDAS, N_PERMUTATIONS = (0.3, 0.1, 0.05), 20


@dataclass(frozen=True)
class Prepared:
    """A tissue and what of an inference the workloads begin with. Each part is made once, when it is first asked for."""

    options: tuple[tuple[str, int], ...]

    @cached_property
    def adata(self) -> AnnData:
        """Without a result."""
        return st.datasets.simulated(SEED, **dict(self.options))

    @cached_property
    def config(self) -> st.Config:
        """One epoch, two refits: the first fit is only there to begin with."""
        return st.Config(
            training=st.TrainingConfig(max_epochs=1),
            evidence=st.EvidenceConfig(n_resamples=2, n_permutations=N_PERMUTATIONS, n_workers=1),
            progress=False,
        )

    @cached_property
    def study(self) -> Study:
        """Arrays."""
        roles = dict.fromkeys(("ligands", "receptors", "tfs", "targets"))
        rest = {
            "spatial_key": "spatial",
            **dict.fromkeys(("layer", "senders", "receivers", "transitions_key")),
        }
        return read_study(self.adata, roles, radius=None, **KEYS, **rest)

    @cached_property
    def problem(self) -> Problem:
        """Tensors."""
        return build_problem(self.study, self.config, None)

    @cached_property
    def fit(self) -> Fit:
        """Hardly trained."""
        return fit(self.problem, self.config, seed=SEED)

    @cached_property
    def y(self) -> Tensor:
        """(receivers, targets) standardised."""
        targets, rows = self.problem.targets, self.problem.usable
        return (targets - targets[rows].mean(0)) / targets[rows].std(0, correction=0).clamp_min(
            1e-6
        )

    @cached_property
    def design(self) -> Design:
        """Regulators under an untrained attention."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            network = build_network(self.problem, self.config, self.problem.usable)
        return observe(network, self.problem, self.problem.usable)[0]

    @cached_property
    def result(self) -> AnnData:
        """The tissue with tables."""
        adata = self.adata.copy()
        st.tl.infer_ccc(
            adata,
            sample_key="sample",
            stage_key="stage",
            config=self.config,
            seed=SEED,
            device="cpu",
        )
        return adata


@cache
def prepared(**options: int) -> Prepared:
    """The same object for the same options."""
    return Prepared(tuple(options.items()))


def neighbours(data: Prepared) -> object:
    """Kernel weights of all senders around all receivers."""
    s, coords = data.study, np.asarray(data.adata.obsm["spatial"], dtype=float)
    return neighbour_weights(coords, s.sample, s.receivers, s.senders, radius=s.radius)


def exposure(data: Prepared) -> object:
    """Sparse product of weights and ligands."""
    return ligand_exposure(data.study.weights, np.log1p(data.study.sender_ligand))


def components(data: Prepared) -> object:
    """Principal components, in which neighbours are looked for."""
    matrix = data.adata.X[data.study.receivers]
    return principal_components(matrix, np.arange(matrix.shape[1]), 30)


def transitions(data: Prepared) -> object:
    """Forward nearest neighbours along time; the embedding is the targets'."""
    return forward_knn(data.study.target, data.study.time)


def histories(data: Prepared) -> object:
    """Expected history of all regulators three steps back."""
    s = data.study
    return expected_history(s.backward, np.hstack([s.tf, s.receptor, s.exposure]), n_lags=3)


def slopes(data: Prepared) -> object:
    """Every column of the design with many pairs, computed and multiplied with all targets: one look of the solver at everything."""
    view = data.design.at(data.problem.usable)
    y = data.y[data.problem.usable]
    return [view.slopes(columns, y) for columns in data.design.blocks()]


def sparse_path(data: Prepared) -> object:
    """Weights at three penalties, each starting from the last."""
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
    """Two refits against decoys, and what is summed up of them."""
    draw = decoy_drawer(data.study, data.problem.covariates.numpy(), data.config.model.n_lags)
    return resample(data.problem, data.fit, draw, data.config, seed=SEED)


def communication(data: Prepared) -> object:
    """Cell types told apart by exchanged labels, for twelve pairs."""
    s, n = data.study, 12
    n_l, n_r = len(s.genes["ligands"]), len(s.genes["receptors"])
    pairs = np.arange(min(n, n_l * n_r))
    ligand, receptor = pairs // n_r, pairs % n_r
    said = Talk(
        pairs=st.get.lr_pairs(data.result)[["ligand", "receptor", "p_value", "q_value"]].iloc[
            : len(pairs)
        ],
        activity=(s.exposure[:, ligand] * s.receptor[:, receptor]).astype(np.float32),
        ligand=ligand,
        sender_ligand=s.sender_ligand,
        weights=s.weights,
        sender_type=s.types[s.senders],
        receiver_type=s.types[s.receivers],
        sender_sample=s.sample[s.senders],
        receiver_sample=s.sample[s.receivers],
        stage=s.stage,
        stages=s.stages,
        sender_coords=s.sender_coords,
        receiver_coords=s.coords,
    )
    rng = np.random.default_rng(SEED)
    return talk(
        said,
        block_size=BLOCK_RADII * s.radius,
        n_permutations=N_PERMUTATIONS,
        rng=rng,
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


#: Name → workload, and the parts of the prepared data that it needs ready.
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
    """The workload with everything it begins with made, to be called as often as wanted."""
    function, parts = WORKLOADS[name]
    data = prepared(**options | (MANY_PAIRS if function is slopes else {}))
    for part in parts:
        getattr(data, part)
    return lambda: function(data)
