"""The heatmap of effects counts those that are ranked by co-variation only."""

from __future__ import annotations

import pytest
from anndata import AnnData

import spatrace_sc as st


def test_effects_by_covariation_are_counted(
    result: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = st.get.tf_targets(result)
    table = table[table["score"] > 0].head(6).assign(q_value=1.0)
    evidence = ["co-variation"] * 2 + ["ranked"] * 4
    table = table.assign(evidence=evidence)
    monkeypatch.setattr("spatrace_sc.get.tf_targets", lambda *_, **__: table)
    title = st.pl.effect_heatmap(result, "tf_targets").get_title()
    assert title.splitlines()[-1] == "2 ranked by co-variation only"
