"""How well a model that was applied to other cells predicts their targets."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._errors import MissingKeyError
from .._result import Result


def prediction(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Return how well a model predicts every target in cells to which it was applied.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.apply_model`.
    key
        Name of the result.

    Returns
    -------
    Table with one row per target, best predicted first:

    - ``r2``: share of the variance within slices that the model predicts, in cells with an earlier
      cell. No cell was used to fit the model. Below 0 the mean of the slice predicts better. NaN
      where the target is missing or constant.
    - ``r2_covariates``: the same with TFs and pairs at their means: what cell type, time,
      neighbourhood and named covariates predict in this model.
    - ``n_cells``: number of the cells.

    Raises
    ------
    MissingKeyError
        If there is no result, or no model was applied to these cells.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=900, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample")
    >>> st.tl.save_model(adata, "model.safetensors", overwrite=True)
    >>> st.tl.apply_model(st.tl.load_model("model.safetensors"), adata, key_added="applied")
    >>> len(st.get.prediction(adata, key="applied"))
    20
    """
    applied = Result.read(adata, key).applied
    if applied is None:
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` is a result of `st.tl.infer_ccc`, not of a model that was "
            "applied to other cells; call `st.tl.apply_model(model, adata)` first. Held-out R² of "
            f"the inference is in `adata.uns[{key!r}]['fit']`."
        )
    table = applied.prediction[_keys.PREDICTION]
    return table.sort_values("r2", ascending=False, kind="stable", ignore_index=True)
