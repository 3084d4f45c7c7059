"""Pictures of figures as small grey images, and how far they are from what is expected.

A picture is compared with a rasterisation of the same table in numpy, so that no picture is stored
and nothing depends on fonts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from numpy.typing import NDArray

#: Largest distance of a picture from what is expected; wrong pictures are further away.
TOLERANCE = 0.2
#: Brightness of red, green and blue, as matplotlib's own conversion to grey weighs them.
GREY = np.array([0.299, 0.587, 0.114])
#: A shape that no turn and no mirror maps to itself.
LETTER = np.array(
    [[int(c) for c in row] for row in ("1111", "1000", "1000", "1110", "1000", "1000")], dtype=float
)
Picture = NDArray[np.float64]


def draw(figure: Any, dpi: int = 100) -> NDArray[np.float64]:
    """Return the (rows, columns, 3) colours of a figure without its text."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    figure.set_layout_engine("none")
    for text in figure.findobj(Text):
        text.set_visible(False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255.0


def inside(colours: NDArray[np.float64], ax: Any) -> NDArray[np.float64]:
    """Return the part of a drawn figure inside the axes, without their frame."""
    box, height = ax.get_window_extent(), len(colours)
    rows = slice(round(height - box.y1) + 1, round(height - box.y0) - 1)
    return colours[rows, round(box.x0) + 1 : round(box.x1) - 1]


def blocks(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Return the mean of a grey picture in equal blocks."""
    parts = [np.array_split(np.arange(n), k) for n, k in zip(picture.shape, shape, strict=True)]
    return np.array([[picture[np.ix_(r, c)].mean() for c in parts[1]] for r in parts[0]])


def distance(picture: Picture, expected: Picture) -> float:
    """Return 1 - the correlation of two pictures; 1 if one has no contrast."""
    if picture.shape != expected.shape or np.ptp(picture) < 1e-6:
        return 1.0
    return 1.0 - float(np.corrcoef(picture.ravel(), expected.ravel())[0, 1])


def wrong(picture: Picture) -> Iterator[tuple[str, Picture]]:
    """Yield what a picture would be with a mistake."""
    yield "mirrored", picture[:, ::-1]
    yield "upside down", picture[::-1]
    yield "axes swapped", picture.T
    yield "turned", picture[::-1, ::-1]
    yield "missing", np.ones_like(picture)


def assert_like(picture: Picture, expected: Picture) -> None:
    """Check that a picture is what is expected, and that this check finds mistakes."""
    assert distance(picture, expected) <= TOLERANCE
    for name, other in wrong(picture):
        assert distance(other, expected) > TOLERANCE, name


def in_the_letter(n: int, seed: int) -> NDArray[np.float64]:
    """Return random (n, 2) positions in the letter, the second coordinate downwards."""
    random = np.random.default_rng(seed)
    fields = np.argwhere(LETTER)[:, ::-1]
    chosen = fields[np.resize(np.arange(len(fields)), n)]
    return np.asarray(chosen + random.random((n, 2)), dtype=float)


def raster(
    xy: NDArray[np.float64], values: NDArray[np.float64], limits: Any, shape: tuple[int, int]
) -> Picture:
    """Return the mean value in every field of a grid over the limits, 1 where there is no cell.

    Limits are ``((left, right), (top, bottom))``.
    """
    (left, right), (top, bottom) = limits
    column = np.floor((xy[:, 0] - left) / (right - left) * shape[1]).astype(int)
    row = np.floor((xy[:, 1] - top) / (bottom - top) * shape[0]).astype(int)
    total, n = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (row, column), values)
    np.add.at(n, (row, column), 1)
    return np.where(n > 0, total / np.maximum(n, 1), 1.0)


def brightness(values: NDArray[np.float64], cmap: str) -> NDArray[np.float64]:
    """Return the grey of values between 0 and 1 in a colour map."""
    from matplotlib import colormaps

    return np.asarray(colormaps[cmap](values)[..., :3] @ GREY)
