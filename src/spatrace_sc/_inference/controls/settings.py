"""Settings of the inference compared by power at an equal false discovery rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..._check import flag, one_of, positive
from ..._data.covariates import covariate_names
from ..._edges import TESTED_KINDS, TF_TARGETS, EdgeKind
from ..._errors import InvalidArgumentError
from ..._keys import MAX_SIGNIFICANT_Q
from ..._model.config import Config
from ..._study.implants import plant
from ..._study.misplaced_senders import misplace_senders
from ..._study.source import Source
from ..restore import Restored
from .draws import IMPLANTS, KINDS, MISPLACED, SHAM, ControlTissue, Design
from .false_discoveries import of_sham_genes
from .outcomes import MAX_KEPT_Q, Outcome, n_significant
from .plan import plan_implants
from .power import wilson_interval
from .tissues import Tissues

#: The one option of the model that can be compared.
NEIGHBOURHOOD = "neighbourhood_covariates"
#: Arguments of the inference, and options of its model, that can be compared.
COMPARED = ("radius", "transitions_key", "covariates", NEIGHBOURHOOD)
COLUMNS = ["setting", "table", "r2", "max_q", "n", "power", "low", "high"]
#: Position of the random streams of settings, behind those of all kinds of control tissues.
STREAM = len(KINDS)


@dataclass(frozen=True)
class Settings:
    """Values of one argument of the inference that are compared."""

    argument: str
    values: tuple[Any, ...]

    @property
    def is_option(self) -> bool:
        """Whether the argument is an option of the model, so that all values read the same data."""
        return self.argument == NEIGHBOURHOOD

    def names(self) -> list[str]:
        """Return a name for every value, e.g. "radius = 50"."""
        return [f"{self.argument} = {_text(value)}" for value in self.values]

    def sources(self, source: Source) -> list[Source]:
        """Return where the data are read with every value."""
        if self.is_option:
            return [source] * len(self.values)
        return [replace(source, **{self.argument: value}) for value in self.values]

    def configs(self, config: Config) -> list[Config]:
        """Return the configuration of the inference with every value."""
        if not self.is_option:
            return [config] * len(self.values)
        return [
            replace(config, model=replace(config.model, **{self.argument: value}))
            for value in self.values
        ]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def settings_to_compare(over: Mapping[str, Sequence[Any]], n_draws: Mapping[str, int]) -> Settings:
    """Return the settings to compare, checked.

    ``n_draws`` are the numbers of draws by argument of ``st.tl.controls``.

    Raises
    ------
    InvalidArgumentError
        If ``over`` does not list two values of one of :data:`COMPARED`, or nothing judges them.
    """
    if not isinstance(over, Mapping) or len(over) != 1:
        finding = list(over) if isinstance(over, Mapping) else type(over).__name__
        raise InvalidArgumentError(
            "`over` must be a dictionary with one argument, such as "
            f"{{'radius': [30.0, 60.0]}}, found {finding!r}."
        )
    argument, values = next(iter(over.items()))
    one_of(argument, "over", COMPARED)
    listed = [] if isinstance(values, str) or not isinstance(values, Iterable) else list(values)
    if len(listed) < 2:
        raise InvalidArgumentError(
            f"`over[{argument!r}]` must list at least two values, found {values!r}."
        )
    negative = "n_sham" if argument == NEIGHBOURHOOD else "n_misplaced"
    if not n_draws["n_implants"] or not n_draws[negative]:
        raise InvalidArgumentError(
            "`over` compares power at an equal false discovery rate: `n_implants` and "
            f"`{negative}` must be at least 1, found {n_draws['n_implants']} and "
            f"{n_draws[negative]}."
        )
    if argument == NEIGHBOURHOOD:
        for value in listed:
            flag(value, f"over[{NEIGHBOURHOOD!r}]")
    elif argument == "radius":
        for value in listed:
            positive(value, "over['radius']")
        listed = sorted(float(value) for value in listed)
    elif argument == "covariates":
        listed = [covariate_names(value) for value in listed]
    elif not all(value is None or isinstance(value, str) for value in listed):
        raise InvalidArgumentError(
            f"`over[{argument!r}]` must list names in `adata.obsp`, or None, found {values!r}."
        )
    settings = Settings(argument, tuple(dict.fromkeys(listed)))
    if len(settings.values) < len(listed):
        raise InvalidArgumentError(
            f"`over[{argument!r}]` lists a value twice: {', '.join(settings.names())} remain. "
            "Give values that differ."
        )
    return settings


def setting_tissues(
    tissues: Tissues,
    restored: Restored,
    design: Design,
    settings: Settings,
    skip: set[str],
) -> Iterator[ControlTissue]:
    """Yield tissues with implants and with negative controls, each read with every setting.

    All settings see the same implants. The range of each implanted pair is that of one of the
    settings, drawn at random, so that none of them is favoured. The negative controls are
    misplaced senders; for an option against hidden fields, which these do not see, they are sham
    genes, the same ones for every value.
    """
    names, configs = settings.names(), settings.configs(restored.config)
    sources = settings.sources(restored.result.source)
    studies = [tissues.with_source(source) for source in sources]
    for number in range(design.n_draws[IMPLANTS]):
        rng = np.random.default_rng([design.seed, STREAM, number])
        plan = plan_implants(restored.study, restored.result, design.sizes, rng)
        planted, table = plant(restored.study, plan, rng, studies)
        for setting, study, config in zip(names, studies, configs, strict=True):
            name = f"{IMPLANTS} {number + 1}, {setting}"
            if name not in skip:
                changed = replace(study, target=planted.target)
                yield ControlTissue(
                    *(name, IMPLANTS, changed, design.seed + number),
                    implants=table,
                    setting=setting,
                    config=config,
                )
    if settings.is_option:
        yield from _with_sham_genes(tissues, restored, design, settings, skip)
        return
    for number in range(design.n_draws[MISPLACED]):
        for position, (setting, study) in enumerate(zip(names, studies, strict=True)):
            name = f"{MISPLACED} {number + 1}, {setting}"
            rng = np.random.default_rng([design.seed, STREAM + 1 + position, number])
            if name not in skip:
                moved, method = misplace_senders(study, rng)
                yield ControlTissue(
                    *(name, MISPLACED, moved, design.seed + number),
                    method=method,
                    setting=setting,
                )


def _with_sham_genes(
    tissues: Tissues, restored: Restored, design: Design, settings: Settings, skip: set[str]
) -> Iterator[ControlTissue]:
    """Yield tissues with sham genes, the same ones for every value of an option."""
    values = list(zip(settings.names(), settings.configs(restored.config), strict=True))
    for number in range(design.n_draws[SHAM]):
        for setting, config in values:
            name = f"{SHAM} {number + 1}, {setting}"
            if name not in skip:
                rng = np.random.default_rng([design.seed, STREAM + 1, number])
                study, genes, balance = tissues.with_sham_genes(rng)
                yield ControlTissue(
                    *(name, SHAM, study, design.seed + number),
                    sham=genes,
                    balance=balance,
                    setting=setting,
                    config=config,
                )


def compare_settings(
    outcomes: Sequence[Outcome], implants: pd.DataFrame, n_real: dict[str, int]
) -> pd.DataFrame:
    """Return power and held-out R² of every setting.

    ``max_q`` is the largest q at which the negative controls expect at most a tenth of the calls to
    be false, one false call more than seen being assumed. It is 0.1 for TF edges if these controls
    are misplaced senders, which do not judge them. ``n_real`` are the numbers of real genes by
    role. ``power`` is the share of the ``n`` implants that have at most this q, with its 95 %
    interval; NaN where no q is small enough. ``r2`` is that of the model with pairs, in held-out
    blocks of the tissues with implants.
    """
    rows = []
    for setting in dict.fromkeys(outcome.setting for outcome in outcomes):
        of_setting = [o for o in outcomes if o.setting == setting]
        planted = [o for o in of_setting if o.kind == IMPLANTS]
        moved = [o for o in of_setting if o.kind == MISPLACED]
        sham = [o for o in of_setting if o.kind == SHAM]
        r2 = float(np.mean([o.r2 for o in planted])) if planted else np.nan
        for kind in TESTED_KINDS:
            part = implants[(implants["setting"] == setting) & (implants["table"] == kind.name)]
            max_q = (
                _equal_rate_by_sham_genes(kind, sham, n_real)
                if sham
                else _equal_rate(kind, planted, moved)
            )
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


def _equal_rate_by_sham_genes(
    kind: EdgeKind, sham: Sequence[Outcome], n_real: dict[str, int]
) -> float:
    """Return the largest q at which sham genes expect a tenth of the calls at most to be false."""
    values = np.concatenate([_q(o, kind) for o in sham])
    best = 0.0
    for q in np.unique(values[values <= MAX_KEPT_Q]):
        estimate = of_sham_genes(kind, float(q), sham, n_real)
        if estimate.expected + estimate.per_call <= MAX_SIGNIFICANT_Q * estimate.calls:
            best = float(q)
    return best


def _q(outcome: Outcome, kind: EdgeKind) -> NDArray[np.float64]:
    return outcome.edges[kind.name]["q_value"].to_numpy(dtype=float)
