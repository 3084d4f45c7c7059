"""Write a result, add what later verbs derive from it, and remove outdated parts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._check import shorten
from .._edges import TESTED_KINDS
from .._errors import InvalidArgumentError
from .._regulators import Regulators
from .._version import __version__
from .checks import FORM, is_result
from .compact_tables import compact
from .labels import labels_of_cells
from .parts import Comparison, Controls, Knockout, Restoration
from .software import software_versions
from .table_checks import CONTENTS, contents_of

logger = logging.getLogger("spatrace_sc")

#: How p and q were obtained, stored with the result.
EVIDENCE = (
    "lr_targets, lr_pairs: target-decoy competition of genes (q: median over refits; p: geometric "
    "mean of the refits); tf_targets: the larger of that and of a test, with Benjamini-Hochberg "
    "adjustment, that the noise-corrected effect exceeds the minimum effect, and q = 1 where the "
    "data are not counts; communication: "
    "permutation of cell types within local squares, Benjamini-Hochberg, and the evidence of the "
    "pair"
)


@dataclass(frozen=True)
class NewResult:
    """What an inference stores.

    ``tables`` by name, genes as indices; ``activity`` and ``activity_se`` (receivers, A),
    ``tf_activity`` (receivers, F); ``matrix`` (senders, receivers); ``senders`` and ``receivers``
    are positions among the cells; ``values`` whatever else goes into ``uns`` under its own name.
    """

    genes: Regulators
    stages: list[str]
    senders: NDArray[np.intp]
    receivers: NDArray[np.intp]
    tables: dict[str, pd.DataFrame]
    groups: list[str]
    activity: NDArray[np.float32]
    activity_se: NDArray[np.float32]
    tf_activity: NDArray[np.float32]
    matrix: sparse.csr_matrix
    restoration: Restoration
    values: dict[str, Any]

    @property
    def n_candidates(self) -> dict[str, int]:
        """Number of candidates by kind."""
        return {kind.name: self.genes.n_candidates(kind) for kind in TESTED_KINDS}


def check_key(adata: AnnData, key: object) -> None:
    """Require a name under which a result can be stored and nothing else is.

    Raises
    ------
    InvalidArgumentError
        If ``key`` is not a valid name, or ``adata.uns[key]`` is not a result.
    """
    if not isinstance(key, str) or not key or "/" in key:
        raise InvalidArgumentError(f"`key_added` must be a name without '/', found {key!r}.")
    if key in adata.uns and not is_result(adata.uns[key]):
        raise InvalidArgumentError(
            f"`key_added={key!r}`: `adata.uns[{key!r}]` holds something else, which would be lost; "
            "choose another name."
        )


def write_result(adata: AnnData, key: str, new: NewResult, params: Mapping[str, Any]) -> None:
    """Store a result under a key; remove a former one and what was derived from it."""
    if key in adata.uns:
        _remove_derived(adata, key)
    slots = {
        "form": FORM,
        "version": __version__,
        "versions": software_versions(),
        "params": dict(params),
        "genes": new.genes.to_mapping(),
        "cells": adata.obs_names.to_numpy(dtype=object),
        "labels": labels_of_cells(adata, params),
        "stages": np.array(new.stages, dtype=object),
        "candidates": new.n_candidates,
        "evidence": EVIDENCE,
        **_with_compact_communication(new.tables),
        "groups": np.array(new.groups, dtype=object),
        **new.values,
        "restoration": new.restoration.to_slots(),
        "obsp": _keys.communication_key(key),
        "obsm": _keys.activity_key(key),
        "obsm_se": _keys.activity_error_key(key),
        "obsm_tf": _keys.tf_activity_key(key),
    }
    adata.uns[key] = slots | {CONTENTS: contents_of(slots)}
    for slot, values in (
        (_keys.activity_key(key), new.activity),
        (_keys.activity_error_key(key), new.activity_se),
        (_keys.tf_activity_key(key), new.tf_activity),
    ):
        adata.obsm[slot] = spread_over_cells(values, new.receivers, adata.n_obs)
    slot = _keys.communication_key(key)
    adata.obsp[slot] = between_cells(new.matrix, new.senders, new.receivers, adata.n_obs)


def _with_compact_communication(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the tables, those of communication in their small form."""
    return {
        name: compact(table) if name.startswith("communication") else table
        for name, table in tables.items()
    }


def spread_over_cells(
    values: NDArray[np.floating], receivers: NDArray[np.intp], n_cells: int
) -> NDArray[np.float32]:
    """Return (cells, features) values of the receivers, NaN in all other cells."""
    cells = np.full((n_cells, values.shape[1]), np.nan, dtype=np.float32)
    cells[receivers] = values
    return cells


def between_cells(
    matrix: sparse.csr_matrix,
    senders: NDArray[np.intp],
    receivers: NDArray[np.intp],
    n_cells: int,
) -> sparse.csr_matrix:
    """Return a senders × receivers matrix as cells × cells."""
    entries = matrix.tocoo()
    rows, columns = senders[entries.row], receivers[entries.col]
    return sparse.csr_matrix((entries.data, (rows, columns)), shape=(n_cells, n_cells))


def _remove_derived(adata: AnnData, key: str) -> None:
    """Remove what other verbs derived from the result that is about to be replaced."""
    slots = [
        (mapping, name)
        for mapping in (adata.obs, adata.obsm, adata.obsp)
        for name in list(mapping)
        if str(name).startswith(_keys.outdated(key))
    ]
    for mapping, name in slots:
        del mapping[name]
    if slots:
        logger.info(
            "Removed results that were derived from the former one: %s.",
            shorten(name for _, name in slots),
        )


def _merge(adata: AnnData, key: str, slots: Mapping[str, Any]) -> None:
    """Add slots to a stored result; other AnnData that share its dictionary keep theirs."""
    former = dict(adata.uns[key])
    contents = dict(former.get(CONTENTS, {})) | contents_of(slots)
    adata.uns[key] = former | dict(slots) | {CONTENTS: contents}


def add_cascades(adata: AnnData, key: str, table: pd.DataFrame) -> None:
    """Store the paths pair → TF → target."""
    _merge(adata, key, {"cascades": table})


def add_communication(
    adata: AnnData, key: str, tables: Mapping[str, pd.DataFrame], params: Mapping[str, Any]
) -> None:
    """Store the tables of sender and receiver types, and how they were computed."""
    compacted = _with_compact_communication(tables)
    _merge(adata, key, {**compacted, "communication_params": dict(params)})


def add_comparison(adata: AnnData, key: str, comparison: Comparison) -> None:
    """Store differences between groups."""
    _merge(adata, key, {"comparison": comparison.to_slots()})


def add_controls(adata: AnnData, key: str, controls: Controls) -> None:
    """Store the controls of a result; a table of settings replaces only that table."""
    former = dict(adata.uns[key].get("controls", {}))
    slots = controls.to_slots()
    if set(controls.tables) == {"settings"}:
        slots = {"params": {}, "sentences": slots["sentences"]} | former | controls.tables
    else:
        slots = {name: former[name] for name in ("settings",) if name in former} | slots
    _merge(adata, key, {"controls": slots})


def add_ranges(adata: AnnData, key: str, table: pd.DataFrame, profile: pd.DataFrame) -> None:
    """Store the ranges of ligands, and the likelihood at every radius."""
    _merge(adata, key, {"ranges": table, "range_profile": profile})


def add_modules(
    adata: AnnData, key: str, tables: Mapping[str, Any], scores: NDArray[np.float32]
) -> None:
    """Store the tables of modules and (cells, K) scores."""
    slot = _keys.modules_key(key)
    adata.obsm[slot] = scores
    _merge(adata, key, {"modules": {**tables, "obsm": slot}})


def add_partial_residuals(adata: AnnData, key: str, table: pd.DataFrame) -> None:
    """Store the partial residuals of one edge; those of the same edge are replaced."""
    former = adata.uns[key].get("partial_residuals", table.iloc[:0])
    edge = table[["regulator", "target"]].iloc[0].to_numpy()
    others = former[(former[["regulator", "target"]].astype(str).to_numpy() != edge).any(axis=1)]
    merged = pd.concat([others, table], ignore_index=True) if len(others) else table
    _merge(adata, key, {"partial_residuals": merged.reset_index(drop=True)})


def add_knockout(
    adata: AnnData, key: str, slug: str, knockout: Knockout, cells: NDArray[np.floating] | None
) -> None:
    """Store a knockout, and (cells, G) changes where there are any to be stored."""
    if cells is None:
        adata.obsm.pop(_keys.knockout_key(key, slug), None)
    else:
        adata.obsm[knockout.obsm_slot] = cells
    former = dict(adata.uns[key].get("knockouts", {}))
    _merge(adata, key, {"knockouts": former | {slug: knockout.to_slots()}})
