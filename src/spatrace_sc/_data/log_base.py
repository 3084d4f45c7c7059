"""Expression in natural logarithms, whatever the base it is stored in."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from anndata import AnnData
from scipy import sparse

from .._core.log_base import LogBase, evidence, find_base, natural_logarithms
from .._core.rounded_counts import Rounding, rounding_of
from .._errors import warn
from .matrix_forms import InMemory
from .on_disk import OnDisk, blocks_of, stored_values

logger = logging.getLogger("spatrace_sc")

#: Slot of ``uns`` in which scanpy names the base.
LOG1P = "log1p"


def in_natural_logarithms(
    matrix: InMemory | OnDisk, probe: Sequence[InMemory], adata: AnnData, layer: str | None
) -> InMemory | OnDisk:
    """Return log expression in natural logarithms.

    The base is the one under which the values of the ``probe``, some cells of the matrix, are
    counts; where they are counts under none, the base in ``uns["log1p"]``, or e. Counts that were
    rounded as logarithms, e.g. to float16, get their digits back.
    """
    name = name_of(layer)
    rounding = rounding_of(np.concatenate([stored_values(block).ravel() for block in probe]))
    named = named_base(adata)
    base = find_base(probe, named, rounding)
    _report_base(base, named, probe, rounding, layer)
    if rounding is not None:
        _report_rounding(base, rounding, name)
    if base.factor == 1.0 and (rounding is None or not base.counts):
        return matrix
    convert = partial(
        natural_logarithms, factor=base.factor, rounding=rounding if base.counts else None
    )
    if isinstance(matrix, OnDisk):
        return matrix.converted(convert)
    blocks = [convert(block) for block in blocks_of(matrix)]
    if isinstance(matrix, np.ndarray):
        return np.concatenate(blocks)
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))


def name_of(layer: str | None) -> str:
    """Return the name of ``X`` or of a layer in messages."""
    return "`adata.X`" if layer is None else f"`adata.layers[{layer!r}]`"


def named_base(adata: AnnData) -> float | None:
    """Return the base in ``uns["log1p"]``; None if it is not named or not a base."""
    entry = adata.uns.get(LOG1P)
    value = entry.get("base") if isinstance(entry, Mapping) else None
    if value is None:
        return None
    try:
        base = float(np.asarray(value).item())
    except (TypeError, ValueError):
        base = np.nan
    if not np.isfinite(base) or base <= 1.0:
        logger.warning(
            "uns[%r]['base'] is %r, which is not the base of a logarithm; it is ignored.",
            LOG1P,
            value,
        )
        return None
    return math.e if np.isclose(base, math.e, rtol=1e-6) else base


def _report_base(
    base: LogBase,
    named: float | None,
    probe: Sequence[InMemory],
    rounding: Rounding | None,
    layer: str | None,
) -> None:
    """Log a base other than e; warn if ``uns`` contradicts the values."""
    name = name_of(layer)
    if named is not None and base.base != named:
        share = evidence(probe, named, rounding).share
        message = (
            f"`adata.uns[{LOG1P!r}]['base']` is {named:g}, but the values of {name} are counts in "
            f"logarithms of base {_shown(base.base)} ({base.share:.0%} of the cells; "
            f"{share:.0%} under base {named:g}). Base {_shown(base.base)} is used; correct the "
            f"entry, e.g. `adata.uns[{LOG1P!r}]['base'] = "
            f"{'None' if base.base == math.e else _shown(base.base)}`."
        )
        if layer is None:
            warn(message)
        else:  # the entry may speak of X
            logger.info(message)
    elif base.counts and base.base != math.e:
        logger.info(
            "%s is in logarithms of base %s, under which its values are counts; it is read in "
            "natural logarithms.",
            *(name, _shown(base.base)),
        )
    elif base.base != math.e:
        logger.warning(
            "%s is read as logarithms of base %s, as uns[%r] says; its values are not counts under "
            "any base, so this cannot be checked.",
            *(name, _shown(base.base), LOG1P),
        )


def _report_rounding(base: LogBase, rounding: Rounding, name: str) -> None:
    """Log that digits come back; warn if they are lost for good."""
    if base.counts:
        logger.info(
            "The values of %s were rounded to %s; each is read as the count next to it.",
            *(name, rounding),
        )
    elif rounding.decimals is None:
        warn(
            f"the values of {name} have only {rounding}, and they are not log1p of normalised "
            "counts, so the lost digits cannot be restored and results are less exact. Store "
            "expression as float32 (`sc.pp.log1p` of float32 counts)."
        )


def _shown(base: float) -> str:
    return "e" if base == math.e else f"{base:g}"
