"""A whole result as one HTML file."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from anndata import AnnData

from ... import _keys, get
from ..._check import count, flag
from ..._errors import InvalidArgumentError
from .._drawing.axes import DOWN, UP
from .._drawing.map_panels import DIVERGING, NO_RECEIVER, SEQUENTIAL
from .._drawing.significance import stage_word
from .._drawing.slices import spatial_slot
from ._about import about, summary
from ._cells import activities, pack_activities, pack_cells, shown_cells
from ._page import colour_table, page
from ._tables import pack_matrices, pack_modules, pack_tables

#: Endings of the names of HTML files.
SUFFIXES = (".html", ".htm")


def report(
    adata: AnnData,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    max_cells: int | None = 50_000,
    max_edges: int | None = 10_000,
    spatial_key: str | None = None,
    overwrite: bool = False,
    key: str = _keys.RESULT,
) -> Path:
    """Write a result as one HTML file to explore in a browser, without a network.

    The page links maps of the slices, searchable tables, the network around a pair, TF or module,
    and the matrix of senders and receivers. A click on a row of a table shows it in the map. A dot
    marks what is significant (q ≤ 0.1). Any table can be downloaded as CSV. The last section states
    versions, parameters and counts.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`. Modules are shown after
        :func:`spatrace_sc.tl.modules`.
    path
        File to write, which ends in ``.html``. It appears only when it is complete.
    title
        Title of the page. None: "Signals between cells".
    max_cells
        Largest number of cells in the maps. If there are more, the same share of every slice is
        drawn at random, with a fixed seed. None: all.
    max_edges
        Largest number of rows in each table: significant rows, then the strongest. None: all with
        a score above 0.
    spatial_key
        Slot of ``obsm`` with coordinates. The first two are drawn, the second downwards, as
        squidpy does. None: the slot that the inference used.
    overwrite
        Whether to replace a file that exists.
    key
        Name of the result.

    Returns
    -------
    Path of the file. It holds the activities of the strongest pairs and TFs, up to 7 MB of them
    (140 with 50 000 cells), and says how many. With 50 000 cells and full tables at fifteen stages
    it has less than 20 MB.

    Raises
    ------
    MissingKeyError
        ``adata`` has no such result or slot.
    InvalidArgumentError
        An argument is out of range, the file exists, or it cannot be written.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> st.pl.report(adata, f"{folder}/report.html").name
    'report.html'
    """
    count(max_cells, "max_cells")
    count(max_edges, "max_edges")
    flag(overwrite, "overwrite")
    file = _checked(path, overwrite)
    data = _prepare(adata, max_cells, max_edges, spatial_key, key)
    title = "Signals between cells" if title is None else str(title)
    stages = data["stages"] if data["stage_word"] == "stage" else []
    _write(file, page(title, summary(data["tables"], data["cells"], stages), data))
    return file


def _prepare(
    adata: AnnData,
    max_cells: int | None,
    max_edges: int | None,
    spatial_key: str | None,
    key: str,
) -> dict[str, Any]:
    """Return everything that the page shows, packed."""
    arguments, stages = get.params(adata, key=key), get.stages(adata, key=key)
    found = activities(adata, key)
    cells = found["lr_pairs"]
    shown = shown_cells(adata, cells, max_cells, key)
    word = stage_word(adata, key)
    slot = spatial_slot(adata, arguments, spatial_key)
    tables = pack_tables(adata, stages, max_edges, key)
    packed = pack_cells(adata, cells, shown, arguments, slot)
    return {
        "stages": stages,
        "stage_word": word,
        "threshold": _keys.MAX_SIGNIFICANT_Q,
        "colours": {
            **{"up": UP, "down": DOWN, "grey": NO_RECEIVER},
            **{"sequential": colour_table(SEQUENTIAL), "diverging": colour_table(DIVERGING)},
        },
        "cells": packed,
        "activities": pack_activities(adata, found, shown, key),
        "tables": tables,
        "matrices": pack_matrices(adata, stages, key),
        "modules": pack_modules(adata, bool(found["modules"].n_vars), key),
        "about": about(arguments, tables, packed, stages if word == "stage" else []),
    }


def _checked(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """Return the path of a file that can be written."""
    if not isinstance(path, str | os.PathLike):
        raise InvalidArgumentError(f"`path` must be the name of a file, found {path!r}.")
    file = Path(path)
    if file.suffix.lower() not in SUFFIXES:
        raise InvalidArgumentError(f"`path` must end in '.html', found {str(file)!r}.")
    if not file.parent.is_dir():
        raise InvalidArgumentError(
            f"`path={str(file)!r}`: its folder does not exist; create {str(file.parent)!r} first."
        )
    if file.is_dir():
        raise InvalidArgumentError(f"`path={str(file)!r}` is a folder; name a file in it.")
    if file.exists() and not overwrite:
        raise InvalidArgumentError(
            f"`path={str(file)!r}` exists; choose another name, or pass `overwrite=True`."
        )
    return file


def _write(file: Path, text: str) -> None:
    """Write the text under a temporary name next to the file, then move it there."""
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        os.replace(temporary, file)
    except OSError as error:
        raise InvalidArgumentError(
            f"`path={str(file)!r}` cannot be written: {error.strerror or error}."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
