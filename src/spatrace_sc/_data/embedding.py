"""Principal components of cells."""

from __future__ import annotations

import logging

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._check import shorten
from .._core.identical_rows import identical_rows
from .._errors import DataError, MissingKeyError
from .expression import columns
from .flags import any_role, is_flagged
from .imputation import IMPUTED, imputed
from .matrix_forms import InMemory, as_array
from .on_disk import OnDisk, in_memory
from .unmeasured import Unmeasured, warn_of_unmeasured

logger = logging.getLogger("spatrace_sc")


def embed(
    adata: AnnData,
    matrix: InMemory | OnDisk,
    cells: NDArray[np.bool_],
    use_rep: str | None,
    n_pcs: int,
    *,
    unmeasured: Unmeasured | None = None,
    types: NDArray[np.generic] | None = None,
) -> NDArray[np.float64]:
    """Return coordinates of the chosen cells in expression space.

    ``matrix`` is the expression of all cells. The coordinates are ``obsm[use_rep]``, or principal
    components computed on these cells: of the genes with a role where they are flagged, otherwise
    of highly variable genes, otherwise of all genes. Genes that are
    ``unmeasured`` in a slice are imputed from these cells, by their ``types`` (cells of the data,),
    with a warning. Genes are sorted by name first, so that their order in the data does not matter.
    """
    if use_rep is not None:
        if use_rep not in adata.obsm:
            raise MissingKeyError(
                f"`use_rep={use_rep!r}` is not in `adata.obsm`; it has "
                f"{shorten(adata.obsm.keys())}."
            )
        values = as_array(in_memory(adata.obsm[use_rep]), f"`adata.obsm[{use_rep!r}]`")[cells]
        if not np.isfinite(values).all():
            raise DataError(f"`adata.obsm[{use_rep!r}]` has NaN or inf in cells that need it.")
        return values[:, :n_pcs]
    mask = any_role(adata)
    if mask is None and "highly_variable" in adata.var:
        mask = is_flagged(adata, "highly_variable")
    elif mask is None:
        mask = np.ones(adata.n_vars, dtype=bool)
    genes = np.flatnonzero(mask)
    genes = genes[np.argsort(adata.var_names[genes].to_numpy(dtype=str), kind="stable")]
    rows = np.flatnonzero(cells)
    block = columns(matrix[rows], genes)
    if unmeasured is not None and types is not None:
        warn_of_unmeasured(unmeasured, genes, IMPUTED)
        every = np.ones(len(rows), dtype=bool)
        block = imputed(block, unmeasured.missing(genes, rows), types[rows], every)
    scores = principal_components(block, np.arange(len(genes)), n_pcs)
    # rounding leaves identical cells at slightly different coordinates
    first, point = identical_rows(block)
    return scores[first][point]


def principal_components(
    matrix: InMemory | OnDisk,
    genes: NDArray[np.integer],
    n_pcs: int,
) -> NDArray[np.float64]:
    """Return the (cells, components) scores of the PCA that scanpy computes on these genes."""
    block, n = _varying_genes(matrix, genes, n_pcs)
    logger.info("%d principal components of %d genes in %d cells.", n, block.shape[1], len(block))
    return _pca(block, n)


def reliable_components(
    matrix: InMemory, genes: NDArray[np.integer], n_pcs: int
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
    matrix: InMemory | OnDisk,
    genes: NDArray[np.integer],
    n_pcs: int,
) -> tuple[NDArray[np.float32], int]:
    """Return the values of the genes that vary, and how many components they allow."""
    block = columns(matrix, genes)
    # the standard deviation of a constant is rounding, and that of very small values underflows
    varies = (block.max(axis=0) > block.min(axis=0)) & (block.std(axis=0) > 0)
    block = block[:, varies]
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
