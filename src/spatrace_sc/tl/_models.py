"""Save a fitted model, and load it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from anndata import AnnData

from .. import _keys
from .._check import flag
from .._data.table import as_table
from .._data.tensor_file import path_of, unreadable
from .._result import Model, Result, read_model, write_model

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def save_model(
    data: AnnData | SpatialData,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
) -> None:
    """Write the fitted model of a result into one file, without any cell.

    The file holds the network and the weights, the tables of edges, names of genes, cell types,
    covariates and stages, and the scales of all of them. Arrays are stored as safetensors, and
    everything else as JSON: nothing in the file can be executed. It is written under a temporary
    name and moved into place. Share it to let others apply the model to their cells.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`. Only the order of genes and cells may have changed since
        the inference.
    path
        Name of the file, e.g. ``"somites.safetensors"``.
    overwrite
        Replace an existing file.
    key
        Name of the result.
    table_key
        Table of a SpatialData.

    Raises
    ------
    MissingKeyError
        If there is no result under ``key``.
    InvalidArgumentError
        If the file exists or cannot be written.
    DataError
        If the data have changed since the inference, an earlier version wrote the result, or a
        model was applied to these cells.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.save_model(adata, "model.safetensors", overwrite=True)
    """
    adata = as_table(data, table_key)
    file = path_of(path)
    flag(overwrite, "overwrite")
    Result.read(adata, key, of_cells=True)
    from .._inference.apply_model import saved_model

    write_model(saved_model(adata, key), file, overwrite=bool(overwrite))
    logger.info("Wrote the model of `uns[%r]`: %.1f MB.", key, file.stat().st_size / 1e6)


def load_model(path: str | os.PathLike[str]) -> Model:
    """Return the model in a file that :func:`spatrace_sc.tl.save_model` wrote.

    The file is checked before it is used: the version of its format, shapes and data types of all
    arrays, indices, and finite values. Before anything is read, its size is compared with the size
    expected from its genes, and with the free memory. Nothing in the file is executed, so a file
    from an unknown source is safe to open. Its numbers cannot be verified.

    Parameters
    ----------
    path
        Name of the file. Symbolic links are refused.

    Returns
    -------
    Model. ``print(model)`` shows its genes, cell types, version and held-out R².

    Raises
    ------
    InvalidArgumentError
        If there is no such file.
    DataError
        If it is not a model, is damaged, does not fit into memory, or was written by a later
        version; the message says which one is needed.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.save_model(adata, "model.safetensors", overwrite=True)
    >>> st.tl.load_model("model.safetensors").genes.n_targets
    20
    """
    file = path_of(path)
    from .._inference.apply_model import check_network

    model = read_model(file)
    finding = check_network(model)
    if finding:
        raise unreadable(f"`path={str(file)!r}`", finding)
    return model
