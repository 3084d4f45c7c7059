"""How much memory is free."""

from __future__ import annotations

import pytest

from spatrace_sc import _free_memory as memory


def test_free_memory_minds_the_limit_of_a_container(monkeypatch, tmp_path):
    free = memory.free_memory()
    if free is None:
        pytest.skip("this system does not say how much memory is free")
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert memory.free_memory() == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() > 2_000_000
