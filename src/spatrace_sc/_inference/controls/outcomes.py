"""What the inference calls in a control tissue."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..._edges import TESTED_KINDS
from ..._model.config import Config
from ..._regulators import Regulators
from ..._study.prior_penalties import Prior
from ..._study.records import Study
from ..restore import quiet
from ..run import run_tests
from .draws import SHAM_ALONE, ControlTissue

logger = logging.getLogger("spatrace_sc")

#: Edges with a larger q are not kept.
MAX_KEPT_Q = 0.5
#: Columns that are kept beside the names.
VALUES = ["q_value", "effect"]


@dataclass(frozen=True)
class Outcome:
    """Edges with q ≤ .5 in one control tissue, and what is known about the tissue.

    ``edges`` has a table per tested kind, with names. ``n_genes`` are the numbers of genes by role,
    sham genes among them. ``method`` says where sham genes stand, or where senders come from.
    ``implants``, ``sham`` and ``balance`` are None where there are none.
    """

    name: str
    kind: str
    setting: str
    n_receivers: int
    r2: float
    seconds: float
    n_genes: dict[str, int]
    edges: dict[str, pd.DataFrame]
    implants: pd.DataFrame | None = None
    sham: pd.DataFrame | None = None
    balance: pd.DataFrame | None = None
    method: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        plain: dict[str, Any] = dict(vars(self))
        plain["edges"] = {k: v.to_dict("list") for k, v in self.edges.items()}
        for name in ("implants", "sham", "balance"):
            table = plain[name]
            plain[name] = None if table is None else table.to_dict("list")
        return plain

    @classmethod
    def from_json(cls, plain: dict[str, Any]) -> Outcome:
        """Build from what :meth:`to_json` returned."""
        values = dict(plain)
        values["edges"] = {k: pd.DataFrame(v) for k, v in plain["edges"].items()}
        for name in ("implants", "sham", "balance"):
            table = plain[name]
            values[name] = None if table is None else pd.DataFrame(table)
        return cls(**values)


def outcome_of(tissue: ControlTissue, config: Config, device: str, prior: Prior | None) -> Outcome:
    """Run the inference on a control tissue.

    Sham genes alone have no prior, since it names none of them.
    """
    started = time.perf_counter()
    study: Study = tissue.study
    if tissue.kind == SHAM_ALONE:
        prior = None
    if tissue.config is not None:
        config = replace(tissue.config, progress=False)
    with quiet():
        tested, r2 = run_tests(study, config, tissue.seed, torch.device(device), prior)
    return Outcome(
        name=tissue.name,
        kind=tissue.kind,
        setting=tissue.setting,
        n_receivers=len(study.time),
        r2=float(r2.get("pairs", max(r2.values()))),
        seconds=time.perf_counter() - started,
        n_genes={role: len(names) for role, names in study.genes.to_mapping().items()},
        edges=named_edges(study.genes, tested.tables),
        implants=tissue.implants,
        sham=tissue.sham,
        balance=tissue.balance,
        method=tissue.method,
    )


def named_edges(genes: Regulators, tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the edges of every tested kind with q ≤ .5, with names and groups' q."""
    edges = {}
    for kind in TESTED_KINDS:
        table = tables[kind.name]
        table = table[table["q_value"] <= MAX_KEPT_Q]
        columns = list(kind.columns)
        named = genes.with_names(table, columns)
        kept = [c for c in (*columns, *VALUES, "group_q_value") if c in named]
        edges[kind.name] = named[kept].astype({c: float for c in kept if c not in columns})
        edges[kind.name] = edges[kind.name].astype(dict.fromkeys(columns, object))
        edges[kind.name] = edges[kind.name].reset_index(drop=True)
    return edges


def n_significant(edges: pd.DataFrame, threshold: float) -> int:
    """Return the number of edges with at most this q."""
    return int(np.sum(edges["q_value"].to_numpy(dtype=float) <= threshold))
