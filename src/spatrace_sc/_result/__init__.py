"""The stored result: the only room that knows its slots in ``uns``, ``obsm`` and ``obsp``."""

from .parts import Attention, Comparison, Controls, Knockout, Restoration
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
    "Attention",
    "Comparison",
    "Controls",
    "Knockout",
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
    "spread_over_cells",
    "write_result",
]
