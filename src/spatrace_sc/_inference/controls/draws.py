"""Control tissues: the study of a result, changed so that the truth about some edges is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..._model.config import Config
from ..._study.implants import plant
from ..._study.misplaced_senders import (
    has_replicates,
    misplace_senders,
    senders_of_another_slice,
)
from ..._study.records import Study
from ..._study.subsets import half_of_molecules, half_of_receivers
from ..restore import Restored
from .plan import plan_implants
from .tissues import Tissues

SHAM, MISPLACED, IMPLANTS = "sham genes", "misplaced senders", "implants"
HALF_RECEIVERS, HALF_MOLECULES = "half the receivers", "half the molecules"
SHAM_ALONE, OTHER_SLICE = "sham genes alone", "senders of another slice"
#: Kinds of control tissues. The position of a kind gives it a random stream of its own.
KINDS = (SHAM, MISPLACED, IMPLANTS, HALF_RECEIVERS, HALF_MOLECULES, SHAM_ALONE, OTHER_SLICE)
#: Where the sham genes of a kind stand, and what moves the senders of a kind.
METHOD_OF_SHAM = {SHAM: "beside the real genes", SHAM_ALONE: "instead of the real genes"}
MOVED_BY = {MISPLACED: misplace_senders, OTHER_SLICE: senders_of_another_slice}


@dataclass(frozen=True)
class ControlTissue:
    """A study for one draw, and what is known about it.

    ``implants`` is the table of :func:`spatrace_sc._study.implants.plant`; ``sham`` the sham genes
    and ``balance`` how well they match; None where the draw has none. ``method`` says where sham
    genes stand, or where senders come from. ``setting`` names the setting under which the tissue
    was read; ``config`` is the configuration if it is not that of the result.
    """

    name: str
    kind: str
    study: Study
    seed: int
    implants: pd.DataFrame | None = None
    sham: pd.DataFrame | None = None
    balance: pd.DataFrame | None = None
    method: str = ""
    setting: str = ""
    config: Config | None = None


@dataclass(frozen=True)
class Design:
    """How many tissues of each kind are drawn, the sizes of implants, and genes that can signal."""

    n_draws: dict[str, int]
    sizes: tuple[float, ...]
    known: frozenset[str] = frozenset()
    seed: int = 0

    def __repr__(self) -> str:
        """Return a text that is the same in every session."""
        return repr((sorted(self.n_draws.items()), self.sizes, sorted(self.known), self.seed))


def draws_by_kind(study: Study, n_draws: dict[str, int], sham: str) -> dict[str, int]:
    """Return the number of tissues of every kind, from the arguments of ``st.tl.controls``.

    ``sham`` is "beside", "alone" or "both". If slices have replicates, every second draw of
    misplaced senders takes those of another slice. Molecules are halved only where the data are
    counts.
    """
    n_misplaced, n_halves = n_draws["n_misplaced"], n_draws["n_halves"]
    n_other = n_misplaced // 2 if has_replicates(study) else 0
    return {
        SHAM: 0 if sham == "alone" else n_draws["n_sham"],
        MISPLACED: n_misplaced - n_other,
        IMPLANTS: n_draws["n_implants"],
        HALF_RECEIVERS: n_halves,
        HALF_MOLECULES: n_halves if study.noise_known else 0,
        SHAM_ALONE: 0 if sham == "beside" else n_draws["n_sham"],
        OTHER_SLICE: n_other,
    }


def control_tissues(
    tissues: Tissues, restored: Restored, design: Design, skip: set[str]
) -> Iterator[ControlTissue]:
    """Yield the control tissues of a design, without those whose names are to be skipped.

    A tissue is built when it is asked for, so that few are in memory at a time.
    """
    for kind in KINDS:
        for number in range(design.n_draws[kind]):
            name = f"{kind} {number + 1}"
            if name in skip:
                continue
            rng = np.random.default_rng([design.seed, KINDS.index(kind), number])
            seed = int(rng.integers(2**31))
            if kind in METHOD_OF_SHAM:
                study, genes, balance = tissues.with_sham_genes(rng, alone=kind == SHAM_ALONE)
                yield ControlTissue(
                    *(name, kind, study, seed),
                    sham=genes,
                    balance=balance,
                    method=METHOD_OF_SHAM[kind],
                )
            elif kind in MOVED_BY:
                study, method = MOVED_BY[kind](restored.study, rng)
                yield ControlTissue(name, kind, study, seed, method=method)
            else:
                study, table = _with_implants(kind, restored, design, rng)
                yield ControlTissue(name, kind, study, seed, implants=table)


def _with_implants(
    kind: str, restored: Restored, design: Design, rng: np.random.Generator
) -> tuple[Study, pd.DataFrame]:
    """Return the study with implants, or a half of it, and the table of the implants."""
    plan = plan_implants(restored.study, restored.result, design.sizes, rng)
    study, table = plant(restored.study, plan, rng)
    if kind == HALF_RECEIVERS:
        study = half_of_receivers(study, rng)
    elif kind == HALF_MOLECULES:
        study = half_of_molecules(study, rng)
    return study, table
