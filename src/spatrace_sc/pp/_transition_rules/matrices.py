"""Transitions from a cells × cells matrix of the user's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from ..._check import shorten
from ..._data.cell_matrices import as_sparse, stored_matrix
from ..._errors import MissingKeyError
from .cells import Cells, Notes


@dataclass(frozen=True)
class Given:
    """A cells × cells matrix, row = earlier cell; ``name`` stands for it in messages."""

    matrix: Any
    name: str = "`method`"

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        return among(cells, as_sparse(self.matrix, self.name, cells.adata.n_obs))


@dataclass(frozen=True)
class Stored:
    """A slot of ``obsp``, row = earlier cell."""

    key: str

    def __call__(self, cells: Cells) -> tuple[sparse.csr_matrix, Notes]:
        """Return the matrix among the cells, and notes."""
        if self.key not in cells.adata.obsp:
            raise MissingKeyError(
                f"{self.key!r} is not in `adata.obsp`; it has {shorten(cells.adata.obsp.keys())}."
            )
        return among(cells, stored_matrix(cells.adata, self.key))


def among(cells: Cells, matrix: sparse.csr_matrix) -> tuple[sparse.csr_matrix, Notes]:
    """Return the block of the analysed cells, and the share of mass that led to other cells.

    Rows of the block are not rescaled.
    """
    index = np.flatnonzero(cells.mask)
    rows = matrix[index]
    block = rows[:, index]
    total = float(rows.sum())
    return block, {"outside": 1.0 - float(block.sum()) / total if total > 0 else 0.0}
