"""Implanted signals have the wanted size and sign, and change nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from _controls import LARGE_RADIUS, molecules, study_of

from spatrace_sc._core.exposure import ligand_exposure
from spatrace_sc._study.implants import (
    COLUMNS,
    MAX_SIGNAL,
    Plan,
    TrueLevels,
    _with_folds,
    plant,
)

#: A pair whose signal varies, and a TF.
PAIR, TF = 8, 2


@pytest.fixture(scope="module")
def study():
    return study_of()


def plan_of(*implants):
    """Return a plan from tuples (is_pair, regulator, target, sign, size)."""
    columns = (np.array(values) for values in zip(*implants, strict=True))
    return Plan(*columns)


def planted(study, *implants, seed=0, **arguments):
    return plant(study, plan_of(*implants), np.random.default_rng(seed), **arguments)


def signal_of(study, is_pair, regulator, seed=0, place=None):
    """Signal of the first implant of a plan."""
    return TrueLevels(study, np.random.default_rng(seed)).signal(is_pair, regulator, place)


def change(study, after, gene):
    return (after.target[:, gene] - study.target[:, gene]).astype(float)


@pytest.mark.parametrize("is_pair", [True, False])
@pytest.mark.parametrize("size", [0.05, 0.2])
def test_the_signal_explains_the_wanted_share_of_the_variance(study, is_pair, size):
    regulator = PAIR if is_pair else TF
    genes = np.argsort(-molecules(study).mean(axis=0))[:4]
    for gene in genes:
        after, table = planted(study, (is_pair, regulator, gene, 1, size))
        assert table["reached"].item() == pytest.approx(size, abs=0.02 + 0.1 * size)
        signal = signal_of(study, is_pair, regulator)
        slope = np.polyfit(signal, change(study, after, gene), 1)[0]
        share = slope**2 * signal.var() / after.target[:, gene].astype(float).var()
        assert table["reached"].item() == pytest.approx(share, rel=1e-3)


@pytest.mark.parametrize("is_pair", [True, False])
@pytest.mark.parametrize("sign", [1, -1])
def test_targets_follow_the_sign(study, is_pair, sign):
    regulator = PAIR if is_pair else TF
    gene = int(np.argmax(molecules(study).mean(axis=0)))
    after, table = planted(study, (is_pair, regulator, gene, sign, 0.2))
    signal = signal_of(study, is_pair, regulator)
    assert sign * np.corrcoef(signal, change(study, after, gene))[0, 1] > 0.3
    assert table["sign"].item() == sign
    # the counts follow as well, not only the true levels
    measured = study.tf[:, TF] if not is_pair else study.exposure[:, PAIR // len(study.genes.tfs)]
    assert sign * np.corrcoef(measured, change(study, after, gene))[0, 1] > 0.1


def test_the_mean_level_of_a_target_stays(study):
    before = molecules(study)
    genes = np.argsort(-before.mean(axis=0))[:8]
    regulators = ((True, PAIR), (False, TF))
    after, _ = planted(study, *((*regulators[k % 2], g, 1, 0.15) for k, g in enumerate(genes)))
    ratio = molecules(after).mean(axis=0)[genes] / before.mean(axis=0)[genes]
    np.testing.assert_allclose(ratio, 1.0, atol=0.12)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.05)


def test_fold_changes_are_relative_to_their_mean(study):
    """The same fold change in all cells changes nothing."""
    double = np.full(len(study.time), 2.0)
    after = _with_folds(study, 3, double, np.random.default_rng(0))
    whole = np.abs(molecules(study)[:, 3] % 1 - 0.5) > 0.49
    np.testing.assert_allclose(after[whole], study.target[whole, 3], atol=1e-3)


def test_counts_stay_whole_numbers(study):
    after, _ = planted(study, (True, PAIR, 3, 1, 0.2), (False, TF, 7, -1, 0.3))
    counts, before = molecules(after), molecules(study)
    whole = (np.abs(before - np.rint(before)) < 0.01).all(axis=1)  # the unit is known
    assert whole.mean() > 0.9
    np.testing.assert_allclose(counts[whole], np.rint(counts[whole]), atol=0.01)
    changed = np.abs(counts - before) > 0.5
    assert changed[:, [3, 7]].any(axis=0).all()


def test_everything_else_stays(study):
    before = study.target.copy()
    after, _ = planted(study, (True, PAIR, 3, 1, 0.2), (False, TF, 7, -1, 0.3))
    others = np.delete(np.arange(before.shape[1]), [3, 7])
    np.testing.assert_array_equal(after.target[:, others], before[:, others])
    np.testing.assert_array_equal(study.target, before)
    assert after.target.dtype == before.dtype
    for field in fields(study):
        if field.name != "target":
            assert getattr(after, field.name) is getattr(study, field.name)


@pytest.mark.parametrize("is_pair", [True, False])
def test_values_that_are_no_counts_are_scaled(study, is_pair):
    study = replace(study, unit=None)
    regulator, size = (PAIR if is_pair else TF), 0.1
    gene = int(np.argmax(study.target.mean(axis=0)))
    after, table = planted(study, (is_pair, regulator, gene, 1, size))
    assert table["reached"].item() == pytest.approx(size, abs=0.02)
    zero = study.target[:, gene] == 0
    np.testing.assert_array_equal(after.target[zero, gene], 0)
    # no counting: the logarithm of the fold change is linear in the signal
    fold = np.expm1(after.target[~zero, gene]) / np.expm1(study.target[~zero, gene])
    signal = signal_of(study, is_pair, regulator)[~zero]
    assert np.corrcoef(np.log(fold.astype(float)), signal)[0, 1] > 0.999


def test_too_few_molecules_are_reported(study):
    target = study.target.copy()
    target[:, 0] = 0
    unit = study.unit[study.receivers]
    target[:2, 0] = np.log1p(unit[:2])
    after, table = planted(replace(study, target=target), (True, PAIR, 0, 1, 0.3))
    assert table["reached"].item() < 0.1
    assert table["size"].item() == 0.3
    assert np.isfinite(after.target).all()


def test_a_target_without_molecules_and_a_signal_without_variation_reach_nothing(study):
    target, receptor = study.target.copy(), study.receptor.copy()
    target[:, 0], receptor[:, PAIR % receptor.shape[1]] = 0, 0
    poor = replace(study, target=target, receptor=receptor, unit=None)
    after, table = planted(poor, (False, TF, 0, 1, 0.1), (True, PAIR, 1, 1, 0.1))
    assert table["reached"].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(after.target[:, :2], target[:, :2], rtol=1e-5)


def test_places_give_the_neighbours(study):
    other = study_of(LARGE_RADIUS)
    implant = (True, PAIR, 5, 1, 0.2)
    after, _ = planted(study, implant, places=[other])
    same_place, _ = planted(study, implant, places=[study])
    change_, elsewhere = change(study, after, 5), change(study, same_place, 5)
    assert (change_ != elsewhere).any()
    rng = np.random.default_rng(0)
    levels = TrueLevels(study, rng)
    rng.integers(1)  # which place
    signal = levels.signal(True, PAIR, other)
    assert np.corrcoef(signal, change_)[0, 1] > 0.3
    assert np.corrcoef(signal, change_)[0, 1] > np.corrcoef(signal, elsewhere)[0, 1]


def test_places_are_drawn_at_random(study):
    places = [study, study_of(LARGE_RADIUS)]
    implant = (True, PAIR, 5, 1, 0.3)
    shares = [
        np.corrcoef(
            signal_of(study, True, PAIR, seed, places[0])
            - signal_of(study, True, PAIR, seed, places[1]),
            change(study, planted(study, implant, seed=seed, places=places)[0], 5),
        )[0, 1]
        for seed in range(8)
    ]
    assert min(shares) < 0 < max(shares)


def test_signals_of_pairs_are_standardised_products_of_exposure_and_receptor(study):
    study = replace(study, unit=None)  # levels are not drawn
    signal = signal_of(study, True, PAIR)
    ligand, receptor = divmod(PAIR, study.genes.n_receptors)
    dose = ligand_exposure(study.weights, np.log1p(study.sender_ligand))[:, ligand].astype(float)
    level = study.receptor[:, receptor].astype(float)
    product = dose / (dose + dose.mean()) * level / (level + level.mean())
    expected = (product - product.mean()) / product.std()
    np.testing.assert_allclose(signal, np.clip(expected, -3, 3), rtol=1e-4, atol=1e-5)


def test_drawn_signals_follow_the_measured_ones_but_for_counting(study):
    measured = signal_of(replace(study, unit=None), False, TF)
    signal = signal_of(study, False, TF)
    assert np.abs(signal).max() <= MAX_SIGNAL
    assert signal.mean() == pytest.approx(0.0, abs=0.1)
    assert 0.4 < np.corrcoef(signal, measured)[0, 1] < 0.999


def test_the_table_names_the_implants(study):
    genes = study.genes
    _, table = planted(study, (True, PAIR, 3, 1, 0.2), (False, TF, 7, -1, 0.1))
    assert list(table) == COLUMNS
    ligand, receptor = divmod(PAIR, genes.n_receptors)
    assert table["regulator"].tolist() == [
        f"{genes.ligands[ligand]}^{genes.receptors[receptor]}",
        genes.tfs[TF],
    ]
    assert table["kind"].tolist() == ["lr_targets", "tf_targets"]
    assert table["target"].tolist() == [genes.targets[3], genes.targets[7]]


def test_the_seed_decides_the_counts(study):
    implants = [(True, PAIR, 3, 1, 0.2), (False, TF, 7, -1, 0.1)]
    one, again, other = (planted(study, *implants, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one[0].target, again[0].target)
    pd.testing.assert_frame_equal(one[1], again[1])
    assert (one[0].target != other[0].target).any()
