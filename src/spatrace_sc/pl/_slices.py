"""Which slices there are, in order of time."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._check import closest, shorten
from .._data.cells import categories
from .._errors import InvalidArgumentError
from ._shared import logger


def slices(
    cells: AnnData,
    sample_key: str | None,
    stage_key: str | None,
    sample: str | Sequence[str] | None,
    stages: list[str],
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Title and cells of every panel, in order of time."""
    if sample_key is None and stage_key is None:
        if sample is not None:
            raise InvalidArgumentError(
                f"`sample={sample!r}` needs `sample_key`, the column of `adata.obs` with the slices."
            )
        if len(stages) > 1:
            logger.warning(
                "The result has the stages %s, drawn here in one panel; name `sample_key` for one each.",
                shorten(stages),
            )
        together = f"{len(stages)} stages in one panel" if len(stages) > 1 else ""
        return [(together, np.ones(cells.n_obs, dtype=bool))]
    named = {
        argument: k
        for argument, k in (("stage_key", stage_key), ("sample_key", sample_key))
        if k is not None
    }
    labels = {k: categories(cells, k, argument) for argument, k in named.items()}
    outer, inner = next(iter(labels)), list(labels)[-1]
    stage_of, sample_of = labels[outer], labels[inner]
    groups = list(dict.fromkeys(zip(stage_of, sample_of, strict=True)))
    written = _category_order(cells.obs[outer])
    groups.sort(
        key=lambda g: (_rank(g, stages), written.get(g[0], 0), _natural(g[0]), _natural(g[1]))
    )
    known = list(dict.fromkeys(g[1] for g in groups))
    wanted = (
        known
        if sample is None
        else [sample]
        if isinstance(sample, str)
        else [str(s) for s in sample]
    )
    for name in wanted:
        if name not in known:
            raise InvalidArgumentError(
                f"`sample` names {name!r}, which is not in `adata.obs[{inner!r}]`; it has {shorten(known, 20)}.{closest(name, known)}"
            )
    groups = [g for g in groups if g[1] in wanted]
    if len(groups) > 1 and not any(name in stages for group in groups for name in group):
        logger.warning(
            "No slice is a stage of the result (%s); slices are in order of their names. Name `stage_key`.",
            shorten(stages),
        )
    if not wanted:
        raise InvalidArgumentError("`sample` is empty; None draws all slices.")
    return [
        (b if a in b else f"{a} · {b}", (stage_of == a) & (sample_of == b))
        for a, b in groups
        if b in set(wanted)
    ]


def _rank(group: tuple[str, str], stages: list[str]) -> int:
    return min((stages.index(name) for name in group if name in stages), default=len(stages))


def _category_order(column: pd.Series) -> dict[str, int]:
    """Place of every category of an ordered column; nothing for others."""
    dtype = column.dtype
    if not isinstance(dtype, pd.CategoricalDtype) or not dtype.ordered:
        return {}
    return {str(c): k for k, c in enumerate(dtype.categories)}


def _natural(name: str) -> list[str | int]:
    """Sorts slice2 before slice10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
