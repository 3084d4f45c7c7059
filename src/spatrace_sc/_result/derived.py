"""What later verbs stored in a result, checked when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _keys
from .._edges import COMPARED_COLUMNS
from .._errors import MissingKeyError
from .damage import damaged, require_table, whole
from .parts import FORMER_TABLES, Comparison, Controls, Knockout

#: Tables of controls that figures read, and their columns.
CONTROLS = {
    "false_discoveries": [
        *("table", "control", "threshold", "calls", "control_calls", "n_draws"),
        *("expected_false", "false_share", "low", "high"),
    ],
    "power": [
        *("tissue", "table", "size", "n", "power", "low", "high", "right_sign", "rival_share"),
    ],
    "limits": [
        *("tissue", "table", "share", "share_low", "share_high"),
        *("effect", "effect_low", "effect_high", "n_receivers"),
    ],
}


def derived_slots(slots: Mapping[str, Any], name: str, key: str, call: str) -> Any:
    """Return what a later verb stored; ``call`` begins the call that adds it.

    Raises
    ------
    MissingKeyError
        If it is not stored.
    """
    if name not in slots:
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` has no {name}; call `{call}key={key!r})` first."
        )
    return slots[name]


def comparison_in(slots: Mapping[str, Any], key: str) -> Comparison:
    """Return differences between groups."""
    begins = "st.tl.compare(adata, groups=..., "
    stored, call = derived_slots(slots, "comparison", key, begins), f"{begins}key={key!r})"
    found = whole(key, "comparison", call, lambda: Comparison.from_slots(stored))
    former = {new: old for old, new in FORMER_TABLES.items() if old in stored}
    for kind, columns in COMPARED_COLUMNS.items():
        path = f"comparison/{former.get(kind, kind)}"
        require_table(slots, path, [*columns, *_keys.COMPARISON], key, call)
    if len(set(found.names)) < 2:
        raise damaged(key, "comparison names fewer than two groups", call)
    return found


def controls_in(slots: Mapping[str, Any], key: str) -> Controls:
    """Return negative and positive controls on this tissue."""
    begins = "st.tl.controls(adata, "
    stored, call = derived_slots(slots, "controls", key, begins), f"{begins}key={key!r})"
    found = whole(key, "controls", call, lambda: Controls.from_slots(stored))
    for name in found.tables:
        require_table(slots, f"controls/{name}", CONTROLS.get(name, ()), key, call)
    return found


def modules_in(slots: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return tables and parameters of the modules, by their names now."""
    begins = "st.tl.modules(adata, "
    stored, call = derived_slots(slots, "modules", key, begins), f"{begins}key={key!r})"
    found = whole(
        key, "modules", call, lambda: {FORMER_TABLES.get(n, n): v for n, v in stored.items()}
    )
    former = {new: old for old, new in FORMER_TABLES.items() if old in stored}
    for kind, columns in _keys.MODULES.items():
        require_table(slots, f"modules/{former.get(kind, kind)}", columns, key, call)
    if not isinstance(found.get("obsm"), str):
        raise damaged(key, "modules name no slot of their scores", call)
    return found


def knockouts_in(
    slots: Mapping[str, Any], key: str, n_targets: int, stages: list[str]
) -> dict[str, Knockout]:
    """Return stored knockouts by the suffix of their slots."""
    call = f"st.tl.knockout(adata, ..., key={key!r})"
    stored = slots.get("knockouts", {})
    found = whole(
        *(key, "knockouts", call),
        lambda: {str(slug): Knockout.from_slots(value) for slug, value in stored.items()},
    )
    for slug, knockout in found.items():
        path = f"knockouts/{slug}"
        require_table(slots, f"{path}/targets", _keys.KNOCKOUT, key, call)
        columns = ["stage", *_keys.KNOCKOUT]
        by_stage = require_table(slots, f"{path}/by_stage", columns, key, call)
        names = np.asarray(by_stage["stage"].astype(str))
        sizes = len(knockout.targets), len(by_stage)
        if sizes != (n_targets, n_targets * len(stages)) or not set(names) <= set(stages):
            raise damaged(key, f"{path} has not one row for every target and stage", call)
    return found
