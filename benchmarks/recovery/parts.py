"""Ablations: the scores with every part of the model switched off in turn, on three tissues.

python -m benchmarks.recovery.parts [seed ...] [--data C B65 E agents ...] [--parts ...]

C: the simulated tissue, 4 000 cells; B65: the authors' simulation with 65 % zeros (needs the
benchmark data); E: the other simulator. Not by default: agents and agents_deep
(benchmarks.worlds), and tissues with nuisances (benchmarks.calibration.tissues). Five seeds take
about 25 minutes of CPU.
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
from benchmarks.calibration.tissues import TISSUES
from benchmarks.recovery.datasets import DATASETS, simulated
from benchmarks.recovery.judge import TITLES, judge
from benchmarks.recovery.methods.own import ours
from benchmarks.recovery.parts_data import (
    GIVEN,
    counts_as_given,
    former_covariates,
    shallow_cells_kept,
    tfs_filtered_together,
    time_as_a_cubic,
    without_covariates,
    without_neighbourhoods,
)
from benchmarks.recovery.parts_pairs import (
    credit_as_it_falls,
    effects_not_pooled,
    location_ignored,
    neither_pooled_nor_shared,
    substitution_ignored,
)
from benchmarks.recovery.parts_tfs import (
    all_tfs_in_the_regression,
    all_variation_only,
    poisson_counts,
    regression_tested,
    silencing_in_full,
    tf_weights_only,
    tfs_against_decoys_only,
    tfs_by_single_targets,
    without_silencing,
)
from benchmarks.worlds.tissues import WORLDS
from benchmarks.worlds.tissues_shared import as_tissue
from scipy.stats import rankdata

import spatrace_sc as st
from spatrace_sc._core.statistics import decoys_at_least
from spatrace_sc._inference import edge_tables
from spatrace_sc._inference import edge_tests as inference
from spatrace_sc._model import fit
from spatrace_sc._model.records import History
from spatrace_sc._study import histories

BASE = st.Config(progress=False)
#: Tissues of three kinds. None of the default seeds was used in development, but the data behind
#: B65 were.
DATA = {
    "C": simulated(n_cells=4000),
    "B65": DATASETS["B65"],
    "E": DATASETS["E"],
    **{name: TISSUES[name] for name in ("undisturbed", "fields", "courses", "depth gradient")},
    **{name: TISSUES[name] for name in ("shallow cells", "all", "overdispersion .5")},
    **{name: TISSUES[name] for name in ("50 TFs", "midbrain cells", "embryo cells", "lineages")},
    "agents": lambda seed: as_tissue(WORLDS["agents"](seed)),
    "agents_deep": lambda seed: as_tissue(WORLDS["agents_deep"](seed)),
}
DEFAULT_DATA = ["C", "B65", "E"]


@contextmanager
def changed_history(change: Callable[[History], History]) -> Iterator[None]:
    """Change every history, of real genes and of decoys, before it is used."""
    build = histories.build_history
    with patch.object(histories, "build_history", lambda *arguments: change(build(*arguments))):
        yield


def no_tf_now() -> AbstractContextManager[None]:
    """Use TFs in earlier cells only."""
    return changed_history(lambda h: replace(h, tf_now=torch.zeros_like(h.tf_now)))


@contextmanager
def unfiltered_tf_now() -> Iterator[None]:
    """Use the cell's own TF counts without the noise filter."""
    with patch.object(histories, "current_tf_filter", lambda study: lambda tf: tf):
        yield


@contextmanager
def rivals_ignored() -> Iterator[None]:
    """Let pairs keep their q even if a rival explains their targets as well."""

    def unchanged(evidence, values, rivals, genes):
        return values, rivals, np.zeros(genes.n_pairs)

    with patch.object(inference, "apply_rival_test", unchanged):
        yield


def without_denoised_receptors() -> AbstractContextManager[None]:
    """Use receptors of the predicted cell alone, without its past."""
    return changed_history(
        lambda h: replace(h, receptor=h.receptor[:, -1:].expand_as(h.receptor).contiguous())
    )


def previous_exposure_only() -> AbstractContextManager[None]:
    """Replace the exposure of the predicted cell by that of the step before."""
    return changed_history(
        lambda h: replace(h, exposure=torch.cat([h.exposure[:, :-1], h.exposure[:, -2:-1]], dim=1))
    )


@contextmanager
def trained_on_plain_error() -> Iterator[None]:
    """Train the attention on plain error, so that it may use the targets' own past."""
    with patch.object(fit, "beyond_past", lambda problem, y, training: y):
        yield


@contextmanager
def counted_over_all_refits() -> Iterator[None]:
    """Compute q from the union of all refits against decoys of single refits."""

    def pooled(draws, wanted):
        score = np.zeros(len(wanted))
        for draw in draws:
            listed = np.isin(draw.items, wanted)
            score[np.searchsorted(wanted, draw.items[listed])] += draw.score[listed] / len(draws)
        value = np.concatenate([draw.null_score for draw in draws])
        order = np.argsort(value, kind="stable")
        null = (
            value[order],
            np.concatenate([draw.null_weight for draw in draws])[order] / len(draws),
        )
        return edge_tables.decoy_q_values(score, null)

    with patch.object(edge_tables, "q_against_decoys", pooled):
        yield


@contextmanager
def zeros_counted_as_hits() -> Iterator[None]:
    """Compute q as in an early, mistaken version.

    It used the union of all refits, and candidates without a score counted as hits.
    """

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
    """Change nothing."""
    yield


def with_training(**changes: object) -> st.Config:
    """Return the default configuration with changed training options."""
    return replace(BASE, training=replace(BASE.training, **changes))  # type: ignore[arg-type]


PARTS = {
    "all": (as_it_is, BASE),
    "no training of attention and gates": (as_it_is, with_training(max_epochs=0)),
    "attention trained on plain error": (trained_on_plain_error, BASE),
    "TFs of earlier cells only": (no_tf_now, BASE),
    "TFs of the cell itself only": (as_it_is, with_training(past_penalty=1e6)),
    "TFs of the cell itself as counted": (unfiltered_tf_now, BASE),
    "TF effects of the sparse model only": (tf_weights_only, BASE),
    "TFs not silenced": (without_silencing, BASE),
    "TFs filtered together": (tfs_filtered_together, BASE),
    "TF effects not from all targets together": (tfs_by_single_targets, BASE),
    "Poisson counts": (poisson_counts, BASE),
    "TF effects from all variation only": (all_variation_only, BASE),
    "silencing whatever confounds": (silencing_in_full, BASE),
    "the regression is tested": (regression_tested, BASE),
    "all TFs in the regression": (all_tfs_in_the_regression, BASE),
    "credit not shared": (credit_as_it_falls, BASE),
    "effects of pairs not pooled": (effects_not_pooled, BASE),
    "credit shared whatever receptors predict": (substitution_ignored, BASE),
    "neither pooled nor shared": (neither_pooled_nor_shared, BASE),
    "no covariates": (without_covariates, BASE),
    "no neighbourhoods": (without_neighbourhoods, BASE),
    "time as a cubic": (time_as_a_cubic, BASE),
    "neither": (former_covariates, BASE),
    "depth as a covariate": (as_it_is, BASE),
    "counts as given": (counts_as_given, BASE),
    "shallow cells kept": (shallow_cells_kept, BASE),
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
    "location ignored": (location_ignored, BASE),
    "q over the union of refits": (counted_over_all_refits, BASE),
    "and zeros counted as hits": (zeros_counted_as_hits, BASE),
}


def run(data: str, seed: int, part: str) -> dict[str, object]:
    """Return one row: scores of every task with one part changed."""
    change, config = PARTS[part]
    tissue = DATA[data](seed)
    tissue = GIVEN[part](tissue) if part in GIVEN else tissue
    tissue.arguments["config"] = config
    with change():
        scores_of = judge(tissue, ours(tissue, seed))
    row: dict[str, object] = {
        "data": data,
        "part": part,
        "seed": seed,
        "R2": tissue.adata.uns["spatrace"]["fit"]["r2_gates"],
    }
    for task in ("lr_targets", "tf_targets", "lr_pairs"):
        scores = scores_of[task]
        row |= {f"{TITLES[task]} {title}": scores[name] for name, title in COLUMNS.items()}
    return row


COLUMNS = {"AUPRC": "AUPRC", "hits": "n", "false": "false"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("seeds", nargs="*", type=int, default=[200, 201, 202, 203, 204])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=DEFAULT_DATA)
    default = [part for part in PARTS if part not in GIVEN]
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [
        run(data, seed, part) for data in given.data for seed in given.seeds for part in given.parts
    ]
    frame = pd.DataFrame(rows)
    print(
        f"{machine()}; seeds {given.seeds}; medians; "
        "n and false: discoveries at q <= .1 and their false share"
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
