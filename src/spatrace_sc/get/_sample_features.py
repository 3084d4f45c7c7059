"""One row per sample, for cohorts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import labels, one_of
from .._data.cells import obs_column
from .._edges import ACTIVITY_KINDS, public_word
from .._errors import InvalidArgumentError, MissingKeyError
from .._result import Result
from ._activity import activity

#: Column with the number of receivers, and what separates kind and name in the other columns.
N_RECEIVERS, SEPARATOR = "n_receivers", ":"
#: Columns of the long form.
LONG = ["sample", "kind", "feature", "value", N_RECEIVERS]


def sample_features(
    adata: AnnData,
    kinds: Sequence[str] | str | None = None,
    *,
    sample_key: str | None = None,
    form: str = "wide",
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return the mean activity of pairs, TFs and modules in every sample, one row per sample.

    A feature is the mean over the receivers of a sample of what :func:`spatrace_sc.get.activity`
    returns per cell. A mean over all receivers also depends on their cell types. To separate types,
    pass the cells of one: ``st.get.sample_features(adata[adata.obs["cell_type"] == "x"])``.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kinds
        ``"lr_pairs"``, ``"tfs"``, ``"modules"``, or several. None: all that the result has;
        modules after :func:`spatrace_sc.tl.modules`.
    sample_key
        Column of ``obs`` with the unit of a row, e.g. the animal or the patient. None: the slices
        of the inference.
    form
        ``"wide"`` or ``"long"``.
    key
        Name of the result.

    Returns
    -------
    - ``"wide"``: samples × features, indexed by ``sample``. The first column, ``n_receivers``, is
      the number of receivers. The others are named ``kind:feature``, strongest first within a
      kind, e.g. ``lr_pairs:WNT5A^FZD1`` or ``tfs:SOX2``.
    - ``"long"``: one row per sample and feature, with the columns ``sample``, ``kind``,
      ``feature``, ``value`` and ``n_receivers``.

    Samples are in alphabetical order. A sample without receivers has ``n_receivers`` 0 and NaN.

    Raises
    ------
    MissingKeyError
        If there is no result under ``key``, ``sample_key`` is not a column, or modules are asked
        for and have not been computed.
    InvalidArgumentError
        If a kind or ``form`` is unknown, or the inference had no slices and ``sample_key`` is
        None.
    DataError
        If the result is not of these cells.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> table = st.get.sample_features(adata, "tfs")
    >>> len(table) == adata.obs["sample"].nunique()
    True
    """
    result = Result.read(adata, key, of_cells=True)
    one_of(form, "form", ("wide", "long"))
    chosen = _kinds(result, kinds)
    column = sample_key or result.source.slice_column
    if column is None:
        raise InvalidArgumentError(
            "the inference had no slices (`sample_key` of `st.tl.infer_ccc`); name the column of "
            "`adata.obs` with the unit of a row as `sample_key`."
        )
    samples = obs_column(adata, column, "sample_key")
    names = sorted(set(samples.dropna().astype(str)))
    code = pd.Index(names).get_indexer(pd.Index(samples.astype(str)))
    receives = np.isfinite(result.per_cell("tf_activity")).all(axis=1) & (code >= 0)
    n_receivers = np.bincount(code[receives], minlength=len(names))
    parts: dict[str, pd.DataFrame] = {}
    for kind in chosen:
        of_cells = activity(adata, kind, key=key)
        values = _means(np.asarray(of_cells.X)[receives], code[receives], n_receivers)
        parts[kind] = pd.DataFrame(values, index=names, columns=of_cells.var_names.astype(str))
    if form == "long":
        return _long(parts, names, n_receivers)
    index = pd.Index(names, name="sample", dtype=object)
    table = pd.DataFrame({N_RECEIVERS: n_receivers}, index=index)
    wide = [part.set_axis(index).add_prefix(kind + SEPARATOR) for kind, part in parts.items()]
    return pd.concat([table, *wide], axis=1)


def _kinds(result: Result, kinds: Sequence[str] | str | None) -> list[str]:
    """Return the kinds of activity; all that the result has where none are named."""
    if kinds is not None:
        return [public_word(kind, ACTIVITY_KINDS, "kinds") for kind in labels(kinds, "kinds")]
    try:
        has_modules = bool(result.modules)
    except MissingKeyError:
        has_modules = False
    return [kind for kind in ACTIVITY_KINDS if kind != "modules" or has_modules]


def _means(
    values: NDArray[np.floating], code: NDArray[np.intp], n_cells: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(samples, features) means of (cells, features) values; NaN without cells."""
    sums = np.zeros((len(n_cells), values.shape[1]))
    np.add.at(sums, code, values.astype(np.float64))
    return sums / np.where(n_cells > 0, n_cells, np.nan)[:, None]


def _long(
    parts: dict[str, pd.DataFrame], names: list[str], n_receivers: NDArray[np.intp]
) -> pd.DataFrame:
    """Return one row per sample and feature."""
    tables = [
        pd.DataFrame(
            {
                "sample": np.repeat(np.array(names, dtype=object), part.shape[1]),
                "kind": kind,
                "feature": np.tile(part.columns.to_numpy(dtype=object), len(names)),
                "value": part.to_numpy().ravel(),
                N_RECEIVERS: np.repeat(n_receivers, part.shape[1]),
            }
        )
        for kind, part in parts.items()
    ]
    return pd.concat(tables, ignore_index=True)[LONG]
