"""Records that the parts of the model exchange."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class History:
    """Input of the network: N cells and their K earlier steps, in temporal order.

    It holds no target of the predicted cell. Steps run from lag K to lag 0, so the predicted
    cell itself comes last.
    """

    tf: Tensor
    """(N, K, F) log expression of TFs as counted, lags K to 1."""
    tf_now: Tensor
    """(N, F) filtered level of TFs in the predicted cell."""
    receptor: Tensor
    """(N, K+1, R) receptor expression, linear."""
    exposure: Tensor
    """(N, K+1, L) exposure to ligands, linear."""
    exists: Tensor
    """(N, K+1) whether the path has this step."""

    def __getitem__(self, index: Tensor) -> History:
        return History(*(t[index] for t in self._tensors))

    def to(self, device: torch.device) -> History:
        """Copy on another device."""
        return History(*(t.to(device) for t in self._tensors))

    @property
    def _tensors(self) -> tuple[Tensor, ...]:
        return self.tf, self.tf_now, self.receptor, self.exposure, self.exists

    def __len__(self) -> int:
        return len(self.exists)


@dataclass(frozen=True)
class Problem:
    """One data set, ready to be fitted.

    Columns of regulators are numbered TFs first (F), then ligand–receptor pairs (P), then
    covariates (C). Each TF gene has two columns: its level in earlier cells and its level now.
    """

    history: History
    pair_ligand: Tensor
    """(P,) index of the ligand of a pair in ``history.exposure``."""
    pair_receptor: Tensor
    """(P,) index of the receptor of a pair in ``history.receptor``."""
    tf_gene: Tensor
    """(F,) index of the gene that a TF column measures."""
    tf_count: Tensor
    """(N, TF genes) level of the TFs as counted in the cell."""
    tf_noise: Tensor
    """(TF genes,) variance of ``tf_count`` that comes from counting molecules."""
    tf_state: Tensor
    """(N, TF genes) mean log expression of the TFs in earlier cells of nearly the same state."""
    receptor_level: Tensor
    """(N, R) log level of the receptors."""
    target_past: Tensor
    """(N, G) mean of the targets in earlier cells of the path.

    Training judges the attention by it; the network never sees it.
    """
    covariates: Tensor
    """(N, C) standardised covariates, those that the user named last."""
    targets: Tensor
    """(N, G) expression of the targets."""
    usable: Tensor
    """(N,) whether a cell has a past."""
    block: Tensor
    """(N,) code of the spatial block of a cell."""
    penalty: Tensor
    """(F + P + C,) relative penalties; infinite for regulators that cannot be used."""
    tf_penalty: Tensor | None
    """(TF genes, G) factors on the penalties of TFs, or None."""
    forbidden: Tensor
    """(2, edges) regulator column and target of edges that may not exist, as a gene on itself."""
    forbidden_on_tfs: Tensor
    """(2, edges) the same with TF genes as targets."""
    n_neighbourhood_covariates: int = 0
    """Number of covariates before these that hold the state of the neighbourhood."""
    n_named_covariates: int = 0
    """Number of the last covariates, which the user named."""
    covariate_sizes: tuple[int, ...] = ()
    """Numbers of columns of cell type, slice, time and so on, in order; empty: all are one."""
    decoy_weight: float = 1.0
    """Number of pairs that the decoy of one pair counts for.

    It exceeds 1 where pairs were screened (:mod:`spatrace_sc._model.evidence.screen_pairs`).
    """

    @property
    def n_tfs(self) -> int:
        """F, the number of TF columns."""
        return self.history.tf.shape[2] + self.history.tf_now.shape[1]

    @property
    def n_tf_genes(self) -> int:
        """Number of TF genes; the first columns are their counts in earlier cells, in order."""
        return int(self.tf_gene.max()) + 1

    def by_tf_gene(self, weights: Tensor) -> Tensor:
        """(TF genes, G) sums of (F, G) weights over the columns of each TF gene."""
        return weights.new_zeros((self.n_tf_genes, weights.shape[1])).index_add_(
            0, self.tf_gene.to(weights.device), weights
        )

    @property
    def may_regulate(self) -> Tensor:
        """(G, TF genes) whether a TF may regulate a target; no gene regulates itself."""
        shape = (self.targets.shape[1], self.n_tf_genes)
        allowed = torch.ones(shape, dtype=torch.bool, device=self.forbidden.device)
        regulator, target = self.forbidden
        of_tfs = regulator < self.n_tf_genes
        allowed[target[of_tfs], regulator[of_tfs]] = False
        return allowed

    @property
    def group_covariates(self) -> Tensor:
        """(N, C) covariates without the state of the neighbourhood."""
        last = self.covariates.shape[1] - self.n_named_covariates
        first = last - self.n_neighbourhood_covariates
        return torch.cat([self.covariates[:, :first], self.covariates[:, last:]], dim=1)

    @property
    def n_pairs(self) -> int:
        """P, the number of ligand–receptor pairs."""
        return len(self.pair_ligand)

    @property
    def pair_columns(self) -> range:
        """Columns of the pairs."""
        return range(self.n_tfs, self.n_tfs + self.n_pairs)

    @property
    def pair_slice(self) -> slice:
        """Slice of the columns of the pairs."""
        return slice(self.n_tfs, self.n_tfs + self.n_pairs)

    @property
    def may_act(self) -> Tensor:
        """(F + P + C,) whether a column may have a weight.

        It is False for screened pairs, and for pairs that are no candidates.
        """
        return torch.isfinite(self.penalty)

    @property
    def n_candidate_pairs(self) -> int:
        """Number of pairs that are candidates, those that screening left out among them."""
        return round(float(self.may_act[self.pair_slice].sum()) * self.decoy_weight)

    @property
    def n_regulators(self) -> int:
        """F + P + C, the number of columns."""
        return self.n_tfs + self.n_pairs + self.covariates.shape[1]

    def to(self, device: torch.device) -> Problem:
        """Copy on another device."""
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        history = self.history.to(device)
        return replace(self, history=history, **moved)  # type: ignore[arg-type]  # all tensors


@dataclass(frozen=True)
class Weights:
    """Sparse regulatory weights of A regulators on G targets, fitted at one penalty."""

    rows: Tensor
    """(A,) columns of the regulators that have a weight, ascending."""
    values: Tensor
    """(A, G) weights."""
    penalty: float
    """The λ of the fit."""

    def dense(self, n_regulators: int) -> Tensor:
        """(n_regulators, G) weights with zeros filled in."""
        full = self.values.new_zeros((n_regulators, self.values.shape[1]))
        full[self.rows] = self.values
        return full

    def among(self, columns: Tensor) -> Weights:
        """The weights of some columns."""
        inside = torch.isin(self.rows, columns)
        return Weights(self.rows[inside], self.values[inside], self.penalty)

    def within(self, columns: range) -> tuple[Tensor, Tensor]:
        """Rows and values within a range of columns, numbered from the start of the range."""
        ends = torch.tensor([columns.start, columns.stop], device=self.rows.device)
        low, high = torch.searchsorted(self.rows, ends).tolist()
        return self.rows[low:high] - columns.start, self.values[low:high]


class RefitWeights(NamedTuple):
    """Nonzero weights of one refit and the blocks that it was fitted on.

    Edges are numbered over (TF genes + P, G + TF genes), so that TFs as regulated genes come last.
    """

    edge: np.ndarray
    """(A,) edge indices, ascending."""
    weight: np.ndarray
    """(A,) their weights."""
    blocks: np.ndarray
    """(B,) codes of the spatial blocks of the refit."""


class Draw(NamedTuple):
    """Scores of real edges and of decoys in one refit of one task."""

    items: np.ndarray
    """Indices of the real edges that have a score."""
    score: np.ndarray
    """Their scores."""
    null_score: np.ndarray
    """Scores of decoys, ascending."""
    null_weight: np.ndarray
    """False hits that each decoy counts for, negative for double decoys."""


@dataclass(frozen=True)
class Edges:
    """Edges of one kind, summarised over the refits."""

    index: np.ndarray
    """(E,) edge indices over (regulators, ``n_targets``), ascending."""
    n_targets: int
    effect: np.ndarray
    """(E,) mean weight over refits, where a refit without a weight counts as 0."""
    effect_se: np.ndarray
    """(E,) standard error of the effect."""
    stability: np.ndarray
    """(E,) share of refits whose weight has the sign of the mean."""
    p_value: np.ndarray
    """(E,) geometric mean over refits of the p-values against decoys."""

    @property
    def regulator(self) -> np.ndarray:
        """(E,) index of the regulator."""
        return np.asarray(self.index // self.n_targets)

    @property
    def target(self) -> np.ndarray:
        """(E,) index of the target."""
        return np.asarray(self.index % self.n_targets)

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Evidence:
    """Summary of all refits."""

    tf: Edges
    """All edges of TF genes on targets, summed over the columns of a TF gene."""
    lr: Edges
    """The listed edges of pairs on targets (:mod:`spatrace_sc._model.evidence.edge_strength`)."""
    on_tfs: np.ndarray
    """(P, TF genes) mean weight of pairs on the counts of TFs."""
    pair_score: np.ndarray
    """(P,) mean norm of the weights of a pair."""
    pair_se: np.ndarray
    """(P,) standard error of ``pair_score``."""
    pair_stability: np.ndarray
    """(P,) share of refits in which a pair has any weight."""
    pair_p_value: np.ndarray
    """(P,) p-value of a pair."""
    false_share: float
    """Share of the squared weights of pairs that decoys would have got, 0 to 1."""
    draws: dict[str, list[Draw]]
    """Scores of every refit, by task.

    Tasks are ``tf`` (edges over (TF genes, G)), ``lr`` (over (P, G)), ``lr_tf`` (over
    (P, TF genes)) and ``pair`` (norms of the first pass).
    """
    refits: list[RefitWeights] = field(default_factory=list)
    """Weights of every refit, including weights of TFs in earlier cells on TFs."""
