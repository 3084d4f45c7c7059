"""Every example in a public docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import hashlib
import inspect
from copy import deepcopy
from functools import lru_cache

import pytest
from _helpers import slow, small_config

import spatrace_sc as st

PUBLIC = {
    f"{module.__name__.rsplit('.', 1)[-1]}.{name}": getattr(module, name)
    for module in (st.datasets, st.pp, st.tl, st.get, st.pl)
    for name in module.__all__
} | {"Config": st.Config, "Settings": st.Settings}


#: Slots that the inference writes.
WRITTEN = ("uns", "obsm", "obsp")


def key_of(adata, options):
    """Equal for data with equal values and for equal arguments."""
    values = adata.X.data.tobytes() + adata.obsm["spatial"].tobytes()
    return hashlib.sha256(values).hexdigest(), repr(sorted(options.items()))


@pytest.fixture(scope="module")
def infer_once():
    """``infer_ccc`` with few refits; a repeated call copies the result of the first."""
    infer, done = st.tl.infer_ccc, {}

    def infer_or_copy(adata, **options):
        key = key_of(adata, options)
        if key not in done:
            infer(adata, **({"config": small_config()} | options))
            done[key] = adata.copy()
            return
        for slot in WRITTEN:
            present, stored = getattr(adata, slot), getattr(done[key], slot)
            present.update(
                {name: deepcopy(stored[name]) for name in stored.keys() - present.keys()}
            )

    return infer_or_copy


@pytest.fixture(scope="module")
def simulate_once():
    """``simulated``; a repeated call copies the tissue of the first."""
    simulate = lru_cache(st.datasets.simulated)
    return lambda *arguments, **options: simulate(*arguments, **options).copy()


#: Examples whose long calls are those of another example.
LONG = {"get.controls", "pl.controls", "get.prediction"}


@pytest.mark.parametrize("name", [slow(name) if name in LONG else name for name in PUBLIC])
@pytest.mark.filterwarnings("ignore")
def test_example_runs(name, monkeypatch, infer_once, simulate_once, tmp_path):
    """Examples that need any result share one with few refits; that of the inference runs as is."""
    monkeypatch.chdir(tmp_path)
    if name != "tl.infer_ccc":
        monkeypatch.setattr(st.tl, "infer_ccc", infer_once)
    if name != "datasets.simulated":
        monkeypatch.setattr(st.datasets, "simulated", simulate_once)
    found = doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name)
    examples = [test for test in found if test.examples]
    results = [
        doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
        for test in examples
    ]
    assert all(r.failed == 0 for r in results)
    assert examples or name in {"get.params", "get.stages", "get.training_history"}


@pytest.mark.parametrize("name", PUBLIC)
def test_every_argument_is_described(name):
    document = inspect.getdoc(PUBLIC[name]) or ""
    if name in {"Config", "Settings"} or name.startswith("get."):
        return
    for argument in inspect.signature(PUBLIC[name]).parameters:
        assert argument in document, f"{name}: {argument} is not described"
