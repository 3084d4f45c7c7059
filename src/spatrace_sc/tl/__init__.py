"""Tools: verbs that infer, each writing one result."""

from ._apply_model import apply_model
from ._cascades import cascades
from ._communication import communication
from ._compare import compare
from ._controls import controls
from ._evaluate import evaluate
from ._infer_ccc import infer_ccc
from ._knockout import knockout
from ._models import load_model, save_model
from ._modules import modules
from ._partial_residuals import partial_residuals
from ._ranges import ranges

__all__ = [
    "apply_model",
    "cascades",
    "communication",
    "compare",
    "controls",
    "evaluate",
    "infer_ccc",
    "knockout",
    "load_model",
    "modules",
    "partial_residuals",
    "ranges",
    "save_model",
]
