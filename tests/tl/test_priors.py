"""Penalties from priors, how far they are believed, and what decoys carry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import NO_ROLES, NOTHING_SIGNIFICANT, small_config, source, tiny_config, tissue
from _planted import CONFIG, R, planted

import spatrace_sc as st
from spatrace_sc._model.evidence import prior_trust as trust
from spatrace_sc._model.evidence.decoy_design import penalty_with_decoys
from spatrace_sc._model.evidence.prior_trust import _ratio, calibrate_prior
from spatrace_sc._model.network.observe import build_network, observe
from spatrace_sc._model.regression.choose_penalty import errors_along_path
from spatrace_sc._model.regression.penalty import base_penalty, without_prior
from spatrace_sc._model.regression.regression import Regression
from spatrace_sc._regulators import Regulators
from spatrace_sc._study.prior_penalties import describe_prior, prior_penalties
from spatrace_sc._study.problem import build_problem
from spatrace_sc._study.read import read_study

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

GENES = Regulators(*(np.array(list(names)) for names in ("ab", "cd", "ef", "ghi")))
LR = pd.DataFrame({"ligand": ["b", "x"], "receptor": ["c", "c"], "weight": [3.0, 1.0]})
TF = pd.DataFrame({"tf": ["f"], "target": ["i"]})


@pytest.mark.parametrize(
    "prior",
    [[LR, TF], (TF, LR), {"pairs": LR, "tfs": TF}, [LR, TF, LR]],
    ids=["list", "tuple", "dict", "three"],
)
def test_both_kinds_at_once(prior):
    pairs, tf = prior_penalties(prior, GENES)
    assert pairs.tolist() == [1.0, 1.0, 0.25, 1.0]
    assert tf.tolist() == [[1.0, 1.0, 1.0], [1.0, 1.0, 0.5]]


def test_a_repeated_edge_has_its_largest_weight_in_any_order():
    twice = pd.DataFrame({"ligand": ["a"] * 3, "receptor": ["c"] * 3, "weight": [1.0, 4.0, 0.0]})
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        assert prior_penalties(twice.iloc[order], GENES)[0].tolist() == pytest.approx(
            [0.2, 1, 1, 1]
        )
    assert prior_penalties([twice.iloc[[1]], twice.iloc[[0]]], GENES)[0][0] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("prior", "says"),
    [
        ([], "no table"),
        ({}, "no table"),
        ([LR, "TF"], "list of 'str'"),
        ({"a": None}, "dict of 'NoneType'"),
        (3, "int"),
    ],
)
def test_invalid_priors_are_refused(prior, says):
    with pytest.raises(st.InvalidArgumentError, match=says):
        prior_penalties(prior, GENES)


def test_one_bad_table_of_two_is_refused():
    with pytest.raises(st.InvalidArgumentError, match="none of its 1 rows names a tf"):
        prior_penalties([LR, pd.DataFrame({"tf": ["no"], "target": ["g"]})], GENES)
    with pytest.raises(st.InvalidArgumentError, match=r"\['source'\]"):
        prior_penalties([LR, pd.DataFrame({"source": ["no"]})], GENES)


def test_no_prior():
    pairs, tf = prior_penalties(None, GENES)
    assert pairs.tolist() == [1.0] * 4
    assert tf is None
    assert describe_prior(None) == ""
    assert describe_prior([LR, TF]) == "2 ligand, receptor; 1 tf, target"


def problem_with(prior):
    study = read_study(tissue(), NO_ROLES, source())
    return build_problem(study, tiny_config(), prior), study.genes


def test_decoys_carry_the_penalty_of_the_edge_they_stand_for():
    """The decoys of a pair, L·R', L'·R and L'·R', and of a TF have its penalty.

    So a prior gives real edges no advantage over decoys.
    """
    lr = pd.DataFrame({"ligand": ["LIG001"], "receptor": ["REC002"], "weight": [3.0]})
    tf = pd.DataFrame({"tf": ["TF003"], "target": ["TG001"], "weight": [1.0]})
    problem, genes = problem_with([lr, tf])
    n_f, n_p, n_c = problem.n_tfs, problem.n_pairs, problem.covariates.shape[1]
    penalty = penalty_with_decoys(problem, problem.forbidden)
    every = penalty.of(torch.arange(2 * n_f + 4 * n_p + n_c), problem.targets.shape[1])
    pair = genes.pair_of_names(lr)[0]
    starts = [n_f, *(2 * n_f + n_p + n_c + k * n_p for k in range(3))]
    for start in starts:
        block = every[start : start + n_p]
        torch.testing.assert_close(block, every[n_f : n_f + n_p])
        assert (block[pair] == 0.25).all()
        assert int((block < 1).any(1).sum()) == 1
    decoys = slice(n_f + n_p + n_c, 2 * n_f + n_p + n_c)
    torch.testing.assert_close(every[decoys], every[:n_f])
    target = list(genes.targets).index("TG001")
    regulator = list(genes.tfs).index("TF003")
    n_tf = problem.n_tf_genes
    past = tiny_config().training.past_penalty
    assert every[n_f + n_p + n_c + regulator, target] == pytest.approx(past / 2)
    assert every[n_f + n_p + n_c + n_tf + regulator, target] == pytest.approx(0.5)


def test_without_prior_is_the_penalty_that_was():
    plain, _ = problem_with(None)
    given, _ = problem_with(
        [
            pd.DataFrame({"ligand": ["LIG001"], "receptor": ["REC002"]}),
            pd.DataFrame({"tf": ["TF003"], "target": ["TG001"]}),
        ]
    )
    back = without_prior(base_penalty(given), given)
    columns = torch.arange(plain.n_regulators)
    n = plain.targets.shape[1]
    assert torch.equal(back.of(columns, n), base_penalty(plain).of(columns, n))
    assert not torch.equal(base_penalty(given).of(columns, n), base_penalty(plain).of(columns, n))


def with_prior(problem, pairs, factor):
    penalty = problem.penalty.clone()
    penalty[problem.n_tfs + torch.as_tensor(pairs)] = factor
    return replace(problem, penalty=penalty)


def test_ratio_of_sizes_by_hand():
    size = torch.tensor([4.0, 2.0, 1.0, 1.0])
    named = torch.tensor([True, True, False, False])
    assert _ratio(size, named) == pytest.approx(1 / 3)
    assert _ratio(size, ~named) == pytest.approx(3.0)
    assert _ratio(torch.zeros(4), named) == 1.0
    assert _ratio(size, torch.ones(4, dtype=torch.bool)) == 1.0


def test_a_prior_is_believed_as_far_as_the_data_bear_it_out(monkeypatch):
    """By hand: others have size 1; s of a pair is the mean of its size and that of named pairs."""
    problem = with_prior(planted(), [0, 1], 0.1)
    rest = torch.ones(len(problem.penalty), dtype=torch.bool)
    rest[problem.n_tfs : problem.n_tfs + 2] = False
    size = torch.ones(problem.n_pairs)
    monkeypatch.setattr(trust, "_sizes_without_prior", lambda *a: {"lr": size})
    cases = [
        ((1, 1), (1.0, 1.0), 1.0),
        ((0.5, 0.5), (1.0, 1.0), 1.0),
        ((2, 2), (0.5, 0.5), 0.5),
        ((8, 0), (1 / 6, 1 / 2), 0.25),  # mean 4: s = 6 and 2
        ((3, 0), (1 / 2.25, 1.0), 1 / 1.5),  # mean 1.5: s = 2.25 and .75
        ((200, 0), (0.1, 0.1), 0.01),  # never below 1 / (1 + weight)
    ]
    for sizes, expected, ratio in cases:
        size[:2] = torch.tensor(sizes, dtype=torch.float32)
        believed, found = calibrate_prior(problem, CONFIG, seed=0)
        assert believed.penalty[problem.n_tfs : problem.n_tfs + 2].tolist() == pytest.approx(
            expected
        )
        assert found == {"lr": pytest.approx(ratio)}
        assert torch.equal(believed.penalty[rest], problem.penalty[rest])


def test_tf_edges_are_believed_together(monkeypatch):
    problem = planted()
    factor = torch.ones(problem.n_tf_genes, problem.targets.shape[1])
    factor[0, :2] = 0.1
    size = torch.ones_like(factor)
    size[0, :2] = torch.tensor([8.0, 0.0])
    monkeypatch.setattr(trust, "_sizes_without_prior", lambda *a: {"tf": size})
    believed, found = calibrate_prior(replace(problem, tf_penalty=factor), CONFIG, seed=0)
    assert believed.tf_penalty[0, :2].tolist() == [0.25, 0.25]
    assert int((believed.tf_penalty < 1).sum()) == 2
    assert found == {"tf": 0.25}
    assert torch.equal(believed.penalty, problem.penalty)


def test_the_planted_pair_is_believed_and_a_wrong_one_is_not():
    problem = planted()
    right, found = calibrate_prior(with_prior(problem, [2 * R], 0.25), CONFIG, seed=3)
    assert right.penalty[problem.n_tfs + 2 * R] == 0.25
    assert found["lr"] < 0.25
    wrong, found = calibrate_prior(with_prior(problem, [0], 0.25), CONFIG, seed=3)
    assert wrong.penalty[problem.n_tfs] == 1.0
    assert found["lr"] == 1.0


def test_without_a_prior_nothing_is_done(monkeypatch):
    problem = planted()
    monkeypatch.setattr(trust, "_sizes_without_prior", lambda *a: pytest.fail("fitted for nothing"))
    same, found = calibrate_prior(problem, CONFIG, seed=0)
    assert same is problem
    assert found == {}


def test_a_prior_of_both_kinds_from_end_to_end():
    adata = tissue()
    truth = adata.uns["truth"]
    prior = {
        "pairs": truth["lr_pairs"][["ligand", "receptor"]],
        "tfs": truth["tf_targets"][["tf", "target"]],
    }
    st.tl.infer_ccc(adata, sample_key="sample", prior=prior, config=small_config())
    fit = adata.uns["spatrace"]["fit"]
    assert 0 <= fit["prior_lr"] <= 1
    assert 0 <= fit["prior_tf"] <= 1
    assert st.get.params(adata)["prior"].startswith(f"{len(truth['lr_pairs'])} ligand, receptor; ")
    assert len(st.get.lr_pairs(adata)) == 36  # never a filter
    plain = tissue()
    st.tl.infer_ccc(plain, sample_key="sample", config=tiny_config())
    assert st.get.params(plain)["prior"] is None
    assert "prior_lr" not in plain.uns["spatrace"]["fit"]


def test_a_strong_prior_does_not_cut_the_small_penalties_off():
    """The penalty path begins where it would without the prior, not 1 + weight times higher."""
    problem = planted()
    network = build_network(problem, CONFIG, problem.usable)
    design, _, _ = observe(network, problem, problem.usable)
    mean, sd = problem.targets.mean(0), problem.targets.std(0)
    y = (problem.targets - mean) / sd
    paths = []
    for given in (problem, with_prior(problem, [2 * R], 1e-3)):
        torch.manual_seed(0)
        regression = Regression(design, y, problem.usable, base_penalty(given), CONFIG.training)
        paths.append(errors_along_path(regression, problem)[0])
    n = min(map(len, paths))
    assert n > 2
    assert paths[0][:n] == paths[1][:n]
