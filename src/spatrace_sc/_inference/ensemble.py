"""Weights of a stored result and of its refits, as matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._edges import LR_TARGETS, LR_TFS, TF_TARGETS
from .._result import Result


class Member(NamedTuple):
    """Weights of one fit, in standard deviations per standard deviation.

    ``tf_on_tf`` (F, F) and ``tf_on_target`` (F, G) dense; ``pair_on_tf`` (A, F) and
    ``pair_on_target`` (A, G), of the acting pairs, sparse.
    """

    tf_on_tf: NDArray[np.float64]
    tf_on_target: NDArray[np.float64]
    pair_on_tf: sparse.csr_matrix
    pair_on_target: sparse.csr_matrix


@dataclass(frozen=True)
class Ensemble:
    """The weights of the result first, then those of every refit.

    ``pairs`` (A,) are the pairs with any effect. ``spread`` turns the standard deviation over
    refits into a standard error. ``unresampled`` (F + A, G) holds squared standard errors of
    effects that no refit has.
    """

    members: list[Member]
    pairs: NDArray[np.int64]
    spread: float
    unresampled: sparse.csr_matrix

    def unresampled_variance(
        self, tf: NDArray[np.float64], signal: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(S, G) variance of a change that no refit shows.

        From mean changes of TFs (S, F) and of signals (S, A).
        """
        return np.asarray(np.hstack([tf, signal]) ** 2 @ self.unresampled)


class _Positions:
    """Rows of all regulators (F + P) → rows of TFs and acting pairs (F + A)."""

    def __init__(self, n_regulators: int, n_tfs: int, pairs: NDArray[np.int64], width: int) -> None:
        self.row = np.full(n_regulators, -1)
        self.row[:n_tfs] = np.arange(n_tfs)
        self.row[n_tfs + pairs] = n_tfs + np.arange(len(pairs))
        self.shape = (n_tfs + len(pairs), width)

    def matrix(
        self, row: NDArray[Any], column: NDArray[Any], value: NDArray[Any]
    ) -> sparse.csr_matrix:
        """Return the entries in rows that are used."""
        used = self.row[row] >= 0
        entries = (value[used], (self.row[row[used]], column[used]))
        return sparse.csr_matrix(entries, shape=self.shape)


def read_ensemble(
    result: Result, noise: NDArray[np.floating], pairs: NDArray[np.integer]
) -> Ensemble:
    """Return the weights of TFs and of the given pairs, in the result and in its refits.

    A refit's weights are those of the result plus its distance from the mean of the refits,
    stretched so that the standard error over refits is the stored one, which also holds the
    uncertainty of the noise correction. Effects on TFs, measured with a share ``noise`` (F,) of
    noise, are divided by ``sqrt(1 - noise)``.
    """
    genes = result.genes
    n_f, n_g = genes.n_tfs, genes.n_targets
    share = result.config.evidence.sample_share
    spread = float(np.sqrt(share / (1.0 - share))) if share < 1 else float("nan")
    effects, errors = _stored_effects(result)
    edge, weight = result.refits
    row, column = np.divmod(edge, n_g + n_f)
    acting = np.zeros(genes.n_regulators, dtype=bool)
    acting[row] = True
    acting[effects.row] = True
    acting_pairs = np.asarray(pairs, dtype=np.int64)
    acting_pairs = acting_pairs[acting[genes.regulator_of_pair(acting_pairs)]]
    positions = _Positions(genes.n_regulators, n_f, acting_pairs, n_g + n_f)

    on_tfs = column >= n_g
    correction = np.ones(len(edge))
    correction[on_tfs] = 1.0 / np.sqrt(1.0 - np.asarray(noise)[column[on_tfs] - n_g])
    mean, sd = weight.mean(axis=0), spread * weight.std(axis=0)
    listed = _entries(errors.tocsr(), row, column)
    stretch = np.divide(listed, sd, out=np.ones_like(sd), where=(sd > 0) & (listed > 0))
    of_tfs = (row < n_f) & on_tfs
    centre = positions.matrix(effects.row, effects.col, effects.data)
    centre = centre + positions.matrix(row[of_tfs], column[of_tfs], (mean * correction)[of_tfs])
    deviations = ((one - mean) * correction * stretch for one in weight)
    members = [centre, *(centre + positions.matrix(row, column, d) for d in deviations)]

    shape = (genes.n_regulators, n_g + n_f)
    resampled = sparse.csr_matrix(((sd > 0).astype(float), (row, column)), shape=shape)
    without = _entries(resampled, errors.row, errors.col) == 0
    variance = errors.data[without] ** 2
    unresampled = positions.matrix(errors.row[without], errors.col[without], variance)[:, :n_g]
    return Ensemble(
        [_split(member.tocsr(), n_f, n_g) for member in members],
        acting_pairs,
        spread,
        sparse.csr_matrix(unresampled),
    )


def _entries(
    matrix: sparse.csr_matrix, row: NDArray[Any], column: NDArray[Any]
) -> NDArray[np.float64]:
    """Return single entries; scipy answers an empty index with a sparse matrix."""
    return np.asarray(matrix[row, column]).ravel() if len(row) else np.empty(0)


def _split(matrix: sparse.csr_matrix, n_f: int, n_g: int) -> Member:
    return Member(
        matrix[:n_f, n_g:].toarray(),
        matrix[:n_f, :n_g].toarray(),
        sparse.csr_matrix(matrix[n_f:, n_g:]),
        sparse.csr_matrix(matrix[n_f:, :n_g]),
    )


def _stored_effects(result: Result) -> tuple[sparse.coo_matrix, sparse.coo_matrix]:
    """(F + P, G + F) effects on targets and TFs, and standard errors of those on targets."""
    genes, n_g = result.genes, result.genes.n_targets
    tf, lr, on_tf = (result.table(kind) for kind in (TF_TARGETS, LR_TARGETS, LR_TFS))
    rows = [
        tf["tf"].to_numpy(dtype=np.int64),
        genes.regulator_of_pair(genes.pair_of_rows(lr)),
        genes.regulator_of_pair(genes.pair_of_rows(on_tf)),
    ]
    columns = [
        *(table["target"].to_numpy(dtype=np.int64) for table in (tf, lr)),
        n_g + on_tf["tf"].to_numpy(dtype=np.int64),
    ]

    def matrix(values: Sequence[NDArray[np.floating]]) -> sparse.coo_matrix:
        n = len(values)
        indices = (np.concatenate(rows[:n]), np.concatenate(columns[:n]))
        entries = (np.concatenate(values).astype(np.float64), indices)
        return sparse.coo_matrix(entries, shape=(genes.n_regulators, n_g + genes.n_tfs))

    effects = [table["effect"].to_numpy() for table in (tf, lr, on_tf)]
    return matrix(effects), matrix([table["effect_se"].to_numpy() for table in (tf, lr)])
