"""Genes removed from a simulated tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._check import closest, shorten
from .._errors import InvalidArgumentError

#: Roles whose genes can be removed, in the order of the columns of expression.
ROLES = ("ligand", "receptor", "tf")


@dataclass(frozen=True)
class ActiveGenes:
    """1 for every gene, 0 where it is removed.

    Levels are multiplied by it, so that nothing changes where nothing is removed.
    """

    ligand: np.ndarray
    receptor: np.ndarray
    tf: np.ndarray


def active_genes(names: dict[str, np.ndarray], knockout: Sequence[str] = ()) -> ActiveGenes:
    """All genes except those of ``knockout``."""
    removed = set(knockout)
    return ActiveGenes(
        *(np.array([float(name not in removed) for name in names[role]]) for role in ROLES)
    )


def check_knockout(knockout: object, names: dict[str, np.ndarray]) -> list[str]:
    """Names of genes to remove as a list without repeats; empty for None."""
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
        finding = f"names {shorten(unknown)}" if unknown else "is empty"
        examples = ", ".join(
            f"{role.replace('tf', 'TF')}s {shorten(sorted(names[role]), 3)}" for role in ROLES
        )
        raise InvalidArgumentError(
            f"`knockout` {finding}; it takes ligands, receptors and TFs of the tissue: {examples}."
            + (closest(unknown[0], available) if unknown else "")
        )
    return list(dict.fromkeys(str(name) for name in chosen))
