"""The stored result: what every verb and reader knows of it."""

from __future__ import annotations

import logging
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, find_labels, labels, shorten
from .._edges import EdgeKind
from .._errors import InvalidArgumentError
from .._model.config import Config
from .._regulators import Regulators
from .._study.source import Source, complexes_in
from . import checks
from .compact_tables import expand
from .damage import DERIVED, inference_call, require_table, whole
from .derived import comparison_in, controls_in, derived_slots, knockouts_in, modules_in
from .labels import require_own_labels
from .parts import Applied, Attention, Comparison, Controls, Knockout, Restoration

logger = logging.getLogger("spatrace_sc")


@dataclass(frozen=True)
class Result:
    """A result of :func:`spatrace_sc.tl.infer_ccc` under ``key`` of an AnnData.

    ``slots`` is ``adata.uns[key]``; only this file knows its keys. Properties that a later verb
    fills raise a MissingKeyError that names the call.
    """

    adata: AnnData
    key: str
    slots: dict[str, Any]

    @classmethod
    def read(cls, adata: AnnData, key: str, *, of_cells: bool | None = False) -> Result:
        """Return the result under a key.

        Parameters
        ----------
        of_cells
            True: values of cells are read, so every cell must belong to the result. False: tables
            are read, and cells that differ from those of the inference draw a warning. None:
            cells are not compared.

        Raises
        ------
        InvalidArgumentError
            If ``adata`` is no AnnData.
        MissingKeyError
            If there is no result; the message lists those that exist.
        DataError
            If a version of the package wrote it that this one cannot read, or if ``of_cells`` and
            the result is not of these cells, or they have exchanged their labels since.
        """
        result = cls(adata, key, checks.find_slots(adata, key))
        if of_cells is not None:
            unchanged = checks.receives_as_before(
                adata, result.cell_slots["tf_activity"], result.restoration
            )
            match = checks.match_cells(adata.obs_names, result.cells, can_be_renamed=unchanged)
            checks.check_cells(match, key, own=of_cells)
        if of_cells:
            require_own_labels(adata, result.slots, result.cells, key)
        return result

    @property
    def form(self) -> int:
        """Version of the stored form."""
        return int(self.slots.get("form", 1))

    @property
    def in_data_order(self) -> bool:
        """Whether computations followed an order that the data give, not that of the file."""
        return self.form >= 3

    @cached_property
    def genes(self) -> Regulators:
        """Genes by role and their numbering."""
        params, genes = self.slots.get("params", {}), self.slots["genes"]
        homophilic, complexes = bool(params.get("homophilic", True)), complexes_in(params)
        return Regulators.from_mapping(genes, homophilic=homophilic, complexes=complexes)

    @cached_property
    def source(self) -> Source:
        """The parts of the AnnData that were read."""
        return Source.from_params(self.slots["params"])

    @cached_property
    def config(self) -> Config:
        """The configuration of the inference."""
        return Config.from_dict(self.slots["params"]["config"])

    @property
    def seed(self) -> int:
        """The seed of the inference."""
        return int(self.slots["params"]["seed"])

    @property
    def params(self) -> dict[str, Any]:
        """A copy of the arguments, in their stored form, and the versions of the software."""
        stored = {"version": self.slots.get("version"), "versions": self.slots.get("versions", {})}
        return deepcopy(dict(self.slots["params"]) | stored)

    @cached_property
    def stages(self) -> list[str]:
        """Stages in order of time."""
        return [str(stage) for stage in self.slots["stages"]]

    def stage_index(self, stage: object) -> int:
        """Return the index of a stage.

        Raises
        ------
        InvalidArgumentError
            For an unknown stage; the message lists the stages.
        """
        present, _ = find_labels(labels(stage, "stage"), self.stages)
        if len(present) != 1:
            raise InvalidArgumentError(
                f"`stage={stage!r}` is not in the result; its stages are "
                f"{shorten(self.stages, 20)}.{closest(str(stage), self.stages)}"
            )
        return self.stages.index(present[0])

    @property
    def cells(self) -> pd.Index:
        """Names of the cells at the time of the inference; empty where they were not stored."""
        return checks.cell_names(self.slots)

    def table(self, kind: EdgeKind) -> pd.DataFrame:
        """Return the compact table of a kind: rows with a score, genes as indices."""
        table: pd.DataFrame = self.slots[kind.name]
        return table

    def lists_all(self, kind: EdgeKind) -> bool:
        """Whether every candidate of a kind is listed, also those with score 0."""
        return int(self.slots["candidates"][kind.name]) <= self.config.max_edges

    def p_values(self, kind: EdgeKind) -> NDArray[np.float64]:
        """(candidates,) p-values of a kind, those with score 0 among them."""
        return np.asarray(self.slots["p_values"][kind.name], dtype=np.float64)

    @property
    def minimum_effect(self) -> NDArray[np.float64]:
        """(G,) minimum meaningful effect on each target."""
        return np.asarray(self.slots["minimum_effect"], dtype=np.float64)

    @property
    def noise_known(self) -> bool:
        """Whether the count noise was known; otherwise all TF → target edges have q = 1."""
        return bool(self.slots.get("noise_known", True))

    @property
    def group_names(self) -> NDArray[np.object_]:
        """Names of the groups that the column ``group`` points to; the first is empty."""
        return np.asarray(self.slots["groups"], dtype=object)

    def stage_factor(
        self, stage: str, *, pairs: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the factors of the TFs, or of all pairs, in a stage, and their standard errors.

        Pairs that are not listed have the factor 1 without an error.
        """
        row, factors = self.stage_index(stage), self.slots["stage_factors"]
        name = "pair" if pairs else "tf"
        values = [np.asarray(factors[slot], dtype=np.float64)[row] for slot in (name, f"{name}_se")]
        if not pairs:
            return values[0], values[1]
        factor, error = np.ones(self.genes.n_pairs), np.zeros(self.genes.n_pairs)
        listed = self.genes.pair_of_rows(self.slots["lr_pairs"])
        factor[listed], error[listed] = values
        return factor, error

    def communication(self, *, by_stage: bool = False) -> pd.DataFrame:
        """Return the table of sender type × receiver type × pair."""
        table: pd.DataFrame = self.slots["communication_by_stage" if by_stage else "communication"]
        return expand(table)

    @property
    def has_new_communication(self) -> bool:
        """Whether :func:`spatrace_sc.tl.communication` has replaced the tables of the inference."""
        return "communication_params" in self.slots

    @property
    def target_moments(self) -> NDArray[np.float64]:
        """(2, G) moments of the targets, by which changed data are recognised."""
        return np.asarray(self.slots["target_moments"], dtype=np.float64)

    @property
    def refits(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(A,) edge indices over (F + P, G + F) and (refits, A) weights."""
        edge, weight = (np.asarray(self.slots["refits"][name]) for name in ("edge", "weight"))
        return edge.astype(np.int64), weight.astype(np.float64)

    @property
    def model(self) -> dict[str, Any]:
        """Parameters of the fitted model as arrays."""
        return dict(self.slots["model"])

    def attention(self, kind: EdgeKind) -> Attention:
        """Return the attention of targets to TFs or pairs; MissingKeyError if none is stored."""
        slots = self.slots.get("attention_to_pairs" if kind.of_pairs else "attention")
        call = inference_call(self.key)
        return whole(
            self.key, "attention", call, lambda: Attention.from_slots(slots, self.key, kind)
        )

    @property
    def history(self) -> pd.DataFrame:
        """Training error by epoch."""
        table: pd.DataFrame = self.slots["history"]
        return table[_keys.HISTORY].reset_index(drop=True)

    @property
    def restoration(self) -> Restoration | None:
        """Data that restoring needs in addition to the AnnData; None in form 1."""
        slots = self.slots.get("restoration")
        return None if slots is None else Restoration.from_slots(slots)

    @property
    def applied(self) -> Applied | None:
        """What a model that was applied to these cells brought; None for an inference."""
        slots, call = self.slots.get("applied"), f"st.tl.apply_model(..., key_added={self.key!r})"
        if slots is None:
            return None
        return whole(self.key, "applied", call, lambda: Applied.from_slots(slots))

    @property
    def activity_pairs(self) -> pd.DataFrame:
        """Pairs with a stored activity, strongest first: ligand, receptor, score, p and q."""
        table: pd.DataFrame = self.slots["activity_pairs"]
        return table.astype({"ligand": str, "receptor": str}).reset_index(drop=True)

    @property
    def tf_scores(self) -> NDArray[np.float64]:
        """(F,) strength of every TF, by which its activity was multiplied."""
        return np.asarray(self.slots["tf_scores"], dtype=np.float64)

    @property
    def cell_slots(self) -> dict[str, str]:
        """Slots of ``obsm`` with values per cell, by what they hold."""
        return {
            "activity": str(self.slots["obsm"]),
            "activity_se": str(self.slots["obsm_se"]),
            "tf_activity": str(self.slots["obsm_tf"]),
        }

    def per_cell(self, values: str) -> NDArray[np.float32]:
        """Return (cells, pairs or TFs) ``"activity"``, ``"activity_se"`` or ``"tf_activity"``.

        A slot that has been removed from ``obsm`` is a MissingKeyError.
        """
        call = f"st.tl.infer_ccc(adata, key_added={self.key!r})"
        n = len(self.tf_scores if values == "tf_activity" else self.slots["activity_pairs"])
        return checks.stored_values(self.adata, self.cell_slots[values], "the inference", call, n)

    def derived_table(self, name: str, call: str) -> pd.DataFrame:
        """Return a table of a later verb; ``call`` begins the call that adds it."""
        derived_slots(self.slots, name, self.key, call)
        whole_call = f"{call}key={self.key!r})"
        return require_table(self.slots, name, DERIVED[name], self.key, whole_call)

    @property
    def comparison(self) -> Comparison:
        """Differences between groups."""
        return comparison_in(self.slots, self.key)

    @property
    def controls(self) -> Controls:
        """Negative and positive controls on this tissue."""
        return controls_in(self.slots, self.key)

    @property
    def modules(self) -> dict[str, Any]:
        """Tables and parameters of the modules, by name; ``obsm`` is the slot of their scores."""
        return modules_in(self.slots, self.key)

    @property
    def module_scores(self) -> NDArray[np.float32]:
        """(cells, K) scores of the modules."""
        call, modules = f"st.tl.modules(adata, key={self.key!r})", self.modules
        n = len(modules["summary"])
        return checks.stored_values(self.adata, str(modules["obsm"]), "`st.tl.modules`", call, n)

    @cached_property
    def knockouts(self) -> dict[str, Knockout]:
        """Stored knockouts by the suffix of their slots."""
        return knockouts_in(self.slots, self.key, self.genes.n_targets, self.stages)
