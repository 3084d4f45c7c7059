"""Checks of a stored result: can it be read, and does it belong to the cells of the data?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import shorten
from .._data.table import with_annotations_in_memory
from .._errors import DataError, InvalidArgumentError, MissingKeyError, warn
from .._version import __version__
from .damage import damaged, inference_call, require_whole
from .parts import Restoration

#: Version of the stored form. 1: spatrace-sc 0.1.0, which stored no version; up to 2, computations
#: followed the order of the cells in the file;
#: up to 3, counts were not divided by size factors of the package, and
#: neighbourhoods were no covariates.
FORM, FIRST_WITH_SIZE_FACTORS = 4, 4
#: Slots of ``uns`` that every result has since the first version that can be read.
REQUIRED = ("params", "genes", "groups", "target_moments", "refits", "model")
#: Names of cells that a message shows.
N_SHOWN = 3


class CellMatch(NamedTuple):
    """Cells of the data against those of the inference, by name.

    ``n_now`` and ``n_then`` count them; ``unknown`` are names that the inference did not have,
    ``n_missing`` cells of the inference that the data do not have, ``repeated`` are names that
    the data have more often than the inference had them.
    """

    n_now: int
    n_then: int
    unknown: list[str]
    n_missing: int
    repeated: list[str]

    @property
    def same(self) -> bool:
        """Whether the cells are those of the inference, in any order."""
        return self.n_now == self.n_then and not (self.unknown or self.repeated or self.n_missing)

    @property
    def finding(self) -> str:
        """What differs, with numbers."""
        if self.unknown:
            return (
                f"{len(self.unknown)} of {self.n_now} cells were not part of the inference "
                f"({shorten(self.unknown, N_SHOWN)})"
            )
        if self.repeated:
            return (
                f"{len(self.repeated)} of {self.n_now} cells are there more than once "
                f"({shorten(self.repeated, N_SHOWN)})"
            )
        return f"the inference had {self.n_then} cells, the data have {self.n_now} of them"


def find_slots(adata: AnnData, key: str) -> dict[str, Any]:
    """Return the slots of the result under a key.

    Raises
    ------
    InvalidArgumentError
        If ``adata`` is no AnnData.
    MissingKeyError
        If there is no result; the message lists those that exist.
    DataError
        If a version of the package wrote it that this one cannot read.
    """
    if not isinstance(adata, AnnData):
        hint = (
            " Pass the table that holds the result, e.g. `sdata['table']`."
            if hasattr(adata, "tables")
            else ""
        )
        raise InvalidArgumentError(f"`adata` must be AnnData, found {type(adata).__name__}.{hint}")
    slots = with_annotations_in_memory(adata).uns.get(key)
    if not isinstance(slots, Mapping) or "lr_targets" not in slots:
        others = [name for name, value in adata.uns.items() if is_result(value)]
        hint = (
            f"; results are under {shorten(others)}, pass it as `key`"
            if others
            else f"; call `st.tl.infer_ccc(adata, key_added={key!r})` first"
        )
        raise MissingKeyError(f"`adata.uns[{key!r}]` holds no result of `st.tl.infer_ccc`{hint}.")
    absent = [name for name in REQUIRED if name not in slots]
    form = slots.get("form", 1)
    if isinstance(form, bool) or not isinstance(form, int | np.integer) or form < 1:
        raise damaged(key, f"its form is {form!r}, none that exists", inference_call(key))
    if absent or "senders" not in slots["params"] or form > FORM:
        writer = "a later" if form > FORM else "an earlier"
        version = f" ({slots['version']}; this is {__version__})" if "version" in slots else ""
        remedy = "install that version, or call" if form > FORM else "call"
        raise DataError(
            f"`adata.uns[{key!r}]` was written by {writer} version of spatrace-sc{version}; "
            f"{remedy} `st.tl.infer_ccc(adata, key_added={key!r})` again."
        )
    require_whole(slots, key)
    return dict(slots)


def is_result(value: object) -> bool:
    """Whether a slot of ``uns`` holds a result of :func:`spatrace_sc.tl.infer_ccc`."""
    return isinstance(value, Mapping) and "lr_targets" in value and "genes" in value


def stored_values(
    adata: AnnData, slot: str, writer: str, call: str, n_columns: int
) -> NDArray[np.float32]:
    """Return the values per cell that ``writer`` stored in ``obsm``.

    Raises
    ------
    MissingKeyError
        If the slot has been removed; the message says what to ``call``.
    DataError
        If it does not hold a row of numbers, or of NaN, for every cell.
    """
    if slot not in adata.obsm:
        raise MissingKeyError(
            f"`adata.obsm[{slot!r}]`, which {writer} wrote, has been removed; call `{call}` again."
        )
    values = np.asarray(adata.obsm[slot])
    finding = ""
    if values.dtype.kind not in "fiu" or values.shape != (adata.n_obs, n_columns):
        finding = f"found {values.dtype} of shape {values.shape}"
    elif n_columns and (np.isfinite(values).any(axis=1) != np.isfinite(values).all(axis=1)).any():
        finding = "some cells have only a part of them"
    if finding:
        raise DataError(
            f"`adata.obsm[{slot!r}]` must hold {n_columns} numbers for every cell, as {writer} "
            f"wrote them; {finding}. Call `{call}` again."
        )
    return values.astype(np.float32)


def receives_as_before(adata: AnnData, slot: str, restoration: Restoration | None) -> bool:
    """Return whether as many cells have values in ``slot`` as received in the inference."""
    if restoration is None or slot not in adata.obsm:
        return slot in adata.obsm
    values = np.asarray(adata.obsm[slot])
    n_receivers = int(np.isfinite(values).all(axis=1).sum())
    return not values.shape[1] or n_receivers == len(restoration.held_out)


def cell_names(slots: Mapping[str, Any]) -> pd.Index:
    """Return the names of the cells at the time of the inference; none where not stored."""
    names: pd.Index = pd.Index(np.asarray(slots.get("cells", ()), dtype=object))
    return names


def match_cells(now: pd.Index, then: pd.Index, *, can_be_renamed: bool) -> CellMatch:
    """Compare the names of cells with those at the time of the inference.

    Without a stored name nothing is compared. If ``can_be_renamed``, equally many cells of which no
    name is known pass for the same cells under other names.
    """
    if not len(then) or (len(now) == len(then) and np.array_equal(now, then)):
        return CellMatch(len(now), len(now), [], 0, [])
    known = now.isin(then)
    if can_be_renamed and len(now) == len(then) and not known.any():
        return CellMatch(len(now), len(now), [], 0, [])
    unknown = [str(name) for name in now[~known]]
    return CellMatch(
        len(now), len(then), unknown, int((~then.isin(now)).sum()), _repeated(now, then)
    )


def _repeated(now: pd.Index, then: pd.Index) -> list[str]:
    """Return the names that occur more often than before, once for every further cell."""
    if now.is_unique:
        return []
    before = then.value_counts().reindex(now).to_numpy()
    occurrence = pd.Series(now).groupby(now.to_numpy()).cumcount().to_numpy() + 1
    return [str(name) for name in now[occurrence > np.nan_to_num(before, nan=np.inf)]]


def check_cells(match: CellMatch, key: str, *, own: bool) -> None:
    """Raise DataError if cells must be the result's ``own`` and are not; else only warn."""
    require_own_cells(match, key) if own else warn_of_other_cells(match, key)


def require_own_cells(match: CellMatch, key: str) -> None:
    """Raise DataError if some cells are not those of the inference."""
    if match.unknown or match.repeated:
        raise DataError(
            f"`adata.uns[{key!r}]` is not a result of these cells: {match.finding}. Objects that "
            "were joined (`anndata.concat(..., uns_merge=...)`) keep the result of one of them. "
            f"Read it before joining, or call `st.tl.infer_ccc(adata, key_added={key!r})` on all "
            "cells."
        )


def warn_of_other_cells(match: CellMatch, key: str) -> None:
    """Warn if the cells are not all those of the inference."""
    if not match.same:
        warn(
            f"the tables of `adata.uns[{key!r}]` are of other cells: {match.finding}. They "
            "describe all cells of the inference; call `st.tl.infer_ccc` again for these cells."
        )
