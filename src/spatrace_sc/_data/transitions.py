"""Transitions that preparation stored."""

from __future__ import annotations

from collections.abc import Mapping

from anndata import AnnData

from .. import _keys


def written_transitions(adata: AnnData) -> list[str]:
    """Return the names of the transitions that :func:`spatrace_sc.pp.transitions` wrote."""
    return [
        str(name)
        for name, slot in adata.uns.items()
        if isinstance(slot, Mapping) and _keys.REACH in slot
    ]
