"""Principal components of cells."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import shorten
from .._errors import DataError, MissingKeyError
from .expression import columns, matrix_of
from .on_disk import OnDisk

logger = logging.getLogger("spatrace_sc")


def embed(
    adata: AnnData, cells: NDArray[np.bool_], use_rep: str | None, n_pcs: int, layer: str | None
) -> NDArray[np.float64]:
    """Return coordinates of the chosen cells in expression space.

    They are ``obsm[use_rep]``, or principal components computed on these cells: of the genes with
    a role where they are flagged, otherwise of highly variable genes, otherwise of all genes.
    Genes are sorted by name first, so that their order in the data does not matter.
    """
    if use_rep is not None:
        if use_rep not in adata.obsm:
            raise MissingKeyError(
                f"`use_rep={use_rep!r}` is not in `adata.obsm`; it has "
                f"{shorten(adata.obsm.keys())}."
            )
        values = np.asarray(adata.obsm[use_rep], dtype=np.float64)[cells]
        if not np.isfinite(values).all():
            raise DataError(f"`adata.obsm[{use_rep!r}]` has NaN or inf in cells that need it.")
        return values[:, :n_pcs]
    roles = [c for c in _keys.ROLES.values() if c in adata.var]
    if roles:
        mask = adata.var[roles].to_numpy(dtype=bool).any(axis=1)
    elif "highly_variable" in adata.var:
        mask = adata.var["highly_variable"].to_numpy(dtype=bool)
    else:
        mask = np.ones(adata.n_vars, dtype=bool)
    genes = np.flatnonzero(mask)
    genes = genes[np.argsort(adata.var_names[genes].to_numpy(dtype=str), kind="stable")]
    matrix, _ = matrix_of(adata, layer)
    return principal_components(matrix[np.flatnonzero(cells)], genes, n_pcs)


def principal_components(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    genes: NDArray[np.integer],
    n_pcs: int,
) -> NDArray[np.float64]:
    """Return the (cells, components) scores of the PCA that scanpy computes on these genes."""
    block, n = _varying_genes(matrix, genes, n_pcs)
    logger.info("%d principal components of %d genes in %d cells.", n, block.shape[1], len(block))
    return _pca(block, n)


def reliable_components(
    matrix: sparse.csr_matrix | NDArray[np.floating], genes: NDArray[np.integer], n_pcs: int
) -> NDArray[np.float64]:
    """Return the scores of the principal components that hold more variance than chance.

    This is parallel analysis. Genes are scaled to unit variance and permuted over the cells, each
    on its own; the k-th component is compared with the k-th of the permuted data. Components are
    retained up to the first that does not vary more, at least one. Each is multiplied by
    √reliability, with reliability = 1 - variance of the permuted component / variance.
    """
    block, n = _varying_genes(matrix, genes, n_pcs)
    block = (block - block.mean(axis=0)) / block.std(axis=0)
    scores = _pca(block, n)
    rng = np.random.default_rng(0)
    permuted = np.stack([rng.permutation(gene) for gene in block.T], axis=1)
    chance = _pca(permuted, n).var(axis=0)
    reliability = np.clip(1.0 - chance / np.maximum(scores.var(axis=0), 1e-12), 0.0, 1.0)
    unreliable = np.flatnonzero(reliability <= 0)
    n_reliable = int(unreliable[0]) if len(unreliable) else n
    logger.info("%d of %d principal components vary more than in permuted data.", n_reliable, n)
    retained = slice(max(1, n_reliable))
    return np.asarray(scores[:, retained] * np.sqrt(np.maximum(reliability[retained], 1e-3)))


def _varying_genes(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk,
    genes: NDArray[np.integer],
    n_pcs: int,
) -> tuple[NDArray[np.float32], int]:
    """Return the values of the genes that vary, and how many components they allow."""
    block = columns(matrix, genes)
    block = block[:, block.std(axis=0) > 0]
    n = min(n_pcs, block.shape[1] - 1, len(block) - 1)
    if n < 1:
        raise DataError(
            "fewer than two genes vary among the receivers, so cells cannot be compared."
        )
    return block, n


def _pca(block: NDArray[np.floating], n: int) -> NDArray[np.float64]:
    """Return the scores of the PCA that scanpy calls, without scanpy's seconds of import."""
    from sklearn.decomposition import PCA

    pca = PCA(n, svd_solver="arpack", random_state=0)
    return np.asarray(pca.fit_transform(block), dtype=np.float64)
