"""Power and detection limits, from implanted signals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import binomtest

from ..._edges import TF_TARGETS

#: Probability at which the detection limit is read.
POWER = 0.8
#: Prior standard deviation of the coefficients of the logistic regression.
PRIOR_SD = 4.0
N_BOOTSTRAP = 200
#: Number of receivers beyond which the test of TF edges gains nothing.
MAX_CELLS_OF_TF_TEST = 5000
MORE_COLUMNS = ["table", "twice_the", "rate", "effect", "effect_with_twice"]
POWER_COLUMNS = [
    *("tissue", "table", "size", "n", "power", "low", "high", "right_sign", "rival_share"),
]
LIMIT_COLUMNS = [
    *("tissue", "table", "share", "share_low", "share_high", "effect", "effect_low"),
    *("effect_high", "n_receivers"),
]


def power_by_size(implants: pd.DataFrame) -> pd.DataFrame:
    """Return power, its 95 % Wilson interval, sign accuracy and share of rivals by size.

    ``n`` counts the implants of a size; those whose targets had too few molecules for it, less
    than half of the wanted share, are left out. ``right_sign`` is a share of those found,
    ``rival_share`` of those that were not found.
    """
    reached = implants[implants["reached"] >= implants["size"] / 2]
    rows = []
    for (tissue, table, size), part in reached.groupby(["tissue", "table", "size"], sort=True):
        found = part["found"].to_numpy(dtype=bool)
        low, high = wilson_interval(int(found.sum()), len(found))
        missed = part.loc[~found, "rival"].astype(float)
        rows.append(
            (
                *(tissue, table, size, len(found), float(found.mean()), low, high),
                float(part.loc[found, "right_sign"].astype(float).mean()),
                float(missed.mean()) if len(missed) else np.nan,
            )
        )
    return pd.DataFrame(rows, columns=POWER_COLUMNS)


def wilson_interval(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share, NaN without cases."""
    if n == 0:
        return np.nan, np.nan
    interval = binomtest(k, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def detection_limits(
    implants: pd.DataFrame, n_receivers: dict[str, int], rng: np.random.Generator
) -> pd.DataFrame:
    """Return the share of the variance, and the effect, that is found with probability .8.

    The probability of being found is a logistic function of the logarithm of the share that an
    implant explains. The interval holds 95 % of the limits of resampled implants. A limit is NaN
    where none of the implanted sizes is found so often. ``effect`` is the square root of the share:
    standard deviations of the target per standard deviation of the signal.
    """
    rows = []
    for (tissue, table), part in implants.groupby(["tissue", "table"], sort=True):
        usable = part[part["reached"] > 0]
        x = np.log(usable["reached"].to_numpy(dtype=float))
        y = usable["found"].to_numpy(dtype=float)
        if not len(x):
            continue
        drawn = rng.integers(len(x), size=(N_BOOTSTRAP, len(x)))
        limits = np.array([limit(x[i], y[i]) for i in drawn])
        limits[np.isnan(limits)] = np.inf
        interval = np.quantile(limits, [0.025, 0.975], method="nearest")
        shares = np.array([limit(x, y), *interval])
        shares[~np.isfinite(shares)] = np.nan
        rows.append((tissue, table, *shares, *np.sqrt(shares), n_receivers[str(tissue)]))
    return pd.DataFrame(rows, columns=LIMIT_COLUMNS)


def limit(log_share: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """Return the share that is found with probability .8, NaN if no implanted one is.

    The limit is never below the smallest share, so it is that share where all implants are found.
    It is not extrapolated beyond the largest share.
    """
    if not len(found) or not found.any():
        return np.nan
    smallest = float(log_share.min())
    intercept, slope = logistic(log_share, found)
    if slope <= 0:
        return float(np.exp(smallest)) if found.mean() >= POWER else np.nan
    log_limit = max((np.log(POWER / (1 - POWER)) - intercept) / slope, smallest)
    return float(np.exp(log_limit)) if log_limit <= float(log_share.max()) else np.nan


def logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return intercept and slope of a logistic regression, with a weak normal prior on both.

    The prior keeps them finite where found and missed signals do not overlap.
    """
    centre = float(x.mean())

    def loss(b: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        eta = b[0] + b[1] * (x - centre)
        residual = expit(eta) - y
        value = np.logaddexp(0.0, eta).sum() - y @ eta + (b**2).sum() / (2 * PRIOR_SD**2)
        gradient = np.array([residual.sum(), residual @ (x - centre)]) + b / PRIOR_SD**2
        return float(value), gradient

    b = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B").x
    return float(b[0] - b[1] * centre), float(b[1])


def with_more(limits: pd.DataFrame) -> pd.DataFrame:
    """Return how the limit changes with twice the receivers, and with twice the molecules.

    The limit of a share falls as a power of the number: limit(n) = limit(N) (n / N)^-rate. The rate
    follows from the whole tissue and its half and lies between 0 and 1; independent cells have 1.
    """
    rows = []
    whole = {row["table"]: row for row in limits.to_dict("records") if row["tissue"] == "whole"}
    for half in limits.to_dict("records"):
        if half["tissue"] == "whole" or half["table"] not in whole:
            continue
        what = half["tissue"].removeprefix("half the ")
        reference = whole[half["table"]]
        now, then = float(reference["share"]), float(half["share"])
        # where the half has no limit, cells or molecules are taken for independent
        rate = float(np.clip(np.log2(then / now), 0.0, 1.0)) if np.isfinite(then) else 1.0
        rate = rate if np.isfinite(now) else np.nan
        at_limit = reference["n_receivers"] >= MAX_CELLS_OF_TF_TEST
        if half["table"] == TF_TARGETS.name and what == "receivers" and at_limit:
            rate = 0.0
        rows.append((half["table"], what, rate, np.sqrt(now), np.sqrt(now * 2.0**-rate)))
    return pd.DataFrame(rows, columns=MORE_COLUMNS)
