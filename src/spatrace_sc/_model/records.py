"""What the layers hand each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class History:
    """What the network may see of N cells and their K earlier steps, in temporal order. Holds no target of the predicted cell.

    ``tf`` (N, K, F) log expression as counted, lags K to 1; ``tf_now`` (N, F) level in the predicted cell, filtered; ``receptor`` (N, K+1, R) and ``exposure`` (N, K+1, L) linear, lags K to 0,
    the predicted cell itself last; ``exists`` (N, K+1).
    """

    tf: Tensor
    tf_now: Tensor
    receptor: Tensor
    exposure: Tensor
    exists: Tensor

    def __getitem__(self, index: Tensor) -> History:
        return History(*(t[index] for t in self._tensors))

    def to(self, device: torch.device) -> History:
        """The same on another device."""
        return History(*(t.to(device) for t in self._tensors))

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return self.tf, self.tf_now, self.receptor, self.exposure, self.exists

    def __len__(self) -> int:
        return len(self.exists)


@dataclass(frozen=True)
class Problem:
    """One data set, ready to be fitted.

    Regulators are numbered TF columns first, then pairs, then covariates. ``pair_ligand`` and ``pair_receptor`` (P,) index the columns of the history; ``tf_gene`` (F,) says which
    gene a TF column measures, for a gene has two (in earlier cells, now); ``tf_count`` (N, TF genes) their level as counted in the cell and ``tf_noise`` (TF genes,) what of its variance is counting; ``receptor_level`` (N, R) log level of the receptors; ``target_past`` (N, G) mean of
    the targets in earlier cells of the path, by which training judges attention, never seen by the network; ``covariates`` (N, C) standardised; ``targets`` (N, G); ``usable`` (N,) cells with a past; ``block`` (N,) spatial block;
    ``penalty`` (F + P + C,) relative penalties, :data:`numpy.inf` for regulators that cannot be used; ``tf_penalty`` (TF genes, G) or None multiplies those of TFs;
    ``forbidden`` (2, edges) regulator and target of edges that may not exist, such as a gene on itself, and ``forbidden_on_tfs`` the same with TFs as targets; ``decoy_weight`` for how many pairs a decoy of one stands, above 1 where
    pairs were screened (:mod:`spatrace_sc._model.evidence.screen_pairs`).
    """

    history: History
    pair_ligand: Tensor
    pair_receptor: Tensor
    tf_gene: Tensor
    tf_count: Tensor
    tf_noise: Tensor
    receptor_level: Tensor
    target_past: Tensor
    covariates: Tensor
    targets: Tensor
    usable: Tensor
    block: Tensor
    penalty: Tensor
    tf_penalty: Tensor | None
    forbidden: Tensor
    forbidden_on_tfs: Tensor
    decoy_weight: float = 1.0

    @property
    def n_tfs(self) -> int:
        """F, columns of TFs"""
        return self.history.tf.shape[2] + self.history.tf_now.shape[1]

    @property
    def n_tf_genes(self) -> int:
        """TFs; the first columns are their counts in earlier cells, in order"""
        return int(self.tf_gene.max()) + 1

    def by_tf_gene(self, weights: Tensor) -> Tensor:
        """(F, G) weights of TF columns summed over the columns of each gene, (TF genes, G)."""
        return weights.new_zeros((self.n_tf_genes, weights.shape[1])).index_add_(
            0, self.tf_gene.to(weights.device), weights
        )

    @property
    def n_pairs(self) -> int:
        """P"""
        return len(self.pair_ligand)

    @property
    def kept(self) -> Tensor:
        """(F + P + C,) columns that may act; pairs that were screened away may not"""
        return torch.isfinite(self.penalty)

    @property
    def n_regulators(self) -> int:
        """F + P + C"""
        return self.n_tfs + self.n_pairs + self.covariates.shape[1]

    def to(self, device: torch.device) -> Problem:
        """The same on another device."""
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, history=self.history.to(device), **moved)  # type: ignore[arg-type]  # tensors replace tensors


@dataclass(frozen=True)
class Weights:
    """Sparse regulatory weights on the regulators that have any: ``rows`` (A,) and ``values`` (A, G); ``penalty`` is the λ they were fitted at."""

    rows: Tensor
    values: Tensor
    penalty: float

    def dense(self, n_regulators: int) -> Tensor:
        """(n_regulators, G)"""
        full = self.values.new_zeros((n_regulators, self.values.shape[1]))
        full[self.rows] = self.values
        return full

    def part(self, columns: range) -> tuple[Tensor, Tensor]:
        """Those of some columns, numbered from the first of these."""
        ends = torch.tensor([columns.start, columns.stop], device=self.rows.device)
        low, high = torch.searchsorted(self.rows, ends).tolist()
        return self.rows[low:high] - columns.start, self.values[low:high]


class Member(NamedTuple):
    """Weights of one refit that are not 0: ``edge`` (A,) numbered over (TF genes + P, G + TF genes), the TFs as regulated genes last, ascending, and ``weight`` (A,); ``blocks`` (B,) codes of the blocks of space it was made on."""

    edge: np.ndarray
    weight: np.ndarray
    blocks: np.ndarray


class Draw(NamedTuple):
    """One refit of one task: numbers and scores of the real edges with a score, and the scores of decoys with the false hits each stands for (negative for double decoys)."""

    items: np.ndarray
    score: np.ndarray
    null_score: np.ndarray
    null_weight: np.ndarray


@dataclass(frozen=True)
class Edges:
    """Edges of one kind and what the refits say of them.

    ``number`` (E,) over (regulators, ``n_targets``), ascending; ``effect`` (E,) mean weight over refits, 0 in those without one, and ``effect_se`` its standard error; ``stability`` the share of refits with a weight of
    the mean's sign; ``p_value`` the geometric mean of the refits' p against decoys.
    """

    number: np.ndarray
    n_targets: int
    effect: np.ndarray
    effect_se: np.ndarray
    stability: np.ndarray
    p_value: np.ndarray

    @property
    def regulator(self) -> np.ndarray:
        """(E,)"""
        return np.asarray(self.number // self.n_targets)

    @property
    def target(self) -> np.ndarray:
        """(E,)"""
        return np.asarray(self.number % self.n_targets)

    def __len__(self) -> int:
        return len(self.number)


@dataclass(frozen=True)
class Evidence:
    """Outcome of the refits.

    ``tf`` edges of TF genes on targets, all F × G, summed over the columns of a TF; ``lr`` edges of pairs on targets, those of :func:`spatrace_sc._model.evidence.edge_strength.listed_edges`. ``on_tfs`` (P, TF genes) mean weight of
    pairs on TFs' counts. ``pair_score`` (P,) mean norm of a pair's weights, ``pair_se`` its standard error, ``pair_stability`` the share of refits in which it has any, ``pair_p_value``;
    ``false_share`` how much of the pairs' squared weights decoys would have got, 0 to 1; ``draws`` the refits of the tasks ``tf`` (edges numbered over (F, G)), ``lr`` (over (P, G)), ``lr_tf`` (over (P, TF genes)) and ``pair`` (norms of
    the first pass); ``members`` the weights of every refit, of TFs in earlier cells on TFs among them.
    """

    tf: Edges
    lr: Edges
    on_tfs: np.ndarray
    pair_score: np.ndarray
    pair_se: np.ndarray
    pair_stability: np.ndarray
    pair_p_value: np.ndarray
    false_share: float
    draws: dict[str, list[Draw]]
    members: list[Member] = field(default_factory=list)
