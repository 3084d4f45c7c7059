"""From a fit and its evidence to what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import sparse
from tqdm.auto import tqdm

from .._core.communication import Scene, cell_matrix, permutation_p_values, type_scores
from .._core.statistics import benjamini_hochberg, decoy_p_values, decoy_q_values, median_over_draws
from .._model.config import Config
from .._model.fit import Fit
from .._model.records import Draw, Evidence, Problem
from ._study import Study

#: p and q of all candidates of a task.
Values = tuple[NDArray[np.float64], NDArray[np.float64]]
#: Edges with at most this q are supported.
SUPPORTED = 0.1


def against_decoys(evidence: Evidence, n_tfs: int) -> dict[str, Values]:
    """Values of p and q of the tasks ``tf`` and ``lr``, edges numbered over (regulators, G), and ``pair``."""
    n_g, n_p = evidence.effect.shape[1], len(evidence.pair_score)
    sizes = {"tf": n_tfs * n_g, "lr": n_p * n_g, "pair": n_p}
    return {task: _against_decoys(evidence.draws[task], size) for task, size in sizes.items()}


def edge_tables(study: Study, evidence: Evidence, values: dict[str, Values], max_edges: int) -> dict[str, Any]:
    """Compact tables of every edge with a score above 0; genes as numbers. Readers expand them."""
    n_f, n_r = len(study.genes["tfs"]), len(study.genes["receptors"])
    tf = _edges(evidence.effect[:n_f], evidence.stability[:n_f], values["tf"], max_edges)
    lr = _edges(evidence.effect[n_f:], evidence.stability[n_f:], values["lr"], max_edges)
    pairs = pd.DataFrame({"regulator": np.arange(len(evidence.pair_score)), "score": evidence.pair_score})
    pairs["p_value"], pairs["q_value"] = values["pair"]
    pairs["stability"] = evidence.pair_stability
    pairs = pairs[pairs["score"] > 0].nlargest(max_edges, "score")
    for table in (lr, pairs):
        table.insert(0, "ligand", table["regulator"] // n_r)
        table.insert(1, "receptor", table.pop("regulator") % n_r)
    tables = {"tf_targets": tf.rename(columns={"regulator": "tf"}), "lr_targets": lr, "lr_pairs": pairs}
    return {name: _compact(table) for name, table in tables.items()}


def _edges(effect: NDArray[np.float32], stability: NDArray[np.float32], values: Values, max_edges: int) -> pd.DataFrame:
    score = np.abs(effect).ravel()
    kept = np.flatnonzero(score > 0)
    kept = kept[np.argsort(-score[kept], kind="stable")][:max_edges]
    p, q = values
    return pd.DataFrame(
        {
            "regulator": kept // effect.shape[1],
            "target": kept % effect.shape[1],
            "effect": effect.ravel()[kept],
            "score": score[kept],
            "p_value": p[kept],
            "q_value": q[kept],
            "stability": stability.ravel()[kept],
        }
    )


def _against_decoys(draws: list[Draw], n_candidates: int) -> Values:
    """Values of p and q of every candidate: computed in each refit against its own decoys, then the median over refits."""
    index = [d.items for d in draws]
    p = [decoy_p_values(d.score, (d.null_score, d.null_weight), n_candidates) for d in draws]
    q = [decoy_q_values(d.score, (d.null_score, d.null_weight)) for d in draws]
    return median_over_draws(index, p, n_candidates), median_over_draws(index, q, n_candidates)


def _compact(table: pd.DataFrame) -> pd.DataFrame:
    table = table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    return table.astype({c: "int32" if table[c].dtype.kind in "iu" else "float64" for c in table})


@torch.no_grad()
def regulator_levels(problem: Problem, fit: Fit, regulators: NDArray[np.integer]) -> NDArray[np.float32]:
    """(receivers, A) level of TFs (log expression) or pairs (saturating signal) as attended, times the cell's gate."""
    index = torch.as_tensor(regulators, device=problem.targets.device)
    n_f = problem.n_tfs
    is_tf = index < n_f
    level = torch.cat(
        [
            fit.attended.tf[:, index[is_tf]],
            fit.network.signal(fit.attended.exposure, fit.attended.receptor, index[~is_tf] - n_f),
        ],
        dim=1,
    )
    return (level * (1.0 + fit.network.gate(fit.look.context, index))).cpu().numpy()


def stage_factors(study: Study, levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(stages, A) mean level in a stage relative to the mean over all receivers; 1 where a regulator is silent everywhere."""
    overall = levels.mean(axis=0)
    per_stage = np.stack([levels[study.stage == s].mean(axis=0) for s in range(len(study.stages))])
    return np.divide(per_stage, overall, out=np.ones_like(per_stage), where=overall > 0)


def pair_activity(levels: NDArray[np.float32], strength: NDArray[np.float32]) -> NDArray[np.float32]:
    """(receivers, A) activity: level in standard deviations of the pair's signal × strength of the pair, so the size of the change of the targets in their standard deviations."""
    spread = levels.std(axis=0)
    return levels * np.divide(strength, spread, out=np.zeros_like(spread), where=spread > 0)


def communicate(
    study: Study,
    problem: Problem,
    fit: Fit,
    pairs: NDArray[np.integer],
    activity: NDArray[np.float32],
    strength: NDArray[np.float32],
    config: Config,
    rng: np.random.Generator,
) -> tuple[dict[str, pd.DataFrame], sparse.csr_matrix]:
    """Tables sender type × receiver type × pair (all stages, and by stage), and the cells × cells matrix."""
    n_r = len(study.genes["receptors"])
    sender_names, sender_code = np.unique(study.types[study.senders], return_inverse=True)
    receiver_names, receiver_code = np.unique(study.types[study.receivers], return_inverse=True)
    chosen = torch.as_tensor(pairs, device=problem.targets.device)

    @torch.no_grad()
    def signal(exposure: NDArray[np.float32]) -> NDArray[np.float32]:
        value = (
            fit.network.signal(torch.as_tensor(exposure, device=chosen.device), fit.attended.receptor, chosen)
            .cpu()
            .numpy()
        )
        return value * (strength / np.maximum(value.std(axis=0), 1e-12))

    scene = Scene(
        weights=study.weights,
        expression=study.sender_ligand,
        sender_type=sender_code,
        sender_sample=study.sample[study.senders],
        receiver_type=receiver_code,
        stage=study.stage,
        pair_ligand=np.asarray(pairs // n_r),
        signal=signal,
    )
    tables = {}
    observed = type_scores(scene, scene.expression, scene.sender_type)
    n = config.evidence.n_permutations
    with tqdm(total=n, desc="permuting senders", disable=not config.progress, leave=False) as bar:
        p = permutation_p_values(scene, observed, n_permutations=n, rng=rng, tick=lambda: bar.update())
    grid = np.meshgrid(
        np.arange(len(study.stages) + 1),
        np.arange(len(sender_names)),
        np.arange(len(receiver_names)),
        np.arange(len(pairs)),
        indexing="ij",
    )
    stage, sender, receiver, pair = (g.ravel() for g in grid)
    frame = pd.DataFrame(
        {
            "stage": np.array(["", *study.stages], dtype=object)[stage],
            "sender": sender_names.astype(object)[sender],
            "receiver": receiver_names.astype(object)[receiver],
            "ligand": study.genes["ligands"].astype(object)[pairs[pair] // n_r],
            "receptor": study.genes["receptors"].astype(object)[pairs[pair] % n_r],
            "score": observed.ravel(),
            "p_value": p.ravel(),
        }
    )
    for name, part in (
        ("communication", frame[stage == 0].drop(columns="stage")),
        ("communication_by_stage", frame[stage > 0]),
    ):
        part = part.assign(q_value=benjamini_hochberg(part["p_value"].to_numpy()))
        tables[name] = part.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
    by_ligand = np.zeros((len(activity), len(study.genes["ligands"])), dtype=np.float32)
    np.add.at(by_ligand.T, pairs // n_r, activity.T)
    return tables, cell_matrix(study.weights, study.sender_ligand, by_ligand, study.exposure)
