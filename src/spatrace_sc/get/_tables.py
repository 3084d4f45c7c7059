"""Tidy tables from what was stored."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._errors import InvalidArgumentError
from .._validate import closest, shorten, stored


def tf_targets(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which TF drives which target.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the whole data set. A stage: the effect times how strong the TF's level there is relative to its mean; p, q and stability stay those of the whole.
    key
        Name of the result.

    Returns
    -------
    Table ``tf, target, effect, score, p_value, q_value, stability``, strongest first. ``effect`` is signed, in standard deviations of the target per standard deviation of the TF;
    ``score`` its absolute value. Every candidate is listed, unless there are more than ``config.max_edges``.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.tf_targets(adata))
    240
    """
    result = stored(adata, key)
    table = _expand(result, "tf_targets", ["tfs", "targets"])
    factor = _factor(result, stage, "tf")
    if factor is not None:
        table = _scaled(table, factor[table["tf"].to_numpy()])
    return _named(table, result, {"tf": "tfs", "target": "targets"})[_keys.TF_TARGETS]


def lr_targets(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which ligand–receptor pair changes which target.

    Parameters and units as in :func:`tf_targets`; a pair's level is its saturating signal.

    Returns
    -------
    Table ``ligand, receptor, target, effect, score, p_value, q_value, stability``, strongest first. A row with a score, p = q = 1 and stability 0 has no evidence of its own: its receptor follows
    the TFs, and its ligands are ranked by co-variation (:func:`spatrace_sc.tl.infer_ccc`, Notes).

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.lr_targets(adata))
    2880
    """
    result = stored(adata, key)
    table = _expand(result, "lr_targets", ["ligands", "receptors", "targets"])
    return _named(
        _pair_stage(table, result, stage), result, {"ligand": "ligands", "receptor": "receptors", "target": "targets"}
    )[_keys.LR_TARGETS]


def lr_pairs(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which ligand acts through which receptor.

    Parameters as in :func:`tf_targets`.

    Returns
    -------
    Table ``ligand, receptor, score, p_value, q_value, stability``, strongest first. ``score`` is the Euclidean norm of the pair's effects on all targets, averaged over refits,
    with the credit that is shared among ligands of receptors that follow the TFs (:func:`spatrace_sc.tl.infer_ccc`, Notes). p and q compare the pair's norm in the first pass with decoys and
    know nothing of that credit, so they need not fall with the score.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.lr_pairs(adata))
    144
    """
    result = stored(adata, key)
    table = _expand(result, "lr_pairs", ["ligands", "receptors"])
    return _named(_pair_stage(table, result, stage), result, {"ligand": "ligands", "receptor": "receptors"})[
        _keys.LR_PAIRS
    ]


def communication(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which cell type talks to which, through which pair.

    Parameters as in :func:`tf_targets`; here a stage has scores and p-values of its own.

    Returns
    -------
    Table ``sender, receiver, ligand, receptor, score, p_value, q_value``, strongest first. ``score`` is the mean over receivers of the pair's activity times the share of the ligand
    exposure that comes from the sender type. p compares with senders moved among the sender positions of their slice; With n permutations no p is below 1 / (n + 1), which bounds q in a large table: raise ``config.evidence.n_permutations``. q is Benjamini–Hochberg over all pairs and types, with ``stage`` over all stages too. Only the
    ``config.max_activity`` strongest pairs are listed.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> list(st.get.communication(adata).columns)[:4]
    ['sender', 'receiver', 'ligand', 'receptor']
    """
    result = stored(adata, key)
    if stage is None:
        return result["communication"][_keys.COMMUNICATION].copy()
    _stage_number(result, stage)
    table = result["communication_by_stage"]
    return table.loc[table["stage"].astype(str) == str(stage), _keys.COMMUNICATION].reset_index(drop=True)


def training_history(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Mean squared error by epoch, in variances of the targets.

    Returns
    -------
    Table ``phase`` (attention, gates), ``epoch``, ``train``, ``held_out``.
    """
    return stored(adata, key)["history"][_keys.HISTORY].copy()


def params(adata: AnnData, *, key: str = _keys.RESULT) -> dict[str, Any]:
    """Arguments of the inference, with None where none was given.

    Returns
    -------
    Dictionary of the keys, the radius in the units of the coordinates, the seed, the device and the configuration.
    """
    return {
        name: None if isinstance(value, str) and not value else value
        for name, value in deepcopy(dict(stored(adata, key)["params"])).items()
    }


def stages(adata: AnnData, *, key: str = _keys.RESULT) -> list[str]:
    """Stages of a result, in order of time."""
    return [str(s) for s in stored(adata, key)["stages"]]


def _expand(result: dict, name: str, roles: list[str]) -> pd.DataFrame:
    """All candidates, those that are not stored with score 0; only the stored ones where there are more than the limit."""
    table = result[name]
    sizes = [len(result["genes"][r]) for r in roles]
    if int(result["candidates"][name]) > int(result["params"]["config"]["max_edges"]):
        return table.copy()
    columns = [r[:-1] for r in roles]
    code = np.ravel_multi_index([table[c].to_numpy() for c in columns], sizes)
    absent = np.ones(int(np.prod(sizes)), dtype=bool)
    absent[code] = False
    rest = np.unravel_index(np.flatnonzero(absent), sizes)
    empty = dict(zip(columns, rest, strict=True)) | {"score": 0.0, "p_value": 1.0, "q_value": 1.0, "stability": 0.0}
    if "effect" in table:
        empty["effect"] = 0.0
    return pd.concat([table, pd.DataFrame(empty, columns=table.columns)], ignore_index=True)


def _stage_number(result: dict, stage: str) -> int:
    names = [str(s) for s in result["stages"]]
    if str(stage) not in names:
        raise InvalidArgumentError(
            f"`stage={stage!r}` is not in the result; its stages are {shorten(names, 20)}.{closest(str(stage), names)}"
        )
    return names.index(str(stage))


def _factor(result: dict, stage: str | None, kind: str) -> NDArray[np.float64] | None:
    return None if stage is None else np.asarray(result["stage_factors"][kind])[_stage_number(result, stage)]


def _pair_stage(table: pd.DataFrame, result: dict, stage: str | None) -> pd.DataFrame:
    factor = _factor(result, stage, "pair")
    if factor is None:
        return table
    pairs, n_r = result["lr_pairs"], len(result["genes"]["receptors"])
    full = np.ones(len(result["genes"]["ligands"]) * n_r)
    full[(pairs["ligand"] * n_r + pairs["receptor"]).to_numpy()] = factor
    return _scaled(table, full[(table["ligand"] * n_r + table["receptor"]).to_numpy()])


def _scaled(table: pd.DataFrame, factor: NDArray[np.float64]) -> pd.DataFrame:
    scaled = table.assign(score=table["score"].to_numpy() * factor)
    if "effect" in table:
        scaled["effect"] = table["effect"].to_numpy() * factor
    return scaled.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def _named(table: pd.DataFrame, result: dict, roles: dict[str, str]) -> pd.DataFrame:
    return table.assign(
        **{
            c: np.asarray(result["genes"][role], dtype=object)[table[c].to_numpy(dtype=np.intp)]
            for c, role in roles.items()
        }
    )
