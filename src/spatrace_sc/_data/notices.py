"""Warnings and hints that accompany results."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import shorten
from .._errors import warn

logger = logging.getLogger("spatrace_sc")

#: Text that stands for "not known", in lower case.
PLACEHOLDERS = {"", "nan", "na", "n/a", "<na>", "none", "null", "unknown", "unassigned"}
#: Cell types with fewer cells are logged.
FEW_CELLS = 20
#: Tables of edges with a q-value, and what their edges are called.
TESTED = {
    "tf_targets": "TF → target edges",
    "lr_targets": "pair → target edges",
    "lr_pairs": "pairs",
}
#: Page that the reader of a result without significant edges is sent to.
NOTHING_SUPPORTED = "docs/nothing_significant.md"


def review_columns(adata: AnnData, columns: dict[str, str | None], cells: NDArray[np.intp]) -> None:
    """Warn of placeholders for missing values, and log cell types with few cells.

    ``columns`` are the named columns of ``obs`` by argument, ``cells`` the positions of the
    cells that are analysed.
    """
    findings: dict[str, str] = {}
    for argument, key in columns.items():
        if key is None or key in findings:
            continue
        values = adata.obs[key].astype(str).iloc[cells]
        counts = values[values.str.strip().str.lower().isin(PLACEHOLDERS)].value_counts()
        if len(counts):
            detail = ", ".join(f"{name!r}: {n} cells" for name, n in counts.head(4).items())
            findings[key] = f"obs[{key!r}] (`{argument}`) has {detail}"
    if findings:
        warn(
            "text that means a missing value is read as an ordinary name: "
            f"{'; '.join(findings.values())}. Drop those cells, fill in the true value, or leave "
            "such cell types out of `senders` and `receivers`."
        )
    if (key := columns.get("cell_type_key")) is not None:
        _log_rare_types(adata.obs[key].astype(str).iloc[cells])


def _log_rare_types(types: pd.Series) -> None:
    """Log cell types with few cells."""
    counts = types.value_counts()
    rare = counts[counts < FEW_CELLS]
    if len(rare):
        logger.warning(
            "cell types with fewer than %d cells, too few for reliable results: %s. Merge them "
            "with a related type, or leave them out of `senders` and `receivers`.",
            *(FEW_CELLS, shorten(f"{name} ({n})" for name, n in rare.items())),
        )


def hint_at_symbols(adata: AnnData, gene_symbols: str | None, by_flags: bool) -> None:
    """Log that results use ``var_names`` although the roles were given by a column of symbols."""
    roles = adata.uns.get(_keys.GENE_ROLES)
    column = str(roles.get("gene_symbols", "")) if isinstance(roles, Mapping) else ""
    if gene_symbols is None and by_flags and column and column in adata.var:
        logger.warning(
            "Results will name genes as `var_names` do (%r, ...). The roles were given by "
            "`adata.var[%r]`: `gene_symbols=%r` shows those names.",
            *(str(adata.var_names[0]), column, column),
        )


def log_limits(
    tables: dict[str, pd.DataFrame],
    n_candidates: Mapping[str, int],
    max_edges: int,
    n_same_gene: Mapping[str, int] | None = None,
) -> str:
    """Log and return how many edges of every kind are not significant for which reason.

    Candidates that a table does not list have no effect, unless there are more than ``max_edges``.
    Of those, ``n_same_gene`` would be edges of a gene on itself, which are not tested.
    """
    kinds = []
    for name, noun in TESTED.items():
        code = tables[name]["limited_by"].to_numpy(dtype=np.intp)
        counts = np.bincount(code, minlength=len(_keys.LIMITS))
        counts[0] = 0  # significant
        if n_candidates[name] <= max_edges:
            n_same = (n_same_gene or {}).get(name, 0)
            counts[_keys.LIMITS.index("not tested (same gene)")] += n_same
            counts[_keys.LIMITS.index("no effect")] += n_candidates[name] - len(code) - n_same
        reasons = [f"{n} {_keys.LIMITS[k]}" for k, n in enumerate(counts) if n]
        if reasons:
            kinds.append(f"{noun}: {', '.join(reasons)}")
    text = "; ".join(kinds)
    if text:
        logger.info("Not significant, and why (`limited_by`): %s.", text)
    return text


def warn_if_none_significant(
    tables: dict[str, pd.DataFrame], *, noise_known: bool, reasons: str = ""
) -> None:
    """Warn if no edge of any kind is significant; without ``noise_known`` no TF edge can be.

    ``reasons`` are those of :func:`log_limits`. Groups that are significant are named.
    """
    limit = _keys.MAX_SIGNIFICANT_Q
    if any((tables[name]["q_value"] <= limit).any() for name in TESTED):
        return
    counts = (
        ""
        if noise_known
        else "log1p of normalised counts, without which TF → target edges get no q below 1; "
    )
    grouped = {
        noun: int((tables[name]["group_q_value"] <= limit).sum())
        for name, noun in TESTED.items()
        if "group_q_value" in tables[name]
    }
    in_groups = " and ".join(f"{n} {noun}" for noun, n in grouped.items() if n)
    findings = (
        f"the tables rank hypotheses. Groups are significant, though: `group_q_value` ≤ {limit:g} "
        f"for {in_groups}. One pair of each `group` acts; the data do not say which"
        if in_groups
        else "the tables rank hypotheses, they hold no findings"
    )
    why = f" Why not, in the column `limited_by`: {reasons}." if reasons else ""
    warn(
        f"no edge has q ≤ {limit:g}: {findings}.{why} What can help: {counts}fewer TFs or "
        f"targets, more cells, genes detected in more of the cells; see {NOTHING_SUPPORTED}."
    )
