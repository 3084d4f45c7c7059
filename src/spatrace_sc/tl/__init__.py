"""Tools: verbs that infer, each writing one result."""

from ._cascades import cascades
from ._evaluate import evaluate
from ._infer_ccc import infer_ccc

__all__ = ["cascades", "evaluate", "infer_ccc"]
