"""The direction from which every cell receives a signal."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._data.cells import coordinates, label_text
from .._data.radius import weights_within
from .._result import Result
from ._communication import cell_communication

#: Names of the axes.
AXES = ("x", "y", "z")


def signal_direction(
    adata: AnnData,
    pair: str | tuple[str, str] | None = None,
    *,
    module: str | None = None,
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return the direction in which the signal that a cell receives has travelled.

    With the signal C[j, i] that sender j gives receiver i, positions x and the kernel w over
    distance::

        direction_i = sum over j of C[j, i] * u[j, i],     u[j, i] = (x_i - x_j) / |x_i - x_j|
        expected_i  = sum over j of C[j, i] * (sum over j of w[i, j] * u[j, i])
                                            / (sum over j of w[i, j])

    The expected direction assumes that all senders around the cell give the same signal. It is far
    from 0 if senders are on one side, as at the edge of a slice. The difference shows the direction
    from which the cell receives more than the arrangement of the senders implies.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    pair, module
        As in :func:`cell_communication`. None: all listed pairs together.
    key
        Name of the result.

    Returns
    -------
    Table with one row per cell, in standard deviations of the targets. NaN in cells that do not
    receive.

    - ``received``: signal received from all senders, at least as long as the direction.
    - ``x``, ``y`` (and ``z``): direction, along the coordinates of the inference.
    - ``expected_x``, ``expected_y`` (and ``expected_z``): expected direction.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        As in :func:`cell_communication`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> list(st.get.signal_direction(adata).columns)
    ['received', 'x', 'y', 'expected_x', 'expected_y']
    """
    result = Result.read(adata, key, of_cells=True)
    matrix = cell_communication(adata, pair, module=module, key=key)
    position, source, n = coordinates(adata, result.source.spatial_key), result.source, adata.n_obs
    sends, receives = source.roles(adata, source.types(adata, fill=True))
    column = source.sample_key
    sample = np.zeros(n) if column is None else label_text(adata, column, "sample_key")
    radius = float(source.radius or 0.0)
    # a cell has no direction to itself, but its own share lowers that of the others
    weights = weights_within(
        *(position, pd.factorize(sample)[0], receives, sends), radius, own=source.own
    )
    received = np.asarray(matrix.sum(axis=0), dtype=np.float64).ravel()
    total = np.asarray(weights.sum(axis=1), dtype=np.float64).ravel()
    share = np.divide(received, total, out=np.zeros(n), where=total > 0)
    names = AXES[: position.shape[1]]
    columns = {"received": received}
    columns |= dict(zip(names, _summed(matrix, position), strict=True))
    expected = _summed(sparse.csr_matrix(weights.T), position) * share
    columns |= {f"expected_{name}": part for name, part in zip(names, expected, strict=True)}
    table = pd.DataFrame(columns, index=adata.obs_names)
    table[~receives] = np.nan
    return table


def _summed(matrix: sparse.csr_matrix, position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (axes, receivers) sums of unit vectors from senders (rows), weighted by a matrix."""
    entries = matrix.tocoo()
    way = position[entries.col] - position[entries.row]
    distance = np.linalg.norm(way, axis=1)
    weight = np.divide(entries.data, distance, out=np.zeros_like(distance), where=distance > 0)
    return np.stack([np.bincount(entries.col, weight * d, minlength=len(position)) for d in way.T])
