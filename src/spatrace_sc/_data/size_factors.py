"""Size factors of cells from genes without a role, and expression on a scale they define."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._core.counts import MAX_LOG
from .load_genes import load_genes, with_columns_only
from .matrix_forms import InMemory
from .on_disk import OnDisk

logger = logging.getLogger("spatrace_sc")

#: Fewest genes without a role whose molecules are counted.
MIN_GENES = 20
#: Weight, in molecules, of the size factor by all genes against the one by genes without a role.
PRIOR_MOLECULES = 20.0


class Rescaled(NamedTuple):
    """Expression of some genes, the value of one molecule in every cell, and the empty cells.

    ``matrix`` (cells, genes) has the other genes at 0 if the data are counts; ``unit``, and the
    number of ``molecules`` (cells,) of all genes, are None if they are not. ``n_other_genes`` is
    the number of genes above 0 that were not named.
    """

    matrix: InMemory
    unit: NDArray[np.float64] | None
    empty: NDArray[np.bool_]
    n_other_genes: int
    molecules: NDArray[np.float64] | None


def load_rescaled(
    matrix: InMemory | OnDisk,
    genes: NDArray[np.integer],
    sample: NDArray[np.generic],
    usual: NDArray[np.bool_] | None = None,
) -> Rescaled:
    """Load some genes; counts become ``log1p(counts / size factor)``.

    Size factors (:func:`size_factors`) have the median 1 over the ``usual`` cells (all by
    default), so that the result does not depend on the total to which the counts were normalised.
    Values that are not counts stay as they are.
    """
    loaded = load_genes(matrix, genes)
    if loaded.unit is None:
        return Rescaled(loaded.matrix, None, loaded.empty, 0, None)
    others = np.rint(loaded.other / loaded.unit) if loaded.n_other_genes >= MIN_GENES else None
    factors = size_factors(1.0 / loaded.unit, others, sample, ~loaded.empty)
    if usual is not None and (usual & ~loaded.empty).any():
        factors = factors / np.median(factors[usual & ~loaded.empty])
    named = np.zeros(loaded.matrix.shape[1], dtype=bool)
    named[genes] = True
    linear = with_columns_only(loaded.matrix, named).astype(np.float64)
    linear.data = np.expm1(np.minimum(linear.data, MAX_LOG))
    molecules = np.rint((loaded.other + np.asarray(linear.sum(axis=1)).ravel()) / loaded.unit)
    scaled = rescale(linear, 1.0 / (factors * loaded.unit))
    return Rescaled(scaled, 1.0 / factors, loaded.empty, loaded.n_other_genes, molecules)


def size_factors(
    by_all_genes: NDArray[np.float64],
    molecules: NDArray[np.float64] | None,
    sample: NDArray[np.generic],
    counted: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """(cells,) size factors with the median 1 over the cells that are ``counted``.

    The size factor by which the data were normalised, ``by_all_genes``, usually counts all genes.
    Regulators and targets, which differ between cells for biological reasons, then lower one
    another, the more so the fewer genes there are. So the ``molecules`` of genes without a role
    are compared with their expected number e, which is the median over the cells of the slice
    times the relative size factor by all genes. The size factor is multiplied by
    ``(molecules + 20) / (e + 20)``. Without ``molecules`` only the scale changes.
    """
    size = by_all_genes
    if molecules is not None:
        slices = pd.Series(sample).astype(str).where(counted)
        found, by_all = pd.Series(molecules), pd.Series(by_all_genes)
        relative = by_all / by_all.groupby(slices).transform("median")
        expected = relative * found.groupby(slices).transform("median")
        ratio = (found + PRIOR_MOLECULES) / (expected + PRIOR_MOLECULES)
        size = size * ratio.where(counted, 1.0).to_numpy()
    return np.asarray(size / np.median(size[counted]) if counted.any() else size)


def log_size_factors(n_other_genes: int) -> None:
    """Log how counts were normalised, from the number of genes without a role."""
    if n_other_genes >= MIN_GENES:
        source = f"from the molecules of {n_other_genes} genes without a role"
    else:
        source = f"those of the data, because {n_other_genes} genes have no role"
    logger.info("Size factors: %s; expression enters as log1p of counts per median cell.", source)


def rescale(linear: sparse.csr_matrix, factor: NDArray[np.float64]) -> sparse.csr_matrix:
    """Return ``log1p(factor * linear)`` in float32, with one factor per cell."""
    scaled = np.log1p(linear.data * np.repeat(factor, np.diff(linear.indptr)))
    pattern = (scaled.astype(np.float32), linear.indices, linear.indptr)
    return sparse.csr_matrix(pattern, shape=linear.shape)
