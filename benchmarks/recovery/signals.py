"""The signals that all methods read: the same cells, genes, exposures and ancestors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from benchmarks.recovery.tissue import Tissue
from scipy import sparse

import spatrace_sc as st

ROLES = ("ligand", "receptor", "tf", "target")
#: Steps over which TFs and receptors are averaged, and the quantile of positive doses at half
#: saturation: the defaults of infer_ccc.
N_LAGS, HILL_QUANTILE = st.ModelConfig().n_lags, st.ModelConfig().hill_quantile
N_SENDERS = 10


@dataclass(frozen=True)
class Signals:
    """Receivers as arrays; genes of a role in alphabetical order, pairs ligand by ligand.

    ``tf`` and ``target`` are log-normalised, ``receptor`` and ``exposure`` linear, all of the cell
    itself. ``backward`` (receivers, receivers) has the later cell as row; rows sum to 1 or are
    empty. ``covariates`` are a constant, cell types and time up to its cube.
    """

    names: dict[str, np.ndarray]
    receivers: np.ndarray
    tf: np.ndarray
    receptor: np.ndarray
    exposure: np.ndarray
    target: np.ndarray
    backward: sparse.csr_matrix
    covariates: np.ndarray

    @property
    def usable(self) -> np.ndarray:
        """(receivers,) whether a receiver has an earlier cell."""
        return np.diff(self.backward.indptr) > 0

    def before(self, values: np.ndarray) -> np.ndarray:
        """Return the expected values one step back."""
        return np.asarray(self.backward @ values)

    def past(self, values: np.ndarray, *, now: bool) -> np.ndarray:
        """Return the mean over the history 1 to 3 steps back, and the cell itself if ``now``.

        Steps before the first cell of all paths are left out.
        """
        total, count = (
            (values.copy(), np.ones(len(values)))
            if now
            else (np.zeros_like(values), np.zeros(len(values)))
        )
        current, mass = values, np.ones(len(values))
        for _ in range(N_LAGS):
            current, mass = self.backward @ current, self.backward @ mass
            reached = mass > 1e-6
            total[reached] += current[reached] / mass[reached, None]
            count += reached
        return total / np.maximum(count, 1)[:, None]


def read_signals(tissue: Tissue) -> Signals:
    """Read the signals of a tissue with the public functions of the package."""
    adata = tissue.adata
    shared = ("cell_type_key", "receivers", "layer")
    time = adata.obs[tissue.arguments.get("time_key", "dpt_pseudotime")].to_numpy(dtype=float)
    forward = sparse.csr_matrix(
        st.pp.transitions(adata, **tissue.given("time_key", *shared), copy=True)
    )
    receivers = np.diff(forward.indptr) > 0
    names = {r: np.sort(adata.var_names[adata.var[r]].to_numpy(str)) for r in ROLES}
    values = {r: dense(adata[receivers, names[r]].X) for r in ROLES[1:]}
    keys = ("radius", "sample_key", "spatial_key", "senders", *shared)
    exposure = pd.DataFrame(st.pp.ligand_exposure(adata, **tissue.given(*keys), copy=True))
    types = (
        adata.obs[tissue.arguments.get("cell_type_key", "cell_type")]
        .astype(str)
        .to_numpy()[receivers]
    )
    z = (time[receivers] - time[receivers].mean()) / time[receivers].std()
    kinds = pd.get_dummies(types).to_numpy(dtype=float)[:, 1:]
    return Signals(
        names=names,
        receivers=receivers,
        tf=values["tf"],
        receptor=np.expm1(values["receptor"]),
        exposure=exposure.loc[adata.obs_names[receivers], names["ligand"]].to_numpy(dtype=float),
        target=values["target"],
        backward=ancestors(forward[receivers][:, receivers]),
        covariates=np.column_stack([np.ones(len(z)), kinds, z, z**2, z**3]),
    )


def ancestors(forward: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the backward transitions: rows sum to 1, and no cell is its own ancestor."""
    back = sparse.csr_matrix(forward.T, dtype=float)
    back.setdiag(0)
    back.eliminate_zeros()
    total = np.asarray(back.sum(axis=1)).ravel()
    return sparse.csr_matrix(
        sparse.diags(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)) @ back
    )


def doses(exposure: np.ndarray, receptor: np.ndarray) -> np.ndarray:
    """Return (cells, pairs) exposure × receptor, ligand by ligand."""
    return (exposure[:, :, None] * receptor[:, None, :]).reshape(len(exposure), -1)


def saturating(dose: np.ndarray) -> np.ndarray:
    """Return D / (D + K), with K the 60 % quantile of the positive doses of each pair."""
    half = np.array(
        [np.quantile(d[d > 0], HILL_QUANTILE) if (d > 0).any() else 1.0 for d in dose.T]
    )
    return dose / (dose + half)


def neighbour_ligand(tissue: Tissue, signals: Signals, k: int = N_SENDERS) -> np.ndarray:
    """Return (receivers, ligands) the mean ligand of the k nearest senders in the slice.

    Expression is linear, and a cell is never its own neighbour.
    """
    from scipy.spatial import cKDTree

    adata = tissue.adata
    xy = np.asarray(adata.obsm[tissue.arguments.get("spatial_key", "spatial")], dtype=float)
    types = adata.obs[tissue.arguments.get("cell_type_key", "cell_type")].astype(str).to_numpy()
    key = tissue.arguments.get("sample_key")
    sample = (
        adata.obs[key].astype(str).to_numpy()
        if key
        else np.zeros(adata.n_obs, dtype=int).astype(str)
    )
    sends = (
        np.isin(types, tissue.arguments["senders"])
        if tissue.arguments.get("senders")
        else np.ones(len(xy), bool)
    )
    ligand = np.expm1(dense(adata[:, signals.names["ligand"]].X))
    mean = np.zeros_like(ligand)
    for name in np.unique(sample):
        source = np.flatnonzero((sample == name) & sends)
        target = np.flatnonzero((sample == name) & signals.receivers)
        if not len(source) or not len(target):
            continue
        index = (
            cKDTree(xy[source])
            .query(xy[target], k=min(k + 1, len(source)))[1]
            .reshape(len(target), -1)
        )
        for cell, nearest in zip(target, source[index], strict=True):
            mean[cell] = ligand[nearest[nearest != cell][:k]].mean(axis=0)
    return mean[signals.receivers]


def dense(matrix: object) -> np.ndarray:
    """Return a dense float64 array."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)


def standardised(x: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1; constant ones become 0."""
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 1e-9, sd, np.inf)
