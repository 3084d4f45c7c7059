"""Controls of a result from end to end: draw, infer, summarise.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

import logging
import os
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

from ..._edges import TESTED_KINDS
from ..._keys import MAX_SIGNIFICANT_Q
from ..._regulators import ROLES
from ..._result import Controls
from ..._study.prior_penalties import Prior
from ..restore import Restored
from .draws import (
    HALF_MOLECULES,
    HALF_RECEIVERS,
    IMPLANTS,
    MISPLACED,
    SHAM,
    Design,
    control_tissues,
)
from .execute import execute, open_outcomes
from .false_discoveries import false_discoveries
from .implant_results import implant_results
from .outcomes import Outcome, n_significant, named_edges
from .plan import targets_with_molecules
from .power import detection_limits, power_by_size, with_more
from .sentences import sentences
from .settings import Settings, compare_settings, setting_tissues
from .tissues import Tissues

logger = logging.getLogger("spatrace_sc")


def run_controls(
    adata: AnnData,
    restored: Restored,
    design: Design,
    prior: Prior | None,
    *,
    device: str,
    checkpoint: str | os.PathLike[str] | None,
    n_jobs: int,
    progress: bool,
) -> Controls:
    """Return the controls of a result.

    Raises
    ------
    DataError
        If the tissue does not allow a kind of control that was asked for.
    InvalidArgumentError
        If ``checkpoint`` holds something else.
    """
    result = restored.result
    folder = open_outcomes(checkpoint, result, prior, design)
    if any(design.n_draws[kind] for kind in (IMPLANTS, HALF_RECEIVERS, HALF_MOLECULES)):
        targets_with_molecules(restored.study)
    tissues = Tissues(adata, restored, design.known)
    outcomes = execute(
        partial(control_tissues, tissues, restored, design),
        sum(design.n_draws.values()),
        *(result.config, device, prior, folder),
        n_jobs=n_jobs,
        progress=progress,
    )
    real = _real_edges(restored)
    false = false_discoveries(outcomes, real, {r: len(restored.genes[r]) for r in ROLES})
    implants = implant_results(outcomes, real)
    n_receivers = dict.fromkeys(implants["tissue"].unique(), len(restored.rows))
    for outcome in outcomes:
        if outcome.kind in n_receivers:
            n_receivers[outcome.kind] = outcome.n_receivers
    limits = detection_limits(implants, n_receivers, np.random.default_rng(design.seed))
    more, power = with_more(limits), power_by_size(implants)
    balance = _of_draws(outcomes, "balance")
    n_called = {name: n_significant(edges, MAX_SIGNIFICANT_Q) for name, edges in real.items()}
    return Controls(
        tables={
            "false_discoveries": false,
            "power": power,
            "limits": limits,
            "with_more": more,
            "implants": implants,
            "sham_genes": _of_draws(outcomes, "sham"),
            "balance": balance,
            "draws": _draws(outcomes),
        },
        sentences=sentences(false, limits, more, balance, n_called, power),
        params={
            "n_draws": dict(design.n_draws),
            "sizes": np.array(design.sizes),
            "seed": design.seed,
            "n_known": len(design.known),
        },
    )


def run_settings(
    adata: AnnData,
    restored: Restored,
    design: Design,
    settings: Settings,
    prior: Prior | None,
    *,
    device: str,
    checkpoint: str | os.PathLike[str] | None,
    n_jobs: int,
    progress: bool,
) -> pd.DataFrame:
    """Return the power of every setting at an equal false discovery rate.

    Errors are those of :func:`run_controls`.
    """
    result = restored.result
    folder = open_outcomes(checkpoint, result, prior, design, settings.names())
    if any(design.n_draws[kind] for kind in (IMPLANTS, HALF_RECEIVERS, HALF_MOLECULES)):
        targets_with_molecules(restored.study)
    tissues = Tissues(adata, restored, design.known)
    n_draws = design.n_draws[IMPLANTS] + design.n_draws[SHAM if settings.is_option else MISPLACED]
    outcomes = execute(
        partial(setting_tissues, tissues, restored, design, settings),
        n_draws * len(settings.values),
        *(result.config, device, prior, folder),
        n_jobs=n_jobs,
        progress=progress,
    )
    implants = implant_results(outcomes, _real_edges(restored))
    n_real = {role: len(restored.genes[role]) for role in ROLES}
    table = compare_settings(outcomes, implants, n_real)
    order = {name: position for position, name in enumerate(settings.names())}
    return table.sort_values(
        "setting", key=lambda s: s.map(order), kind="stable", ignore_index=True
    )


def _real_edges(restored: Restored) -> dict[str, pd.DataFrame]:
    """Return the edges of the result by kind, with names."""
    tables = {kind.name: restored.result.table(kind) for kind in TESTED_KINDS}
    return named_edges(restored.genes, tables)


def _of_draws(outcomes: list[Outcome], name: str) -> pd.DataFrame:
    """Return a table of all sham draws together, with a column ``draw``."""
    parts = [
        getattr(outcome, name).assign(draw=outcome.name)
        for outcome in outcomes
        if getattr(outcome, name) is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({"draw": []})


def _draws(outcomes: list[Outcome]) -> pd.DataFrame:
    """Return one row per draw: method, receivers, seconds, R², and calls of every table."""
    return pd.DataFrame(
        [
            {
                "draw": outcome.name,
                "kind": outcome.kind,
                "method": outcome.method,
                "n_receivers": outcome.n_receivers,
                "seconds": outcome.seconds,
                "r2": outcome.r2,
                **{
                    name: n_significant(edges, MAX_SIGNIFICANT_Q)
                    for name, edges in outcome.edges.items()
                },
            }
            for outcome in outcomes
        ]
    )
