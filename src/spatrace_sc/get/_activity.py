"""Per-cell results as AnnData."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, shorten
from .._core.uncertainty import shrunk_by_group
from .._data.table import annotation
from .._errors import InvalidArgumentError
from .._result import stored
from ._modules import module_scores
from ._tables import stage_number

KINDS = ("pairs", "tfs", "modules")


def activity(
    adata: AnnData, kind: str = "pairs", stage: str | None = None, *, key: str = _keys.RESULT
) -> AnnData:
    """Activity of the strongest pairs, of the TFs, or of signaling modules, in every cell.

    Activity of a pair is the pair's signal in the cell (attended exposure × receptor, saturating, times the cell's gate) in standard deviations, times the pair's score: about how far,
    in standard deviations, the pair moves its targets in this cell. 0 where the ligand or the receptor is absent. Activity of a TF is its level
    in the cell, the noise of counting filtered out, times the cell's gate, in standard deviations from the mean, times the norm of its effects: negative where there is less of it than in the mean receiver.
    The score of a module is the sum of the activity of its pairs, each by the share of it that belongs to the module (:func:`spatrace_sc.tl.modules`).

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"pairs"``, ``"tfs"`` or, after :func:`spatrace_sc.tl.modules`, ``"modules"``.
    stage
        None: all cells. A stage: its cells, values unchanged.
    key
        Name of the result.

    Returns
    -------
    AnnData, cells × pairs (or TFs, strongest first, with ``var`` column ``score``, and no layers; or modules, with the ``var`` columns of ``st.get.modules(adata, "summary")``, and no layers), named ``ligand^receptor``, strongest first, with the cells' ``obs`` and ``obsm``, and ``var`` columns ``ligand``, ``receptor``, ``score``, ``p_value``, ``q_value``. NaN in cells that
    do not receive. Every scanpy and squidpy plot works on it. Layers:

    - ``se``: standard error of the activity from the counting of molecules in the cell and its senders; NaN where the data are not counts.
    - ``shrunk``: activity drawn towards the mean of the receivers of the same type and stage, the more the less sure it is and the less the cells differ beyond their errors. The activity itself where there is no error.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.get.activity(adata).n_obs
    600
    """
    result = stored(adata, key)
    if kind not in KINDS:
        raise InvalidArgumentError(
            f"`kind` must be one of {shorten(KINDS)}, found {kind!r}.{closest(str(kind), KINDS)}"
        )
    if stage is not None:
        stage_number(result, stage)
        column = str(result["params"]["stage_key"]) or str(result["params"]["sample_key"])
        whole = activity(adata, kind, key=key)
        return (
            whole[(adata.obs[column].astype(str) == str(stage)).to_numpy()].copy()
            if column
            else whole
        )
    ours = {result[slot] for slot in ("obsm", "obsm_se", "obsm_tf")}
    slots = {k: v for k, v in adata.obsm.items() if k not in ours | {_keys.modules_key(key)}}
    if kind == "modules":
        values, summary = module_scores(adata, result, key)
        return AnnData(
            X=values.copy(), obs=adata.obs.copy(), var=summary, obsm=slots, uns=annotation(adata)
        )
    if kind == "tfs":
        tfs = pd.DataFrame(
            {"score": np.asarray(result["tf_scores"], dtype=float)},
            index=[str(g) for g in result["genes"]["tfs"]],
        )
        order = np.argsort(-tfs["score"].to_numpy(), kind="stable")
        values = np.asarray(adata.obsm[result["obsm_tf"]], dtype=np.float32)[:, order]
        return AnnData(
            X=values, obs=adata.obs.copy(), var=tfs.iloc[order], obsm=slots, uns=annotation(adata)
        )
    pairs = result["activity_pairs"].astype({"ligand": str, "receptor": str}).reset_index(drop=True)
    pairs.index = (pairs["ligand"] + "^" + pairs["receptor"]).to_numpy()
    values, se = (
        np.asarray(adata.obsm[result[slot]], dtype=np.float32) for slot in ("obsm", "obsm_se")
    )
    layers = {"se": se.copy(), "shrunk": _shrunk(adata, result, values, se)}
    return AnnData(
        X=values.copy(),
        obs=adata.obs.copy(),
        var=pairs,
        obsm=slots,
        layers=layers,
        uns=annotation(adata),
    )


def _shrunk(
    adata: AnnData, result: dict[str, Any], values: NDArray[np.float32], se: NDArray[np.float32]
) -> NDArray[np.float32]:
    known = np.isfinite(se).all(axis=1)
    keys = [result["params"][k] for k in ("cell_type_key", "stage_key", "sample_key")]
    present = [adata.obs[k].astype(str) for k in dict.fromkeys(keys) if k and k in adata.obs]
    if not known.any() or not present:
        return values.copy()
    group = pd.factorize(pd.concat(present[:2], axis=1).agg("\t".join, axis=1))[0]
    shrunk = values.copy()
    shrunk[known] = shrunk_by_group(values[known], se[known], group[known])
    return shrunk
