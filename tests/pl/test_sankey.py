from __future__ import annotations

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_hex

import spatrace_sc as st
from spatrace_sc.pl import _sankey
from spatrace_sc.pl._drawing.significance import SIGNIFICANT

#: Height of all flows together.
FLOW = 3.0


def paths(length: int = 3) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "ligand": ["L0", "L0", "L1"],
            "receptor": ["R0", "R0", "R1"],
            "tf": ["T0", "T0", "T0"],
            "target": ["G0", "G1", "G0"],
            "effect": [0.6, -0.3, 0.1],
            "score": [0.6, 0.3, 0.1],
            "q_value": [0.05, 0.5, 0.5],
        }
    )
    names = ["ligand", "receptor", "tf", "target"]
    return table.assign(**{c: table[c].str.ljust(length, "x") for c in names})


def types(n: int = 2, length: int = 3) -> pd.DataFrame:
    """Pair L0, R0 three times as much from the first sender as from each other one."""
    rows = [
        (f"S{k}".ljust(length, "x"), "V0".ljust(length, "x"), "L0", "R0", 3.0 if k == 0 else 1.0)
        for k in range(n)
    ]
    table = pd.DataFrame(rows, columns=["sender", "receiver", "ligand", "receptor", "score"])
    for column in ("ligand", "receptor"):
        table[column] = table[column].str.ljust(length, "x")
    return table


@pytest.fixture
def draw(monkeypatch):
    """Draw tables that were made up."""
    monkeypatch.setattr(_sankey, "at_stage", lambda *_: "")
    monkeypatch.setattr(st.get, "params", lambda *_, **__: {"cell_type_key": "cell_type"})

    def sankey(cascades: pd.DataFrame, communication: pd.DataFrame, **arguments):
        monkeypatch.setattr(st.get, "cascades", lambda *_, **__: cascades)
        monkeypatch.setattr(st.get, "communication", lambda *_, **__: communication)
        return st.pl.sankey(AnnData(), **arguments)

    return sankey


def bars(ax) -> dict[int, dict[str, tuple[float, float]]]:
    """Column → name → bottom and height of its bar."""
    labels = [t for t in ax.texts if t.get_text() not in {*_sankey.STOPS}]
    found: dict[int, dict[str, tuple[float, float]]] = {}
    for patch in ax.patches:
        column = round(patch.get_x() + patch.get_width() / 2)
        middle = patch.get_y() + patch.get_height() / 2
        name = next(
            t.get_text()
            for t in labels
            if abs(t.get_position()[1] - middle) < 1e-9 and abs(t.get_position()[0] - column) < 0.1
        )
        found.setdefault(column, {})[name] = (patch.get_y(), patch.get_height())
    return found


def ends(ax) -> list[tuple[int, str, tuple[float, float], tuple[float, float]]]:
    """Column, colour, and lower and upper end of every flow on the left and on the right."""
    flows = []
    for collection in ax.collections:
        if collection.get_gid() == SIGNIFICANT:
            continue
        points = collection.get_paths()[0].vertices
        x = points[:, 0]
        left, right = (points[np.isclose(x, end), 1] for end in (x.min(), x.max()))
        colour = to_hex(collection.get_facecolor()[0])
        flows.append((round(x.min()), colour, (left.min(), left.max()), (right.min(), right.max())))
    return flows


def test_bars_are_the_sums_of_the_flows(draw) -> None:
    found = bars(draw(paths(), types()))
    share = {
        column: {name: height / FLOW for name, (_, height) in names.items()}
        for column, names in found.items()
    }
    assert share[0] == pytest.approx({"S0x": 0.675, "S1x": 0.225, "not listed": 0.1})
    assert share[1] == pytest.approx({"L0x": 0.9, "L1x": 0.1})
    assert share[3] == pytest.approx({"T0x": 1.0})
    assert share[4] == pytest.approx({"G0x": 0.7, "G1x": 0.3})
    assert share[5] == pytest.approx({"V0x": 0.9, "not listed": 0.1})


def test_as_much_flows_into_a_bar_as_out_of_it(draw) -> None:
    ax = draw(paths(), types())
    found = bars(ax)
    for column, names in found.items():
        for bottom, height in names.values():
            for side, first in ((2, column), (3, column - 1)):
                inside = [
                    flow[side]
                    for flow in ends(ax)
                    if flow[0] == first
                    and flow[side][0] >= bottom - 1e-9
                    and flow[side][1] <= bottom + height + 1e-9
                ]
                if 0 <= first < len(_sankey.STOPS) - 1:
                    assert sum(high - low for low, high in inside) == pytest.approx(height)
                    inside.sort()
                    gaps = [b[0] - a[1] for a, b in pairwise(inside)]
                    np.testing.assert_allclose(gaps, 0, atol=1e-9)


def test_colours_are_the_signs_and_dots_the_significant_cascades(draw) -> None:
    ax = draw(paths(), types())
    down = sum(
        high - low for c, colour, (low, high), _ in ends(ax) if colour == "#0072b2" and not c
    )
    assert down == pytest.approx(0.3 * FLOW)
    (dot,) = (c.get_offsets() for c in ax.collections if c.get_gid() == SIGNIFICANT)
    assert dot.shape == (1, 2)
    assert dot[0, 0] == 3.5
    first, second = ax.get_title().splitlines()
    assert first == "3 strongest of 3 cascades"
    assert second == "1 of 3 with both steps significant at q ≤ 0.1 (dot)"


def test_limits(draw) -> None:
    ax = draw(paths(), types(20), top_n=2, top_types=3)
    assert len(bars(ax)[0]) == 4
    assert "other types" in bars(ax)[0]
    assert bars(ax)[0]["other types"][1] == pytest.approx(FLOW * 17 / 22)
    assert ax.get_title().startswith("2 strongest of 3 cascades")
    assert len(bars(draw(paths(), types(20), top_types=None))[0]) == 21


def test_long_names_are_shortened(draw) -> None:
    drawn = bars(draw(paths(40), types(3, 40)))
    longest = [max(map(len, drawn[column])) for column in range(6)]
    assert longest == [24, 18, 18, 18, 18, 24]
    in_axes = bars(draw(paths(40), types(3, 40), ax=plt.subplots()[1]))
    assert max(map(len, in_axes[0])) == 13


def test_an_empty_table_has_a_note(draw, caplog) -> None:
    ax = draw(paths().iloc[:0], types())
    assert "st.tl.cascades" in ax.texts[0].get_text()
    assert "No path" in caplog.text


def test_of_a_result(result: AnnData) -> None:
    adata = st.tl.cascades(result, max_q=1.0, copy=True)
    figure, ax = plt.subplots()
    assert st.pl.sankey(adata, top_n=5, stage="body", ax=ax) is ax
    assert plt.get_fignums() == [figure.number]
    assert "stage body" in ax.get_title()
    heights = [sum(h for _, h in column.values()) for column in bars(ax).values()]
    np.testing.assert_allclose(heights, FLOW)
    for arguments, text in (
        ({"top_n": 0}, "`top_n`"),
        ({"top_types": 0}, "`top_types`"),
        ({"stage": "erly"}, "Did you mean 'early'"),
    ):
        with pytest.raises(st.InvalidArgumentError, match=text):
            st.pl.sankey(adata, **arguments)
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.cascades"):
        st.pl.sankey(result)
