"""A report in a headless Chromium, and what its tests do with it."""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from anndata import AnnData

import spatrace_sc as st

if TYPE_CHECKING:
    from benchmarks._browser import Browser

sys.path.append(str(Path(__file__).parents[1]))

NASTY = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"


@pytest.fixture(scope="module")
def page(result: AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with modules, in which a cell type and the title are HTML."""
    some = result.copy()
    st.tl.modules(some, max_q=1.0, n_modules=2, progress=False)
    some.obs["cell_type"] = some.obs["cell_type"].astype(str).str.replace("sender_0", NASTY)
    path = tmp_path_factory.mktemp("report") / "report.html"
    return st.pl.report(some, path, title=NASTY)


@pytest.fixture(scope="module")
def chromium() -> Any:
    pytest.importorskip("fcntl")  # Chromium is driven through a pipe of Unix
    from benchmarks._browser import Browser, executable

    if executable() is None:
        pytest.skip("no Chromium is installed")
    with Browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser, page: Path) -> Browser:
    chromium.events.clear()
    chromium.open(page)
    return chromium


def click(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector({json.dumps(selector)}).click()")


def enter(browser: Browser, selector: str, value: str, event: str) -> None:
    """Give a field a value, as typing does."""
    browser.run(
        f"(() => {{ const field = document.querySelector({json.dumps(selector)});"
        f"field.value = {json.dumps(value)};"
        f"field.dispatchEvent(new Event({json.dumps(event)}, {{ bubbles: true }})); }})()"
    )


def text(browser: Browser, selector: str) -> str:
    return str(browser.run(f"document.querySelector({json.dumps(selector)}).textContent"))


def pictures(browser: Browser) -> list[str]:
    """Pixels of every slice."""
    return browser.run("[...document.querySelectorAll('canvas')].map((c) => c.toDataURL())")


def rows(browser: Browser) -> list[list[str]]:
    """Cells of the table on this page."""
    script = (
        "[...document.querySelectorAll('#table tbody tr')].map((r) => "
        "[...r.cells].map((c) => c.textContent))"
    )
    return browser.run(script)


def downloaded(browser: Browser, name: str) -> pd.DataFrame:
    """The table that the button downloads."""
    file = browser.downloads / name
    file.unlink(missing_ok=True)
    click(browser, "#download")
    end = time.monotonic() + 20
    while not file.exists() and time.monotonic() < end:
        browser.run("1")
        time.sleep(0.02)
    return pd.read_csv(io.StringIO(file.read_text(encoding="utf-8")), keep_default_na=False)
