"""A tissue whose numbers every form holds exactly, and the arguments to read another form of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from _helpers import tiny_config
from anndata import AnnData

import spatrace_sc as st

#: Number of each kind of genes; all of them take part.
SIZES = dict.fromkeys(("n_ligands", "n_receptors", "n_pairs", "n_tfs"), 4)
RECEIVERS = ["receiver_0", "receiver_1"]
STAGES = {"time_key": "stage_time", "receivers": RECEIVERS}


@dataclass
class Scene:
    """Data in some form and the arguments with which verbs read them.

    ``container`` holds the data where they are given in another container than AnnData; ``labels``
    are the names of genes in the tissue by their ``var_names``, where these differ.
    """

    adata: AnnData
    reading: dict[str, Any] = field(default_factory=dict)
    container: Any = None
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Any:
        """What verbs are called with."""
        return self.adata if self.container is None else self.container

    def keys(self, *names: str) -> dict[str, Any]:
        """Reading arguments of these names that this form changes."""
        return {name: self.reading[name] for name in names if name in self.reading}


@lru_cache(maxsize=1)
def _tissue() -> AnnData:
    adata = st.datasets.simulated(3, n_cells=200, n_targets=8, n_background=30, **SIZES)
    # numbers that every form holds exactly
    adata.obsm["spatial"] = np.round(adata.obsm["spatial"] * 16)
    for name in ("dpt_pseudotime", "latent_time", "stage_time"):
        adata.obs[name] = np.round(adata.obs[name] * 1024) / 1024
    adata.obs["half"] = pd.Categorical(np.array(["a", "b"])[np.arange(200) % 2])
    adata.obs["number"] = adata.obs["stage"].cat.codes.to_numpy().astype(np.int64) + 1
    del adata.obsm["true_signal"], adata.var["decoy"]
    forward = st.pp.transitions(adata, method="stages", **STAGES, copy=True)
    adata.obsp["T_fwd"] = forward
    return adata


def tissue() -> AnnData:
    """Copy of the tissue: 200 cells in three slices, positions on a fine grid."""
    return _tissue().copy()


def genes(role: str) -> list[str]:
    """Names of the genes of a role in the tissue."""
    adata = _tissue()
    return [str(name) for name in adata.var_names[adata.var[role]]]


def config() -> st.Config:
    """Configuration with every step, in half a second."""
    return tiny_config(training=st.TrainingConfig(max_epochs=2, n_folds=2, n_penalties=4))


def solved_problem() -> Any:
    """A solved problem of moscot's form, from names of cells alone."""
    adata = _tissue()[_tissue().obs["cell_type"].isin(RECEIVERS)]
    problems, solutions = {}, {}
    for source, target in (("E1", "E2"), ("E2", "E3")):
        one, two = (adata[adata.obs["stage"] == s] for s in (source, target))
        coupling = np.random.default_rng(0).random((one.n_obs, two.n_obs)) ** 8
        solutions[source, target] = SimpleNamespace(
            shape=coupling.shape,
            push=lambda x, coupling=coupling: coupling.T @ x,
            pull=lambda x, coupling=coupling: coupling @ x,
        )
        problems[source, target] = SimpleNamespace(adata_src=one, adata_tgt=two)
    return SimpleNamespace(problems=problems, solutions=solutions)
