"""The methods by name: functions (tissue, seed) → tables, imported only where they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from benchmarks.recovery.tables import Tables
from benchmarks.recovery.tissue import Tissue

#: Data sets on which a method takes too long. The baselines together take about an hour of CPU for
#: five seeds.
LARGE = frozenset({"C-large"})
SLOW = LARGE | {"B65", "C-easy", "C-medium", "D", "F"}
SLOWER = SLOW | {"C-hard"}
WITHOUT_HISTORY = LARGE | {"C-easy", "C-medium", "C-hard", "D", "F"}
#: Data sets left out because others give the answer: the leak does not change the ranking.
SAME = LARGE | {"B65", "B84", "C-easy", "C-hard", "D", "F"}


@dataclass(frozen=True)
class Method:
    """A method: ``place`` is ``module:function``, ``left_out`` the data sets not run (``why``)."""

    place: str
    note: str
    left_out: frozenset[str] = frozenset()
    why: str = ""

    def load(self) -> Callable[[Tissue, int], Tables]:
        """Import the function."""
        module, function = self.place.split(":")
        loaded: Callable[[Tissue, int], Tables] = getattr(
            import_module(f"{__name__}.{module}"), function
        )
        return loaded


METHODS = {
    "ours": Method("own:ours", "one call of infer_ccc, defaults"),
    "random_paths": Method("own:random_paths", "infer_ccc with random earlier cells as ancestors"),
    "pearson": Method(
        "correlation:pearson", "absolute Pearson correlation, log1p(exposure × receptor)"
    ),
    "spearman": Method("correlation:spearman", "the same of ranks"),
    "lagged": Method("correlation:lagged", "regulators at the expected history one step back"),
    "neighbour": Method(
        "correlation:neighbour", "mean ligand of the 10 nearest senders, logged, × logged receptor"
    ),
    "ridge": Method("linear:ridge", "all TFs and pairs jointly"),
    "l1": Method(
        "linear:l1",
        "all TFs and pairs jointly, penalty of each target by cross-validation",
        LARGE,
        "minutes",
    ),
    "ridge_both": Method("linear:ridge_both", "TFs also as counted in the cell itself"),
    "l1_both": Method(
        "linear:l1_both", "the lasso with TFs also as counted in the cell itself", LARGE, "minutes"
    ),
    "l1_1se": Method(
        "linear:l1_1se", "the same, the largest penalty within one standard error of the best"
    ),
    "l1_1se_pen": Method(
        "linear:l1_1se_pen",
        "the same, cell type and time penalised like all else",
        LARGE,
        "minutes",
    ),
    "l1_oracle": Method(
        "linear:l1_oracle", "SEES THE TRUTH: the one penalty that is best for LR→TG in hindsight"
    ),
    "forest": Method(
        "trees:forest", "GENIE3 on the signals of infer_ccc", LARGE, "an hour for enough trees"
    ),
    "forest_now": Method(
        "trees:forest_now",
        "GENIE3 on each cell's own values",
        WITHOUT_HISTORY,
        "history is better there",
    ),
    "grnboost2": Method(
        "trees:grnboost2", "stochastic gradient boosting", SLOW, "minutes to an hour"
    ),
    "grnboost2_now": Method(
        "trees:grnboost2_now",
        "the same on each cell's own values",
        SLOWER | {"E"},
        "minutes to an hour",
    ),
    "liana": Method("published:liana", "LIANA+: global bivariate Moran's R"),
    "commot": Method(
        "published:commot", "COMMOT: collective optimal transport", SLOWER, "minutes to hours"
    ),
    "reference_global": Method(
        "reference:reference_global", "the reference's global branch, no pre-filter"
    ),
    "reference_noleak": Method(
        "reference:reference_noleak", "the same without the next targets in the query", SAME, "time"
    ),
    "reference_filter": Method(
        "reference:reference_filter", "the same as reference_global with its pre-filter"
    ),
}
