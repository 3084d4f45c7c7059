"""The rule that ``method`` names."""

from __future__ import annotations

from typing import Any

import numpy as np
from anndata import AnnData
from scipy import sparse

from ..._check import shorten
from ..._errors import InvalidArgumentError
from .cells import Rule
from .matrices import Given, Stored
from .other_packages import CellRank, Moscot
from .rules import OptimalTransport, Pseudotime, Stages

#: The rule of each name.
RULES: dict[str, Rule] = {
    "pseudotime": Pseudotime(),
    "stages": Stages(),
    "optimal_transport": OptimalTransport(),
    "moscot": Moscot(),
    "cellrank": CellRank(),
}


def rule_of(method: Any, adata: AnnData) -> Rule:
    """Return the rule that ``method`` names, is, or holds the transitions of."""
    if isinstance(method, str):
        if method in RULES:
            return RULES[method]
        if method in adata.obsp:
            return Stored(method)
        raise InvalidArgumentError(
            f"`method={method!r}` is neither a method ({shorten(RULES)}) nor a key of "
            f"`adata.obsp`, which has {shorten(adata.obsp.keys())}."
        )
    if isinstance(
        method, Pseudotime | Stages | OptimalTransport | CellRank | Moscot | Given | Stored
    ):
        return method
    if sparse.issparse(method) or isinstance(method, np.ndarray):
        return Given(method)
    if hasattr(method, "solutions") and hasattr(method, "problems"):
        return Moscot(method)
    if hasattr(method, "transition_matrix") and hasattr(method, "adata"):
        return CellRank(method)
    raise InvalidArgumentError(
        f"`method` must be one of {shorten(RULES)}, a key of `adata.obsp`, a matrix, a CellRank "
        "kernel, a solved moscot problem, or a rule such as `st.pp.OptimalTransport(...)`; found "
        f"{type(method).__name__}."
    )
