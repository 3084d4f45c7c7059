"""How far each ligand reaches."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from anndata import AnnData

from .. import _keys
from .._check import RandomSource, positive, seed_of, share_of_one
from .._data.table import as_table, check_copy
from .._errors import InvalidArgumentError
from .._result import Result, add_ranges
from .._settings import settings

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def ranges(
    data: AnnData | SpatialData,
    radii: Sequence[float] | None = None,
    *,
    max_q: float = _keys.MAX_SIGNIFICANT_Q,
    rng: RandomSource | None = None,
    seed: int | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Estimate how far each ligand reaches, from a list of radii.

    For every ligand with a significant edge, exposures are computed at every radius. The exposures
    of its significant pairs predict the residuals of their targets in held-out spatial blocks. The
    radius with the largest held-out likelihood is preferred. Its interval contains 95 % of the
    preferred radii over bootstrap samples of the blocks.

    A radius is the distance at which the weight of a sender has fallen to 0.05, as in
    :func:`spatrace_sc.tl.infer_ccc`.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`.
    radii
        At least two, in the units of the coordinates. None: 1.5, 3, 5, 10 and 20 median distances
        between nearest cells; 1.5 stands for contact.
    max_q
        Largest q of the edges that are used.
    rng
        Seed of the bootstrap draws, or a :class:`numpy.random.Generator` that draws one. None: 0.
    seed
        Former name of ``rng``.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Writes ``uns[key]["ranges"]`` and
    ``uns[key]["range_profile"]``; read them with :func:`spatrace_sc.get.ranges`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        If there is no result under ``key``, or an argument is out of range.
    DataError
        If the data have changed since the inference.

    Notes
    -----
    Edges are those found with the radius of the inference, so ligands of a very different range are
    found less often. ``docs/ranges.md`` shows how often the range is right.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.ranges(adata, max_q=1.0)
    >>> list(st.get.ranges(adata).columns)
    ['ligand', 'n_edges', 'radius', 'low', 'high', 'determined']
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    share_of_one(max_q, "max_q")
    drawn = seed_of(rng, seed)
    Result.read(adata, key, of_cells=True)
    chosen = None if radii is None else _radii(radii)
    from .._inference.ranges import ranges_of_ligands

    table, profile = ranges_of_ligands(
        adata, key, chosen, float(max_q), seed=drawn, progress=settings.progress
    )
    if copy:
        adata = adata.copy()
    add_ranges(adata, key, table, profile)
    n = int(table["determined"].sum())
    logger.info(
        "%d ligands have an edge with q ≤ %g; the range of %d is determined.",
        *(len(table), max_q, n),
    )
    return adata if copy else None


def _radii(radii: Sequence[float]) -> list[float]:
    """Return the radii in ascending order."""
    if isinstance(radii, str) or not isinstance(radii, Iterable):
        raise InvalidArgumentError(f"`radii` must be a list of numbers, found {radii!r}.")
    listed = list(radii)
    for radius in listed:
        positive(radius, "radii", " in the units of the coordinates")
    chosen = sorted({float(radius) for radius in listed})
    if len(chosen) < 2:
        raise InvalidArgumentError(
            f"`radii` must list at least two different radii, found {listed!r}."
        )
    return chosen
