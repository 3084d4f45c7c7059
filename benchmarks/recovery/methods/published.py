"""Published tools for ligands and receptors in space; neither models TFs.

Their database is every ligand × receptor pair.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.recovery.methods.correlation import correlation
from benchmarks.recovery.signals import dense, read_signals
from benchmarks.recovery.tables import Tables, tables
from benchmarks.recovery.tissue import SkipMethod, Tissue
from scipy import sparse

import spatrace_sc as st

#: Largest number of neighbours of a cell, which LIANA+ asks for.
MAX_NEIGHBOURS = 400


def liana(tissue: Tissue, seed: int) -> Tables:
    """Return L–R scores by LIANA+'s global bivariate Moran's R, over the cells of all slices.

    Weights are the kernel of infer_ccc with the same radius, within slices. The local scores of
    LIANA+ multiply ligand and receptor of the same spot and do not apply where senders and
    receivers are different cells. LIANA+ has no LR→TG scores.
    """
    import liana as li

    names = {
        r: np.sort(tissue.adata.var_names[tissue.adata.var[r]].to_numpy(str))
        for r in ("ligand", "receptor")
    }
    grid = pd.MultiIndex.from_product(list(names.values()), names=["ligand", "receptor"]).to_frame(
        index=False
    )
    cells, radius = in_their_roles(tissue, names), _radius(tissue)
    slices, blocks = list(_slices(tissue)), []
    for rows in slices:
        in_slice = AnnData(
            obs=cells.obs.iloc[rows], obsm={"spatial": np.asarray(cells.obsm["spatial"])[rows]}
        )
        n_neighbours = min(MAX_NEIGHBOURS, len(rows) - 1)
        li.ut.spatial_neighbors(
            in_slice,
            bandwidth=radius / 3,
            kernel="exponential",
            cutoff=0.05,
            max_neighbours=n_neighbours,
        )
        blocks.append(in_slice.obsp["spatial_connectivities"])
    cells = cells[np.concatenate(slices)].copy()
    cells.obsp["spatial_connectivities"] = sparse.csr_matrix(sparse.block_diag(blocks))
    options = {
        "local_name": None,
        "global_name": "morans",
        "n_perms": None,
        "nz_prop": 0.0,
        "use_raw": False,
    }
    output = li.mt.bivariate(cells, resource=grid, **options)
    table = output.var if isinstance(output, AnnData) else output.set_index("interaction")
    pairs = [f"{a}^{b}" for a, b in grid.to_numpy()]
    return tables(names, pair_score=table["morans"].reindex(pairs).to_numpy(dtype=float))


def commot(tissue: Tissue, seed: int) -> Tables:
    """Return L–R scores by the total communication of a pair, and LR→TG scores by correlation.

    The correlation is that of the received signal with the target.
    """
    vars(np).setdefault("Inf", np.inf)  # COMMOT 0.0.3 uses np.Inf
    try:
        import commot as ct
    except ImportError as error:
        raise SkipMethod(f"commot is not installed (`pip install commot`): {error}") from error
    signals = read_signals(tissue)
    names = signals.names
    grid = pd.MultiIndex.from_product([names["ligand"], names["receptor"]]).to_frame(index=False)
    grid[2] = "all"  # pathway; COMMOT reads columns by position
    columns = [f"r-{a}-{b}" for a, b in grid[[0, 1]].to_numpy()]
    cells, radius = in_their_roles(tissue, names), _radius(tissue)
    received = pd.DataFrame(0.0, index=cells.obs_names, columns=columns)
    for rows in _slices(tissue):
        in_slice = cells[rows].copy()
        ct.tl.spatial_communication(
            in_slice,
            database_name="all",
            df_ligrec=grid,
            dis_thr=radius,
            heteromeric=False,
            pathway_sum=False,
        )
        received.iloc[rows] = (
            in_slice.obsm["commot-all-sum-receiver"].reindex(columns=columns).fillna(0.0).to_numpy()
        )
    signal = received.to_numpy()[signals.receivers]
    return tables(names, pair=correlation(signal, signals.target), pair_score=signal.sum(axis=0))


def in_their_roles(tissue: Tissue, names: dict[str, np.ndarray]) -> AnnData:
    """Return ligands in cells that may send and receptors in cells with a time, 0 elsewhere."""
    adata = tissue.adata
    types = adata.obs[tissue.arguments.get("cell_type_key", "cell_type")].astype(str)
    senders = tissue.arguments.get("senders")
    sends = types.isin(senders).to_numpy() if senders else np.ones(adata.n_obs, dtype=bool)
    receives = adata.obs[tissue.arguments.get("time_key", "dpt_pseudotime")].notna().to_numpy()
    genes = [*names["ligand"], *names["receptor"]]
    x = dense(adata[:, genes].X).astype(np.float32)
    x[:, : len(names["ligand"])] *= sends[:, None]
    x[:, len(names["ligand"]) :] *= receives[:, None]
    cells = AnnData(X=sparse.csr_matrix(x), obs=adata.obs[[]].copy(), var=pd.DataFrame(index=genes))
    cells.obsm["spatial"] = np.asarray(
        adata.obsm[tissue.arguments.get("spatial_key", "spatial")], dtype=float
    )
    return cells


def _slices(tissue: Tissue) -> Iterator[np.ndarray]:
    key = tissue.arguments.get("sample_key")
    sample = (
        tissue.adata.obs[key].astype(str).to_numpy() if key else np.full(tissue.adata.n_obs, "all")
    )
    for name in np.unique(sample):
        yield np.flatnonzero(sample == name)


def _radius(tissue: Tissue) -> float:
    """Return the radius of infer_ccc."""
    cells = AnnData(
        X=tissue.adata.X, obs=tissue.adata.obs, var=tissue.adata.var, obsm=dict(tissue.adata.obsm)
    )
    st.pp.ligand_exposure(
        cells, **tissue.given("radius", "sample_key", "spatial_key", "cell_type_key", "senders")
    )
    return float(cells.uns["ligand_exposure"]["params"]["radius"])
