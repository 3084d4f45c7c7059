"""Lists of genes beside the genes of the data: what was not found and why, and how often the found ones are seen."""

from __future__ import annotations

import difflib
import logging
import re

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .._check import shorten
from .._errors import warn
from .on_disk import OnDisk, read

logger = logging.getLogger("spatrace_sc")

#: A list of which less than this share is found draws a warning.
HALF = 0.5
#: Genes seen in a smaller share of the cells say little.
RARE = 0.01
#: Names as similar as this may be a slip of the pen.
SIMILAR = 0.8
#: So many missing names are shown, and looked for among the names of the data.
SHOWN = 5
#: Of expression on disk so many cells are looked at, in so many runs.
PROBED, RUNS = 2000, 8


def tell_missing(
    adata: AnnData,
    lost: list[str],
    n_wanted: int,
    argument: str,
    have: NDArray[np.str_],
    column: str | None,
) -> None:
    """Log how many of a list were found, with names like the missing ones, at level warning where they are few, as slips of the pen are; warn if less than half was found."""
    found = n_wanted - len(lost)
    logger.log(
        logging.WARNING if 0 < len(lost) <= SHOWN and found >= HALF * n_wanted else logging.INFO,
        "%s: %d of %d found%s.",
        *(argument, found, n_wanted, f"; not in the data: {_shown(lost, have)}" if lost else ""),
    )
    if found < HALF * n_wanted:
        warn(
            f"`{argument}`: {found} of {n_wanted} names are in the data, the others are left out ({shorten(lost, 3)}).{in_raw(adata, lost, column)}"
            " As it should be for a panel of few genes; otherwise check species, spelling and which genes were filtered out."
        )


def _shown(lost: list[str], have: NDArray[np.str_]) -> str:
    """The first missing names, each with one of the data that it may have been meant to be."""
    known = {_plain(h): str(h) for h in have}
    shown = [f"{name!r}{_meant(name, known)}" for name in lost[:SHOWN]]
    return ", ".join(shown) + (f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else "")


def _plain(name: str) -> str:
    """Without case, punctuation and the version of an Ensembl id."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"(?<=\d{6})\.\d+$", "", str(name)).lower())


def _meant(name: str, known: dict[str, str]) -> str:
    """``" (did you mean 'x'?)"`` or nothing. Names that differ in a digit or in the last letter, such as Fgf2 and Fgf3 or Pdgfra and Pdgfrb, are other genes of a family and not meant."""
    plain = _plain(name)
    if plain in known:
        return f" (did you mean {known[plain]!r}?)"
    number = re.findall(r"\d+", plain)
    like = [
        k
        for k in known
        if plain
        and k
        and (k[0], k[-1]) == (plain[0], plain[-1])
        and re.findall(r"\d+", k) == number
    ]
    near = difflib.get_close_matches(plain, like, n=1, cutoff=SIMILAR)
    return f" (did you mean {known[near[0]]!r}?)" if near else ""


def in_raw(adata: AnnData, lost: list[str] | set[str], column: str | None = None) -> str:
    """``" n of the missing are in `adata.raw`: ..."`` or nothing."""
    raw = adata.raw
    if raw is None:
        return ""
    names = (
        raw.var[column].astype(str) if column is not None and column in raw.var else raw.var_names
    )
    there = len(set(lost) & {str(n) for n in names})
    return (
        f" {there} of the missing are in `adata.raw`: `adata = adata.raw.to_adata()` takes all its genes."
        if there
        else ""
    )


def rarely_seen(
    matrix: sparse.csr_matrix | NDArray[np.floating] | OnDisk, genes: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], int]:
    """(genes,) which of the chosen genes are above 0 in fewer than 1 % of the cells looked at, and how many those are: all, or some runs of what is on disk."""
    place = np.flatnonzero(genes)
    if isinstance(matrix, OnDisk):
        n, length = matrix.shape[0], PROBED // RUNS
        starts = (
            np.unique(np.linspace(0, max(0, n - length), RUNS).astype(int)) if n > PROBED else [0]
        )
        stops = [int(s) + (length if n > PROBED else n) for s in starts]
        blocks = [
            read(matrix.source, int(a), min(n, b))[:, place]
            for a, b in zip(starts, stops, strict=True)
        ]
    else:
        blocks = [matrix[:, place]]
    seen = sum(np.asarray((block > 0).sum(axis=0)).ravel() for block in blocks)
    n_cells = sum(block.shape[0] for block in blocks)
    rare = np.zeros(len(genes), dtype=bool)
    rare[place] = seen < RARE * n_cells
    return rare, n_cells
