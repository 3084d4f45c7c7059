"""Which of a TF and its target changes first in time."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._core.leads import Leads, leads
from .._study.records import Study

logger = logging.getLogger("spatrace_sc")

#: Smallest share of the leads between genes that the order in time must explain.
MIN_ORDER_SHARE = 0.5


def leads_of_tfs(study: Study, block: NDArray[np.integer], seed: int) -> Leads:
    """Return the leads of all TFs over all targets, within cell types and slices.

    Time is no covariate: what changes along it is the signal. A slice is one, so differences
    between slices are not mistaken for differences in time. The level is that of log-normalised
    expression, for TFs as for targets.
    """
    slices = pd.get_dummies(study.receiver_sample).to_numpy(dtype=float)
    dummies = [groups[:, 1:] for groups in (study.receiver_mixture.values, slices)]
    rng = np.random.default_rng(seed)
    measured = leads(study.backward, study.tf, study.target, np.hstack(dummies), block, rng)
    share = round(100 * measured.order_share)
    if measured.order_share >= MIN_ORDER_SHARE:
        logger.info("Order in time: %d %% of the leads between genes; directions compared.", share)
    else:
        logger.info(
            "Order in time: it explains %d %% of the leads between genes, and random orders of the "
            "cells explain the rest. No TF edge gets a direction.",
            share,
        )
    return measured


def add_leads(tf_edges: pd.DataFrame, measured: Leads) -> pd.DataFrame:
    """Return the compact table of TF edges with the columns ``lead`` and ``lead_se``.

    A lead is positive if the TF changes first, given the sign of its effect. Both columns are 0 if
    the order in time explains less than ``MIN_ORDER_SHARE`` of the leads: nothing shows then that
    any lead is due to time.
    """
    tf, target = (tf_edges[column].to_numpy() for column in ("tf", "target"))
    sign = np.sign(tf_edges["effect"].to_numpy())
    error = measured.se[tf, target]
    known = np.isfinite(error) & (measured.order_share >= MIN_ORDER_SHARE)
    return tf_edges.assign(
        lead=np.where(known, measured.lead[tf, target] * sign, 0.0),
        lead_se=np.where(known, error, 0.0),
    )
