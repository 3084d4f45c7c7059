"""Weights of a stored result and of its refits, as matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


class Member(NamedTuple):
    """``tf_on_tf`` (F, F), ``tf_on_target`` (F, G), ``pair_on_tf`` (A, F) and ``pair_on_target`` (A, G) of the pairs in question, in standard deviations per standard deviation; sparse but for those of TFs."""

    tf_on_tf: NDArray[np.float64]
    tf_on_target: NDArray[np.float64]
    pair_on_tf: sparse.csr_matrix
    pair_on_target: sparse.csr_matrix


@dataclass(frozen=True)
class Ensemble:
    """The result's own weights first, then one member per refit. ``pairs`` (A,) numbers of the pairs that do anything; ``spread`` turns the standard deviation over refits into a standard error; ``rest`` (F + A, G) squared standard errors of effects that no refit has."""

    members: list[Member]
    pairs: NDArray[np.intp]
    spread: float
    rest: sparse.csr_matrix

    def unseen(self, tf: NDArray[np.float64], signal: NDArray[np.float64]) -> NDArray[np.float64]:
        """(S, G) variance of a change that no refit shows, from mean changes of TFs (S, F) and of signals (S, A)."""
        return np.asarray(np.hstack([tf, signal]) ** 2 @ self.rest)


def read_ensemble(
    result: dict[str, Any], noise: NDArray[np.floating], pairs: NDArray[np.intp]
) -> Ensemble:
    r"""Weights from ``uns[key]``, of TFs and of the given pairs.

    A refit's weights are those of the result plus its distance from the mean of the refits, stretched so that the standard error over refits is the stored one (which holds what the noise correction adds).
    Effects on TFs, measured with a share ``noise`` (F,) of noise, are divided by :math:`\sqrt{1 - noise}`.
    """
    n_f, n_g = (len(result["genes"][role]) for role in ("tfs", "targets"))
    width = n_g + n_f
    share = float(result["params"]["config"]["evidence"]["sample_share"])
    spread = float(np.sqrt(share / (1.0 - share))) if share < 1 else float("nan")
    final, se = _stored(result, n_f, n_g)
    edge, weight = (
        np.asarray(result["refits"]["edge"]),
        np.asarray(result["refits"]["weight"]).astype(np.float64),
    )
    row, column = edge // width, edge % width
    acting = np.zeros(
        n_f + len(np.asarray(result["genes"]["ligands"])) * len(result["genes"]["receptors"]),
        dtype=bool,
    )
    acting[np.unique(row)] = True
    acting[np.unique(final.row)] = True
    pairs = pairs[acting[n_f + pairs]]
    place = np.full(len(acting), -1)
    place[:n_f], place[n_f + pairs] = np.arange(n_f), n_f + np.arange(len(pairs))
    shape = (n_f + len(pairs), width)

    def local(r: NDArray[Any], c: NDArray[Any], v: NDArray[Any]) -> sparse.csr_matrix:
        here = place[r] >= 0
        return sparse.csr_matrix((v[here], (place[r[here]], c[here])), shape=shape)

    mean = weight.mean(axis=0)
    noisy = column >= n_g
    factor = np.ones(len(edge))
    factor[noisy] = 1.0 / np.sqrt(1.0 - np.asarray(noise)[column[noisy] - n_g])
    sd = spread * weight.std(axis=0)
    listed = np.asarray(se.tocsr()[row, column]).ravel()
    stretch = np.divide(listed, sd, out=np.ones_like(sd), where=(sd > 0) & (listed > 0))
    of_tfs = (row < n_f) & noisy
    centre = local(final.row, final.col, final.data) + local(
        row[of_tfs], column[of_tfs], (mean * factor)[of_tfs]
    )
    members = [centre] + [
        centre + local(row, column, (one - mean) * factor * stretch) for one in weight
    ]
    known = sparse.csr_matrix(((sd > 0).astype(float), (row, column)), shape=(len(acting), width))
    alone = np.asarray(known[se.row, se.col]).ravel() == 0
    rest = local(se.row[alone], se.col[alone], se.data[alone] ** 2)[:, :n_g]
    return Ensemble(
        [_split(m.tocsr(), n_f, n_g) for m in members], pairs, spread, sparse.csr_matrix(rest)
    )


def _split(matrix: sparse.csr_matrix, n_f: int, n_g: int) -> Member:
    return Member(
        matrix[:n_f, n_g:].toarray(),
        matrix[:n_f, :n_g].toarray(),
        sparse.csr_matrix(matrix[n_f:, n_g:]),
        sparse.csr_matrix(matrix[n_f:, :n_g]),
    )


def _stored(
    result: dict[str, Any], n_f: int, n_g: int
) -> tuple[sparse.coo_matrix, sparse.coo_matrix]:
    """(F + P, G + F) effects of the tables on targets and on TFs, and standard errors of those on targets."""
    n_l, n_r = len(result["genes"]["ligands"]), len(result["genes"]["receptors"])
    tf, lr, on_tf = (result[name] for name in ("tf_targets", "lr_targets", "lr_tfs"))

    def pair(table: Any) -> NDArray[np.int64]:
        number: NDArray[np.int64] = (
            n_f + (table["ligand"].astype(np.int64) * n_r + table["receptor"]).to_numpy()
        )
        return number

    rows = [tf["tf"].to_numpy(dtype=np.int64), pair(lr), pair(on_tf)]
    columns = [
        tf["target"].to_numpy(),
        lr["target"].to_numpy(),
        n_g + on_tf["tf"].to_numpy(dtype=np.int64),
    ]
    shape = (n_f + n_l * n_r, n_g + n_f)

    def matrix(values: list[Any]) -> sparse.coo_matrix:
        places = tuple(
            np.concatenate(part[: len(values)]).astype(np.int64) for part in (rows, columns)
        )
        return sparse.coo_matrix((np.concatenate(values).astype(np.float64), places), shape=shape)

    effects = [table["effect"].to_numpy() for table in (tf, lr, on_tf)]
    return matrix(effects), matrix([table["effect_se"].to_numpy() for table in (tf, lr)])
