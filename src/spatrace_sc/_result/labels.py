"""Labels of cells at the time of the inference, against those in the data now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._data.cell_types import read_proportions
from .._errors import DataError

#: Arguments of the inference that name a column of labels.
LABEL_KEYS = ("cell_type_key", "sample_key", "stage_key")
#: Argument of the inference that names a slot of proportions.
PROPORTIONS = "proportions"


class Exchanged(NamedTuple):
    """Cells with a label that other cells had: the slot, their number, and the first of them."""

    slot: str
    n_cells: int
    cell: str
    then: str
    now: str


def labels_of_cells(adata: AnnData, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels that the inference read, by argument: codes of cells, and names.

    Of proportions, the label is the type of the largest one.
    """
    labels: dict[str, Any] = {}
    for argument in LABEL_KEYS:
        column = str(params.get(argument) or "")
        if column:
            codes, names = _coded(adata.obs[column])
            labels[argument] = {"codes": codes, "names": names}
    slot = str(params.get(PROPORTIONS) or "")
    if slot:
        codes, names = _coded(_largest(adata, slot))
        labels[PROPORTIONS] = {"codes": codes, "names": names}
    return labels


def _largest(adata: AnnData, slot: str) -> pd.Series:
    """Return the type of the largest proportion of every spot."""
    return pd.Series(read_proportions(adata, slot).labels)


def _coded(column: pd.Series) -> tuple[NDArray[np.int32], NDArray[np.object_]]:
    """Return the code of every cell, -1 for a missing value, and the names as text."""
    codes, names = pd.factorize(column)
    return codes.astype(np.int32), np.array([str(name) for name in names], dtype=object)


def require_own_labels(adata: AnnData, slots: Mapping[str, Any], cells: pd.Index, key: str) -> None:
    """Raise DataError if cells have labels that other cells had when the result was inferred.

    Labels that are new in the data, as after renaming or splitting a type, are no exchange. Cells
    are compared by name; nothing is compared if names are repeated or have all changed.
    """
    for found in _exchanged(adata, slots.get("labels", {}), slots["params"], cells):
        raise DataError(
            f"`adata.{found.slot}` has changed since `adata.uns[{key!r}]` was inferred: "
            f"{found.n_cells} of {adata.n_obs} cells have the label that other cells had "
            f"({found.cell!r} was {found.then!r}, now {found.now!r}). Restore it, or call "
            f"`st.tl.infer_ccc(adata, key_added={key!r})` again."
        )


def _exchanged(
    adata: AnnData, labels: Mapping[str, Any], params: Mapping[str, Any], cells: pd.Index
) -> Iterator[Exchanged]:
    """Yield the columns in which cells have exchanged labels."""
    now_names = adata.obs_names
    if not labels or not cells.is_unique or not now_names.is_unique:
        return
    row = np.arange(len(cells)) if now_names.equals(cells) else cells.get_indexer(now_names)
    for argument, stored in labels.items():
        column = str(params[argument])
        if column not in (adata.obsm if argument == PROPORTIONS else adata.obs):
            continue
        labels_now = _largest(adata, column) if argument == PROPORTIONS else adata.obs[column]
        codes, names = _coded(labels_now)
        then_names = np.asarray(stored["names"], dtype=object)
        # the index of each label among those of the inference; -1: it had no such label
        known = np.append(pd.Index(then_names.astype(str)).get_indexer(pd.Index(names)), -1)
        now, then = known[codes], np.asarray(stored["codes"])[row]
        differ = (row >= 0) & (now >= 0) & (then >= 0) & (now != then)
        if differ.any():
            k = int(np.argmax(differ))
            label = str(then_names[then[k]]), str(names[codes[k]])
            kind = "obsm" if argument == PROPORTIONS else "obs"
            yield Exchanged(f"{kind}[{column!r}]", int(differ.sum()), str(now_names[k]), *label)
