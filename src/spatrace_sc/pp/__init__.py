"""Preparation: AnnData in, annotated AnnData out."""

from ._gene_roles import gene_roles
from ._ligand_exposure import ligand_exposure
from ._transitions import transitions

__all__ = ["gene_roles", "ligand_exposure", "transitions"]
