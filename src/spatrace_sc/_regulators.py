"""Genes by role, and the indices of genes, pairs, regulators and edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ._edges import PAIR_SEPARATOR, ROLE_OF_COLUMN, EdgeKind

Indices: TypeAlias = NDArray[np.int64]
#: The four roles of genes.
ROLES = ("ligands", "receptors", "tfs", "targets")


@dataclass(frozen=True)
class Regulators:
    """Genes of the four roles, in alphabetical order, and their indices.

    With L ligands, R receptors, F TFs and G targets:

    - *pair* ``p = ligand · R + receptor``, so all receptors of the first ligand come first;
    - *regulator*: TFs 0 … F−1, then pairs F + p;
    - *column* of the model: TFs in earlier cells 0 … F−1, TFs now F … 2F−1, pairs 2F + p;
    - *edge* ``regulator · G + target``, or ``pair · G + target`` among edges of pairs.
    """

    ligands: NDArray[np.str_]
    receptors: NDArray[np.str_]
    tfs: NDArray[np.str_]
    targets: NDArray[np.str_]
    homophilic: bool = True
    """Whether the pair of a gene with itself is a candidate. It has an index either way."""
    complexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the subunits of every ligand and receptor that is a complex."""

    @classmethod
    def from_mapping(
        cls,
        genes: Mapping[str, Sequence[str] | NDArray[np.generic]],
        *,
        homophilic: bool = True,
        complexes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Regulators:
        """Build from a dictionary of role → names."""
        names = {role: np.array([str(name) for name in genes[role]], dtype=str) for role in ROLES}
        return cls(**names, homophilic=homophilic, complexes=dict(complexes or {}))

    def __getitem__(self, role: str) -> NDArray[np.str_]:
        """Names of the genes of a role."""
        names: NDArray[np.str_] = getattr(self, role)
        return names

    def to_mapping(self) -> dict[str, NDArray[np.object_]]:
        """Role → names, in the form that is stored."""
        return {role: self[role].astype(object) for role in ROLES}

    @property
    def n_ligands(self) -> int:
        """L"""
        return len(self.ligands)

    @property
    def n_receptors(self) -> int:
        """R"""
        return len(self.receptors)

    @property
    def n_tfs(self) -> int:
        """F"""
        return len(self.tfs)

    @property
    def n_targets(self) -> int:
        """G"""
        return len(self.targets)

    @property
    def n_pairs(self) -> int:
        """L · R"""
        return self.n_ligands * self.n_receptors

    @property
    def n_regulators(self) -> int:
        """F + L · R"""
        return self.n_tfs + self.n_pairs

    def genes_of(self, name: str) -> tuple[str, ...]:
        """Return the subunits of a complex; of a gene its name."""
        return tuple(self.complexes.get(name, (name,)))

    def share_gene(self, one: NDArray[np.str_], other: NDArray[np.str_]) -> NDArray[np.bool_]:
        """(len(one), len(other)) mask of names that are one gene or have a subunit in common."""
        shared: NDArray[np.bool_] = one[:, None] == other
        if self.complexes and shared.size:
            genes, others = ([set(self.genes_of(str(n))) for n in names] for names in (one, other))
            shared = np.array([[bool(a & b) for b in others] for a in genes])
        return shared

    @property
    def excluded_pairs(self) -> Indices:
        """Pairs that are no candidates: a gene with itself, unless ``homophilic``.

        A ligand and a receptor with a subunit in common count as a gene with itself.
        """
        if self.homophilic:
            return np.empty(0, dtype=np.int64)
        return self.pair(*np.nonzero(self.share_gene(self.ligands, self.receptors)))

    def regulates_itself(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """(rows,) mask of edges on the TF itself, or on a gene of the pair; genes by index.

        Such edges are candidates, but the model forbids them. Tables without targets have none.
        """
        mask = np.zeros(len(table), dtype=bool)
        if "target" in table:
            target = table["target"].to_numpy(dtype=np.intp)
            for column in {"tf", "ligand", "receptor"} & set(table.columns):
                shared = self.share_gene(self[ROLE_OF_COLUMN[column]], self.targets)
                mask |= shared[table[column].to_numpy(dtype=np.intp), target]
        return mask

    @property
    def n_same_gene(self) -> dict[str, int]:
        """Number of candidates that :meth:`regulates_itself` marks, by kind."""
        allowed = np.ones((self.n_ligands, self.n_receptors))
        allowed.ravel()[self.excluded_pairs] = 0
        ligand, receptor = (
            (~self.share_gene(names, self.targets)).astype(float)
            for names in (self.ligands, self.receptors)
        )
        tested = float(((ligand.T @ allowed) * receptor.T).sum())
        n_edges = float(allowed.sum()) * self.n_targets
        return {
            "tf_targets": int(self.share_gene(self.tfs, self.targets).sum()),
            "lr_targets": round(n_edges - tested),
        }

    def n_indices(self, kind: EdgeKind) -> int:
        """Return the number of indices of a kind, those of excluded pairs among them."""
        return int(np.prod([len(self[role]) for role in kind.roles]))

    def n_candidates(self, kind: EdgeKind) -> int:
        """Return the number of possible edges of a kind."""
        return self.n_indices(kind) - len(self.excluded(kind))

    def excluded(self, kind: EdgeKind) -> Indices:
        """Return the indices, among those of a kind, of edges that are no candidates."""
        if not {"ligand", "receptor"} <= set(kind.columns):
            return np.empty(0, dtype=np.int64)
        per_pair = self.n_indices(kind) // max(1, self.n_pairs)
        edges = self.excluded_pairs[:, None] * per_pair + np.arange(per_pair)
        return np.asarray(edges.ravel(), dtype=np.int64)

    # --- index → index ---------------------------------------------------------------------

    def pair(self, ligand: ArrayLike, receptor: ArrayLike) -> Indices:
        """Return the pairs of ligands and receptors, given by index."""
        return np.asarray(ligand, dtype=np.int64) * self.n_receptors + np.asarray(
            receptor, dtype=np.int64
        )

    def ligand_of(self, pair: ArrayLike) -> Indices:
        """Return the index of each pair's ligand."""
        return np.asarray(np.asarray(pair, dtype=np.int64) // self.n_receptors)

    def receptor_of(self, pair: ArrayLike) -> Indices:
        """Return the index of each pair's receptor."""
        return np.asarray(np.asarray(pair, dtype=np.int64) % self.n_receptors)

    def regulator_of_pair(self, pair: ArrayLike) -> Indices:
        """Return the regulator index of pairs."""
        return self.n_tfs + np.asarray(pair, dtype=np.int64)

    def pair_of_regulator(self, regulator: ArrayLike) -> Indices:
        """Return the pair of regulators that are pairs; negative for TFs."""
        return np.asarray(regulator, dtype=np.int64) - self.n_tfs

    def column_of_pair(self, pair: ArrayLike) -> Indices:
        """Return the column of the model that holds the signal of pairs."""
        return 2 * self.n_tfs + np.asarray(pair, dtype=np.int64)

    @property
    def columns_of_past_tfs(self) -> Indices:
        """Columns of the model with the level of TFs in earlier cells."""
        return np.arange(self.n_tfs, dtype=np.int64)

    @property
    def columns_of_current_tfs(self) -> Indices:
        """Columns of the model with the level of TFs now."""
        return np.arange(self.n_tfs, 2 * self.n_tfs, dtype=np.int64)

    def pair_edge(self, pair: ArrayLike, target: ArrayLike) -> Indices:
        """Return the edge indices of pairs and targets."""
        return np.asarray(pair, dtype=np.int64) * self.n_targets + np.asarray(
            target, dtype=np.int64
        )

    def candidate(self, table: pd.DataFrame, kind: EdgeKind) -> Indices:
        """Return each row's index among all possible edges of its kind, genes given by index."""
        indices = [table[column].to_numpy() for column in kind.columns]
        sizes = [len(self[role]) for role in kind.roles]
        return np.asarray(np.ravel_multi_index(indices, sizes), dtype=np.int64)

    def candidate_genes(self, numbers: Indices, kind: EdgeKind) -> dict[str, Indices]:
        """Return column → gene index of possible edges; the inverse of :meth:`candidate`."""
        sizes = [len(self[role]) for role in kind.roles]
        indices = np.unravel_index(numbers, sizes)
        return {
            c: np.asarray(i, dtype=np.int64) for c, i in zip(kind.columns, indices, strict=True)
        }

    def pair_of_rows(self, table: pd.DataFrame) -> Indices:
        """Return the pair of every row of a table with ligand and receptor as indices."""
        return self.pair(table["ligand"].to_numpy(), table["receptor"].to_numpy())

    # --- index ↔ name -----------------------------------------------------------------------

    def index(self, role: str, names: Sequence[str] | pd.Series) -> Indices:
        """Return the index of genes of a role by name, −1 for a name that it does not have."""
        known = pd.Index(self[role])
        return np.asarray(known.get_indexer(pd.Index(pd.Series(names).astype(str))), dtype=np.int64)

    def pair_of_names(self, table: pd.DataFrame) -> Indices:
        """Return the pair of every row of a table with ligand and receptor by name."""
        return self.pair(
            self.index("ligands", table["ligand"]), self.index("receptors", table["receptor"])
        )

    def pair_genes(self, pair: ArrayLike) -> pd.DataFrame:
        """Return a table ``ligand, receptor`` with the names of pairs."""
        return pd.DataFrame(
            {
                "ligand": self.ligands.astype(object)[self.ligand_of(pair)],
                "receptor": self.receptors.astype(object)[self.receptor_of(pair)],
            }
        )

    def regulator_name(self, regulator: int) -> str:
        """Return the name of a TF, or ``ligand^receptor`` of a pair."""
        if regulator < self.n_tfs:
            return str(self.tfs[regulator])
        ligand, receptor = divmod(regulator - self.n_tfs, self.n_receptors)
        return f"{self.ligands[ligand]}{PAIR_SEPARATOR}{self.receptors[receptor]}"

    def with_names(self, table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """Return the table with names in place of gene indices in some columns."""
        names = {
            column: self[ROLE_OF_COLUMN[column]].astype(object)[
                table[column].to_numpy(dtype=np.intp)
            ]
            for column in columns
        }
        return table.assign(**names)
