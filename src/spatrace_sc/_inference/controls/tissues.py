"""The study of a result, read again: with sham genes, or with other settings."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ..._data.expression import expression_by_slice
from ..._data.genes import names_by_label, symbols_of
from ..._errors import DataError
from ..._regulators import ROLES
from ..._study.ancestors import Ancestors
from ..._study.read import assemble_study, in_data_order, load_tissue
from ..._study.read_cells import read_cells
from ..._study.records import Study
from ..._study.roles import complexes_of
from ..._study.sham_candidates import ShamCandidates, read_candidates
from ..._study.sham_genes import ShamGenes, draw_sham_genes
from ..._study.source import Source
from ..restore import Restored, quiet

#: Sham genes per real gene of their role, where they stand beside the real genes.
SHAM_SHARE = 0.5
#: Roles in which sham genes stand in.
SHAM_ROLES = ("ligands", "receptors", "tfs")


class Tissues:
    """Reads the data of a result again; candidates for sham genes are described once."""

    def __init__(self, adata: AnnData, restored: Restored, known: frozenset[str]):
        self._adata, self._restored, self._known = adata, restored, known
        source, genes = restored.result.source, restored.result.genes
        name_of = names_by_label(adata, source.gene_symbols)
        self._complexes = complexes_of(source, name_of)
        self._names = {
            role: np.array([name_of.get(str(gene), str(gene)) for gene in genes[role]], dtype=str)
            for role in ROLES
        }
        self._labels = {name: label for label, name in name_of.items()}

    @cached_property
    def _candidates(self) -> ShamCandidates:
        source = self._restored.result.source
        matrix, _ = expression_by_slice(self._adata, source.layer, source.slice_column)
        symbols = symbols_of(self._adata, source.gene_symbols)
        with quiet():
            cells = read_cells(self._adata, source)
        genes = {role: self._complexes.genes_of(names) for role, names in self._names.items()}
        return read_candidates(
            self._adata, genes, cells, matrix, known=self._known, symbols=symbols
        )

    def with_sham_genes(
        self, rng: np.random.Generator, *, alone: bool = False
    ) -> tuple[Study, pd.DataFrame, pd.DataFrame]:
        """Return a study with sham genes, their table, and their balance.

        They stand beside the real genes or, ``alone``, instead of all ligands, receptors and TFs.
        Genes have the names that results show; subunits stand in for complexes. Transitions,
        states and overdispersion are those of the result.

        Raises
        ------
        DataError
            If no gene can be a sham gene, or with ``alone`` none for a role.
        """
        share = 1.0 if alone else SHAM_SHARE
        wanted = {
            role: max(1, round(share * len(self._names[role])))
            for role in SHAM_ROLES
            if len(self._names[role])
        }
        sham = draw_sham_genes(self._candidates, wanted, rng)
        shams = {role: _of_role(sham, role) for role in self._names}
        if alone:
            _require_all_roles(shams, wanted)
        names = {
            role: shams[role]
            if alone and role in SHAM_ROLES
            else np.concatenate([genes, shams[role]])
            for role, genes in self._names.items()
        }
        table = sham.genes.assign(
            gene=[self._labels[gene] for gene in sham.genes["gene"]],
            stands_for=[self._labels[gene] for gene in sham.genes["stands_for"]],
        )
        return self._read(names, self._restored.result.source), table, sham.balance

    def with_source(self, source: Source) -> Study:
        """Return the study of the same genes, read with other settings."""
        return self._read(self._names, source)

    def _read(self, names: dict[str, NDArray[np.str_]], source: Source) -> Study:
        """Read a study; transitions are found again only if they are other ones."""
        adata, study = self._adata, self._restored.study
        same = source.transitions_key == self._restored.result.source.transitions_key
        with quiet():
            return self._assembled(adata, names, source, study if same else None)

    def _assembled(
        self,
        adata: AnnData,
        names: dict[str, NDArray[np.str_]],
        source: Source,
        like: Study | None,
    ) -> Study:
        """Read a study with the transitions of another one, or with its own."""
        matrix, unmeasured = expression_by_slice(adata, source.layer, source.slice_column)
        cells = read_cells(adata, source)
        tissue = load_tissue(
            *(adata, matrix, cells, names, self._labels, unmeasured), complexes=self._complexes
        )
        return assemble_study(
            *(adata, in_data_order(adata, tissue), source),
            None if like is None else Ancestors(like.backward, like.state),
            overdispersion=self._restored.study.noise.overdispersion,
        )


def _require_all_roles(shams: dict[str, NDArray[np.str_]], wanted: dict[str, int]) -> None:
    """Refuse to let sham genes stand alone if a role has none."""
    missing = [role for role in wanted if not len(shams[role])]
    if missing:
        raise DataError(
            f"no gene can stand in for the {' and the '.join(missing)} of this tissue, so sham "
            'genes cannot replace all real genes. Set `sham="beside"`.'
        )


def _of_role(sham: ShamGenes, role: str) -> NDArray[np.str_]:
    """Return the ``var_names`` of the sham genes of a role."""
    of_role = sham.genes["role"] == role.removesuffix("s")
    return np.asarray(sham.genes.loc[of_role, "gene"], dtype=str)
