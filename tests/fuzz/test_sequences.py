"""Generated sequences of verbs: what a result says stays the same, or the package says why not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pytest
from _run import (
    TOLERANCE,
    activities,
    assert_helpful,
    assert_inputs_stay,
    assert_same_tables,
    control,
    infer,
    inputs,
    notices,
    tissue,
)  # fmt: skip
from _scenes import Scene
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings("ignore")

#: Verbs that add to a result and change no input.
VERBS: dict[str, Callable[[Any], Any]] = {
    "communication": lambda a: st.tl.communication(a, n_permutations=9, progress=False),
    "knockout": lambda a: st.tl.knockout(a, tf="TF000"),
    "cascades": lambda a: st.tl.cascades(a, max_q=1.0),
    "compare": lambda a: st.tl.compare(a, "half", reference="a", max_q=1.0),
    "modules": lambda a: st.tl.modules(a, max_q=1.0, n_modules=2, progress=False),
    "partial_residuals": lambda a: st.tl.partial_residuals(a, "TF000", target(), n_bins=4),
    "activity": st.get.activity,
    "sent_received": lambda a: st.get.sent_received(a, st.get.activity(a).var_names[0]),
}


def target() -> str:
    """A target; joined data have lost the flags in ``var``."""
    var = tissue().var
    return str(var.index[var["target"]][0])


def _genes_with_a_role(adata: Any) -> Any:
    var = tissue().var
    genes = var.index[var[["ligand", "receptor", "tf", "target"]].any(axis=1)]
    return adata[:, adata.var_names.isin(genes)].copy()


def _through_a_file(adata: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        adata.write_h5ad(f"{folder}/data.h5ad")
        return ad.read_h5ad(f"{folder}/data.h5ad")


def _renamed(adata: Any) -> Any:
    adata = adata.copy()
    adata.obs_names = [f"new_{name}" for name in adata.obs_names]
    return adata


def _joined(adata: Any) -> Any:
    other = tissue()[:30].copy()
    other.obs_names = [f"other_{name}" for name in other.obs_names]
    return ad.concat([adata, other], join="outer", merge="same", uns_merge="first", pairwise=True)


def _other_order(adata: Any) -> Any:
    return adata[np.random.default_rng(1).permutation(adata.n_obs)].copy()


#: Changes of the container; all keep the tables in ``uns``.
STEPS: dict[str, Callable[[Any], Any]] = {
    "copy": lambda a: a.copy(),
    "write and read": _through_a_file,
    "order": _other_order,
    "fewer cells": lambda a: a[: int(0.8 * a.n_obs)].copy(),
    "fewer genes": _genes_with_a_role,
    "rename cells": _renamed,
    "join": _joined,
}


def check(names: list[str]) -> None:
    scene = Scene(tissue())
    infer(scene)
    for name in names:
        if name in STEPS:
            scene.adata = STEPS[name](scene.adata)
            continue
        before = inputs(scene.adata)
        with notices():
            try:
                VERBS[name](scene.adata)
            except st.SpatraceError as error:
                assert_helpful(error)
        assert_inputs_stay(scene.adata, before)
    with notices() as said:
        assert_same_tables(scene)
    clean = control()[1]
    shared = clean.index.intersection(scene.adata.obs_names)
    # where every cell has a new name, the same cells may be meant
    if len(shared) and set(scene.adata.obs_names) != set(clean.index):
        assert any("other cells" in text for text in said), names
    np.testing.assert_allclose(
        activities(scene).loc[shared], clean.loc[shared], rtol=TOLERANCE, atol=1e-5
    )


def lenient(options):
    phases = [Phase.explicit, Phase.reuse, Phase.generate]  # a case takes too long to shrink it
    return settings(options, deadline=None, suppress_health_check=list(HealthCheck), phases=phases)


sequences = some.lists(some.sampled_from(sorted({**VERBS, **STEPS})), min_size=2, max_size=6)


@lenient(settings(max_examples=1, derandomize=True, database=None))
@given(sequences)
def test_sequences(names):
    check(names)


@pytest.mark.slow
@lenient(settings(max_examples=max(60, settings().max_examples // 2), database=None))
@given(sequences)
def test_many_sequences(names):
    check(names)


def test_a_lost_table_is_seen():
    scene = Scene(tissue())
    infer(scene)
    table = scene.adata.uns["spatrace"]["tf_targets"]
    table["effect"] = np.asarray(table["effect"]) + 0.1
    with pytest.raises(AssertionError, match="tf_targets"):
        assert_same_tables(scene)
