"""From a study to tensors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._errors import DataError
from .._model.config import Config
from .._model.records import Problem
from . import histories
from .prior_penalties import Prior, prior_penalties
from .read import levels
from .records import Study


def build_problem(study: Study, config: Config, prior: Prior | None) -> Problem:
    """Tensors of a study. Pairs are every ligand with every receptor, ligand by ligand; every TF has two columns, in earlier cells and now."""
    genes, n_lags = study.genes, config.model.n_lags
    n_l, n_r, n_f = (len(genes[r]) for r in ("ligands", "receptors", "tfs"))
    covariates = build_covariates(study)
    history = histories.build_history(
        study,
        study.exposure,
        study.receptor,
        study.tf,
        n_lags,
        histories.tf_filter(study, covariates.numpy()),
    )
    usable = history.exists[:, -2]
    if int(usable.sum()) < 20:
        raise DataError(
            f"only {int(usable.sum())} receivers have an earlier cell to look back on; check `time_key` and the transitions."
        )
    pair_penalty, tf_penalty = prior_penalties(prior, genes)
    past = torch.full((n_f,), config.training.past_penalty)
    penalty = torch.cat(
        [past, torch.ones(n_f), torch.from_numpy(pair_penalty), torch.ones(covariates.shape[1])]
    )
    return Problem(
        history=history,
        pair_ligand=torch.arange(n_l).repeat_interleave(n_r),
        pair_receptor=torch.arange(n_r).repeat(n_l),
        tf_gene=torch.arange(n_f).repeat(2),
        tf_count=torch.from_numpy(levels(study.tf, study.tf_scale)),
        tf_noise=torch.from_numpy(study.level_noise.astype(np.float32)),
        receptor_level=torch.from_numpy(histories.receptor_levels(study, history)),
        target_past=torch.from_numpy(histories.recent_past(study, study.target, n_lags)),
        covariates=covariates,
        targets=torch.from_numpy(study.target),
        usable=usable,
        block=torch.from_numpy(spatial_blocks(study, config.n_blocks)),
        penalty=penalty,
        tf_penalty=None if tf_penalty is None else torch.from_numpy(tf_penalty),
        forbidden=forbidden_edges(genes),
        forbidden_on_tfs=forbidden_edges(genes | {"targets": genes["tfs"]}),
    )


def build_covariates(study: Study) -> Tensor:
    """(receivers, C) standardised: cell type, slice, and time up to its cube. They compete with the regulators for what changes with type, place and time alone."""
    types = study.types[study.receivers]
    time = (study.time - study.time.mean()) / study.time.std()
    parts = [
        pd.get_dummies(types).to_numpy(dtype=float),
        pd.get_dummies(study.sample[study.receivers]).to_numpy(dtype=float),
    ]
    parts.append(
        np.stack([time**power for power in range(1, min(4, len(np.unique(time))))], axis=1)
    )
    raw = np.hstack(parts)
    raw = raw[:, raw.std(axis=0) > 1e-6]
    return torch.from_numpy(((raw - raw.mean(axis=0)) / raw.std(axis=0)).astype(np.float32))


def spatial_blocks(study: Study, n_blocks: int) -> NDArray[np.int64]:
    """(receivers,) code of the square block of the slice; the longer side of a slice holds ``n_blocks``."""
    sample = study.sample[study.receivers]
    code = np.zeros((len(sample), study.coords.shape[1] + 1), dtype=np.int64)
    for s in np.unique(sample):
        here = sample == s
        corner = study.coords[here].min(axis=0)
        side = max(float(np.ptp(study.coords[here], axis=0).max()) / n_blocks, 1e-12)
        code[here, 1:] = np.minimum((study.coords[here] - corner) // side, n_blocks - 1)
        code[here, 0] = s
    return np.unique(code, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def forbidden_edges(genes: dict[str, NDArray[np.str_]]) -> Tensor:
    """(2, edges) regulator and target numbers of a TF (both its columns) on itself and of a pair on its own ligand or receptor."""
    targets = genes["targets"]
    n_tf, n_r = len(genes["tfs"]), len(genes["receptors"])
    n_f = 2 * n_tf
    tf, tf_target = np.nonzero(genes["tfs"][:, None] == targets)
    left, left_target = np.nonzero(genes["ligands"][:, None] == targets)
    right, right_target = np.nonzero(genes["receptors"][:, None] == targets)
    regulators = [
        tf,
        n_tf + tf,
        *(n_f + left * n_r + r for r in range(n_r)),
        *(n_f + k * n_r + right for k in range(len(genes["ligands"]))),
    ]
    regulated = [
        tf_target,
        tf_target,
        *([left_target] * n_r),
        *([right_target] * len(genes["ligands"])),
    ]
    edges = np.unique(np.stack([np.concatenate(regulators), np.concatenate(regulated)]), axis=1)
    return torch.from_numpy(edges.astype(np.int64))
