"""Zoom and pan of the map in a report, in a headless Chromium."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from _report_page import click, pictures, text

if TYPE_CHECKING:
    from benchmarks._browser import Browser


def drawn(browser: Browser) -> None:
    """Wait until the map is drawn again."""
    browser.wait("waiting === 0")


def test_the_keyboard_zooms_and_moves_the_map(browser: Browser) -> None:
    whole = pictures(browser)
    bar = text(browser, "#legend .key:last-child")
    browser.run("document.querySelector('#panels').focus()")
    browser.press("ArrowLeft", 37)
    assert pictures(browser) == whole  # nothing to move to
    for _ in range(3):
        browser.press("+", 187, "+")
    drawn(browser)
    near = pictures(browser)
    assert all(a != b for a, b in zip(near, whole, strict=True))
    assert text(browser, "#zoom-note") == "3.38 ×"
    assert text(browser, "#legend .key:last-child") != bar  # the scale bar follows
    assert browser.run("document.activeElement.id") == "panels"
    browser.press("ArrowLeft", 37)
    drawn(browser)
    assert pictures(browser) != near
    browser.press("ArrowRight", 39)
    drawn(browser)
    assert pictures(browser) == near
    browser.press("0", 48, "0")
    drawn(browser)
    assert pictures(browser) == whole
    assert browser.problems() == []


def test_zoom_keeps_the_point_under_the_pointer(browser: Browser) -> None:
    """A cell that is double-clicked stays where it is; dragging moves it with the pointer."""
    browser.run("""(() => {
        window.where = () => {
            const canvas = document.querySelector('canvas'), step = DATA.cells.step;
            const [hx, hy] = DATA.cells.half, margin = 5;
            const width = parseInt(canvas.style.width), height = parseInt(canvas.style.height);
            const scale = Math.min((width - 2 * margin) / (2 * hx), 640 / (2 * hy));
            const x = (width - 2 * hx * scale) / 2 + CELLS.x[0] * step * scale;
            const y = margin + CELLS.y[0] * step * scale;
            return zoomed({ width, height }, x, y);
        };
        window.act = (type, x, y) => {
            const box = document.querySelector('canvas').getBoundingClientRect();
            const at = { clientX: box.left + x, clientY: box.top + y, bubbles: true, button: 0 };
            const kind = type === 'dblclick' ? MouseEvent : PointerEvent;
            document.querySelector('canvas').dispatchEvent(new kind(type, at));
        };
    })()""")
    x, y = browser.run("where()")
    browser.run(f"act('dblclick', {x}, {y})")
    drawn(browser)
    assert browser.run("VIEW.zoom") == pytest.approx(2.25)
    near = browser.run("where()")
    np.testing.assert_allclose(near, [x, y], atol=1)
    dx = 20 if browser.run("VIEW.x") > 0.5 else -20
    browser.run(f"act('pointerdown', {x}, {y}); act('pointermove', {x + dx}, {y})")
    browser.run(f"act('pointerup', {x + dx}, {y}); act('pointermove', {x}, {y})")
    np.testing.assert_allclose(browser.run("where()"), [near[0] + dx, near[1]], atol=1)
    click(browser, "#zoom-all")
    np.testing.assert_allclose(browser.run("where()"), [x, y], atol=1)
    assert browser.run("document.querySelector('#zoom-out').ariaDisabled") == "true"


def test_a_button_keeps_the_focus(browser: Browser) -> None:
    click(browser, "#zoom-in")
    browser.run("document.querySelector('#zoom-out').focus()")
    browser.press("Enter", 13, "\r")
    drawn(browser)
    assert browser.run("VIEW.zoom") == 1
    assert browser.run("document.activeElement.id") == "zoom-out"
