"""Sham genes: genes of the tissue that cannot signal, matched one to one to genes with a role."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._core.gene_features import FEATURES
from .._core.matching import MIN_SD, match_one_to_one, standardised_distances
from .._data.matrix_forms import InMemory
from .._data.on_disk import OnDisk
from .._errors import DataError
from .records import Cells
from .sham_candidates import GROUP_OF_ROLE, MIN_DETECTED, ShamCandidates, read_candidates

logger = logging.getLogger("spatrace_sc")

#: Each draw leaves out a random half of the candidates, so that draws differ, if they outnumber
#: the wanted genes at least by this factor.
MIN_SURPLUS = 4


@dataclass(frozen=True)
class ShamGenes:
    """Sham genes of one draw. Roles are "ligand", "receptor" and "tf".

    - ``genes``: one row per sham gene with ``role``, ``gene`` and ``stands_for`` (its real
      partner) as ``var_names``; ``is_target``; ``distance`` of the two in standard deviations of
      the real genes; and every feature of either, ``<feature>`` and ``<feature>_of_real``.
    - ``pool``: role → number of candidates.
    - ``balance``: ``role``, ``feature``, means of both sides, and their
      ``standardised_difference``, in standard deviations of the partners. It is NaN where all
      partners are equal but differ from the sham genes.
    """

    genes: pd.DataFrame
    pool: dict[str, int]
    balance: pd.DataFrame


def find_sham_genes(
    adata: AnnData,
    names: Mapping[str, NDArray[np.str_]],
    cells: Cells,
    matrix: InMemory | OnDisk,
    *,
    known: Iterable[str],
    n: Mapping[str, int],
    rng: np.random.Generator,
    symbols: NDArray[np.object_] | None = None,
) -> ShamGenes:
    """Return one draw of sham genes: :func:`read_candidates`, then :func:`draw_sham_genes`."""
    candidates = read_candidates(adata, names, cells, matrix, known=known, symbols=symbols)
    return draw_sham_genes(candidates, n, rng)


def draw_sham_genes(
    candidates: ShamCandidates, n: Mapping[str, int], rng: np.random.Generator
) -> ShamGenes:
    """Return sham genes for some genes of each role, drawn at random, or for all of them.

    ``n`` is role → number wanted. No gene stands in for two others. Targets are used only when
    other candidates run out. Where candidates are scarce, roles share them in proportion to what is
    wanted, with a warning in the log.

    Raises
    ------
    DataError
        If there is no candidate for any role.
    """
    wanted = {role: min(int(n.get(role, 0)), len(candidates.real[role])) for role in GROUP_OF_ROLE}
    number = _numbers(wanted, candidates.detected)
    if any(wanted.values()) and not any(number.values()):
        raise DataError(_no_candidates(candidates.excluded))
    partners = {
        role: np.sort(rng.choice(len(candidates.real[role]), number[role], replace=False))
        for role in GROUP_OF_ROLE
    }
    pool, targets = _split_by_target(candidates)
    if _numbers(wanted, pool) == wanted:
        allowed = _random_half(pool, wanted, rng)
    else:
        half = _random_half(targets, wanted, rng)
        allowed = {role: mask | half[role] for role, mask in pool.items()}
        pool = candidates.detected
    genes = _matched(candidates, partners, allowed)
    _report(wanted, number, int(genes["is_target"].sum()))
    size = {_keys.ROLES[role]: int(mask.sum()) for role, mask in pool.items()}
    return ShamGenes(genes, size, _balance(genes))


def _split_by_target(
    candidates: ShamCandidates,
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.bool_]]]:
    """Return the candidates that are not targets, and those that are, as (C,) masks by role."""
    others = {role: mask & ~candidates.is_target for role, mask in candidates.detected.items()}
    targets = {role: mask & candidates.is_target for role, mask in candidates.detected.items()}
    return others, targets


def _numbers(wanted: Mapping[str, int], allowed: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    """Return role → number of sham genes for which there are enough allowed candidates.

    ``allowed`` has (C,) masks. Receptors and TFs share the candidates detected in receivers, and
    all three roles share all candidates.
    """
    number = dict(wanted)
    for roles in (("ligands",), ("receptors", "tfs"), tuple(GROUP_OF_ROLE)):
        limit = int(np.any([allowed[role] for role in roles], axis=0).sum())
        number |= _in_proportion({role: number[role] for role in roles}, limit)
    return number


def _in_proportion(wanted: dict[str, int], limit: int) -> dict[str, int]:
    """Return numbers reduced in proportion to a sum of ``limit``, by largest remainders."""
    total = sum(wanted.values())
    if total <= limit:
        return wanted
    number = {role: n * limit // total for role, n in wanted.items()}
    by_remainder = sorted(wanted, key=lambda role: -(wanted[role] * limit % total))
    for role in by_remainder[: limit - sum(number.values())]:
        number[role] += 1
    return number


def _random_half(
    allowed: dict[str, NDArray[np.bool_]], wanted: Mapping[str, int], rng: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """Return a random half of the candidates as masks by role, or all if they are too few.

    Candidates that are allowed in the same roles are halved separately, so no role runs short.
    """
    surplus = {role: MIN_SURPLUS * number for role, number in wanted.items()}
    if _numbers(surplus, allowed) != surplus:
        return allowed
    masks = np.array(list(allowed.values()))
    used = np.zeros(masks.shape[1], dtype=bool)
    for roles in np.unique(masks, axis=1).T:
        members = np.flatnonzero((masks == roles[:, None]).all(axis=0))
        used[rng.permutation(members)[: (len(members) + 1) // 2]] = True
    return {role: mask & used for role, mask in allowed.items()}


def _matched(
    candidates: ShamCandidates,
    partners: Mapping[str, NDArray[np.intp]],
    allowed: Mapping[str, NDArray[np.bool_]],
) -> pd.DataFrame:
    """Return the table of sham genes matched to the real genes of all roles at once."""
    distances, rows = [], []
    for role, index in partners.items():
        features, real = candidates.features[role], candidates.real_features[role]
        distance = standardised_distances(real[index], features, real)
        distances.append(np.where(allowed[role], distance, np.inf))
        rows += [(role, k) for k in index]
    distance = np.concatenate(distances)
    chosen = match_one_to_one(distance, candidates.is_target)
    table = pd.DataFrame(
        {
            "role": [_keys.ROLES[role] for role, _ in rows],
            "gene": candidates.genes[chosen].astype(object),
            "stands_for": np.array([candidates.real[r][k] for r, k in rows], dtype=object),
            "is_target": candidates.is_target[chosen],
            "distance": distance[np.arange(len(chosen)), chosen],
        }
    )
    for f, name in enumerate(FEATURES):
        table[name] = [
            candidates.features[role][c, f] for (role, _), c in zip(rows, chosen, strict=True)
        ]
        table[f"{name}_of_real"] = [candidates.real_features[role][k, f] for role, k in rows]
    return table


def _balance(genes: pd.DataFrame) -> pd.DataFrame:
    """Return the means of every feature of sham genes and their partners, by role."""
    records = []
    for role, table in genes.groupby("role", sort=False):
        for feature in FEATURES:
            sham, real = table[feature], table[f"{feature}_of_real"]
            difference, sd = float(sham.mean() - real.mean()), float(real.std(ddof=0))
            equal = 0.0 if abs(difference) <= MIN_SD else np.nan
            scaled = difference / sd if sd > MIN_SD else equal
            records.append((role, feature, real.mean(), sham.mean(), scaled))
    names = ["role", "feature", "mean_real", "mean_sham", "standardised_difference"]
    return pd.DataFrame(records, columns=names)


def _report(wanted: Mapping[str, int], number: Mapping[str, int], n_targets: int) -> None:
    """Log roles with fewer sham genes than wanted, and sham genes that are targets."""
    scarce = [
        f"{number[role]} of {wanted[role]} {'TFs' if role == 'tfs' else role}"
        for role in wanted
        if number[role] < wanted[role]
    ]
    if scarce:
        logger.warning(
            "Sham genes: the data have too few genes that cannot signal, enough for only %s.",
            ", ".join(scarce),
        )
    if n_targets:
        logger.info(
            "Sham genes: %d of %d are also targets, because genes without any role ran out.",
            *(n_targets, sum(number.values())),
        )


def _no_candidates(excluded: Mapping[str, int]) -> str:
    """Return the message when no gene can be a sham gene."""
    total = sum(excluded.values())
    rare = (
        f", and {excluded['detection']} are above 0 in less than {100 * MIN_DETECTED:g} % of the "
        "senders and of the receivers"
        if excluded["detection"]
        else ""
    )
    return (
        f"every gene of this panel is a ligand, receptor or TF, or known to signal{rare}: of "
        f"{total} genes, {excluded['role']} have such a role in the lists or in `adata.var` and "
        f"{excluded['known']} more are known to signal. Sham genes need genes that cannot signal. "
        "The `misplaced` controls do not: use these alone."
    )
