"""Tidy tables from what was stored."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import closest, shorten
from .._errors import InvalidArgumentError
from .._result import stored
from ._evidence import judged
from ._mediation import add_route


def tf_targets(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Which TF drives which target.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the whole data set. A stage: the effect times how strong the TF's level there is relative to its mean, drawn towards 1 where the stage has few cells; ``effect_se`` then holds the
        uncertainty of both. p, q, stability, group and evidence stay those of the whole. Stages are the slices where the inference was told no ``stage_key`` (:func:`stages`).
    key
        Name of the result.

    Returns
    -------
    Table, strongest first. Every candidate is listed, unless there are more than ``config.max_edges``. How far to believe a row stands in the last columns, which a narrow screen shows too.

    - ``tf, target``
    - ``effect``: signed, in standard deviations of the target per standard deviation of the TF; ``score`` its absolute value.
    - ``p_value, q_value``: small when the edge beats decoy TFs *and* is larger than ``minimum_effect`` (:func:`spatrace_sc.tl.infer_ccc`, Notes). p tests an edge, q is the expected share of false
      ones among those with at most this q.
    - ``effect_se``: standard error of the effect, over refits and of the correction for noise; NaN where no refit kept the edge and nothing was corrected.
    - ``minimum_effect``: the smallest effect on this target that is worth naming, a share (``config.evidence.smallest_share``) of what TFs do to it together. NaN where no TF's effect on the target exceeds its
      own error, or there are too many TFs for the test: there is nothing to take a share of, and no edge of the target is supported.
    - ``group``: "" or the regulators that the data cannot tell apart here, this one among them, separated by " | ": read "one of these". Sought for edges with q ≤ 0.1 and the 100 strongest. A pair in it is
      written ``ligand^receptor``.
    - ``stability``: share of the refits that keep the edge with its sign.
    - ``evidence``: what the columns say together, an ordered categorical, from "none" to "supported":

      - "supported": q ≤ 0.1;
      - "group" (of pairs): q above 0.1, but ``group_q_value`` ≤ 0.1: one of the group acts, which one is open;
      - "ranked": an effect without support, good for a ranking and no more;
      - "co-variation" (of pairs): an effect that no refit kept. The receptor follows the TFs, and its ligands are ranked by how their exposure goes with it (:func:`spatrace_sc.tl.infer_ccc`, Notes);
      - "none": no effect.

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
    minimum = np.asarray(result["minimum_effect"], dtype=np.float64)
    table["minimum_effect"] = np.where(minimum > 0, minimum, np.nan)[table["target"].to_numpy()]
    if stage is not None:
        at = table["tf"].to_numpy()
        factor, error = _factor(result, stage, "tf")
        table = _scaled(table, factor[at], error[at])
    return _named(table, result, {"tf": "tfs", "target": "targets"})[_keys.TF_TARGETS]


def lr_targets(
    adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    r"""Which ligand–receptor pair changes which target.

    Parameters and units as in :func:`tf_targets`; a pair's level is its saturating signal.

    Returns
    -------
    Table, strongest first: ``ligand, receptor, target, effect, score, p_value, effect_se, group, q_value, stability, evidence`` as in :func:`tf_targets`, where ``effect`` is the *direct* one, and

    - ``group_q_value``: q of "one of the group acts". Where another pair would explain a pair's targets as well in its place, ``q_value`` of the pair and of its edges is that of this comparison, and ``group`` names the others: what acts is one of them.
    - ``mediated``: effect through measured TFs, signed, the sum over TFs of (effect of the pair on the TF) × (effect of the TF on the target), both in standard deviations and both with q ≤ 0.1.
    - ``direct_share``: \|effect\| / (\|effect\| + \|mediated\|); 0 where both are 0.
    - ``route``: "direct" (share of at least 0.8), "mediated" (at most 0.2), "both", or "" where there is no effect. "Direct" means: not through a measured TF that the data support; it may
      run through one that was not measured or not found.
    - ``through``: the TFs that carry at least a quarter of the mediated effect, strongest first, separated by " | ".

    ``effect_se`` and ``stability`` are those of the weight in the joint model. They know nothing of credit by co-variation, so an edge that has nothing else (``evidence``) has stability 0, q = 1, no standard error, and
    the p of its strength against decoys.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> len(st.get.lr_targets(adata))
    2880
    """
    result = stored(adata, key)
    table = add_route(_expand(result, "lr_targets", ["ligands", "receptors", "targets"]), result)
    return _named(
        _pair_stage(table, result, stage),
        result,
        {"ligand": "ligands", "receptor": "receptors", "target": "targets"},
    )[_keys.LR_TARGETS]


def lr_pairs(adata: AnnData, stage: str | None = None, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Which ligand acts through which receptor.

    Parameters as in :func:`tf_targets`.

    Returns
    -------
    Table ``ligand, receptor, score, p_value, score_se, group_q_value, group, q_value, stability, evidence``, strongest first. ``score`` is the Euclidean norm of the pair's effects on all targets, averaged over refits,
    with the credit that is shared among ligands of receptors that follow the TFs (:func:`spatrace_sc.tl.infer_ccc`, Notes). p and q compare the pair's norm in the first pass with decoys, q is 1 for a pair that is less than a fifth of those that share its ligand or receptor; they
    know nothing of that credit, so they need not fall with the score. A pair must also explain its targets better than any that resembles it would in its place (``docs/method.md``, section 6): ``group`` are those that would do as well, written ``ligand^receptor``, and
    ``group_q_value`` is the q of "one of them acts" (:func:`lr_targets`). ``evidence`` as in :func:`tf_targets`.

    ``stability`` is, as q, of the first pass: the share of refits in which it gives the pair any weight. ``score_se`` is the standard error over refits of the second pass, which is sparser and makes the score. A pair that the second pass has
    dropped from every refit has a stability, but no standard error (NaN), and what score it has is co-variation.

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
    return _named(
        _pair_stage(table, result, stage), result, {"ligand": "ligands", "receptor": "receptors"}
    )[_keys.LR_PAIRS]


def training_history(adata: AnnData, *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Mean squared error by epoch, in variances of the targets.

    Returns
    -------
    Table ``phase`` (attention, gates), ``epoch``, ``train``, ``held_out``.
    """
    history: pd.DataFrame = stored(adata, key)["history"]
    return history[_keys.HISTORY].copy()


def params(adata: AnnData, *, key: str = _keys.RESULT) -> dict[str, Any]:
    """Arguments of the inference, with None where none was given.

    Returns
    -------
    Dictionary of the keys, the cell types that send and receive, the radius in the units of the coordinates, the seed, the device and the configuration.
    """
    found = deepcopy(dict(stored(adata, key)["params"]))
    found |= {role: [str(name) for name in found[role]] for role in ("senders", "receivers")}
    return {
        name: None if isinstance(value, str) and not value else value
        for name, value in found.items()
    }


def stages(adata: AnnData, *, key: str = _keys.RESULT) -> list[str]:
    """Stages of a result, in order of time; its slices where the inference was told no ``stage_key``, one "all" where it was told neither."""
    return [str(s) for s in stored(adata, key)["stages"]]


def _expand(result: dict[str, Any], name: str, roles: list[str]) -> pd.DataFrame:
    """All candidates, those that are not stored with score 0; only the stored ones where there are more than the limit. Groups by name."""
    table: pd.DataFrame = result[name].copy()
    table["group"] = np.asarray(result["groups"], dtype=object)[table["group"].to_numpy()]
    sizes = [len(result["genes"][r]) for r in roles]
    if int(result["candidates"][name]) > int(result["params"]["config"]["max_edges"]):
        return judged(table)
    columns = [r[:-1] for r in roles]
    code = np.ravel_multi_index([table[c].to_numpy() for c in columns], sizes)
    absent = np.ones(int(np.prod(sizes)), dtype=bool)
    absent[code] = False
    rest = np.flatnonzero(absent)
    empty: dict[str, Any] = dict.fromkeys(table.columns, 0.0)
    empty |= dict(zip(columns, np.unravel_index(rest, sizes), strict=True)) | {
        "q_value": 1.0,
        "group": "",
    }
    if "group_q_value" in table:
        empty["group_q_value"] = 1.0
    empty["p_value"] = np.asarray(result["p_values"][name], dtype=float)[rest]
    return judged(pd.concat([table, pd.DataFrame(empty, columns=table.columns)], ignore_index=True))


def stage_number(result: dict[str, Any], stage: str) -> int:
    names = [str(s) for s in result["stages"]]
    if str(stage) not in names:
        raise InvalidArgumentError(
            f"`stage={stage!r}` is not in the result; its stages are {shorten(names, 20)}.{closest(str(stage), names)}"
        )
    return names.index(str(stage))


def _factor(
    result: dict[str, Any], stage: str, kind: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factors of a stage and their standard errors."""
    number, factors = stage_number(result, stage), result["stage_factors"]
    return np.asarray(factors[kind])[number], np.asarray(factors[f"{kind}_se"])[number]


def _pair_stage(table: pd.DataFrame, result: dict[str, Any], stage: str | None) -> pd.DataFrame:
    if stage is None:
        return table
    factor, error = _factor(result, stage, "pair")
    pairs, n_r = result["lr_pairs"], len(result["genes"]["receptors"])
    n = len(result["genes"]["ligands"]) * n_r
    full, full_error = np.ones(n), np.zeros(n)
    place = (pairs["ligand"] * n_r + pairs["receptor"]).to_numpy()
    full[place], full_error[place] = factor, error
    number = (table["ligand"] * n_r + table["receptor"]).to_numpy()
    return _scaled(table, full[number], full_error[number])


def _scaled(
    table: pd.DataFrame, factor: NDArray[np.float64], error: NDArray[np.float64]
) -> pd.DataFrame:
    """Effects and scores times the factor of a stage; standard errors of both together."""
    size = "effect" if "effect" in table else "score"
    scaled = table.assign(
        **{c: table[c].to_numpy() * factor for c in ("effect", "score", "mediated") if c in table}
    )
    scaled[f"{size}_se"] = np.hypot(
        table[f"{size}_se"].to_numpy() * factor, table[size].to_numpy() * error
    )
    return scaled.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def _named(table: pd.DataFrame, result: dict[str, Any], roles: dict[str, str]) -> pd.DataFrame:
    return table.assign(
        **{
            c: np.asarray(result["genes"][role], dtype=object)[table[c].to_numpy(dtype=np.intp)]
            for c, role in roles.items()
        }
    )
