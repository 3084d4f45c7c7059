"""Do sham genes follow their neighbourhood as much as the real genes they stand for?

python -m benchmarks.controls.structure [--data undisturbed fields] [--seeds 1 2]

Prints, by role, the share of the variance that the state of the neighbourhood explains (the
covariates of the model), and Moran's I, of sham genes and of their real partners: means over three
draws and all seeds. It takes about 15 s of CPU per tissue.
"""

from __future__ import annotations

import argparse
import logging
import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.controls.tissues import controlled_tissue
from benchmarks.recovery.signals import dense
from numpy.typing import NDArray

from spatrace_sc._data.expression import expression_by_slice
from spatrace_sc._study.neighbourhood import neighbourhood_state
from spatrace_sc._study.read import read_cells, read_study
from spatrace_sc._study.records import Study
from spatrace_sc._study.sham_genes import find_sham_genes
from spatrace_sc._study.source import Source

SHAM_ROLES = ("ligands", "receptors", "tfs")
N_DRAWS, SHARE = 3, 0.5


def structure(name: str, seed: int) -> pd.DataFrame:
    """Return sham genes with the R² of both sides given the neighbourhood."""
    tissue = controlled_tissue(name, seed).tissue
    adata, keys = tissue.adata, tissue.arguments
    source = Source(
        cell_type_key="cell_type",
        spatial_key="spatial",
        layer=None,
        transitions_key=None,
        gene_symbols=None,
        senders=None,
        receivers=None,
        radius=None,
        **keys,
    )
    study = read_study(adata, dict.fromkeys((*SHAM_ROLES, "targets")), source)
    genes = {role: np.asarray(names, dtype=str) for role, names in study.genes.to_mapping().items()}
    wanted = {role: round(SHARE * len(genes[role])) for role in SHAM_ROLES}
    matrix, _ = expression_by_slice(adata, None, keys["sample_key"])
    cells, explained = read_cells(adata, source), explained_by_neighbours(adata, study)
    draws = [
        find_sham_genes(
            *(adata, genes, cells, matrix),
            known=[],
            n=wanted,
            rng=np.random.default_rng([seed, draw]),
        ).genes
        for draw in range(N_DRAWS)
    ]
    table = pd.concat(draws, ignore_index=True)
    return table.assign(
        data=name,
        r2=explained[table["gene"]].to_numpy(),
        r2_of_real=explained[table["stands_for"]].to_numpy(),
    )


def explained_by_neighbours(adata: AnnData, study: Study) -> pd.Series:
    """Return the share of the variance of every gene that the state of the neighbours explains."""
    state = neighbourhood_state(study)
    basis: NDArray[np.float64] = np.linalg.qr(state - state.mean(axis=0))[0]
    values = dense(adata.X)[study.receiver_rows].astype(np.float64)
    values = values - values.mean(axis=0)
    total = np.maximum((values**2).sum(axis=0), 1e-12)
    return pd.Series(((basis.T @ values) ** 2).sum(axis=0) / total, index=adata.var_names)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", default=["undisturbed", "fields"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    given = parser.parse_args()
    logging.getLogger("spatrace_sc").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    tables = [structure(name, seed) for name in given.data for seed in given.seeds]
    columns = ["r2", "r2_of_real", "morans_i", "morans_i_of_real"]
    mean = pd.concat(tables).groupby(["data", "role"], sort=False)[columns].mean()
    print(mean.round(2).to_string())


if __name__ == "__main__":
    main()
