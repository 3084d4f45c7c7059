"""One inference in a process of its own; prints CPU seconds by stage and peak memory as JSON.

python -m benchmarks.performance.one '{"n_cells": 4000}' [n_lags [threads [verbs]]]

With ``verbs`` the process also times ``communication(null="positions")`` and ``modules(max_q=1)``.
"""

from __future__ import annotations

import functools
import json
import logging
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._inference import edge_tests, run, tf_effects
from spatrace_sc.tl import _infer_ccc as verb

#: Stages: the module that calls them, and their names there. The rest is writing and summaries.
STAGES = {
    "read": (verb, "read_study"),
    "histories": (run, "build_problem"),
    "fit": (run, "stored_fit"),
    "TF networks": (run, "silencing_effects"),
    "pair network": (run, "pair_tokens"),
    "refits": (run, "resample"),
    "corrected TF effects": (tf_effects, "corrected_effects"),
    "joint TF effects": (tf_effects, "joint_effects"),
    "shared credit": (edge_tests, "share_credit"),
    "rivals": (edge_tests, "find_rivals"),
    "stages": (run, "stage_factors_of"),
    "activity": (run, "activity_of"),
    "communication": (run, "communication_tables"),
    "attention to TFs": (run, "attention_of_regulators"),
    "attention to pairs": (run, "attention_of_pairs"),
}


def timed(function: Callable[..., Any], name: str, spent: dict[str, float]) -> Callable[..., Any]:
    """Return the function with the CPU seconds of its calls added up in ``spent``."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        started = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] = spent.get(name, 0.0) + time.process_time() - started

    return wrapper


def timed_call(adata: AnnData, config: st.Config, **arguments: Any) -> dict[str, Any]:
    """Return CPU seconds of one inference by stage, wall seconds, and memory in GB.

    ``peak`` is the largest memory of the process, ``before`` that before the call. A stage that
    the version at hand does not have is left out.
    """
    spent: dict[str, float] = {}
    for name, (module, attribute) in STAGES.items():
        if not hasattr(module, attribute):
            continue
        setattr(module, attribute, timed(getattr(module, attribute), name, spent))
    before = peak()
    wall, cpu = time.perf_counter(), time.process_time()
    st.tl.infer_ccc(adata, config=config, device="cpu", **arguments)
    total, elapsed = time.process_time() - cpu, time.perf_counter() - wall
    spent["rest"] = total - sum(spent.values())
    return {"cpu": total, "wall": elapsed, "peak": peak(), "before": before, "stages": spent}


def measure(
    options: dict[str, Any], n_lags: int, depth: float = 1000.0, *, verbs: bool = False
) -> dict[str, Any]:
    """Return a row: sizes of a simulated tissue, and the cost of its inference.

    With ``verbs`` the row also has ``verbs``, the CPU seconds of two verbs that read the result.
    """
    adata = st.datasets.simulated(depth=depth, **options)
    config = st.Config(model=st.ModelConfig(n_lags=n_lags), progress=False)
    sizes = {
        "cells": adata.n_obs,
        "receivers": int(adata.obs["dpt_pseudotime"].notna().sum()),
        "targets": int(adata.var["target"].sum()),
        "TFs": int(adata.var["tf"].sum()),
        "pairs": int(adata.var["ligand"].sum()) * int(adata.var["receptor"].sum()),
        "lags": n_lags,
    }
    row = sizes | timed_call(adata, config, sample_key="sample", stage_key="stage")
    if not verbs:
        return row
    after: dict[str, float] = {}
    calls = (
        timed(st.tl.communication, "communication, positions", after),
        timed(st.tl.modules, "modules, all pairs", after),
    )
    calls[0](adata, null="positions", progress=False)
    calls[1](adata, max_q=1.0, progress=False)
    return row | {"verbs": after}


def peak() -> float:
    """Return the largest memory of the process so far, in GB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e9 if sys.platform == "darwin" else most * 1024 / 1e9


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    n_lags = int(sys.argv[2]) if len(sys.argv) > 2 else st.ModelConfig().n_lags
    torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    verbs = len(sys.argv) > 4
    print("\n" + json.dumps(measure(json.loads(sys.argv[1]), n_lags, verbs=verbs)))


if __name__ == "__main__":
    main()
