"""Cells of the report: positions by slice, types, and activities of pairs, TFs and modules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ... import _keys, get
from ..._data.cell_types import type_labels
from ..._data.cells import coordinates, label_text
from ..._edges import LR_PAIRS, joined
from ..._errors import MissingKeyError
from .._drawing.colours import category_colours
from .._drawing.labels import ACTIVITY_LABELS
from .._drawing.map_panels import CLIPPED
from .._drawing.mapped_quantity import every_value
from .._drawing.significance import is_significant
from .._drawing.slices import slices
from ._pack import Packed, pack, pack_codes, quantised

#: Bytes of activities in the page, before base64: 140 columns of 50 000 cells.
ACTIVITY_BYTES = 7_000_000
#: Share of the columns that pairs may take; TFs have the others.
PAIR_SHARE = 0.6
#: Largest code of a position.
LAST_POSITION = 65_535


@dataclass(frozen=True)
class Shown:
    """The cells in the page, slice after slice, with title, stage and first cell of each slice."""

    index: NDArray[np.int64]
    titles: list[str]
    stages: list[str]
    starts: list[int]


def shown_cells(adata: AnnData, cells: AnnData, max_cells: int | None, key: str) -> Shown:
    """Choose the cells: all, or of every slice the same share, drawn at random with a fixed seed.

    Every slice keeps at least one cell.
    """
    arguments, stages = get.params(adata, key=key), get.stages(adata, key=key)
    sample, stage = arguments["sample_key"], arguments["stage_key"]
    groups = slices(cells, sample, stage, None, stages)
    share = 1.0 if max_cells is None else min(1.0, max_cells / cells.n_obs)
    random = np.random.default_rng(0)
    chosen = []
    for _, mask in groups:
        members = np.flatnonzero(mask)
        n = len(members) if share == 1 else max(1, int(share * len(members)))
        chosen.append(np.sort(random.choice(members, n, replace=False)))
    column = stage or sample
    names = None if column is None else label_text(cells, column, "stage_key")
    starts = np.concatenate([[0], np.cumsum([len(c) for c in chosen])])
    return Shown(
        index=np.concatenate(chosen),
        titles=[title or "all cells" for title, _ in groups],
        stages=["" if names is None else str(names[c[0]]) for c in chosen],
        starts=[int(start) for start in starts],
    )


def pack_cells(
    adata: AnnData, cells: AnnData, shown: Shown, arguments: dict[str, Any], spatial_key: str
) -> Packed:
    """Return positions, slices and types of the shown cells."""
    xy = coordinates(cells, spatial_key)[shown.index, :2]
    column = arguments["cell_type_key"] or None
    labels = type_labels(cells, column, arguments.get("proportions") or None, fill=True)
    codes, types = pd.factorize(labels, sort=True)
    names = [str(t) for t in types]
    colours = category_colours(adata, column, names)
    return {
        **_pack_positions(xy, shown.starts),
        "n": len(shown.index),
        "total": cells.n_obs,
        "unit": spatial_key,
        "starts": shown.starts,
        "slices": [
            {"title": title, "stage": stage}
            for title, stage in zip(shown.titles, shown.stages, strict=True)
        ],
        "types": names,
        "colours": [colours[name] for name in names],
        "type": pack_codes(codes[shown.index], len(names)),
    }


def _pack_positions(xy: NDArray[np.float64], starts: list[int]) -> Packed:
    """Return positions around the centre of their slice, in steps of the widest slice / 65535."""
    parts = [xy[a:b] for a, b in pairwise(starts)]
    centred = [part - (part.min(axis=0) + part.max(axis=0)) / 2 for part in parts]
    half = np.max([np.abs(part).max(axis=0) for part in centred], axis=0)
    step = max(2 * float(half.max()), 1e-9) / LAST_POSITION
    codes = np.rint((np.concatenate(centred) + half) / step)
    return {
        "x": pack(codes[:, 0], "u16"),
        "y": pack(codes[:, 1], "u16"),
        "step": step,
        "half": [float(h) for h in half],
        "gap": _gap(parts),
    }


def _gap(parts: list[NDArray[np.float64]]) -> float:
    """Return the median distance of a cell to the nearest one."""
    from scipy.spatial import cKDTree

    gaps = [np.median(cKDTree(xy).query(xy, k=2)[0][:, 1]) for xy in parts if len(xy) > 1]
    return float(np.median(gaps)) if gaps else 0.0


def activities(adata: AnnData, key: str) -> dict[str, AnnData]:
    """Return the activities that the result holds, by kind."""
    found = {kind: get.activity(adata, kind, key=key) for kind in ("lr_pairs", "tfs")}
    try:
        found["modules"] = get.activity(adata, "modules", key=key)
    except MissingKeyError:  # st.tl.modules has not been called
        found["modules"] = found["tfs"][:, :0]
    return found


def pack_activities(
    adata: AnnData, found: dict[str, AnnData], shown: Shown, key: str
) -> dict[str, Packed]:
    """Return the strongest columns of every kind that fit, as codes with the end of their scale."""
    room = max(1, ACTIVITY_BYTES // max(1, len(shown.index)) - found["modules"].n_vars)
    n_pairs = min(found["lr_pairs"].n_vars, max(int(PAIR_SHARE * room), room - found["tfs"].n_vars))
    limits = {"lr_pairs": n_pairs, "tfs": max(1, room - n_pairs), "modules": None}
    notes = {"lr_pairs": _notes_of_pairs, "tfs": _notes_of_tfs, "modules": _notes_of_modules}
    return {
        kind: _pack_columns(kind, cells, shown, limits[kind], notes[kind](adata, cells, key))
        for kind, cells in found.items()
    }


def _pack_columns(
    kind: str, cells: AnnData, shown: Shown, limit: int | None, notes: list[str]
) -> Packed:
    """Return the first columns of an activity."""
    signed, names = kind == "tfs", [str(n) for n in cells.var_names]
    values = every_value(cells)[shown.index, :limit]
    tops = [_top(values[:, k]) for k in range(values.shape[1])]
    codes = [
        pack(quantised(values[:, k], top, signed=signed), "u8")["data"]
        for k, top in enumerate(tops)
    ]
    return {
        "noun": ACTIVITY_LABELS[kind].noun,
        "unit": ACTIVITY_LABELS[kind].axis.replace("\n", " "),
        "signed": signed,
        "names": names[: len(tops)],
        "notes": notes[: len(tops)],
        "tops": tops,
        "codes": codes,
        "total": len(names),
    }


def _top(values: NDArray[np.float64]) -> float:
    """Return where the colours end: the 99 % quantile of the sizes, or the largest."""
    sizes = np.abs(values[np.isfinite(values)])
    largest = float(sizes.max(initial=0.0))
    quantile = float(np.quantile(sizes, 1 - CLIPPED)) if largest > 0 else 0.0
    return quantile or largest or 1.0


def _notes_of_pairs(adata: AnnData, cells: AnnData, key: str) -> list[str]:
    """Return the q of every pair in words."""
    table = get.lr_pairs(adata, key=key)
    q = dict(zip(joined(table, LR_PAIRS.columns), table["q_value"], strict=True))
    words = ("significant", "not significant")
    return [
        f"q = {q[name]:.2g}, {words[int(q[name] > _keys.MAX_SIGNIFICANT_Q)]}"
        for name in map(str, cells.var_names)
    ]


def _notes_of_tfs(adata: AnnData, cells: AnnData, key: str) -> list[str]:
    """Return the number of significant targets of every TF in words."""
    table = get.tf_targets(adata, key=key)
    counts = table.loc[is_significant(table), "tf"].astype(str).value_counts()
    return [_counted(int(counts.get(str(name), 0)), "target") for name in cells.var_names]


def _notes_of_modules(adata: AnnData, cells: AnnData, key: str) -> list[str]:
    """Return the number of significant main pairs of every module in words."""
    if not cells.n_vars:
        return []
    table, pairs = get.modules(adata, key=key), get.lr_pairs(adata, key=key)
    significant = set(joined(pairs[is_significant(pairs)], LR_PAIRS.columns))
    main = table[table["main"].astype(bool)]
    found = joined(main, LR_PAIRS.columns).isin(significant).to_numpy()
    counts = main.loc[found, "module"].astype(str).value_counts()
    return [_counted(int(counts.get(str(name), 0)), "pair") for name in cells.var_names]


def _counted(n: int, noun: str) -> str:
    """Return ``"3 significant targets"``."""
    return f"{n or 'no'} significant {noun}{'' if n == 1 else 's'}"
