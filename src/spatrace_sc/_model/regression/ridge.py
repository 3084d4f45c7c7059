"""Ridge regression of all targets, with the penalty of each target by leave-one-out."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor

#: Penalties to try.
PENALTIES = np.logspace(-1, 5, 13)


def ridge_coefficients(levels: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
    """(F, G) coefficients of standardised (n, F) levels on (n, G) targets.

    ``allowed`` (G, F) says which regulators a target may have. Targets that may have all of them
    are fitted together.
    """
    x, y = (values.double().cpu().numpy() for values in (levels, targets))
    mask = allowed.cpu().numpy()
    coefficients = np.zeros(mask.T.shape)
    everywhere = mask.all(axis=1)
    groups = [np.flatnonzero(everywhere), *np.flatnonzero(~everywhere)[:, None]]
    for group in groups:
        columns = np.flatnonzero(mask[group].all(axis=0))
        if not len(group) or not len(columns):
            continue
        model = RidgeCV(PENALTIES, alpha_per_target=True, fit_intercept=False)
        model.fit(x[:, columns], y[:, group])
        coefficients[np.ix_(columns, group)] = np.reshape(model.coef_, (len(group), -1)).T
    return torch.from_numpy(coefficients).to(levels)
