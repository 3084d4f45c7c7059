"""Which parts of an AnnData an inference reads, so that they can be read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._data.cell_types import read_proportions, type_labels
from .._data.cells import time_column
from .._data.complexes import MINIMUM
from .._keys import COMPLEXES

#: Fields that name a column or a slot; stored as "" where they are None.
KEYS = (
    *("cell_type_key", "sample_key", "stage_key", "time_key"),
    *("spatial_key", "layer", "transitions_key", "gene_symbols"),
)


@dataclass(frozen=True)
class Source:
    """The reading keys of :func:`spatrace_sc.tl.infer_ccc`, under the names of its arguments.

    ``senders`` and ``receivers`` are cell types and ``radius`` a length in the units of the
    coordinates; until the data have been read they are as the user gave them: None, a name of a
    platform, or µm with a ``scale`` (µm per unit), which is not stored. ``homophilic``:
    whether a gene may pair with itself. ``covariates`` are sorted columns of ``obs`` and slots
    of ``obsm``. ``complexes``: names in results of the subunits of every complex, known once the
    data have been read; ``complex_level``: how its level follows from theirs. With
    ``proportions``, a slot of ``obsm``, ``cell_type_key`` is None. ``own``: whether a cell signals
    to itself.
    """

    cell_type_key: str | None
    sample_key: str | None
    stage_key: str | None
    time_key: str
    spatial_key: str
    layer: str | None
    transitions_key: str | None
    gene_symbols: str | None
    senders: Sequence[str] | None
    receivers: Sequence[str] | None
    radius: float | str | None
    homophilic: bool = False
    covariates: tuple[str, ...] = ()
    complexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    complex_level: str = MINIMUM
    scale: float | None = None
    proportions: str | None = None
    own: bool = False

    def types(self, adata: AnnData, *, fill: bool = False) -> NDArray[np.str_]:
        """Return one type per cell, see :func:`spatrace_sc._data.cell_types.type_labels`."""
        return type_labels(adata, self.cell_type_key, self.proportions, fill=fill)

    def roles(
        self, adata: AnnData, types: NDArray[np.str_]
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(cells,) masks of senders and receivers, by the types that were used.

        Mixed spots without time only send.
        """
        sends, receives = (np.isin(types, list(t or ())) for t in (self.senders, self.receivers))
        if self.proportions is not None:
            receives &= np.isfinite(time_column(adata, self.time_key))
        return sends, receives

    def sender_names(self, adata: AnnData) -> list[str]:
        """Return the cell types that send: those with a proportion in a spot that does."""
        if self.proportions is None:
            return [str(name) for name in self.senders or ()]
        mixture = read_proportions(adata, self.proportions)
        sending = np.isin(mixture.labels, list(self.senders or ()))
        return [str(name) for name in mixture.among(sending).names]

    @property
    def stage_column(self) -> str | None:
        """Column of ``obs`` with the stages: the samples where no stages were named."""
        return self.stage_key if self.stage_key is not None else self.sample_key

    @property
    def columns(self) -> tuple[str | None, ...]:
        """Columns and slots that the model uses: cell type, slice, stage, time, proportions."""
        keys = (self.cell_type_key, self.sample_key, self.stage_key, self.time_key)
        return (*keys, self.proportions)

    @property
    def slice_column(self) -> str | None:
        """Column of ``obs`` with the slices: the stages where no samples were named."""
        return self.sample_key if self.sample_key is not None else self.stage_key

    def resolved(
        self,
        senders: Sequence[str],
        receivers: Sequence[str],
        radius: float,
        complexes: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Source:
        """Return the source with the cell types, the radius and the complexes that were used."""
        used = replace(self, senders=list(senders), receivers=list(receivers), scale=None)
        return replace(used, radius=radius, complexes=dict(complexes or {}))

    def to_params(self) -> dict[str, Any]:
        """Return plain values that every file format takes."""
        params: dict[str, Any] = {key: getattr(self, key) or "" for key in KEYS}
        for role in ("senders", "receivers"):
            params[role] = np.array(sorted(map(str, getattr(self, role) or ())), dtype=object)
        params["covariates"] = np.array(self.covariates, dtype=object)
        if self.complexes:
            rows = [(name, gene) for name, genes in self.complexes.items() for gene in genes]
            params[COMPLEXES] = pd.DataFrame(rows, columns=["complex", "subunit"], dtype=object)
            params["complex_level"] = self.complex_level
        params |= {"proportions": self.proportions or "", "own": bool(self.own)}
        return params | {"radius": self.radius, "homophilic": bool(self.homophilic)}

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Source:
        """Build from what :meth:`to_params` returned, after a file has been written and read."""
        keys: dict[str, Any] = {key: str(params[key]) or None for key in KEYS}
        types: dict[str, Any] = {
            role: [str(name) for name in params[role]] for role in ("senders", "receivers")
        }
        homophilic = bool(params.get("homophilic", True))  # True in results of version 0.1.0
        named = tuple(str(name) for name in params.get("covariates", ()))
        return cls(
            **keys,
            **types,
            radius=float(params["radius"]),
            homophilic=homophilic,
            covariates=named,
            complexes=complexes_in(params),
            complex_level=str(params.get("complex_level", MINIMUM)),
            proportions=str(params.get("proportions", "")) or None,
            own=bool(params.get("own", False)),
        )


def complexes_in(params: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the complexes in stored parameters, by the names in results of their subunits."""
    if COMPLEXES not in params:
        return {}
    subunits = params[COMPLEXES].astype(str).groupby("complex", sort=False)["subunit"]
    return {str(name): tuple(genes) for name, genes in subunits}
