"""The report in a headless Chromium; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from _report_page import NASTY, click, downloaded, enter, pictures, rows, text
from anndata import AnnData

import spatrace_sc as st

if TYPE_CHECKING:
    from benchmarks._browser import Browser


def test_it_opens_without_errors_and_without_a_network(browser: Browser, page: Path) -> None:
    for kind in ("lr_pairs", "tfs", "modules", "types"):
        enter(browser, "#kind", kind, "change")
        assert browser.run("document.querySelector('#kind').value") == kind
    for name in ("lr_targets", "lr_tfs", "tf_targets", "communication"):
        click(browser, f"[data-table={name}]")
        click(browser, "#table tbody tr")
    browser.resize(390, 800)
    assert browser.problems() == []
    assert set(browser.requests()) == {page.as_uri()}
    assert browser.run("window.hurt === undefined && document.querySelector('img') === null")
    assert text(browser, "h1") == NASTY
    click(browser, "#reset")
    assert NASTY in text(browser, "#legend")


def test_an_empty_result_says_so(chromium: Browser, no_effects: AnnData, tmp_path: Path) -> None:
    chromium.events.clear()
    chromium.open(st.pl.report(no_effects, tmp_path / "report.html"))
    for name in ("lr_targets", "lr_tfs", "tf_targets", "communication", "lr_pairs"):
        click(chromium, f"[data-table={name}]")
        assert text(chromium, "#table-note").endswith("No row has a score above 0.")
    assert text(chromium, "#matrix-note") == "Sum of all pairs: no score above 0."
    enter(chromium, "#kind", "tfs", "change")
    assert text(chromium, "#network-note").startswith("No effect of ")
    assert chromium.problems() == []


def test_a_click_on_a_row_changes_map_and_network(browser: Browser) -> None:
    before = pictures(browser)
    assert len(before) == 6
    click(browser, "[data-table=lr_targets]")
    ligand, receptor, target = rows(browser)[0][:3]
    click(browser, "#table tbody tr")
    after = pictures(browser)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert text(browser, "#map-note").startswith(f"{ligand} → {receptor}: q = ")
    assert target in text(browser, "#network-figure")
    assert browser.run("document.activeElement.getAttribute('aria-selected')") == "true"
    click(browser, "#reset")
    assert pictures(browser) == before


def test_rows_of_types_show_who_sends(browser: Browser, result: AnnData) -> None:
    click(browser, "[data-table=communication]")
    sender, receiver = rows(browser)[0][:2]
    click(browser, "#table tbody tr")
    assert f"Activity in {receiver}; {sender} sends" in text(browser, "#map-note")


def test_cells_lie_where_they_are(browser: Browser, result: AnnData) -> None:
    """The cells with a pixel of their type are those of the slice, the second axis downwards."""
    mask = (result.obs["sample"] == "early_slice2").to_numpy()
    xy, types = result.obsm["spatial"][mask], result.obs["cell_type"][mask].astype(str)
    chosen = types.to_numpy() == "receiver_0"
    enter(browser, "#name", "receiver_0", "change")
    script = """(() => {
        const canvas = document.querySelector('canvas'), out = [];
        const k = DATA.cells.types.indexOf('receiver_0'), colour = DATA.cells.colours[k];
        const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        for (let i = 0; i < data.length; i += 4)
            if (data[i] === r && data[i + 1] === g && data[i + 2] === b) out.push(i / 4);
        return [canvas.width, out];
    })()"""
    width, pixels = browser.run(script)
    drawn = np.column_stack([np.array(pixels) % width, np.array(pixels) // width])
    low, high = xy.min(axis=0), xy.max(axis=0)
    expected = (xy[chosen] - (low + high) / 2).mean(axis=0) / np.ptp(xy[:, 0])
    canvas = np.array([width, browser.run("document.querySelector('canvas').height")])
    found = (drawn.mean(axis=0) - canvas / 2) / width
    assert np.abs(expected).max() > 0.02
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_stage_shows_its_slices_and_values(browser: Browser, result: AnnData) -> None:
    enter(browser, "#stage", "body", "change")
    assert len(pictures(browser)) == 2
    assert "score at body" in text(browser, "#table thead")
    table = downloaded(browser, "lr_pairs.csv").set_index(["ligand", "receptor"])
    expected = st.get.lr_pairs(result, "body").set_index(["ligand", "receptor"])["score"]
    np.testing.assert_allclose(
        table["score at body"], expected.loc[list(table.index)], rtol=1e-5, atol=1e-7
    )


def test_filters_sorting_and_pages(browser: Browser, result: AnnData) -> None:
    click(browser, "[data-table=tf_targets]")
    expected = st.get.tf_targets(result)
    expected = expected[expected["score"] > 0]
    assert f"of {len(expected)}" in text(browser, "#page")
    enter(browser, "#filter", "tf00 TG001", "input")
    assert {(row[0][:4], row[1]) for row in rows(browser)} == {("TF00", "TG001")}
    enter(browser, "#filter", "", "input")
    limit = float(expected["q_value"].sort_values().iloc[len(expected) // 2])
    enter(browser, "#max-q", f"{limit:.12f}", "input")
    n = int((expected["q_value"] <= limit + 1e-9).sum())
    assert f"of {n}" in text(browser, "#page")
    first = rows(browser)
    click(browser, "#next")
    assert (rows(browser) != first) == (n > 25)
    enter(browser, "#filter", "no such gene", "input")
    assert rows(browser) == []
    assert "Widen the filters" in text(browser, "#table-note")


def test_a_download_holds_what_the_table_shows(browser: Browser, result: AnnData) -> None:
    click(browser, "[data-table=tf_targets]")
    enter(browser, "#filter", "TF001", "input")
    click(browser, "#every-column")
    click(browser, "#table thead th:nth-child(3) button")
    table = downloaded(browser, "tf_targets.csv")
    expected = st.get.tf_targets(result)
    holds = expected.select_dtypes(exclude="number").astype(str).sum(axis=1).str.contains("TF001")
    expected = expected[(expected["score"] > 0) & holds]
    assert set(expected["tf"].astype(str)) > {"TF001"}  # groups are searched, too
    expected = expected.sort_values("effect", ascending=False, kind="stable")
    assert list(table) == list(expected)
    assert list(table["target"]) == list(expected["target"].astype(str))
    np.testing.assert_allclose(table["effect"], expected["effect"], rtol=1e-6)
    assert [row[1] for row in rows(browser)] == list(expected["target"].astype(str))[:25]


def test_names_are_searched(browser: Browser, result: AnnData) -> None:
    enter(browser, "#kind", "tfs", "change")
    enter(browser, "#name", "tf003", "change")
    assert text(browser, "#map-note").startswith("TF003: ")
    enter(browser, "#name", "TF", "change")
    assert "names contain" in text(browser, "#status")
    enter(browser, "#name", "TF003x", "change")
    assert "named “TF003x”" in text(browser, "#status")
    options = browser.run("[...document.querySelectorAll('#names option')].map((o) => o.value)")
    assert options == list(st.get.activity(result, "tfs").var_names)


def test_the_keyboard_reaches_everything(browser: Browser) -> None:
    browser.run("document.querySelector('[data-table=lr_pairs]').focus()")
    browser.press("ArrowRight", 39)
    assert browser.run("document.activeElement.dataset.table") == "lr_targets"
    before = pictures(browser)
    browser.run("document.querySelector('#table tbody tr').focus()")
    browser.press("Enter", 13, "\r")
    assert pictures(browser) != before
    reached = set()
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    for _ in range(60):
        browser.press("Tab", 9)
        reached.add(browser.run("document.activeElement.id || document.activeElement.tagName"))
    assert {
        "kind",
        "name",
        "stage",
        "reset",
        "panels",
        "zoom-in",
        "filter",
        "max-q",
        "download",
        "TR",
    } <= reached


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width, 800)
    click(browser, "[data-table=lr_targets]")
    click(browser, "#table tbody tr")
    assert browser.run("document.documentElement.scrollWidth") <= width
    wide = browser.run(
        "[...document.querySelectorAll('input, button, select, canvas, #network-figure svg')]"
        ".filter((e) => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth)"
        ".map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
