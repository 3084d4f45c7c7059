"""Predicted changes of targets and cells after a knockout."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._errors import InvalidArgumentError, MissingKeyError
from .._result import Knockout, Result
from ._evidence import as_evidence, evidence_of_knockout


def knockout(
    adata: AnnData, name: str | None = None, stage: str | None = None, *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return the predicted change of every target after a knockout, largest change first.

    Parameters
    ----------
    adata
        With a knockout of :func:`spatrace_sc.tl.knockout`.
    name
        Name of the knockout, e.g. ``"ligand:WNT3"``. None: the only one that is stored.
    stage
        None: mean over all receivers. A stage: mean over its receivers.
    key
        Name of the result.

    Returns
    -------
    Table with one row per target:

    - ``target``: name of the gene.
    - ``change``: mean change over the cells, in standard deviations of the target. Negative: the
      target falls when the regulator is removed.
    - ``se``: standard error of ``change`` over refits.
    - ``direct``: part of ``change`` that the removed pairs, TFs or senders cause themselves.
    - ``mediated``: part of ``change`` that passes through other TFs; ``direct`` and ``mediated``
      add up to ``change``.
    - ``log_change``: ``change`` in units of the log-normalised expression.
    - ``agreement``: share of refits in which the target changes in the same direction.
    - ``evidence``: best evidence among the edges that lead to the target, an ordered categorical
      as in :func:`tf_targets`:

      - "supported": a significant edge (q ≤ 0.1) from what is removed to the target, or
        significant edges to a TF and from that TF to the target.
      - "group", "ranked", "noise unknown", "co-variation": the change rests on effects that are
        not significant. Changes through TFs without significant edges are "ranked". For
        "co-variation", refits carry no information: ``se`` and ``agreement`` are NaN.
      - "none": no change.

    ``se`` and ``agreement`` measure reproducibility between refits on other cells. They do not
    cover errors of the model: predicted changes are too small overall (``docs/knockout.md``).

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.knockout` has not been called.
    InvalidArgumentError
        If the name or the stage is unknown, or several knockouts are stored and none is named.
        The message lists the known ones.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.knockout(adata, tf="TF000")
    >>> list(st.get.knockout(adata, "tf:TF000").columns)
    ['target', 'change', 'se', 'direct', 'mediated', 'log_change', 'agreement', 'evidence']
    """
    result, entry = _stored_knockout(adata, name, key)
    if stage is None:
        return _with_evidence(entry.targets[_keys.KNOCKOUT], result, entry)
    name_of_stage = result.stages[result.stage_index(stage)]
    rows = (entry.by_stage["stage"].astype(str) == name_of_stage).to_numpy()
    table = entry.by_stage.loc[rows, _keys.KNOCKOUT].reset_index(drop=True)
    return _with_evidence(table, result, entry)


def knockout_cells(adata: AnnData, name: str | None = None, *, key: str = _keys.RESULT) -> AnnData:
    """Return the predicted change of every target in every cell after a knockout.

    Parameters
    ----------
    adata
        With a knockout of :func:`spatrace_sc.tl.knockout`.
    name
        Name of the knockout. None: the only one that is stored.
    key
        Name of the result.

    Returns
    -------
    AnnData, cells × targets, with the cells' ``obs`` and ``obsm``. Values are changes in
    standard deviations of the target, NaN in cells that do not receive. ``obs["knockout"]`` is
    the Euclidean norm over the targets: the larger, the more a cell is affected. Every scanpy
    and squidpy plot works on it.

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.knockout` has not been called, or did not store values per cell
        and target.
    InvalidArgumentError
        If the name is unknown, or several knockouts are stored and none is named. The message
        lists the stored ones.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.knockout(adata, tf="TF000")
    >>> st.get.knockout_cells(adata).shape
    (600, 20)
    """
    result, entry = _stored_knockout(adata, name, key, of_cells=True)
    if not entry.obsm_slot:
        raise MissingKeyError(
            f"the knockout {entry.name!r} has no values per cell and target: there were more than "
            "`max_values`; call `st.tl.knockout` again with a larger `max_values`. "
            f"`adata.obs[{entry.obs_slot!r}]` has the size of the change per cell."
        )
    for attribute, slot in (("obsm", entry.obsm_slot), ("obs", entry.obs_slot)):
        if slot not in getattr(adata, attribute):
            raise MissingKeyError(
                f"`adata.{attribute}[{slot!r}]` has been removed; call `st.tl.knockout` again."
            )
    knockout_slots = {other.obsm_slot for other in result.knockouts.values()}
    slots = {name: value for name, value in adata.obsm.items() if name not in knockout_slots}
    obs = adata.obs.assign(knockout=adata.obs[entry.obs_slot])
    targets = pd.DataFrame(index=[str(g) for g in result.genes.targets])
    changes = np.array(adata.obsm[entry.obsm_slot], dtype=np.float32)
    return AnnData(X=changes, obs=obs, var=targets, obsm=slots)


def knockouts(adata: AnnData, *, key: str = _keys.RESULT) -> list[str]:
    """Return the names of the stored knockouts, in alphabetical order.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.get.knockouts(adata)
    []
    """
    return sorted(entry.name for entry in Result.read(adata, key, of_cells=None).knockouts.values())


def _with_evidence(table: pd.DataFrame, result: Result, entry: Knockout) -> pd.DataFrame:
    """Return the table with the evidence of every target.

    At least "ranked" where a target changes, "none" where it does not.
    """
    best = pd.Series(evidence_of_knockout(result, entry), index=result.genes.targets.astype(str))
    level = best.reindex(table["target"].astype(str)).to_numpy(dtype=object)
    changes = table["change"].to_numpy() != 0
    level = np.where(changes, np.where(level == "none", "ranked", level), "none")
    never_refitted = level == "co-variation"
    errors = {column: table[column].where(~never_refitted) for column in ("se", "agreement")}
    return table.assign(**errors, evidence=as_evidence(level))


def _stored_knockout(
    adata: AnnData, name: str | None, key: str, *, of_cells: bool = False
) -> tuple[Result, Knockout]:
    """Return the result, and the knockout with this name or the only one."""
    result = Result.read(adata, key, of_cells=of_cells)
    entries = {entry.name: entry for entry in result.knockouts.values()}
    names = sorted(entries)
    if not names:
        hint = "" if key == _keys.RESULT else f", key={key!r}"
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` has no knockout; call e.g. "
            f"`st.tl.knockout(adata, ligand=...{hint})` first."
        )
    if name is None and len(names) > 1:
        raise InvalidArgumentError(
            f"{len(names)} knockouts are stored: {shorten(names)}; give one as `name`."
        )
    label = names[0] if name is None else name
    if label not in entries:
        raise InvalidArgumentError(
            f"`name={name!r}` is not a stored knockout; stored are {shorten(names)}."
            f"{closest(str(name), names)}"
        )
    return result, entries[label]
