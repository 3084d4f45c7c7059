"""Edges gained, kept and lost between stages."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

import spatrace_sc as st

STAGES = ["E1", "E2", "E3"]
#: Score of every pair at the three stages, and its q.
SCORES = {
    ("LA", "RA"): ([1.0, 1.0, 1.0], 0.01),
    ("LB", "RB"): ([0.0, 0.8, 0.9], 0.05),
    ("LC", "RC"): ([0.7, 0.6, 0.1], 0.5),
    ("LD", "RD"): ([0.2, 0.1, 0.6], 0.5),
    ("LE", "RE"): ([0.0, 0.0, 0.0], 1.0),
}


def table(stage: str | None) -> pd.DataFrame:
    """The table of pairs over all cells, or at a stage in another order."""
    rows = [
        {
            "ligand": pair[0],
            "receptor": pair[1],
            "score": max(scores) if stage is None else scores[STAGES.index(stage)],
            "q_value": q,
        }
        for pair, (scores, q) in SCORES.items()
    ]
    return pd.DataFrame(rows).sort_values("score", ascending=stage == "E2", ignore_index=True)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> AnnData:
    """A result of three stages as the readers return it."""
    monkeypatch.setattr(st.get, "stages", lambda *args, **options: STAGES)
    monkeypatch.setattr(
        st.get, "params", lambda *args, **options: {"stage_key": "stage", "sample_key": None}
    )
    monkeypatch.setattr(st.get, "lr_pairs", lambda adata, stage=None, **options: table(stage))
    return AnnData()


def bars(ax) -> dict[str, list[int]]:
    return {c.get_label(): [int(b.get_width()) for b in c] for c in ax.containers}


def dark(ax) -> list[int]:
    shown = {id(b) for c in ax.containers for b in c}
    return [int(b.get_width()) for b in ax.patches if id(b) not in shown]


def texts(ax) -> list[str]:
    return [t.get_text() for t in ax.texts if t.get_text() and not t.get_text().strip().isdigit()]


def test_counts_by_hand(made_up: AnnData) -> None:
    ax = st.pl.stages(made_up)
    # At half of the largest score: B is gained at E2; D at E3, C is lost there.
    assert bars(ax) == {"gained": [1, 1], "kept": [2, 2], "lost": [0, 1]}
    assert dark(ax) == [1, 0, 1, 2, 0, 0]
    assert texts(ax) == ["● LB→RB", "LD→RD", "● LA→RA, LC→RC", "● LA→RA, ● LB→RB", "LC→RC"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["E1 → E2", "E2 → E3"]
    assert ax.get_title().startswith("2 of 4 ligand–receptor pairs significant at q ≤ 0.1")
    colours = {c.get_label(): to_hex(c[0].get_facecolor()) for c in ax.containers}
    assert colours == {"gained": "#d55e00", "kept": "#999999", "lost": "#0072b2"}
    top, bottom = ax.get_ylim()
    assert top > bottom  # the first stages stand on top


def test_the_share_and_q_are_used(made_up: AnnData) -> None:
    assert bars(st.pl.stages(made_up, min_share=0.1)) == {
        "gained": [1, 0],
        "kept": [3, 4],
        "lost": [0, 0],
    }
    ax = st.pl.stages(made_up, max_q=0.1)
    assert bars(ax) == {"gained": [1, 0], "kept": [1, 2], "lost": [0, 0]}
    assert "2 of 2 ligand–receptor pairs with q ≤ 0.1" in ax.get_title()


def test_nothing_is_said(made_up: AnnData, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    ax = st.pl.stages(made_up, max_q=0.001)
    assert "q ≤ 0.001" in ax.texts[0].get_text()
    assert "limited_by" in ax.texts[0].get_text()
    monkeypatch.setattr(st.get, "stages", lambda *args, **options: ["E1"])
    assert "one stage" in st.pl.stages(made_up).texts[0].get_text()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("kind", ["lr_pairs", "lr_targets", "tf_targets"])
def test_counts_are_those_of_the_tables(result: AnnData, kind: str) -> None:
    ax = st.pl.stages(result, kind)
    columns = {"lr_pairs": 2, "lr_targets": 3, "tf_targets": 2}[kind]
    tables = [getattr(st.get, kind)(result, stage) for stage in st.get.stages(result)]
    index = [t.set_index(list(t.columns[:columns]))["score"] for t in tables]
    scores = pd.concat([i[~i.index.duplicated()] for i in index], axis=1).fillna(0.0)
    scores = scores[(scores > 0).any(axis=1)]
    present = scores.ge(0.5 * scores.max(axis=1), axis=0).to_numpy()
    for step in (0, 1):
        one, two = present[:, step], present[:, step + 1]
        assert bars(ax)["gained"][step] == (~one & two).sum()
        assert bars(ax)["kept"][step] == (one & two).sum()
        assert bars(ax)["lost"][step] == (one & ~two).sum()


def test_communication_is_present_where_it_is_significant(
    result: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    ax = st.pl.stages(result, "communication")
    assert "at a stage" in ax.texts[0].get_text()
    read = st.get.communication

    def some(adata, stage=None, **options):
        table = read(adata, stage, **options).sort_values(["sender", "receiver", "ligand"])
        at = {None: 6, "early": 2, "body": 5, "adult": 1}[stage]
        q = [0.05] * at + [1.0] * (len(table) - at)
        return table.assign(q_value=q, score=1.0)

    monkeypatch.setattr(st.get, "communication", some)
    ax = st.pl.stages(result, "communication")
    assert bars(ax) == {"gained": [3, 0], "kept": [2, 1], "lost": [0, 4]}


def test_long_names_stay_in_the_axes(made_up: AnnData, monkeypatch: pytest.MonkeyPatch) -> None:
    def long(adata, stage=None, **options):
        return table(stage).replace(to_replace=r"^([LR]\w)$", value=r"\1" + "X" * 38, regex=True)

    monkeypatch.setattr(st.get, "lr_pairs", long)
    _, given = plt.subplots(figsize=(3.3, 2.5))
    ax = st.pl.stages(made_up, ax=given)
    assert ax is given
    assert any("…" in text for text in texts(ax))
    ax.figure.draw_without_rendering()
    right = ax.get_window_extent().x1
    assert all(t.get_window_extent().x1 <= 1.05 * right for t in ax.texts)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"kind": "lr_pair"}, "Did you mean 'lr_pairs'"),
        ({"min_share": 0}, "min_share"),
        ({"max_q": 2}, "max_q"),
        ({"top_n": 0}, "top_n"),
    ],
)
def test_arguments_are_checked(result: AnnData, arguments: dict, text: str) -> None:
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.pl.stages(result, **arguments)
