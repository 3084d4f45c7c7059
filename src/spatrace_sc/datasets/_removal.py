"""Genes taken out of a simulated tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._check import closest, shorten
from .._errors import InvalidArgumentError

#: Roles whose genes can be removed, in the order of the columns of expression.
ROLES = ("ligand", "receptor", "tf")


@dataclass(frozen=True)
class Left:
    """Which genes are left: 1, or 0 where removed. Multiplies levels, so that nothing changes where nothing is removed."""

    ligand: np.ndarray
    receptor: np.ndarray
    tf: np.ndarray


def what_is_left(names: dict[str, np.ndarray], knockout: Sequence[str] = ()) -> Left:
    """Every gene but those named."""
    gone = set(knockout)
    return Left(*(np.array([float(name not in gone) for name in names[role]]) for role in ROLES))


def check_knockout(knockout: object, names: dict[str, np.ndarray]) -> list[str]:
    """Names of genes to remove as a list without repeats; none for None."""
    if knockout is None:
        return []
    chosen = [knockout] if isinstance(knockout, str) else knockout
    if not isinstance(chosen, list | tuple | np.ndarray) or not all(
        isinstance(name, str) for name in chosen
    ):
        raise InvalidArgumentError(
            f"`knockout` must be the name of a gene or a list of names, found {knockout!r}."
        )
    available = [str(name) for role in ROLES for name in names[role]]
    unknown = [name for name in chosen if name not in set(available)]
    if unknown or not len(chosen):
        found = f"names {shorten(unknown)}" if unknown else "is empty"
        examples = ", ".join(
            f"{role.replace('tf', 'TF')}s {shorten(sorted(names[role]), 3)}" for role in ROLES
        )
        raise InvalidArgumentError(
            f"`knockout` {found}; it takes ligands, receptors and TFs of the tissue: {examples}."
            + (closest(unknown[0], available) if unknown else "")
        )
    return list(dict.fromkeys(str(name) for name in chosen))


def coupled_counts(
    rng: np.random.Generator, counts: np.ndarray, rate: np.ndarray, changed: np.ndarray
) -> np.ndarray:
    """Poisson counts at the rates ``changed`` that differ from ``counts``, drawn at ``rate``, no more than they must.

    Where the rate falls every molecule is kept with probability ``changed / rate``; where it rises a Poisson number is added; where it stays the count stays.
    """
    share = np.divide(changed, rate, out=np.ones_like(rate), where=rate > 0)
    kept = rng.binomial(counts, np.minimum(share, 1.0))
    coupled: np.ndarray = kept + rng.poisson(np.maximum(changed - rate, 0.0))
    return coupled
