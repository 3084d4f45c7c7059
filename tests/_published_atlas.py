"""Small files in the layout of the published atlases."""

from __future__ import annotations

import functools

import anndata as ad
import numpy as np
import pandas as pd
from _helpers import tissue

import spatrace_sc as st
from spatrace_sc.datasets._registry import registry

SLICES = {
    "axolotl_regeneration": [
        "Injury_15DPI_rep4_FP200000266TR_E4",
        "Injury_2DPI_rep1_SS200000147BL_D5",
        "Injury_control_FP200000239BL_E3",
    ],
    "mouse_midbrain": ["slice_b", "slice_a", "slice_c"],
}


ATLASES = sorted(SLICES)


def published(name):
    """A small tissue in the layout of the publisher's file.

    ``X`` is neither counts nor logged, as none of it may be used.
    """
    made = tissue()
    stage = made.obs["stage"].cat.codes.to_numpy()
    obs = pd.DataFrame(index=[f"CELL.{i}" for i in range(made.n_obs)])
    obs["Batch"] = pd.Categorical(np.array(SLICES[name])[stage])
    if name == "mouse_midbrain":
        obs["Time point"] = pd.Categorical(np.array(["E16.5", "E12.5", "E14.5"])[stage])
        obs["annotation"] = pd.Categorical(made.obs["cell_type"].to_numpy())
    else:
        obs["Annotation"] = made.obs["cell_type"].astype(str).to_numpy()
    counts = made.layers["counts"].astype(np.float64)
    adata = ad.AnnData(
        X=np.full(made.shape, -3.5, dtype=np.float32),
        obs=obs,
        var=made.var,
        layers={"counts": counts},
    )
    adata.obsm["spatial"] = made.obsm["spatial"]
    adata.obsm["X_umap"] = made.obsm["spatial"][:, ::-1].astype(np.float32)
    adata.uns["annotation_colors"] = np.array(["#000000"])
    return adata


def as_bytes(adata, folder):
    path = folder / "made.h5ad"
    adata.write_h5ad(path)
    return path.read_bytes()


@functools.cache
def good(name, folder):
    return as_bytes(published(name), folder)


def load(name, **arguments):
    return getattr(st.datasets, name)(progressbar=False, **arguments)


def place(name, data_dir, adata):
    """Put a file into the cache by hand."""
    (data_dir / registry()[name].file).write_bytes(as_bytes(adata, data_dir))
