"""Preparation: AnnData in, annotated AnnData out."""

from ._gather import gather
from ._gene_roles import gene_roles
from ._ligand_exposure import ligand_exposure
from ._prior import prior
from ._scale_positions import scale_positions
from ._transition_rules.other_packages import CellRank, Moscot
from ._transition_rules.rules import OptimalTransport, Stages
from ._transitions import transitions

__all__ = [
    "CellRank",
    "Moscot",
    "OptimalTransport",
    "Stages",
    "gather",
    "gene_roles",
    "ligand_exposure",
    "prior",
    "scale_positions",
    "transitions",
]
