"""Signals of known size, implanted into the counts of targets: positive controls."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._core.exposure import ligand_exposure, linear
from .._core.posterior_levels import draw_levels
from .expected_levels import expected_levels, mean_of_nearest
from .records import Study

#: Standardised signals are cut here, and fold changes lie between 1 / MAX_FOLD and MAX_FOLD.
MAX_SIGNAL, MAX_FOLD = 3.0, 8.0
#: Largest logarithmic fold change per standard deviation of the signal, and steps of bisection.
MAX_SLOPE, N_BISECTIONS = 1.5, 8
#: Columns of the table of implants.
COLUMNS = ["kind", "regulator", "target", "sign", "size", "reached"]


@dataclass(frozen=True)
class Plan:
    """Which signals are implanted into which targets.

    All arrays have one entry per implant: ``regulator`` is the index of a TF or, where ``is_pair``,
    of a pair; ``target`` is an index, used once at most; ``sign`` is 1 or −1; ``size`` is the share
    of the variance of the target that the signal shall explain.
    """

    is_pair: NDArray[np.bool_]
    regulator: NDArray[np.int64]
    target: NDArray[np.int64]
    sign: NDArray[np.int64]
    size: NDArray[np.float64]


class TrueLevels:
    """Draws of the true levels behind the counts of a study, and the signals that follow from them.

    What the package reads is counted, and counting is noisy. An implant that followed the counts
    would be easier to find than a real signal, which follows the true levels. So levels are drawn
    from their posterior distribution given the counts
    (:func:`spatrace_sc._core.posterior_levels.draw_levels`). Expectations are linear in the mean of
    near cells of the same type, and in that of earlier cells of the same state (of all senders of
    the type and slice for ligands). Where the data are not counts, the values are taken as they
    are.
    """

    def __init__(self, study: Study, rng: np.random.Generator):
        self.study, self._rng = study, rng
        self._ligand = self._of_senders()

    def _draw(
        self,
        values: NDArray[np.floating],
        expected: NDArray[np.floating],
        unit: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        """Draw linear levels, in the unit of the values."""
        if unit is None:
            return np.asarray(values, dtype=np.float64)
        levels = draw_levels(
            *(values / unit[:, None], expected / unit[:, None], self._rng),
            overdispersion=self.study.noise.overdispersion,
        )
        return levels * unit[:, None]

    def _of_senders(self) -> NDArray[np.float64]:
        """(senders, L) linear levels of the ligands."""
        study, senders = self.study, self.study.senders
        values = study.sender_ligand.astype(np.float64)
        unit = None if study.unit is None else study.unit[senders]
        strata = [study.sender_types, study.sender_sample]
        near = mean_of_nearest(values, study.cells.coords[senders], strata)
        whole = pd.DataFrame(values).groupby(strata).transform("mean").to_numpy()
        return self._draw(values, expected_levels(values, [near, whole]), unit)

    def of_receivers(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(receivers, genes) linear levels of genes of receivers, from linear values."""
        study = self.study
        unit = None if study.unit is None else study.unit[study.receivers]
        strata = [study.receiver_types, study.receiver_sample]
        near = mean_of_nearest(values, study.coords, strata)
        same_state = np.asarray(study.state @ values, dtype=np.float64)
        return self._draw(values, expected_levels(values, [near, same_state]), unit)

    def signal(
        self, is_pair: bool, regulator: int, study: Study | None = None
    ) -> NDArray[np.float64]:
        """(receivers,) standardised signal of a TF or pair, its extremes cut.

        The signal of a TF is the logarithm of its level. That of a pair is the product of two
        saturating functions, of the exposure to the ligand and of the receptor, each half
        saturated at its mean. ``study`` gives the neighbourhoods, None: those of this study.
        """
        if is_pair:
            ligand = self.study.genes.ligand_of(regulator)
            receptor = self.study.genes.receptor_of(regulator)
            weights = (self.study if study is None else study).weights
            logged = np.log1p(self._ligand[:, [ligand]])
            exposure = ligand_exposure(weights, logged)[:, 0]
            level = self.of_receivers(self.study.receptor[:, [receptor]])[:, 0]
            value = _saturating(exposure.astype(np.float64)) * _saturating(level)
        else:
            value = np.log1p(self.of_receivers(linear(self.study.tf[:, [regulator]]))[:, 0])
        sd = value.std()
        standardised = (value - value.mean()) / sd if sd > 0 else np.zeros(len(value))
        return np.clip(standardised, -MAX_SIGNAL, MAX_SIGNAL)


def plant(
    study: Study,
    plan: Plan,
    rng: np.random.Generator,
    places: list[Study] | None = None,
) -> tuple[Study, pd.DataFrame]:
    """Return the study with implanted signals, and a table with a row per implant.

    The counts of a target are multiplied by the fold change ``exp(±b · signal)``, scaled so that
    the mean level of the target stays. Where it is below 1, molecules are removed at random
    (binomial thinning); above 1, molecules are added by a negative-binomial draw around the excess
    over the denoised level. ``b`` is chosen so that the signal explains the wanted share of the
    variance of the target's log-normalised expression. Expression, depth, neighbours and types of
    all other genes stay those of the tissue.

    Parameters
    ----------
    study
        The tissue.
    plan
        Which signals go into which targets.
    rng
        Source of all draws.
    places
        Studies of the same receivers with other neighbourhoods, from which those of each pair are
        drawn at random; None: those of ``study``.

    Returns
    -------
    The study, and a table with columns :data:`COLUMNS`; ``reached`` is the share of the variance
    that the implant explains. It is below ``size`` where a target has too few molecules for it.
    """
    truth = TrueLevels(study, rng)
    target = study.target.copy()
    reached = []
    for is_pair, regulator, gene, sign, size in zip(
        *(plan.is_pair, plan.regulator, plan.target, plan.sign, plan.size), strict=True
    ):
        place = None if places is None else places[int(rng.integers(len(places)))]
        signal = sign * truth.signal(bool(is_pair), int(regulator), place)
        target[:, gene], share = _implanted(study, int(gene), signal, float(size), rng)
        reached.append(share)
    genes = study.genes
    names = genes.n_tfs * plan.is_pair + plan.regulator
    table = pd.DataFrame(
        {
            "kind": np.where(plan.is_pair, "lr_targets", "tf_targets").astype(object),
            "regulator": [genes.regulator_name(int(r)) for r in names],
            "target": genes.targets.astype(object)[plan.target],
            "sign": plan.sign,
            "size": plan.size,
            "reached": reached,
        }
    )
    return replace(study, target=target), table[COLUMNS]


def _saturating(dose: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a saturating function of a dose, one half at the mean dose."""
    half = max(float(dose.mean()), 1e-12)
    return dose / (dose + half)


def _implanted(
    study: Study, gene: int, signal: NDArray[np.float64], size: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], float]:
    """Return the new expression of a target, and the share of its variance that is explained.

    All steps of the bisection use the same random numbers.
    """
    before = study.target[:, gene].astype(np.float64)
    seed = int(rng.integers(2**63))

    def at(slope: float) -> tuple[NDArray[np.float64], float]:
        after = _with_folds(study, gene, np.exp(slope * signal), np.random.default_rng(seed))
        return after, _explained_share(after, before, signal)

    after, share = at(MAX_SLOPE)
    low, high = 0.0, MAX_SLOPE
    if share > size:
        for _ in range(N_BISECTIONS):
            middle = (low + high) / 2.0
            after, share = at(middle)
            low, high = (middle, high) if share < size else (low, middle)
    return after.astype(np.float32), share


def _with_folds(
    study: Study, gene: int, fold: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """(receivers,) log-normalised expression of a target after its level has changed.

    Fold changes are relative to their mean over the molecules of the gene.
    """
    level = np.expm1(study.target[:, gene].astype(np.float64))
    fold = np.clip(fold * level.sum() / max(float(fold @ level), 1e-12), 1 / MAX_FOLD, MAX_FOLD)
    if study.unit is None:
        return np.log1p(level * fold)
    unit = study.unit[study.receivers]
    counts = np.rint(level / unit).astype(np.int64)
    kept = rng.binomial(counts, np.minimum(fold, 1.0))
    wanted = np.maximum(fold - 1.0, 0.0) * np.maximum(study.state @ level, 0.0) / unit
    spread = study.noise.overdispersion
    if spread > 0:
        wanted = wanted * rng.gamma(1.0 / spread, spread, size=len(wanted))
    return np.asarray(np.log1p((kept + rng.poisson(wanted)) * unit))


def _explained_share(
    after: NDArray[np.float64], before: NDArray[np.float64], signal: NDArray[np.float64]
) -> float:
    """Return the share of the variance after the change that the change explains by the signal."""
    centred = signal - signal.mean()
    spread = float(centred @ centred)
    if spread <= 0 or after.std() <= 0:
        return 0.0
    slope = float(centred @ (after - before)) / spread
    return slope**2 * spread / len(after) / float(after.var())
