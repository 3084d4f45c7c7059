"""Slices of a map, in order of time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ... import _keys
from ..._check import closest, find_labels, labels, shorten
from ..._data.cells import categories
from ..._data.reused_samples import warn_of_reused_samples
from ..._errors import InvalidArgumentError
from .axes import logger

Group = tuple[str, str]
#: What the user chose: ``sample_key``, ``stage_key`` and the slices to draw.
Chosen = tuple[str | None, str | None, str | Sequence[str] | None]


def slices_of_result(
    cells: AnnData, chosen: Chosen, arguments: Mapping[str, str | None], stages: list[str]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return title and cells of every panel; without keys, by the columns of the inference."""
    sample_key, stage_key, sample = chosen
    if sample_key is None and stage_key is None:
        return slices(cells, arguments["sample_key"], arguments["stage_key"], sample, stages)
    groups = slices(cells, sample_key, stage_key, sample, stages)
    if sample_key is not None and stage_key is None:
        warn_of_reused_samples(cells, sample_key)
    return groups


def order_of_slices(
    groups: list[tuple[str, NDArray[np.bool_]]], arguments: Mapping[str, Any], stages: list[str]
) -> str:
    """Return how slices without stages are ordered, for a title; nothing for stages."""
    if arguments["stage_key"] is not None or not {title for title, _ in groups} <= set(stages):
        return ""
    return f"; slices ordered by mean {arguments['time_key']}"


def spatial_slot(
    adata: AnnData,
    arguments: Mapping[str, Any],
    spatial_key: str | None = None,
    *,
    on_image: bool = False,
) -> str:
    """Return the slot of ``obsm`` to draw: the given one, or the one that the inference used.

    Positions that were scaled do not match an image; ``"spatial"`` replaces them ``on_image``.
    """
    if spatial_key is not None:
        return spatial_key
    slot = str(arguments.get("spatial_key") or _keys.SPATIAL)
    scaled = slot == _keys.SCALED and _keys.SPATIAL in adata.obsm
    return _keys.SPATIAL if on_image and scaled else slot


def slices(
    cells: AnnData,
    sample_key: str | None,
    stage_key: str | None,
    sample: str | Sequence[str] | None,
    stages: list[str],
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return title and cells of every panel, in order of time."""
    if sample_key is None and stage_key is None:
        return [_single_panel(cells, sample, stages)]
    columns = {
        argument: column
        for argument, column in (("stage_key", stage_key), ("sample_key", sample_key))
        if column is not None
    }
    values = {column: categories(cells, column, a) for a, column in columns.items()}
    outer, inner = next(iter(values)), list(values)[-1]
    stage_of, sample_of = values[outer], values[inner]
    groups = _in_order(
        list(dict.fromkeys(zip(stage_of, sample_of, strict=True))), cells.obs[outer], stages
    )
    selected = _selected(sample, list(dict.fromkeys(g[1] for g in groups)), inner)
    groups = [g for g in groups if g[1] in selected]
    if len(groups) > 1 and not any(name in stages for group in groups for name in group):
        logger.warning(
            "No slice is a stage of the result (%s), so the slices are sorted by name; "
            "pass `stage_key` to sort them by time.",
            shorten(stages),
        )
    return [(b if a in b else f"{a} · {b}", (stage_of == a) & (sample_of == b)) for a, b in groups]


def _single_panel(
    cells: AnnData, sample: str | Sequence[str] | None, stages: list[str]
) -> tuple[str, NDArray[np.bool_]]:
    """Return title and mask of a panel with all cells."""
    if sample is not None:
        raise InvalidArgumentError(
            f"`sample={sample!r}` needs `sample_key`, the column of `adata.obs` with the slices."
        )
    several = len(stages) > 1
    if several:
        logger.warning(
            "One panel shows all stages of the result (%s); pass `sample_key` for one panel each.",
            shorten(stages),
        )
    title = f"{len(stages)} stages in one panel" if several else ""
    return title, np.ones(cells.n_obs, dtype=bool)


def _in_order(groups: list[Group], column: pd.Series, stages: list[str]) -> list[Group]:
    """Sort by the stages of the result, then by the order of the categories, then by name."""
    rank = _category_order(column)
    return sorted(
        groups,
        key=lambda g: (_stage_rank(g, stages), rank.get(g[0], 0), _natural(g[0]), _natural(g[1])),
    )


def _selected(sample: str | Sequence[str] | None, available: list[str], column: str) -> set[str]:
    """Return the names of the slices to draw."""
    if sample is None:
        return set(available)
    selected, unknown = find_labels(labels(sample, "sample"), available)
    if unknown:
        raise InvalidArgumentError(
            f"`sample` names {unknown[0]!r}, which is not in `adata.obs[{column!r}]`; "
            f"it has {shorten(available, 20)}.{closest(unknown[0], available)}"
        )
    if not selected:
        raise InvalidArgumentError("`sample` is empty; None draws all slices.")
    return set(selected)


def _stage_rank(group: Group, stages: list[str]) -> int:
    """Return the position of the stage that a group is named after; the last for others."""
    return min((stages.index(name) for name in group if name in stages), default=len(stages))


def _category_order(column: pd.Series) -> dict[str, int]:
    """Return the position of every category of an ordered column; nothing for others."""
    dtype = column.dtype
    if not isinstance(dtype, pd.CategoricalDtype) or not dtype.ordered:
        return {}
    return {str(c): k for k, c in enumerate(dtype.categories)}


def in_natural_order(names: Iterable[str]) -> list[str]:
    """Return each name once, slice2 before slice10."""
    return sorted(dict.fromkeys(names), key=_natural)


def _natural(name: str) -> list[str | int]:
    """Return a sorting key that puts slice2 before slice10."""
    return [int(run) if run.isdecimal() else run for run in re.split(r"(\d+)", name)]
