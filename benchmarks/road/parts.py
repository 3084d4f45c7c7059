"""What each part of the model buys: every part off in turn, on the simulated tissue.

python -m benchmarks.road.parts [seed ...]
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
from benchmarks._scores import KEYS, discoveries, machine, rank_scores
from scipy.stats import rankdata

import spatrace_sc as st
from spatrace_sc._model.records import History
from spatrace_sc.tl import _problem, _result

BASE = st.Config(progress=False)


@contextmanager
def without_covariates() -> Iterator[None]:
    """Type, slice and time take no part."""
    build = _problem.build_covariates
    with patch.object(_problem, "build_covariates", lambda study: build(study)[:, :0]):
        yield


@contextmanager
def changed_history(change: Callable[[History], History]) -> Iterator[None]:
    """Every history, of real genes and of decoys, is changed before it is used."""
    build = _problem.build_history
    with patch.object(_problem, "build_history", lambda *arguments: change(build(*arguments))):
        yield


def without_denoised_receptors() -> AbstractContextManager[None]:
    """Receptors of the predicted cell alone, not of its past."""
    return changed_history(lambda h: replace(h, receptor=h.receptor[:, -1:].expand_as(h.receptor).contiguous()))


def previous_exposure_only() -> AbstractContextManager[None]:
    """The exposure of the predicted cell itself is hidden; that of the step before stands in."""
    return changed_history(lambda h: replace(h, exposure=torch.cat([h.exposure[:, :-1], h.exposure[:, -2:-1]], dim=1)))


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
        return _result.decoy_p_values(score, null, n_candidates), _result.decoy_q_values(score, null)

    with patch.object(_result, "_against_decoys", pooled):
        yield


@contextmanager
def zeros_counted_as_hits() -> Iterator[None]:
    """The union of all refits, and candidates without a score count as hits of a threshold of 0: a mistake worth remembering."""

    def naive(score, null):
        rate = _result.decoy_p_values(score, null, len(score)) * (1.0 + len(score)) / rankdata(-score, "max")
        rate = np.where(score > 0, rate, (1.0 + null[1].sum()) / len(score))
        order = np.argsort(-score, kind="stable")
        q = np.empty(len(score))
        q[order] = np.minimum.accumulate(np.minimum(rate, 1.0)[order][::-1])[::-1]
        return np.where(score > 0, q, 1.0)

    with counted_over_all_refits(), patch.object(_result, "decoy_q_values", naive):
        yield


@contextmanager
def as_it_is() -> Iterator[None]:
    """Nothing changed."""
    yield


PARTS = {
    "all": (as_it_is, BASE),
    "no training of attention, saturation, gates": (
        as_it_is,
        replace(BASE, training=replace(BASE.training, max_epochs=0)),
    ),
    "no covariates": (without_covariates, BASE),
    "receptors of the cell itself only": (without_denoised_receptors, BASE),
    "exposure of earlier cells only": (previous_exposure_only, BASE),
    "no second pass": (as_it_is, replace(BASE, training=replace(BASE.training, adaptation=1e6))),
    "penalty of the best prediction": (as_it_is, replace(BASE, training=replace(BASE.training, penalty_slack=0.0))),
    "saturation exponent 2": (as_it_is, replace(BASE, model=replace(BASE.model, hill_exponent=2.0))),
    "q over the union of refits": (counted_over_all_refits, BASE),
    "and zeros counted as hits": (zeros_counted_as_hits, BASE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="*", type=int, default=[200, 201, 202, 203, 204])
    parser.add_argument("--cells", type=int, default=4000)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seed in given.seeds:
        adata = st.datasets.simulated(seed, n_cells=given.cells)
        truth = dict(adata.uns["truth"])
        truth["lr_targets"] = truth["lr_targets"].query("kind == 'direct'")
        for name, (change, config) in PARTS.items():
            with change():
                st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, seed=seed, device="cpu")
            row: dict[str, object] = {"part": name, "seed": seed, "R2": adata.uns["spatrace"]["fit"]["r2_gates"]}
            for task, short in (("lr_targets", "LR"), ("tf_targets", "TF"), ("lr_pairs", "pair")):
                table = getattr(st.get, task)(adata)
                row[f"{short} AUPRC"] = rank_scores(table, truth[task], KEYS[task])["AUPRC"]
                hits, false = discoveries(table, truth[task], KEYS[task])
                row[f"{short} n"], row[f"{short} FDP"] = hits, false
            rows.append(row)
    frame = pd.DataFrame(rows)
    print(
        f"{machine()}; seeds {given.seeds}, {given.cells} cells; medians; n and FDP: discoveries at q <= .1 and their false share"
    )
    print(frame.drop(columns="seed").groupby("part", sort=False).median().to_string(float_format="%.3f"))
    share = frame.set_index(["seed", "part"])["LR AUPRC"].unstack()
    print("\nLR AUPRC relative to all parts, median over seeds:")
    print((share.div(share["all"], axis=0)).median()[list(PARTS)].to_string(float_format="%.2f"))


if __name__ == "__main__":
    main()
