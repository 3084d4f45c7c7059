"""From a study to tensors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import SplineTransformer
from torch import Tensor

from .._check import shorten
from .._core.counts import Filter
from .._errors import DataError
from .._model.config import Config
from .._model.records import Problem
from .._regulators import Regulators
from . import histories
from .count_noise import tf_levels
from .former_levels import mixed_tf_filter
from .neighbourhood import neighbourhood_state
from .prior_penalties import Prior, prior_penalties
from .records import Study

logger = logging.getLogger("spatrace_sc")

#: Fewest receivers with an earlier cell.
MIN_USABLE_CELLS = 20
#: Knots of the spline by which time enters, and fewest distinct times for each of them.
N_KNOTS, MIN_TIMES_PER_KNOT = 10, 10
#: With fewer times it enters as a polynomial of at most this degree.
MAX_TIME_POWER = 3
#: A covariate that varies less is left out.
MIN_COVARIATE_SD = 1e-6


class Covariates(NamedTuple):
    """(receivers, C) standardised covariates.

    Of the last ones, ``n_neighbourhood`` hold the state of the neighbourhood; ``n_named``, which
    the user named, follow. ``sizes`` are the numbers of columns of cell type, slice, time,
    neighbourhood and each named covariate.
    """

    values: NDArray[np.float32]
    n_neighbourhood: int
    n_named: int
    sizes: tuple[int, ...] = ()


class Scaled(NamedTuple):
    """Covariates and filters of TFs on the scales of other cells."""

    covariates: Covariates
    filters: Sequence[Filter]


def build_problem(
    study: Study, config: Config, prior: Prior | None, scaled: Scaled | None = None
) -> Problem:
    """Return the tensors of a study, columns numbered as in :class:`Regulators`.

    Covariates and current levels of TFs are on the scales of the study unless ``scaled`` ones are
    given.

    Raises
    ------
    DataError
        If too few receivers have an earlier cell, or no pair is a candidate.
    """
    genes, n_lags = study.genes, config.model.n_lags
    if scaled is None:
        with_state = config.model.neighbourhood_covariates
        covariates = build_covariates(study, neighbourhood=with_state)
    else:
        covariates = scaled.covariates
    if scaled is not None:
        current = histories.current_tf_filter(study, scaled.filters)
    elif study.reads_tfs_alone:
        current = histories.current_tf_filter(study)
    else:
        current = mixed_tf_filter(study, covariates.values)
    history = histories.build_history(
        study, study.sender_ligand, study.receptor, study.tf, n_lags, current
    )
    usable = history.exists[:, -2]
    if int(usable.sum()) < MIN_USABLE_CELLS:
        raise DataError(
            f"only {int(usable.sum())} receivers have an earlier cell to look back on; check "
            "`time_key` and the transitions."
        )
    pair_penalty, tf_penalty = prior_penalties(prior, genes)
    pair_penalty[excluded_pairs(genes)] = np.inf
    pair = torch.arange(genes.n_pairs)
    return Problem(
        history=history,
        pair_ligand=torch.from_numpy(genes.ligand_of(pair)),
        pair_receptor=torch.from_numpy(genes.receptor_of(pair)),
        tf_gene=torch.arange(genes.n_tfs).repeat(2),
        tf_count=torch.from_numpy(tf_levels(study.tf, study.noise.scale)),
        tf_noise=torch.from_numpy(study.noise.level.astype(np.float32)),
        tf_state=torch.from_numpy((study.state @ study.tf).astype(np.float32)),
        receptor_level=torch.from_numpy(histories.receptor_levels(study, history)),
        target_past=torch.from_numpy(histories.recent_past(study, study.target, n_lags)),
        covariates=torch.from_numpy(covariates.values),
        n_neighbourhood_covariates=covariates.n_neighbourhood,
        n_named_covariates=covariates.n_named,
        covariate_sizes=covariates.sizes,
        targets=torch.from_numpy(study.target),
        usable=usable,
        block=torch.from_numpy(spatial_blocks(study, config.n_blocks)),
        penalty=torch.cat(
            [
                torch.full((genes.n_tfs,), config.training.past_penalty),
                torch.ones(genes.n_tfs),
                torch.from_numpy(pair_penalty),
                torch.ones(covariates.values.shape[1]),
            ]
        ),
        tf_penalty=None if tf_penalty is None else torch.from_numpy(tf_penalty),
        forbidden=forbidden_edges(genes, genes.targets),
        forbidden_on_tfs=forbidden_edges(genes, genes.tfs),
    )


def excluded_pairs(genes: Regulators) -> NDArray[np.int64]:
    """Return the pairs of a gene with itself that are not candidates, and log them.

    Raises
    ------
    DataError
        If no other pair is left.
    """
    pairs = genes.excluded_pairs
    if not len(pairs):
        return pairs
    names = sorted({str(name) for name in genes.ligands[genes.ligand_of(pairs)]})
    if len(pairs) == genes.n_pairs:
        raise DataError(
            f"the only pair is {names[0]} with itself, which is not a candidate. Name more "
            "`ligands` or `receptors`, or set `homophilic=True`."
        )
    if genes.complexes:
        logger.info(
            "%d pairs have a gene in common, or a subunit (of the ligands %s): they are no "
            "candidates. `homophilic=True` makes them some.",
            *(len(pairs), shorten(names, 3)),
        )
        return pairs
    logger.info(
        "%d %s both a ligand and a receptor (%s): the pair of a gene with itself is not a "
        "candidate. `homophilic=True` makes it one.",
        *(len(pairs), "gene is" if len(pairs) == 1 else "genes are", shorten(names, 2)),
    )
    return pairs


def build_covariates(study: Study, *, neighbourhood: bool = True) -> Covariates:
    """Return cell type, sample, powers of time, neighbourhood state and named covariates.

    Cell type is an indicator of every type, or its proportion in mixed spots.
    They compete with the regulators for what changes with type, sample, time and place alone.
    Without ``neighbourhood`` its state is left out.
    """
    time = (study.time - study.time.mean()) / study.time.std()
    groups = [
        study.receiver_mixture.values,
        pd.get_dummies(study.receiver_sample).to_numpy(dtype=float),
        time_powers(time) if study.former_covariates else time_course(time),
    ]
    nothing = np.empty((len(time), 0))
    left_out = study.former_covariates or not neighbourhood
    state = nothing if left_out else neighbourhood_state(study)
    groups += [state, *named_groups(study.named_covariates, len(time))]
    parts = [_standardised(group) for group in groups]
    sizes = tuple(part.shape[1] for part in parts)
    return Covariates(np.hstack(parts), sizes[3], sum(sizes[4:]), sizes)


def named_groups(named: pd.DataFrame, n: int) -> list[NDArray[np.float64]]:
    """Return the (n, columns) values of each covariate that the user named."""
    # columns of one covariate are called like it, with "=" and a category behind it
    names = pd.Index([str(column).split("=")[0] for column in named.columns])
    values = named.to_numpy(dtype=float).reshape(n, -1)
    return [values[:, names == name] for name in names.unique()]


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the columns that vary, with mean 0 and standard deviation 1."""
    values = values[:, values.std(axis=0) > MIN_COVARIATE_SD]
    standardised = (values - values.mean(axis=0)) / values.std(axis=0)
    return np.asarray(standardised, dtype=np.float32)


def time_course(time: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, C) cubic B-splines of time with knots at its quantiles, powers where times are few."""
    if len(np.unique(time)) < MIN_TIMES_PER_KNOT * N_KNOTS:
        return time_powers(time)
    return np.asarray(_splines().fit_transform(time[:, None]), dtype=np.float64)


def time_knots(time: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return all knots of the splines of :func:`time_course`; none where it takes powers."""
    if len(np.unique(time)) < MIN_TIMES_PER_KNOT * N_KNOTS:
        return np.empty(0)
    return np.asarray(_splines().fit(time[:, None]).bsplines_[0].t, dtype=np.float64)


def _splines() -> SplineTransformer:
    return SplineTransformer(n_knots=N_KNOTS, degree=3, knots="quantile", include_bias=False)


def time_powers(time: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, 1 to 3) powers of time up to its cube, fewer than there are time points."""
    highest = min(MAX_TIME_POWER, len(np.unique(time)) - 1)
    if highest < 1:
        return np.empty((len(time), 0))
    return np.stack([time**power for power in range(1, highest + 1)], axis=1)


def spatial_blocks(study: Study, n_blocks: int) -> NDArray[np.int64]:
    """(receivers,) code of the square block; the longer side of a slice holds ``n_blocks``."""
    sample = study.receiver_sample
    code = np.zeros((len(sample), study.coords.shape[1] + 1), dtype=np.int64)
    for s in np.unique(sample):
        rows = sample == s
        corner = study.coords[rows].min(axis=0)
        side = max(float(np.ptp(study.coords[rows], axis=0).max()) / n_blocks, 1e-12)
        code[rows, 1:] = np.minimum((study.coords[rows] - corner) // side, n_blocks - 1)
        code[rows, 0] = s
    return np.unique(code, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def forbidden_edges(genes: Regulators, targets: NDArray[np.str_]) -> Tensor:
    """(2, edges) column and target of edges of a gene on itself.

    A TF (both its columns) may not act on itself, nor a pair on its own ligand or receptor, nor on
    a subunit of either.
    """
    tf, tf_target = np.nonzero(genes.tfs[:, None] == targets)
    ligand, ligand_target = np.nonzero(genes.share_gene(genes.ligands, targets))
    receptor, receptor_target = np.nonzero(genes.share_gene(genes.receptors, targets))
    of_ligand = genes.pair(ligand[:, None], np.arange(genes.n_receptors))
    of_receptor = genes.pair(np.arange(genes.n_ligands)[:, None], receptor)
    columns = [
        genes.columns_of_past_tfs[tf],
        genes.columns_of_current_tfs[tf],
        genes.column_of_pair(of_ligand.ravel()),
        genes.column_of_pair(of_receptor.ravel()),
    ]
    regulated = [
        *(tf_target, tf_target),
        np.repeat(ligand_target, genes.n_receptors),
        np.tile(receptor_target, genes.n_ligands),
    ]
    edges = np.unique(np.stack([np.concatenate(columns), np.concatenate(regulated)]), axis=1)
    return torch.from_numpy(edges.astype(np.int64))
