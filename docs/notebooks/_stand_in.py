"""Simulated tissues in files with the layout of real ones, for notebooks without their data.

Their results say nothing about hearts, mice or axolotls.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData

import spatrace_sc as st

DEPTH = 4000.0
SAYS = (
    "NOT THE REAL DATA: {} is not here. A simulated tissue in a file of the same layout stands in "
    "for it; its genes, edges and maps are made up."
)


def _folder(made: AnnData, symbols: dict[str, str]) -> Path:
    """A new folder with gene lists as text."""
    folder = Path(tempfile.mkdtemp())
    (folder / "gene_lists").mkdir()
    for role in ("ligand", "receptor", "tf"):
        names = [symbols[g] for g in made.var_names[made.var[role]]]
        (folder / "gene_lists" / f"{role}s.txt").write_text("\n".join(names))
    return folder


def heart() -> tuple[Path, Path]:
    """Write nine sections of one age with raw counts, Ensembl ids and pixels of different size.

    Returns the folder and the file.
    """
    print(SAYS.format("The heart (environment variable SPATRACE_DATA)"))  # noqa: T201
    made = st.datasets.simulated(7, n_cells=2700, n_slices=3, depth=DEPTH, n_targets=40)
    folder = _folder(made, {g: g for g in made.var_names})
    codes = pd.factorize(made.obs["sample"], sort=True)[0]
    obs = pd.DataFrame(index=[f"spot_{k}" for k in range(made.n_obs)])
    obs["section"] = pd.Categorical([f"{c + 1}_section" for c in codes])
    obs["region"] = made.obs["cell_type"].to_numpy()
    var = pd.DataFrame(
        {"symbol": made.var_names}, index=[f"ENSG{k:011d}" for k in range(made.n_vars)]
    )
    adata = ad.AnnData(made.layers["counts"].astype(np.float32), obs=obs, var=var)
    adata.obsm["spatial"] = (
        made.obsm["spatial"] * np.where(np.isin(codes, [2, 3]), 40.0, 80.0)[:, None]
    )
    (folder / "human_heart").mkdir()
    file = folder / "human_heart" / "human_heart_ST.h5ad"
    adata.write_h5ad(file)
    return folder, file


def atlas(name: str) -> Path:
    """Write the file of an atlas as its publisher lays it out, in a folder for ``cache_dir``."""
    file = {
        "mouse_midbrain": "Dorsal_midbrain_cell_bin.h5ad",
        "axolotl_regeneration": "Regeneration.h5ad",
    }[name]
    print(SAYS.format(file))  # noqa: T201
    axolotl = name == "axolotl_regeneration"
    made = st.datasets.simulated(
        8, n_cells=2700, n_stages=4 if axolotl else 3, depth=DEPTH, n_targets=40
    )
    ids = {g: f"AMEX60DD{k:06d}" if axolotl else g for k, g in enumerate(made.var_names)}
    folder = _folder(made, ids)
    stage = made.obs["stage"].cat.codes.to_numpy()
    obs = pd.DataFrame(index=[f"CELL.{k}" for k in range(made.n_obs)])
    if axolotl:
        slices = [
            "Injury_control_A",
            "Injury_2DPI_rep1_B",
            "Injury_5DPI_rep1_C",
            "Injury_15DPI_rep4_D",
        ]
        obs["Batch"] = pd.Categorical(np.array(slices)[stage])
        obs["Annotation"] = made.obs["cell_type"].astype(str).to_numpy()
    else:
        obs["Batch"] = pd.Categorical(np.array(["slice_1", "slice_2", "slice_3"])[stage])
        obs["Time point"] = pd.Categorical(np.array(["E12.5", "E14.5", "E16.5"])[stage])
        obs["annotation"] = pd.Categorical(made.obs["cell_type"].to_numpy())
    counts = made.layers["counts"].astype(np.float32)
    adata = ad.AnnData(
        counts.copy(),
        obs=obs,
        var=pd.DataFrame(index=list(ids.values())),
        layers={"counts": counts},
    )
    adata.obsm["spatial"] = made.obsm["spatial"]
    adata.write_h5ad(folder / file)
    pd.DataFrame({"source": list(ids.values()), "target": list(ids)}).to_csv(
        folder / "orthologs.csv", index=False
    )
    return folder


def own() -> Path:
    """What a laboratory might have: raw counts, Ensembl ids beside symbols, days, no pseudotime."""
    made = st.datasets.simulated(9, n_cells=2400, n_slices=2, depth=DEPTH, n_targets=40)
    folder = _folder(made, {g: g for g in made.var_names})
    obs = made.obs[["cell_type"]].rename(columns={"cell_type": "annotation"})
    obs["slide"] = made.obs["sample"].to_numpy()
    obs["day"] = (
        made.obs["stage"].map({"E1": "day 3", "E2": "day 5", "E3": "day 8"}).astype(str).to_numpy()
    )
    var = pd.DataFrame(
        {"symbol": made.var_names}, index=[f"ENSG{k:011d}" for k in range(made.n_vars)]
    )
    adata = ad.AnnData(made.layers["counts"].astype(np.float32), obs=obs, var=var)
    adata.obsm["spatial"] = made.obsm["spatial"]
    adata.write_h5ad(folder / "mine.h5ad")
    return folder


def _lists(made: AnnData) -> dict[str, list[str]]:
    """Gene lists as arguments of ``st.pp.gene_roles``."""
    roles = ("ligand", "receptor", "tf", "target")
    return {f"{role}s": list(made.var_names[made.var[role]]) for role in roles}


def spots() -> tuple[Path, dict[str, list[str]]]:
    """Write a Visium-like file: counts and proportions of several cells, positions in pixels.

    Returns the file, and gene lists, which stand in for ``organism=``.
    """
    made = st.datasets.simulated(11, n_cells=4800, n_slices=2, depth=DEPTH, n_targets=20)
    xy, spacing, pixels = made.obsm["spatial"], 22.0, 137.0
    row = np.rint(xy[:, 1] / (spacing * np.sqrt(3) / 2)).astype(int)
    column = np.rint(xy[:, 0] / spacing - 0.5 * (row % 2))
    keys = [made.obs[key].astype(str).to_numpy() for key in ("sample", "stage")]
    code, groups = pd.factorize(pd.MultiIndex.from_arrays([*keys, row, column]))
    member = np.zeros((len(groups), made.n_obs), dtype=np.float32)
    member[code, np.arange(made.n_obs)] = 1.0
    types = pd.crosstab(code, made.obs["cell_type"].astype(str).to_numpy())
    obs = pd.DataFrame(index=[f"spot_{k}" for k in range(len(groups))])
    obs["section"] = pd.Categorical([group[0] for group in groups])
    obs["day"] = pd.Series([group[1] for group in groups]).str[1:].astype(float).to_numpy()
    counts = member @ made.layers["counts"].astype(np.float32)
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=made.var_names))
    place = np.array([[c + 0.5 * (r % 2), r * np.sqrt(3) / 2] for *_, r, c in groups])
    adata.obsm["spatial"] = place * pixels
    shares = types.div(types.sum(axis=1), axis=0).set_axis(adata.obs_names)
    adata.obsm["types"] = shares.rename_axis(columns=None)
    file = Path(tempfile.mkdtemp()) / "visium.h5ad"
    adata.write_h5ad(file)
    return file, _lists(made)


def single_cells() -> tuple[Path, dict[str, list[str]]]:
    """Write a Xenium-like file: counts of single cells on three days, positions in µm.

    Returns the file, and gene lists, which stand in for ``organism=``.
    """
    made = st.datasets.simulated(12, n_cells=1800, n_slices=2, depth=DEPTH, n_targets=20)
    obs = made.obs[["cell_type"]].copy()
    obs["slide"] = made.obs["sample"].to_numpy()
    obs["day"] = made.obs["stage"].cat.codes.to_numpy() * 2.0 + 3.0
    counts = made.layers["counts"].astype(np.float32)
    adata = ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=made.var_names))
    adata.obsm["spatial"] = made.obsm["spatial"]
    file = Path(tempfile.mkdtemp()) / "xenium.h5ad"
    adata.write_h5ad(file)
    return file, _lists(made)
