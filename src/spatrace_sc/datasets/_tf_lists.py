"""Published lists of transcription factors, fetched once and kept in the cache."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from .._errors import DataError, DownloadError
from .._settings import settings
from ._checksums import BY_HAND
from ._download import Transfer
from ._fetch import fetch
from ._registry import Entry

#: The files are small, so a download that fails is given up soon.
TIMEOUT, RETRIES = 30.0, 1
#: A list with fewer names is not a complete file; the published ones have more than a thousand.
MIN_NAMES = 500
#: Columns of AnimalTFDB: the symbol, and the identifier of a gene without one.
SYMBOL, IDENTIFIER = "Symbol", "Ensembl"
#: What stands for a missing symbol.
NO_SYMBOL = {"", "-", "NA", "nan"}
#: Beginnings of a web page, in lower case.
WEB_PAGE = ("<!doctype", "<html", "<?xml", "<head", "<script")


def tf_lists() -> dict[str, Entry]:
    """Return the lists that can be fetched, by organism."""
    text = (files(__package__) / "tf_lists.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    for values in tables.values():
        values.pop("licence")
    return {name: Entry(name=name, layout={}, **values) for name, values in tables.items()}


class TFList(NamedTuple):
    """TFs of an organism.

    ``placed_by_hand`` is the path of a file that was found in the cache and not downloaded, so
    that its source is not known; None for the published list.
    """

    names: list[str]
    placed_by_hand: Path | None = None


def read_tfs(organism: str) -> TFList:
    """Return the TFs of an organism, from the cache or, once, from the publisher.

    Raises
    ------
    DownloadError
        If the file is not in the cache and cannot be fetched. The message says how to place it
        by hand.
    DataError
        If the file in the cache is not a list of TFs.
    """
    transfer = Transfer(TIMEOUT, RETRIES, progressbar=settings.progress)
    try:
        path, record = fetch(tf_lists()[organism], check=problem_of, transfer=transfer)
    except DownloadError as error:
        raise type(error)(f"{error} Or pass your own list as `tfs`.") from error
    problem = problem_of(path)
    if problem:
        raise DataError(
            f"{path} is not the list of TFs that was expected: {problem}. Move it away to download "
            "it again, or pass your own list as `tfs`."
        )
    by_hand = record["checksum"] == BY_HAND
    return TFList(names_in(_text(path)), path if by_hand else None)


def problem_of(path: Path) -> str | None:
    """Return why a file is not a list of TFs; None if it is one."""
    text = _text(path)
    if text.lstrip().lower().startswith(WEB_PAGE):
        return "it is a web page; the server may refuse downloads by programs"
    n_names = len(names_in(text))
    if n_names < MIN_NAMES:
        return f"it has {n_names} names of TFs, fewer than {MIN_NAMES}"
    return None


def names_in(text: str) -> list[str]:
    """Return the names in a file with one name per line, or in a table of AnimalTFDB."""
    lines = [line for line in text.splitlines() if line.strip()]
    header = [name.strip() for name in lines[0].split("\t")] if lines else []
    if SYMBOL not in header:
        names = [line.strip() for line in lines if len(line.split()) == 1]
        return list(dict.fromkeys(names))
    wanted = [header.index(name) for name in (SYMBOL, IDENTIFIER) if name in header]
    names = []
    for line in lines[1:]:
        cells = [cell.strip() for cell in line.split("\t")]
        known = [cells[k] for k in wanted if k < len(cells) and cells[k] not in NO_SYMBOL]
        names += known[:1]
    return list(dict.fromkeys(names))


def _text(path: Path) -> str:
    """Return the text of a file, with replacement characters for other bytes."""
    return path.read_text(encoding="utf-8-sig", errors="replace")
