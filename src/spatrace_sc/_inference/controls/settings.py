"""Settings of the inference compared by power at an equal false discovery rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..._edges import TESTED_KINDS, TF_TARGETS, EdgeKind
from ..._keys import MAX_SIGNIFICANT_Q
from ..._study.implants import plant
from ..._study.misplaced_senders import misplace_senders
from ..._study.records import Study
from ..._study.source import Source
from ..restore import Restored
from .draws import IMPLANTS, KINDS, MISPLACED, ControlTissue, Design
from .outcomes import MAX_KEPT_Q, Outcome, n_significant
from .plan import plan_implants
from .power import wilson_interval

COLUMNS = ["setting", "table", "r2", "max_q", "n", "power", "low", "high"]
#: Position of the random streams of settings, behind those of all kinds of control tissues.
STREAM = len(KINDS)


@dataclass(frozen=True)
class Settings:
    """Values of one argument of the inference that are compared."""

    argument: str
    values: tuple[Any, ...]

    def names(self) -> list[str]:
        """Return a name for every value, e.g. "radius = 50"."""
        return [f"{self.argument} = {_text(value)}" for value in self.values]

    def sources(self, source: Source) -> list[Source]:
        """Return where the data are read with every value."""
        return [replace(source, **{self.argument: value}) for value in self.values]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def setting_tissues(
    read: Callable[[Source], Study],
    restored: Restored,
    design: Design,
    settings: Settings,
    skip: set[str],
) -> Iterator[ControlTissue]:
    """Yield tissues with implants and with misplaced senders, each read with every setting.

    All settings see the same implants. The range of each implanted pair is that of one of the
    settings, drawn at random, so that none of them is favoured.
    """
    names = settings.names()
    studies = [read(source) for source in settings.sources(restored.result.source)]
    for number in range(design.n_draws[IMPLANTS]):
        rng = np.random.default_rng([design.seed, STREAM, number])
        plan = plan_implants(restored.study, restored.result, design.sizes, rng)
        planted, table = plant(restored.study, plan, rng, studies)
        for setting, study in zip(names, studies, strict=True):
            name = f"{IMPLANTS} {number + 1}, {setting}"
            if name not in skip:
                changed = replace(study, target=planted.target)
                yield ControlTissue(
                    *(name, IMPLANTS, changed, design.seed + number),
                    implants=table,
                    setting=setting,
                )
    for number in range(design.n_draws[MISPLACED]):
        for position, (setting, study) in enumerate(zip(names, studies, strict=True)):
            name = f"{MISPLACED} {number + 1}, {setting}"
            rng = np.random.default_rng([design.seed, STREAM + 1 + position, number])
            if name not in skip:
                moved = misplace_senders(study, rng)
                yield ControlTissue(name, MISPLACED, moved, design.seed + number, setting=setting)


def compare_settings(outcomes: Sequence[Outcome], implants: pd.DataFrame) -> pd.DataFrame:
    """Return power and held-out R² of every setting.

    ``max_q`` is the largest q at which misplaced senders expect at most a tenth of the calls to be
    false, one false call more than seen being assumed; it is 0.1 for TF edges, which they do not
    judge. ``power`` is the share of the ``n`` implants that have at most this q, with its 95 %
    interval; NaN where no q is small enough. ``r2`` is that of the model with pairs, in held-out
    blocks of the tissues with implants.
    """
    rows = []
    for setting in dict.fromkeys(outcome.setting for outcome in outcomes):
        of_setting = [o for o in outcomes if o.setting == setting]
        planted = [o for o in of_setting if o.kind == IMPLANTS]
        moved = [o for o in of_setting if o.kind == MISPLACED]
        r2 = float(np.mean([o.r2 for o in planted])) if planted else np.nan
        for kind in TESTED_KINDS:
            part = implants[(implants["setting"] == setting) & (implants["table"] == kind.name)]
            max_q = _equal_rate(kind, planted, moved)
            found = int((part["q_value"].to_numpy(dtype=float) <= max_q).sum())
            interval = wilson_interval(found, len(part))
            power = found / len(part) if len(part) else np.nan
            known = (power, *interval) if max_q > 0 else (np.nan,) * 3
            rows.append((setting, kind.name, r2, max_q, len(part), *known))
    return pd.DataFrame(rows, columns=COLUMNS)


def _equal_rate(kind: EdgeKind, planted: Sequence[Outcome], moved: Sequence[Outcome]) -> float:
    """Return the largest q at which a tenth of the calls at most are expected to be false."""
    if kind is TF_TARGETS or not moved or not planted:
        return MAX_SIGNIFICANT_Q
    values = np.concatenate([_q(o, kind) for o in planted])
    best = 0.0
    for q in np.unique(values[values <= MAX_KEPT_Q]):
        calls = np.mean([n_significant(o.edges[kind.name], q) for o in planted])
        false = (sum(n_significant(o.edges[kind.name], q) for o in moved) + 1) / len(moved)
        if false <= MAX_SIGNIFICANT_Q * calls:
            best = float(q)
    return best


def _q(outcome: Outcome, kind: EdgeKind) -> NDArray[np.float64]:
    return outcome.edges[kind.name]["q_value"].to_numpy(dtype=float)
