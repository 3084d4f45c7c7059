"""Serial sections of one animal share what differs between animals: they are one replicate."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from spatrace_sc._core.comparison import p_beyond
from spatrace_sc._core.group_estimates import Estimates, slopes
from spatrace_sc._inference.group_differences import _by_group, level_table
from spatrace_sc._inference.group_slopes import Plan, _units
from spatrace_sc.tl._comparison_groups import read_replicates

ANIMALS, SECTIONS, CELLS = 3, 3, 60  # of a group, of an animal, of a section
N = 2 * ANIMALS * SECTIONS * CELLS
SECTION = np.repeat(np.arange(2 * ANIMALS * SECTIONS), CELLS)
ANIMAL, BLOCK = SECTION // SECTIONS, np.arange(N) // 10
GROUP = ANIMAL // ANIMALS
DRAWS = 200


def plan(key):
    """What ``compare`` makes of a column: None is the default."""
    adata = AnnData(
        obs=pd.DataFrame({"sample": SECTION.astype(str), "animal": [f"a{k}" for k in ANIMAL]})
    )
    replicate = read_replicates(adata, key, "sample", GROUP.astype(np.intp), ["A", "B"])
    return Plan(
        np.arange(N), GROUP, ["A", "B"], [(1, 0)], replicate, np.zeros(N, dtype=np.intp), 0.0, 0.1
    )


def level_p(rng, chosen, effect=0.0, animals=1.0, n=20):
    """Return p of mean activities with a shift per animal and ``effect`` between the groups."""
    values = rng.normal(size=(N, n)) + effect * GROUP[:, None]
    values += (
        animals * rng.normal(size=(2 * ANIMALS, n))[ANIMAL]
        + 0.3 * rng.normal(size=(SECTION[-1] + 1, n))[SECTION]
    )
    names = pd.DataFrame({"ligand": [f"L{k}" for k in range(n)], "receptor": "R", "score": 1.0})
    return [
        level_table(values, names, BLOCK, p, "lr_pair_activity")["p_value"].to_numpy()
        for p in chosen
    ]


def slope_p(rng, chosen, n=6):
    """Return p of slopes that share a shift within an animal."""
    nuisance = np.eye(SECTION[-1] + 1)[SECTION]
    found = [[] for _ in chosen]
    for _ in range(n):
        x = rng.normal(size=(N, 2))
        slope = 0.5 + 0.3 * rng.normal(size=(2 * ANIMALS, 2))[ANIMAL]
        y = (x * slope).sum(axis=1) + rng.normal(size=N)
        for k, p in enumerate(chosen):
            unit = _units(BLOCK, p)
            sizes = (int(p.replicate.max()) + 1, int(unit.max()) + 1)
            found[k].append(slopes((y - y.mean()) / y.std(), x, nuisance, p.replicate, unit, sizes))
    out = []
    for estimates, p in zip(found, chosen, strict=True):
        joined = Estimates(
            *(
                np.concatenate([getattr(e, part) for e in estimates])
                for part in ("value", "influence")
            )
        )
        both = _by_group(joined, p)
        variance = (
            both.covariance[:, 0, 0] + both.covariance[:, 1, 1] - 2 * both.covariance[:, 0, 1]
        )
        difference = both.value[:, 1] - both.value[:, 0]
        out.append(p_beyond(difference, np.sqrt(variance), np.zeros(len(variance)), both.df))
    return out


@pytest.mark.slow
def test_levels_of_animals_keep_the_nominal_level_and_sections_do_not():
    """In 200 draws without a difference, p ≤ .05 in .047 of the tests; with sections in .31."""
    rng = np.random.default_rng(0)
    chosen = [plan(None), plan("animal")]
    p = np.concatenate([np.stack(level_p(rng, chosen)) for _ in range(DRAWS)], axis=1)
    section, animal = (p <= 0.05).mean(axis=1)
    assert 0.03 < animal < 0.07
    assert section > 0.2
    assert np.mean(p[0] <= 0.001) > 0.02  # false calls that survive many tests


@pytest.mark.slow
def test_responses_of_animals_keep_the_nominal_level_and_sections_do_not():
    rng = np.random.default_rng(1)
    chosen = [plan(None), plan("animal")]
    p = np.concatenate([np.stack(slope_p(rng, chosen)) for _ in range(20)], axis=1)
    section, animal = (p <= 0.05).mean(axis=1)
    assert 0.02 < animal < 0.08
    assert section > 0.15


def test_animals_as_the_unit_still_detect_a_difference():
    rng = np.random.default_rng(2)
    (p,) = level_p(rng, [plan("animal")], effect=3.0, animals=0.5)
    assert (p <= 0.05).mean() > 0.8


def test_a_replicate_is_the_mean_of_its_cells():
    rng = np.random.default_rng(3)
    values = rng.normal(size=(N, 1)) + rng.normal(size=(SECTION[-1] + 1, 1))[SECTION]
    names = pd.DataFrame({"ligand": ["L"], "receptor": ["R"], "score": 1.0})
    row = level_table(values, names, BLOCK, plan("animal"), "lr_pair_activity").iloc[0]
    means = pd.Series(values[:, 0]).groupby(ANIMAL).mean().to_numpy().reshape(2, ANIMALS)
    assert row["effect"] == pytest.approx(means[1].mean())
    assert row["effect_reference"] == pytest.approx(means[0].mean())
    pooled = means.var(axis=1, ddof=1).mean()
    assert row["se"] == pytest.approx(np.sqrt(2 * pooled / ANIMALS))


def test_the_assumption_is_logged_only_where_it_is_one(caplog):
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        assert len(np.unique(plan(None).replicate)) == 2 * ANIMALS * SECTIONS
    assert (
        "independent replicates; serial sections of one animal are not: name the animal with "
        "`replicate_key`" in caplog.text
    )
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="spatrace_sc"):
        assert len(np.unique(plan("animal").replicate)) == 2 * ANIMALS
        plan("sample")
    assert not caplog.text
