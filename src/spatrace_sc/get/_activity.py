"""Activity of pairs, TFs and modules in every cell, as AnnData."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._core.uncertainty import shrink_by_group
from .._data.cells import label_text
from .._data.table import annotation
from .._edges import ACTIVITY_KINDS, joined, public_word
from .._result import Result
from ._modules import module_scores


def activity(
    adata: AnnData, kind: str = "lr_pairs", stage: str | None = None, *, key: str = _keys.RESULT
) -> AnnData:
    """Return the activity of pairs, TFs or modules in every cell.

    - *Pair*: how far the pair moves its targets in this cell, in standard deviations. It is the
      signal in the cell (attended exposure × receptor, saturating, times the cell's gate), in
      standard deviations, times the score of the pair. 0 where the ligand or the receptor is
      absent.
    - *TF*: its level in the cell without count noise, times the cell's gate, in standard
      deviations from the mean, times the norm of its effects. Negative where the level is below
      that of the mean receiver.
    - *Module*: the sum of the activity of its pairs, each weighted by its share in the module
      (:func:`spatrace_sc.tl.modules`).

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"lr_pairs"``, ``"tfs"`` or, after :func:`spatrace_sc.tl.modules`, ``"modules"``.
    stage
        None: all cells. A stage: its cells only, with the same values.
    key
        Name of the result.

    Returns
    -------
    AnnData with the cells' ``obs`` and ``obsm``, strongest column first. NaN in cells that do
    not receive. Every scanpy and squidpy plot works on it. Columns by ``kind``:

    - ``"lr_pairs"``: the strongest pairs, named ``ligand^receptor``. ``var`` has the columns
      ``ligand``, ``receptor``, ``score``, ``p_value``, ``q_value``.
    - ``"tfs"``: TFs. ``var`` has the column ``score``. No layers.
    - ``"modules"``: modules. ``var`` has the columns of ``st.get.modules(adata, "summary")``. No
      layers.

    Layers of pairs:

    - ``se``: standard error of the activity due to count noise in the cell and its senders. NaN
      if the data are not counts.
    - ``shrunk``: activity shrunk towards the mean of the receivers of the same type and stage.
      Shrinkage is stronger the larger the standard error, and the less the cells differ beyond
      their errors. Without standard errors it equals the activity.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.get.activity(adata).n_obs
    600
    """
    result = Result.read(adata, key, of_cells=True)
    kind = public_word(kind, ACTIVITY_KINDS)
    if stage is not None:
        name = result.stages[result.stage_index(stage)]
        column = result.source.stage_column
        every_cell = activity(adata, kind, key=key)
        if not column:
            return every_cell
        return every_cell[label_text(adata, column, "stage_key") == name].copy()
    result_slots = {*result.cell_slots.values(), _keys.modules_key(key)}
    slots = {name: value for name, value in adata.obsm.items() if name not in result_slots}
    layers: dict[str, NDArray[np.float32]] = {}
    if kind == "modules":
        values, features = module_scores(result)
    elif kind == "tfs":
        scores = pd.DataFrame({"score": result.tf_scores}, index=[str(g) for g in result.genes.tfs])
        order = np.argsort(-result.tf_scores, kind="stable")
        values, features = result.per_cell("tf_activity")[:, order], scores.iloc[order]
    else:
        features = result.activity_pairs
        features.index = joined(features, ["ligand", "receptor"]).to_numpy()
        values, se = result.per_cell("activity"), result.per_cell("activity_se")
        layers = {"se": se.copy(), "shrunk": _shrunk(adata, result, values, se)}
    return AnnData(
        X=values.copy(),
        obs=adata.obs.copy(),
        var=features,
        obsm=slots,
        layers=layers,
        uns=annotation(adata),
    )


def _shrunk(
    adata: AnnData, result: Result, values: NDArray[np.float32], se: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return (cells, pairs) activity, shrunk towards the mean of the same type and stage."""
    known = np.isfinite(se).all(axis=1)
    source = result.source
    columns = dict.fromkeys([source.cell_type_key, source.stage_key, source.sample_key])
    mixed = source.proportions is not None and source.proportions in adata.obsm
    named = [c for c in columns if c is not None and c in adata.obs]
    present: list[NDArray[Any]] = [source.types(adata)] if mixed else []
    present += [label_text(adata, c, "obs") for c in named]
    if not known.any() or not present:
        return values.copy()
    group = pd.factorize(pd.MultiIndex.from_arrays(present[:2]))[0]
    shrunk = values.copy()
    shrunk[known] = shrink_by_group(values[known], se[known], group[known])
    return shrunk
