"""Pictures of the report, taken in a headless Chromium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
from anndata import AnnData
from benchmarks._browser import Browser
from matplotlib.figure import Figure

import spatrace_sc as st

#: Title of the section in the gallery.
TITLE = "A report in one file"
#: Pixels of the screen, and how many of them make an inch.
SCREEN, DPI = (960, 560), 150
#: The first row of the pairs, as a reader would choose it.
CLICK = "document.querySelector('#table tbody tr').click(); window.scrollTo(0, 0)"


def report(adata: AnnData) -> Figure:
    """One HTML file of the whole result, in a browser, with its strongest pair chosen."""
    return screenshot(st.pl.report(adata, "report.html", overwrite=True))


def screenshot(path: Path) -> Figure:
    """Return the top of the page as a figure, on a smaller scale, and remove the file."""
    picture = path.with_suffix(".png")
    with Browser() as browser:
        browser.open(path, *SCREEN)
        browser.run(CLICK)
        browser.screenshot(picture, whole=False)
    figure = plt.figure(figsize=tuple(side / DPI for side in SCREEN))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(plt.imread(picture), aspect="auto")
    ax.set_axis_off()
    path.unlink()
    picture.unlink()
    return figure


FIGURES: dict[str, Callable[[AnnData], Figure]] = {"report": report}
