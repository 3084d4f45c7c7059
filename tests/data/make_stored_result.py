"""Make ``stored_result_<version>.h5ad``: a small tissue with a result of every verb.

python tests/data/make_stored_result.py

The file of an older version is kept as it is. A new one is made only when the stored form changes.
"""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
from scipy import sparse

import spatrace_sc as st


def tissue() -> ad.AnnData:
    """450 cells, 5 × 5 pairs, 5 TFs, 12 targets."""
    genes = {
        "n_ligands": 5,
        "n_receptors": 5,
        "n_pairs": 5,
        "n_tfs": 5,
        "n_targets": 12,
        "n_background": 15,
    }
    adata = st.datasets.simulated(0, n_cells=450, depth=3000, **genes)
    adata.X = sparse.csr_matrix(adata.X)
    for slot in ("true_signal",):
        del adata.obsm[slot]
    for layer in list(adata.layers):
        del adata.layers[layer]
    del adata.uns["truth"], adata.uns["simulation"]
    return adata


def with_results(adata: ad.AnnData) -> ad.AnnData:
    """A result of every verb."""
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", rng=0, device="cpu")
    st.tl.cascades(adata, max_q=1.0)
    st.tl.communication(adata, pairs=[_strongest(adata)], n_permutations=19, progress=False)
    st.tl.modules(adata, max_q=1.0, n_modules=2, n_draws=2, progress=False)
    st.tl.compare(adata, "stage", max_q=1.0, top_n=3)
    st.tl.knockout(adata, ligand=str(st.get.lr_targets(adata)["ligand"][0]))
    return adata


def _strongest(adata: ad.AnnData) -> tuple[str, str]:
    pair = st.get.lr_pairs(adata).iloc[0]
    return str(pair["ligand"]), str(pair["receptor"])


if __name__ == "__main__":
    path = Path(__file__).parent / f"stored_result_{st.__version__}.h5ad"
    if path.exists():
        raise SystemExit(
            f"{path.name} exists and is kept: it is what users of {st.__version__} have on disk."
        )
    adata = with_results(tissue())
    tables = {
        name: getattr(st.get, name)(adata)
        for name in ("tf_targets", "lr_targets", "lr_pairs", "communication")
    }
    for name, table in tables.items():
        print(f"{name}: {len(table)} rows, largest score {np.max(table['score']):.4f}")
    adata.write_h5ad(path, compression="gzip")
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")
