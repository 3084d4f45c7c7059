"""Parts of a stored result that are records of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._edges import EdgeKind
from .._errors import MissingKeyError

#: Names of tables in form 1 → their names now.
FORMER_TABLES = {"pair_activity": "lr_pair_activity", "pairs": "lr_pairs"}


@dataclass(frozen=True)
class Restoration:
    """What :func:`spatrace_sc._inference.restore.restore` cannot derive from the data alone.

    ``held_out`` (receivers,) marks the cells that training did not see. ``backward`` and ``state``
    (receivers, receivers) are the transitions to earlier cells and to earlier cells of the same
    state, None where they are too many to be stored. ``streams`` are the seeds of the random
    streams, by the name of the step that draws from them. ``overdispersion`` of the counts, which
    earlier versions took for 0.
    """

    held_out: NDArray[np.bool_]
    backward: sparse.csr_matrix | None
    state: sparse.csr_matrix | None
    streams: dict[str, int]
    overdispersion: float = 0.0

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        matrices = {"backward": self.backward, "state": self.state}
        present = {name: matrix for name, matrix in matrices.items() if matrix is not None}
        return {
            "held_out": self.held_out,
            "streams": self.streams,
            "overdispersion": self.overdispersion,
        } | present

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any]) -> Restoration:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        backward, state = (
            sparse.csr_matrix(slots[name]) if name in slots else None
            for name in ("backward", "state")
        )
        streams = {str(name): int(seed) for name, seed in slots["streams"].items()}
        held_out = np.asarray(slots["held_out"], dtype=bool)
        overdispersion = float(slots.get("overdispersion", 0.0))
        return cls(held_out, backward, state, streams, overdispersion)


@dataclass(frozen=True)
class Applied:
    """What a result holds in addition where a model was applied to other cells.

    ``reading_scales`` and ``level_scales`` of the cells that the model was fitted to, as plain
    values. ``prediction`` has a row for every target; ``summary`` the R² over all targets and the
    numbers of cells; ``missing`` are the targets that the data lack.
    """

    reading_scales: dict[str, Any]
    level_scales: dict[str, Any]
    prediction: pd.DataFrame
    summary: dict[str, float]
    missing: list[str]

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        return {**vars(self), "missing": np.array(self.missing, dtype=object)}

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any]) -> Applied:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        return cls(
            dict(slots["reading_scales"]),
            dict(slots["level_scales"]),
            slots["prediction"].astype({"target": str}).reset_index(drop=True),
            {str(name): float(value) for name, value in slots["summary"].items()},
            [str(name) for name in slots["missing"]],
        )


@dataclass(frozen=True)
class Attention:
    """Attention of targets to regulators: all TFs, or the ``pairs`` that are tokens.

    ``groups`` has the ``kind`` ("all", "stage", "cell_type"), ``name`` and ``n_cells`` of groups
    of receivers, ``share`` (groups, regulators, targets) their attention, ``effect`` (regulators,
    targets) the effects of silencing, 0 where they were not computed. ``pairs`` (A,) is None for
    TFs.
    """

    groups: pd.DataFrame
    share: NDArray[np.float32]
    effect: NDArray[np.float32]
    pairs: NDArray[np.int64] | None = None

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        slots = {"groups": self.groups, "share": self.share, "effect": self.effect}
        return slots if self.pairs is None else slots | {"pairs": self.pairs}

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any] | None, key: str, kind: EdgeKind) -> Attention:
        """Build from what :meth:`to_slots` returned, after a file has been written and read.

        Raises
        ------
        MissingKeyError
            If the result under ``key`` holds none of this kind.
        """
        if not slots:
            writer = "earlier versions" if kind.of_pairs else "version 0.1.0"
            raise MissingKeyError(
                f"`adata.uns[{key!r}]` holds no attention to {kind.regulator}s: {writer} stored "
                "none, and too few receivers train no network. Call "
                f"`st.tl.infer_ccc(adata, key_added={key!r})` again, with at least 100 receivers."
            )
        groups = slots["groups"].astype({"kind": str, "name": str}).reset_index(drop=True)
        share, effect = (np.asarray(slots[name], dtype=np.float32) for name in ("share", "effect"))
        pairs = np.asarray(slots["pairs"], dtype=np.int64) if kind.of_pairs else None
        return cls(groups, share, effect, pairs)


@dataclass(frozen=True)
class Knockout:
    """One stored knockout.

    ``removed`` has the names by role, ``targets`` and ``by_stage`` are tables, ``obs_slot`` and
    ``obsm_slot`` name the values per cell, the latter "" where none are stored.
    """

    name: str
    removed: dict[str, list[str]]
    targets: pd.DataFrame
    by_stage: pd.DataFrame
    obs_slot: str
    obsm_slot: str
    max_chain: int

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any]) -> Knockout:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        roles = ("ligand", "receptor", "tf", "sender")
        removed = {role: [str(g) for g in slots["params"].get(role, ())] for role in roles}
        return cls(
            str(slots["name"]),
            {role: names for role, names in removed.items() if names},
            slots["targets"],
            slots["by_stage"],
            str(slots["obs"]),
            str(slots["obsm"]),
            int(slots["params"]["max_chain"]),
        )

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        removed = {role: np.array(names, dtype=object) for role, names in self.removed.items()}
        return {
            "name": self.name,
            "params": removed | {"max_chain": self.max_chain},
            "targets": self.targets,
            "by_stage": self.by_stage,
            "obs": self.obs_slot,
            "obsm": self.obsm_slot,
        }


@dataclass(frozen=True)
class Comparison:
    """A stored comparison: the ``column`` of groups, their ``names`` and a table for each kind."""

    column: str
    names: list[str]
    unit: str
    max_q: float
    replicate_key: str | None
    tables: dict[str, pd.DataFrame]

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any]) -> Comparison:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        tables = {
            FORMER_TABLES.get(name, name): value
            for name, value in slots.items()
            if isinstance(value, pd.DataFrame)
        }
        return cls(
            str(slots["groups"]),
            [str(name) for name in slots["names"]],
            str(slots["unit"]),
            float(slots["max_q"]),
            str(slots["replicate_key"]) or None,
            tables,
        )

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        params = {
            "groups": self.column,
            "names": np.array(self.names, dtype=object),
            "unit": self.unit,
            "max_q": self.max_q,
            "replicate_key": self.replicate_key or "",
        }
        return params | self.tables


@dataclass(frozen=True)
class Controls:
    """Stored controls: ``tables`` by name, what they say in ``sentences``, and the arguments."""

    tables: dict[str, pd.DataFrame]
    sentences: list[str]
    params: dict[str, Any]

    def to_slots(self) -> dict[str, Any]:
        """Return plain values for ``uns``."""
        return {
            "params": self.params,
            "sentences": np.array(self.sentences, dtype=object),
            **self.tables,
        }

    @classmethod
    def from_slots(cls, slots: Mapping[str, Any]) -> Controls:
        """Build from what :meth:`to_slots` returned, after a file has been written and read."""
        tables = {
            n: v.reset_index(drop=True) for n, v in slots.items() if isinstance(v, pd.DataFrame)
        }
        return cls(tables, [str(s) for s in slots["sentences"]], dict(slots["params"]))
