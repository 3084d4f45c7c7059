"""The simplest competitor: absolute Pearson correlation over the receivers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

import spatrace_sc as st


def pearson_tables(
    adata: AnnData, receiver: np.ndarray, **exposure: object
) -> dict[str, pd.DataFrame]:
    """Return tables like those of :mod:`spatrace_sc.get`, ranked by \\|r\\|.

    A TF enters by its expression, a pair by ``log1p(exposure × receptor)`` with the log-normalised
    receptor. Each is correlated with every target over the receivers. The score of a pair is the
    norm of its correlations over the targets. Genes are those flagged in ``var``; ``exposure``
    holds arguments of :func:`spatrace_sc.pp.ligand_exposure`.
    """
    names = {
        r: np.sort(adata.var_names[adata.var[r]].to_numpy(str))
        for r in ("ligand", "receptor", "tf", "target")
    }
    values = {r: _dense(adata[receiver, n].X) for r, n in names.items()}
    table = st.pp.ligand_exposure(adata, copy=True, **exposure)
    dose = table.loc[adata.obs_names[receiver], names["ligand"]].to_numpy(dtype=float)
    signal = np.log1p(dose[:, :, None] * values["receptor"][:, None, :]).reshape(len(dose), -1)
    y = _standardised(values["target"])
    tf, pair = (_standardised(x).T @ y / len(y) for x in (values["tf"], signal))
    grid = [g.ravel() for g in np.meshgrid(names["ligand"], names["receptor"], indexing="ij")]
    pairs = pd.DataFrame({"ligand": grid[0], "receptor": grid[1]})
    return {
        "tf_targets": _edges(pd.DataFrame({"tf": names["tf"]}), names["target"], tf),
        "lr_targets": _edges(pairs, names["target"], pair),
        "lr_pairs": pairs.assign(score=np.linalg.norm(pair, axis=1)),
    }


def _dense(matrix: object) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)


def _standardised(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(sd > 0, sd, np.inf)


def _edges(regulators: pd.DataFrame, targets: np.ndarray, effect: np.ndarray) -> pd.DataFrame:
    table = regulators.loc[regulators.index.repeat(len(targets))].reset_index(drop=True)
    table["target"] = np.tile(targets, len(regulators))
    return table.assign(effect=effect.ravel(), score=np.abs(effect).ravel())
