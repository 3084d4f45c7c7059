"""Every example in a public docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import inspect

import pytest
from _helpers import small_config

import spatrace_sc as st

PUBLIC = {
    f"{module.__name__.rsplit('.', 1)[-1]}.{name}": getattr(module, name)
    for module in (st.datasets, st.pp, st.tl, st.get, st.pl)
    for name in module.__all__
} | {"Config": st.Config, "Settings": st.Settings}


@pytest.mark.parametrize("name", PUBLIC)
@pytest.mark.filterwarnings("ignore")
def test_example_runs(name, monkeypatch):
    """Examples that only need some result get one with few refits; that of the inference runs as it is."""
    if name != "tl.infer_ccc":
        infer = st.tl.infer_ccc
        quick = lambda data, **options: infer(data, **({"config": small_config()} | options))
        monkeypatch.setattr(st.tl, "infer_ccc", quick)
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
