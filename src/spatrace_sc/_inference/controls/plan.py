"""Which signals are implanted where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..._edges import LR_PAIRS, LR_TARGETS, TF_TARGETS
from ..._errors import DataError
from ..._regulators import Regulators
from ..._result import Result
from ..._study.implants import Plan
from ..._study.records import Study

#: Edges and pairs with a larger q count as without effect.
MIN_Q_WITHOUT_EFFECT = 0.5
#: Targets of one implanted pair; share of the targets that pairs, and that TFs are implanted into.
TARGETS_PER_PAIR, SHARE_OF_PAIRS, SHARE_OF_TFS = 4, 1 / 3, 1 / 4
#: Fewest mean molecules of a target, of a regulator's gene in cells that express it.
MIN_MOLECULES = 0.05
#: Fewest targets that can be implanted into.
MIN_TARGETS = 6


def plan_implants(
    study: Study, result: Result, sizes: tuple[float, ...], rng: np.random.Generator
) -> Plan:
    """Draw pairs and TFs without effect, targets, signs and sizes.

    Pairs and TFs without effect are sorted by expression and cut into as many parts as there are
    implants; each part gives one, so they have the expression of the candidates. Every target is
    used at most once. No gene acts on itself.

    Raises
    ------
    DataError
        If too few targets have enough molecules, or no pair and no TF is without effect.
    """
    genes = study.genes
    targets = rng.permutation(targets_with_molecules(study))
    n_pairs = max(1, int(SHARE_OF_PAIRS * len(targets)) // TARGETS_PER_PAIR)
    n_tf_edges = max(1, int(SHARE_OF_TFS * len(targets)))
    pairs = _stratified(_pairs_without_effect(study, result), _pair_level(study), n_pairs, rng)
    of_pairs, rest = np.split(targets, [len(pairs) * TARGETS_PER_PAIR])
    tfs = _stratified(np.arange(genes.n_tfs), study.tf.mean(axis=0), n_tf_edges, rng, again=True)
    of_tfs = rest[: len(tfs)]
    is_pair = np.repeat([True, False], [len(pairs) * TARGETS_PER_PAIR, len(of_tfs)])
    pair_sizes = np.repeat(_in_turn(sizes, len(pairs), rng), TARGETS_PER_PAIR)
    plan = Plan(
        is_pair=is_pair,
        regulator=np.concatenate([np.repeat(pairs, TARGETS_PER_PAIR), tfs[: len(of_tfs)]]),
        target=np.concatenate([of_pairs, of_tfs]),
        sign=rng.choice([-1, 1], size=len(is_pair)),
        size=np.concatenate([pair_sizes, _in_turn(sizes, len(of_tfs), rng)]),
    )
    return _allowed(plan, genes, result)


def targets_with_molecules(study: Study) -> NDArray[np.int64]:
    """Return the targets with enough molecules for implants.

    Raises
    ------
    DataError
        If they are too few.
    """
    mean = np.expm1(study.target).mean(axis=0)
    if study.unit is not None:
        mean = mean / float(np.mean(study.unit[study.receivers]))
    fit = np.flatnonzero(mean >= (MIN_MOLECULES if study.unit is not None else 0.0))
    if len(fit) < MIN_TARGETS:
        raise DataError(
            f"{len(fit)} of {study.genes.n_targets} targets have at least {MIN_MOLECULES:g} "
            f"molecules per receiver; implants need {MIN_TARGETS}. Infer with more `targets`, or "
            "set `n_implants=0` and `n_halves=0`."
        )
    return np.asarray(fit, dtype=np.int64)


def _pairs_without_effect(study: Study, result: Result) -> NDArray[np.int64]:
    """Return candidate pairs that neither are close to significance nor have such an edge."""
    genes = study.genes
    near = np.zeros(genes.n_pairs, dtype=bool)
    for kind in (LR_PAIRS, LR_TARGETS):
        table = result.table(kind)
        table = table[table["q_value"] <= MIN_Q_WITHOUT_EFFECT]
        near[genes.pair_of_rows(table)] = True
    near[genes.excluded_pairs] = True
    near |= _pair_level(study) <= 0
    return np.asarray(np.flatnonzero(~near), dtype=np.int64)


def _pair_level(study: Study) -> NDArray[np.float64]:
    """(P,) product of the mean exposure to the ligand and the mean level of the receptor."""
    exposure, receptor = study.exposure.mean(axis=0), study.receptor.mean(axis=0)
    return np.asarray(np.outer(exposure, receptor).ravel(), dtype=np.float64)


def _stratified(
    candidates: NDArray[np.int64],
    level: NDArray[np.floating],
    n: int,
    rng: np.random.Generator,
    *,
    again: bool = False,
) -> NDArray[np.int64]:
    """Draw ``n`` candidates, one from each of ``n`` parts of equal size sorted by level.

    Fewer candidates are drawn once each, or as often as needed with ``again``.
    """
    if not len(candidates):
        return candidates
    ranked = candidates[np.argsort(level[candidates], kind="stable")]
    if again and len(ranked) < n:
        ranked = np.concatenate([rng.permutation(ranked) for _ in range(-(-n // len(ranked)))])[:n]
    parts = np.array_split(ranked, min(n, len(ranked)))
    drawn = np.array([rng.choice(part) for part in parts], dtype=np.int64)
    return rng.permutation(drawn)


def _in_turn(sizes: tuple[float, ...], n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return ``n`` sizes in random order, each as often as the others."""
    cycles = [rng.permutation(sizes) for _ in range(-(-n // len(sizes)))]
    return np.concatenate([np.empty(0), *cycles])[:n]


def _allowed(plan: Plan, genes: Regulators, result: Result) -> Plan:
    """Leave out implants of a gene on itself, and of TFs where an edge is near significance."""
    target = genes.targets[plan.target]
    pair, tf = plan.regulator[plan.is_pair], plan.regulator[~plan.is_pair]
    keep = np.ones(len(target), dtype=bool)
    of_pairs = plan.target[plan.is_pair]
    is_ligand = genes.share_gene(genes.ligands, genes.targets)[genes.ligand_of(pair), of_pairs]
    is_receptor = genes.share_gene(genes.receptors, genes.targets)
    keep[plan.is_pair] = ~(is_ligand | is_receptor[genes.receptor_of(pair), of_pairs])
    table = result.table(TF_TARGETS)
    near = table[table["q_value"] <= MIN_Q_WITHOUT_EFFECT]
    known = set(zip(near["tf"].to_numpy(), near["target"].to_numpy(), strict=True))
    edges = list(zip(tf, plan.target[~plan.is_pair], strict=True))
    keep[~plan.is_pair] = (genes.tfs[tf] != target[~plan.is_pair]) & np.array(
        [edge not in known for edge in edges], dtype=bool
    )
    if not keep.any():
        raise DataError(
            "no pair and no TF is without effect on the targets, so nothing can be implanted. "
            "Set `n_implants=0` and `n_halves=0`."
        )
    return Plan(*(values[keep] for values in vars(plan).values()))
