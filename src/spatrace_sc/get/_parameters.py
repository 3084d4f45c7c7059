"""The parameters, the stages and the training history of an inference."""

from __future__ import annotations

from typing import Any

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._result import Result


def training_history(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Return the mean squared error by training epoch, relative to the variance of the targets.

    Returns
    -------
    Table with one row per epoch:

    - ``phase``: "attention" or "gates".
    - ``epoch``: epoch within the phase.
    - ``train``, ``held_out``: error in training cells and in held-out cells.
    """
    return Result.read(adata, key, of_cells=None).history


def params(adata: AnnData, *, key: str = _keys.RESULT) -> dict[str, Any]:
    """Return the arguments of the inference; None for arguments that were not given.

    Returns
    -------
    Dictionary of the keys, the cell types that send and receive, the covariates, and the ``radius``
    in the units of the coordinates. ``radius_given`` is the argument as it was passed, such as
    "visium". ``radius_um`` and ``um_per_unit``, the radius and one unit of the coordinates in µm,
    are None if no platform or ``scale`` was passed. All three are None in results of earlier
    versions. The dictionary also holds the seed, the device, the configuration and the
    ``version`` of the package that wrote the result. ``versions`` has those of Python and of the
    packages it computed with; it is empty in results of earlier versions.
    """
    values = Result.read(adata, key, of_cells=None).params
    lists = ("senders", "receivers", "covariates")
    values = dict.fromkeys(("radius_given", "radius_um", "um_per_unit")) | values
    values |= {argument: [str(name) for name in values.get(argument, ())] for argument in lists}
    return {
        name: None if isinstance(value, str) and not value else value
        for name, value in values.items()
    }


def stages(adata: AnnData, *, key: str = _keys.RESULT) -> list[str]:
    """Return the stages of a result, in order of time.

    Without a ``stage_key`` these are the slices; without a ``sample_key`` as well, there is one
    stage "all".
    """
    return list(Result.read(adata, key, of_cells=None).stages)
