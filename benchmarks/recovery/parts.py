"""What each part of the model buys: every part off in turn, on three kinds of tissue.

python -m benchmarks.recovery.parts [seed ...] [--data C B65 E] [--parts ...]

C: the simulated tissue, 4 000 cells; B65: the authors' simulation with 65 % zeros (needs the measuring data); E: the other simulator. About 25 minutes of CPU for five seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import machine
from benchmarks.recovery.datasets import DATASETS, simulated
from benchmarks.recovery.judge import TITLES, judge
from benchmarks.recovery.methods.own import ours
from scipy.stats import rankdata

import spatrace_sc as st
from spatrace_sc._core.statistics import decoys_at_least
from spatrace_sc._inference import edge_tables
from spatrace_sc._inference import run as inference
from spatrace_sc._model import fit
from spatrace_sc._model.evidence.latent_levels import Joint
from spatrace_sc._model.records import History
from spatrace_sc._study import histories, problem

BASE = st.Config(progress=False)
#: Data sets whose tissue differs in kind. None of the default seeds was used in development; the data that B65 thins was.
DATA = {
    "C": simulated(n_cells=4000),
    "B65": DATASETS["B65"],
    "E": DATASETS["E"],
}


@contextmanager
def without_covariates() -> Iterator[None]:
    """Type, slice and time take no part."""
    build = problem.build_covariates
    with patch.object(problem, "build_covariates", lambda study: build(study)[:, :0]):
        yield


@contextmanager
def changed_history(change: Callable[[History], History]) -> Iterator[None]:
    """Every history, of real genes and of decoys, is changed before it is used."""
    build = histories.build_history
    with patch.object(histories, "build_history", lambda *arguments: change(build(*arguments))):
        yield


def no_tf_now() -> AbstractContextManager[None]:
    """TFs in earlier cells only."""
    return changed_history(lambda h: replace(h, tf_now=torch.zeros_like(h.tf_now)))


@contextmanager
def unfiltered_tf_now() -> Iterator[None]:
    """The cell's own counts of TFs as they are."""
    with patch.object(histories, "tf_filter", lambda study, covariates: lambda tf: tf):
        yield


@contextmanager
def tf_weights_only() -> Iterator[None]:
    """TF effects of the sparse model alone, nothing of the noise-corrected and the joint ones."""
    with patch.object(inference, "combined", lambda evidence, corrected, joint: evidence):
        yield


@contextmanager
def tfs_by_single_targets() -> Iterator[None]:
    """TF effects of the sparse model and the noise-corrected ones, nothing of those from all targets together."""
    with patch.object(Joint, "weight", 0.0):
        yield


@contextmanager
def tfs_against_decoys_only() -> Iterator[None]:
    """TF edges need not exceed the smallest effect worth naming."""
    with patch.object(edge_tables, "benjamini_hochberg", np.zeros_like):
        yield


@contextmanager
def rivals_ignored() -> Iterator[None]:
    """Pairs that another could replace keep their q."""

    def every(evidence, values, rivals, *rest):
        return values, rivals, np.zeros(len(values["pair"][1]))

    with patch.object(inference, "only_told_apart", every):
        yield


def without_denoised_receptors() -> AbstractContextManager[None]:
    """Receptors of the predicted cell alone, not of its past."""
    return changed_history(
        lambda h: replace(h, receptor=h.receptor[:, -1:].expand_as(h.receptor).contiguous())
    )


def previous_exposure_only() -> AbstractContextManager[None]:
    """The exposure of the predicted cell itself is hidden; that of the step before stands in."""
    return changed_history(
        lambda h: replace(h, exposure=torch.cat([h.exposure[:, :-1], h.exposure[:, -2:-1]], dim=1))
    )


@contextmanager
def trained_on_plain_error() -> Iterator[None]:
    """Attention may use whatever predicts, the targets' own past too."""
    with patch.object(fit, "beyond_past", lambda problem, y, training: y):
        yield


@contextmanager
def credit_as_it_falls() -> Iterator[None]:
    """The weights of the joint model, nothing shared out."""
    with patch.object(
        inference, "share_credit", lambda problem, fitted, evidence, *supported: evidence
    ):
        yield


@contextmanager
def counted_over_all_refits() -> Iterator[None]:
    """q from the union of all refits against decoys of single refits, instead of refit by refit."""

    def pooled(draws, n_candidates):
        score = np.zeros(n_candidates)
        for d in draws:
            score[d.items] += d.score / len(draws)
        value = np.concatenate([d.null_score for d in draws])
        order = np.argsort(value, kind="stable")
        null = (value[order], np.concatenate([d.null_weight for d in draws])[order] / len(draws))
        return edge_tables.decoy_q_values(score, null)

    with patch.object(edge_tables, "_q_against_decoys", pooled):
        yield


@contextmanager
def zeros_counted_as_hits() -> Iterator[None]:
    """The union of all refits, and candidates without a score count as hits of a threshold of 0: a mistake worth remembering."""

    def naive(score, null):
        rate = (1.0 + decoys_at_least(score, null)) / rankdata(-score, "max")
        rate = np.where(score > 0, rate, (1.0 + null[1].sum()) / len(score))
        order = np.argsort(-score, kind="stable")
        q = np.empty(len(score))
        q[order] = np.minimum.accumulate(np.minimum(rate, 1.0)[order][::-1])[::-1]
        return np.where(score > 0, q, 1.0)

    with counted_over_all_refits(), patch.object(edge_tables, "decoy_q_values", naive):
        yield


@contextmanager
def as_it_is() -> Iterator[None]:
    """Nothing changed."""
    yield


def with_training(**changes: object) -> st.Config:
    return replace(BASE, training=replace(BASE.training, **changes))  # type: ignore[arg-type]


PARTS = {
    "all": (as_it_is, BASE),
    "no training of attention and gates": (as_it_is, with_training(max_epochs=0)),
    "attention trained on plain error": (trained_on_plain_error, BASE),
    "TFs of earlier cells only": (no_tf_now, BASE),
    "TFs of the cell itself only": (as_it_is, with_training(past_penalty=1e6)),
    "TFs of the cell itself as counted": (unfiltered_tf_now, BASE),
    "TF effects of the sparse model only": (tf_weights_only, BASE),
    "TF effects not from all targets together": (tfs_by_single_targets, BASE),
    "credit not shared": (credit_as_it_falls, BASE),
    "no covariates": (without_covariates, BASE),
    "receptors of the cell itself only": (without_denoised_receptors, BASE),
    "exposure of earlier cells only": (previous_exposure_only, BASE),
    "no second pass": (as_it_is, with_training(adaptation=1e6)),
    "penalty of the best prediction": (as_it_is, with_training(penalty_slack=0.0)),
    "saturation exponent 2": (
        as_it_is,
        replace(BASE, model=replace(BASE.model, hill_exponent=2.0)),
    ),
    "TF edges against decoys only": (tfs_against_decoys_only, BASE),
    "rivals ignored": (rivals_ignored, BASE),
    "q over the union of refits": (counted_over_all_refits, BASE),
    "and zeros counted as hits": (zeros_counted_as_hits, BASE),
}


def run(data: str, seed: int, part: str) -> dict[str, object]:
    """One row: scores of every task with one part changed."""
    change, config = PARTS[part]
    tissue = DATA[data](seed)
    tissue.arguments["config"] = config
    with change():
        found = judge(tissue, ours(tissue, seed))
    row: dict[str, object] = {
        "data": data,
        "part": part,
        "seed": seed,
        "R2": tissue.adata.uns["spatrace"]["fit"]["r2_gates"],
    }
    for task in ("lr_targets", "tf_targets", "lr_pairs"):
        scores = found[task]
        row |= {f"{TITLES[task]} {title}": scores[name] for name, title in COLUMNS.items()}
    return row


COLUMNS = {"AUPRC": "AUPRC", "hits": "n", "false": "false"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[200, 201, 202, 203, 204])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        run(data, seed, part) for data in given.data for seed in given.seeds for part in given.parts
    ]
    frame = pd.DataFrame(rows)
    print(
        f"{machine()}; seeds {given.seeds}; medians; n and false: discoveries at q <= .1 and their false share"
    )
    print(
        frame.drop(columns="seed")
        .groupby(["data", "part"], sort=False)
        .median()
        .to_string(float_format="%.3f", na_rep="")
    )
    score = frame.set_index(["data", "seed", "part"])["LR→TG AUPRC"].unstack()
    if "all" in score:
        print("\nLR→TG AUPRC relative to all parts, median over seeds:")
        print(
            score.div(score["all"], axis=0)
            .groupby("data")
            .median()[given.parts]
            .T.to_string(float_format="%.2f")
        )


if __name__ == "__main__":
    main()
