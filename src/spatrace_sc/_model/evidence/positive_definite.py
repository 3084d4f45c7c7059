"""Linear algebra of many symmetric positive definite matrices, by their Cholesky factors.

LU decompositions of a batch fail or never end in some builds of torch, on several threads and
beyond about 150 columns. Cholesky factors do not, and are cheaper.
"""

from __future__ import annotations

import torch
from torch import Tensor


def solve(matrices: Tensor, right: Tensor) -> Tensor:
    """(…, n, k) solutions X of A X = ``right``, for (…, n, n) matrices A."""
    solution: Tensor = torch.cholesky_solve(right, torch.linalg.cholesky(matrices))
    return solution


def inverse(matrices: Tensor) -> Tensor:
    """(…, n, n) inverses."""
    inverted: Tensor = torch.cholesky_inverse(torch.linalg.cholesky(matrices))
    return inverted


def log_determinant(matrices: Tensor) -> Tensor:
    """(…,) logarithms of the determinants."""
    factor = torch.linalg.cholesky(matrices)
    logarithm: Tensor = 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return logarithm
