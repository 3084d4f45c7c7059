"""What a newcomer meets first: the import."""

from __future__ import annotations

import subprocess
import sys

import spatrace_sc as st

#: Packages that take seconds to import and are not needed before a function is called.
LATE = (
    "torch",
    "scanpy",
    "squidpy",
    "spatialdata",
    "moscot",
    "cellrank",
    "liana",
    "decoupler",
    "matplotlib.pyplot",
)


def after(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_brings_nothing_heavy():
    loaded = after(f"import sys, spatrace_sc; print(*[m for m in {LATE!r} if m in sys.modules])")
    assert loaded == "", f"`import spatrace_sc` imports {loaded}"


def test_the_list_above_can_fail():
    assert (
        after(f"import sys, matplotlib.pyplot; print(*[m for m in {LATE!r} if m in sys.modules])")
        != ""
    )


def test_the_root_logger_is_left_alone():
    code = (
        "import logging; a = list(logging.root.handlers); import spatrace_sc; "
        "print(a == logging.root.handlers, logging.root.level)"
    )
    assert after(code) == "True 30"


def test_public_names_exist():
    for module in (st, st.datasets, st.get, st.pl, st.pp, st.tl):
        assert all(hasattr(module, name) for name in module.__all__)
        assert list(module.__all__) == sorted(module.__all__)


def test_types_are_shipped():
    from importlib.resources import files

    assert (files("spatrace_sc") / "py.typed").is_file()
