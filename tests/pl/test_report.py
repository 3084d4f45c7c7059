from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from _helpers import OTHER_CELLS, page_data
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc.pl._report._pack import dequantised, pack, quantised, unpack, unpack_table
from spatrace_sc.pl._report._page import json_text

TABLES = ("lr_pairs", "lr_targets", "lr_tfs", "tf_targets", "communication")
NASTY = "<script>alert('&')</script>"


class Page(HTMLParser):
    """Elements of a page, and the text inside scripts and titles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.tags[-1][0] if self.tags else "", []).append(data)


def written(adata: AnnData, folder: Path, **arguments: Any) -> str:
    """Text of a report."""
    path = st.pl.report(adata, folder / "report.html", overwrite=True, **arguments)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(result: AnnData, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return page_data(written(result, tmp_path_factory.mktemp("report")))


@pytest.mark.parametrize("kind", ["u8", "u16", "u32", "f32"])
def test_arrays_come_back(kind: str) -> None:
    values = np.array([0, 1, 200])
    np.testing.assert_array_equal(unpack(pack(values, kind)), values)


@pytest.mark.parametrize("signed", [True, False])
def test_codes_are_within_half_a_step(signed: bool) -> None:
    low = -2.0 if signed else 0.0
    values = np.concatenate([np.linspace(low, 2.0, 501), [np.nan]])
    codes = quantised(values, 2.0, signed=signed)
    back = dequantised(codes, 2.0, signed=signed)
    np.testing.assert_allclose(back, values, atol=(2.0 - low) / 508 + 1e-12)
    assert quantised(np.array([9.0]), 2.0, signed=signed)[0] == 254
    assert dequantised(quantised(np.array([0.0]), 2.0, signed=signed), 2.0, signed=signed)[0] == 0


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_the_page_equal_those_of_the_readers(
    result: AnnData, data: dict[str, Any], name: str
) -> None:
    table = getattr(st.get, name)(result)
    expected = table[table["score"] > 0].reset_index(drop=True)
    stored = data["tables"][name]
    found = unpack_table(stored["columns"])
    assert len(found) > 5
    assert list(found) == list(expected)
    for column in found:
        if pd.api.types.is_numeric_dtype(expected[column]):
            np.testing.assert_allclose(found[column], expected[column], rtol=1e-6, atol=1e-12)
        else:
            assert list(found[column]) == list(expected[column].astype(str))
    assert stored["candidates"] == len(table)
    assert stored["significant"] == int((table["q_value"] <= 0.1).sum())


@pytest.mark.parametrize("name", TABLES)
def test_values_at_a_stage_belong_to_their_row(
    result: AnnData, data: dict[str, Any], name: str
) -> None:
    found = unpack_table(data["tables"][name]["columns"])
    identity = [
        c for c in ("sender", "receiver", "ligand", "receptor", "tf", "target") if c in found
    ]
    for stage in st.get.stages(result):
        stored = data["tables"][name]["at_stage"][stage]
        expected = getattr(st.get, name)(result, stage).set_index(identity)
        for column, packed in stored.items():
            at_stage = expected[column].loc[list(map(tuple, found[identity].to_numpy()))]
            np.testing.assert_allclose(unpack(packed), at_stage, rtol=1e-5, atol=1e-7)
    assert set(stored) == {"effect" if "effect" in found else "score"} | (
        {"q_value"} if name == "communication" else set()
    )


def test_cells_have_their_position_type_and_activity(result: AnnData, data: dict[str, Any]) -> None:
    cells, starts = data["cells"], data["cells"]["starts"]
    assert (cells["n"], cells["total"], starts[-1]) == (600, 600, 600)
    xy = np.column_stack([unpack(cells[axis]) for axis in "xy"]) * cells["step"]
    types = np.array(cells["types"])[unpack(cells["type"])]
    activity = st.get.activity(result)
    stored = data["activities"]["lr_pairs"]
    assert stored["names"] == list(activity.var_names)
    for k, piece in enumerate(cells["slices"]):
        mask = (result.obs["sample"] == piece["title"]).to_numpy()
        part = slice(starts[k], starts[k + 1])
        assert piece["stage"] == piece["title"].split("_")[0]
        expected = result.obsm["spatial"][mask]
        shift = (xy[part] - expected).mean(axis=0)  # y is not turned: it points downwards
        np.testing.assert_allclose(xy[part] - shift, expected, atol=1.01 * cells["step"])
        np.testing.assert_array_equal(types[part], result.obs["cell_type"][mask].astype(str))
        codes = unpack({"type": "u8", "data": stored["codes"][1]})[part]
        top = stored["tops"][1]
        value = np.asarray(activity.X)[mask, 1]
        np.testing.assert_allclose(
            dequantised(codes, top, signed=False), np.minimum(value, top), atol=top / 500
        )
    assert [s["title"] for s in cells["slices"]][:2] == ["early_slice2", "early_slice10"]


def test_matrices_sum_the_table(result: AnnData, data: dict[str, Any]) -> None:
    matrices = data["matrices"]
    for stage in (None, "body"):
        table = st.get.communication(result, stage)
        found = unpack(matrices["sums"][stage or ""]["score"])
        grid = found.reshape(len(matrices["senders"]), len(matrices["receivers"]))
        for r, sender in enumerate(matrices["senders"]):
            for c, receiver in enumerate(matrices["receivers"]):
                rows = (table["sender"] == sender) & (table["receiver"] == receiver)
                assert grid[r, c] == pytest.approx(table.loc[rows, "score"].sum(), rel=1e-5)


def test_rows_are_limited_and_significant_ones_kept(result: AnnData, tmp_path: Path) -> None:
    some = result.copy()
    stored = some.uns["spatrace"]["lr_targets"].copy()
    last = stored.index[stored["score"].to_numpy() > 0][-1]
    stored.loc[last, "q_value"] = 0.01
    some.uns["spatrace"] = some.uns["spatrace"] | {"lr_targets": stored}
    table = page_data(written(some, tmp_path, max_edges=4))["tables"]["lr_targets"]
    found = unpack_table(table["columns"])
    assert len(found) == 4
    assert found["q_value"].min() == pytest.approx(0.01)
    assert table["n"] == 4 < table["positive"] < table["candidates"]


def test_cells_are_drawn_by_slice(result: AnnData, data: dict[str, Any], tmp_path: Path) -> None:
    text = written(result, tmp_path, max_cells=60)
    cells = page_data(text)["cells"]
    assert cells["n"] <= 60
    assert "drawn at random within each slice" in str(page_data(text)["about"]["counts"])
    share = np.diff(cells["starts"]) / np.diff(data["cells"]["starts"])
    assert (np.diff(cells["starts"]) >= 1).all()
    np.testing.assert_allclose(share, 0.1, atol=0.02)
    assert text == written(result, tmp_path, max_cells=60)


def test_the_strongest_activities_fit(
    result: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spatrace_sc.pl._report._cells.ACTIVITY_BYTES", 600 * 5)
    stored = page_data(written(result, tmp_path))["activities"]
    counts = {kind: len(stored[kind]["codes"]) for kind in stored}
    assert counts == {"lr_pairs": 3, "tfs": 2, "modules": 0}
    assert stored["tfs"]["total"] == 6
    assert stored["tfs"]["names"] == list(st.get.activity(result, "tfs").var_names[:2])


def test_modules_are_shown_once_they_are_inferred(result: AnnData, tmp_path: Path) -> None:
    some = result.copy()
    st.tl.modules(some, max_q=1.0, n_modules=2, progress=False)
    data = page_data(written(some, tmp_path))
    names = list(st.get.activity(some, "modules").var_names)
    assert data["activities"]["modules"]["names"] == names
    assert set(unpack_table(data["modules"]["targets"])["module"]) == set(names)


def test_names_and_titles_are_harmless(result: AnnData, tmp_path: Path) -> None:
    some = result.copy()
    named = some.obs["cell_type"].astype(str).str.replace("sender_0", NASTY)
    some.obs["cell_type"] = named
    text = written(some, tmp_path, title=f"{NASTY} {{{{data}}}}")
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert page.texts["title"][0] == f"{NASTY} {{{{data}}}}"
    assert page.texts["h1"][0] == f"{NASTY} {{{{data}}}}"
    assert NASTY in page_data(text)["cells"]["types"]
    assert NASTY not in text
    assert json.loads(json_text({"a": "</script>\u2028&"})) == {"a": "</script>\u2028&"}
    assert "<" not in json_text({"a": "</script>"})


def test_the_page_allows_only_itself(result: AnnData, tmp_path: Path) -> None:
    import base64
    import hashlib

    text = written(result, tmp_path)
    policy = next(a["content"] for _, a in Page(text).tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert not re.findall(r"\beval\b|innerHTML|outerHTML|document\.write|import\(", content)
    addresses = re.findall(r"https?://[^\"'\s]+", text)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert not [a for _, a in Page(text).tags if a.get("src")]


def test_files_are_not_replaced_by_accident(result: AnnData, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(st.InvalidArgumentError, match="overwrite=True"):
        st.pl.report(result, path)
    assert path.read_text() == "mine"
    assert st.pl.report(result, str(path), overwrite=True) == path
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_failed_write_leaves_the_old_file(
    result: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    path.write_text("mine")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spatrace_sc.pl._report._write.os.replace", full)
    with pytest.raises(st.InvalidArgumentError, match="No space left"):
        st.pl.report(result, path, overwrite=True)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("path", "arguments", "error", "text"),
    [
        ("a.txt", {}, st.InvalidArgumentError, "must end in '.html'"),
        ("no/a.html", {}, st.InvalidArgumentError, "folder does not exist"),
        ("a.html", {"max_cells": 0}, st.InvalidArgumentError, "max_cells"),
        ("a.html", {"max_edges": -1}, st.InvalidArgumentError, "max_edges"),
        ("a.html", {"overwrite": "no"}, st.InvalidArgumentError, "overwrite"),
        ("a.html", {"key": "other"}, st.MissingKeyError, "other"),
        ("a.html", {"spatial_key": "umap"}, st.MissingKeyError, "spatial_key='umap'"),
    ],
)
def test_arguments_are_checked(
    result: AnnData, tmp_path: Path, path: str, arguments: dict, error: type, text: str
) -> None:
    with pytest.raises(error, match=text):
        st.pl.report(result, tmp_path / path, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_path_is_needed(result: AnnData, tmp_path: Path) -> None:
    with pytest.raises(st.InvalidArgumentError, match="name of a file"):
        st.pl.report(result, 3)  # type: ignore[arg-type]
    folder = tmp_path / "a.html"
    folder.mkdir()
    with pytest.raises(st.InvalidArgumentError, match="is a folder"):
        st.pl.report(result, folder)


@pytest.mark.filterwarnings(OTHER_CELLS)
def test_a_part_of_the_cells(one_slice: AnnData, tmp_path: Path) -> None:
    cells = page_data(written(one_slice, tmp_path))["cells"]
    assert len(cells["slices"]) == 1
    assert cells["n"] == one_slice.n_obs < 600


def test_a_result_without_any_effect(no_effects: AnnData, tmp_path: Path) -> None:
    data = page_data(written(no_effects, tmp_path))
    assert all(t["n"] == t["significant"] == 0 for t in data["tables"].values())
    assert data["activities"]["lr_pairs"]["names"] == []
