"""Preparation: AnnData in, annotated AnnData out."""

from ._gene_roles import gene_roles
from ._ligand_exposure import ligand_exposure
from ._transition_rules import OptimalTransport, Stages
from ._transition_sources import CellRank, Moscot
from ._transitions import transitions

__all__ = ["CellRank", "Moscot", "OptimalTransport", "Stages", "gene_roles", "ligand_exposure", "transitions"]
