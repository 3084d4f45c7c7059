"""The stored result: the only room that knows its slots in ``uns``, ``obsm`` and ``obsp``."""

from .model import Model, model_of, read_model, write_model
from .parts import Applied, Attention, Comparison, Controls, Knockout, Restoration
from .record import Result
from .write import (
    NewResult,
    add_cascades,
    add_communication,
    add_comparison,
    add_controls,
    add_knockout,
    add_modules,
    add_partial_residuals,
    add_ranges,
    between_cells,
    check_key,
    spread_over_cells,
    write_result,
)

__all__ = [
    "Applied",
    "Attention",
    "Comparison",
    "Controls",
    "Knockout",
    "Model",
    "NewResult",
    "Restoration",
    "Result",
    "add_cascades",
    "add_communication",
    "add_comparison",
    "add_controls",
    "add_knockout",
    "add_modules",
    "add_partial_residuals",
    "add_ranges",
    "between_cells",
    "check_key",
    "model_of",
    "read_model",
    "spread_over_cells",
    "write_model",
    "write_result",
]
