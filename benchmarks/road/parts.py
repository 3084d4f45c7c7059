"""What each part of the model buys: every part off in turn, on the simulated tissue.

python -m benchmarks.road.parts [seed ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from benchmarks._scores import KEYS, discoveries, machine, rank_scores

import spatrace_sc as st
from spatrace_sc.tl import _problem, _result

BASE = st.Config(progress=False)


@contextmanager
def without_covariates() -> Iterator[None]:
    """Type, slice and time take no part."""
    build = _problem.build_covariates
    with patch.object(_problem, "build_covariates", lambda study: build(study)[:, :0]):
        yield


@contextmanager
def without_denoised_receptors() -> Iterator[None]:
    """Receptors of the predicted cell alone, not of its past."""
    build = _problem.build_history

    def only_now(study, exposure, receptor, tf, n_lags):
        history = build(study, exposure, receptor, tf, n_lags)
        return replace(history, receptor=history.receptor[:, -1:].expand_as(history.receptor).contiguous())

    with patch.object(_problem, "build_history", only_now):
        yield


@contextmanager
def previous_exposure_only() -> Iterator[None]:
    """The exposure of the predicted cell itself is hidden; that of its past stands in."""
    build = _problem.build_history

    def only_past(study, exposure, receptor, tf, n_lags):
        history = build(study, exposure, receptor, tf, n_lags)
        past = history.exposure.clone()
        past[:, -1] = past[:, -2]
        return replace(history, exposure=past)

    with patch.object(_problem, "build_history", only_past):
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
        return _result.decoy_p_values(score, null, n_candidates), _result.decoy_q_values(score, null)

    with patch.object(_result, "_against_decoys", pooled):
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
