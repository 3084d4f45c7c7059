"""What a knockout changes."""

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
    """Targets that change when something is removed.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.knockout`.
    name
        Name of the knockout, e.g. ``"ligand:WNT3"``. None: the only one that is stored.
    stage
        Mean over the receivers of this stage. None: over all.
    key
        Name of the result.

    Returns
    -------
    Table of every target, those that change most first:

    - ``change``: mean change over the cells, signed, in standard deviations of the target; ``se`` its standard error over refits; ``log_change`` the same in units of the log-normalised expression.
    - ``direct``: the part that the removed pairs, TFs or senders do themselves; ``mediated``: the part through other TFs. They add up to ``change``.
    - ``agreement``: share of the refits in which the target changes in the same direction.
    - ``evidence``: the best among the edges that lead there, an ordered categorical as in :func:`tf_targets`. "supported": an edge with q ≤ 0.1 from what is removed to the target, or one to a TF and one
      from that to the target. Otherwise the change is made of effects that the data do not support: "group", "ranked" (also through TFs without support), "co-variation", or "none" where nothing changes. Refits know nothing of co-variation: ``se`` and ``agreement`` are NaN there.

    ``se`` and ``agreement`` say how far refits on other cells agree. They know nothing of what the model leaves out; sizes are too small on the whole.

    Raises
    ------
    MissingKeyError
        Before :func:`spatrace_sc.tl.knockout`.
    InvalidArgumentError
        An unknown name or stage, or no name when several are stored; lists them.

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
    result.stage_index(stage)
    rows = (entry.by_stage["stage"] == stage).to_numpy()
    table = entry.by_stage.loc[rows, _keys.KNOCKOUT].reset_index(drop=True)
    return _with_evidence(table, result, entry)


def knockout_cells(adata: AnnData, name: str | None = None, *, key: str = _keys.RESULT) -> AnnData:
    """Change of every target in every cell.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.knockout`.
    name
        Name of the knockout. None: the only one that is stored.
    key
        Name of the result.

    Returns
    -------
    AnnData, cells × targets, change in standard deviations of the target, NaN in cells that do not receive, with the cells' ``obs`` and ``obsm``; ``obs["knockout"]`` is the Euclidean norm over the targets, so cells with the largest are the
    most affected. Every scanpy and squidpy plot works on it.

    Raises
    ------
    MissingKeyError
        Before :func:`spatrace_sc.tl.knockout`, or when it stored no values per cell and target.
    InvalidArgumentError
        An unknown name, or no name when several are stored; lists them.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.knockout(adata, tf="TF000")
    >>> st.get.knockout_cells(adata).shape
    (600, 20)
    """
    result, entry = _stored_knockout(adata, name, key)
    if not entry.obsm_slot:
        raise MissingKeyError(
            f"the knockout {entry.name!r} has no values per cell and target: there were more than "
            "`max_values`; call `st.tl.knockout` again with a larger one. "
            f"`adata.obs[{entry.obs_slot!r}]` has the size of the change per cell."
        )
    for attribute, slot in (("obsm", entry.obsm_slot), ("obs", entry.obs_slot)):
        if slot not in getattr(adata, attribute):
            raise MissingKeyError(
                f"`adata.{attribute}[{slot!r}]` is gone; call `st.tl.knockout` again."
            )
    own_slots = {other.obsm_slot for other in result.knockouts.values()}
    slots = {name: value for name, value in adata.obsm.items() if name not in own_slots}
    obs = adata.obs.assign(knockout=adata.obs[entry.obs_slot])
    targets = pd.DataFrame(index=[str(g) for g in result.genes.targets])
    changes = np.array(adata.obsm[entry.obsm_slot], dtype=np.float32)
    return AnnData(X=changes, obs=obs, var=targets, obsm=slots)


def knockouts(adata: AnnData, *, key: str = _keys.RESULT) -> list[str]:
    """Names of the knockouts that are stored, in alphabetical order.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.get.knockouts(adata)
    []
    """
    return sorted(entry.name for entry in Result.read(adata, key).knockouts.values())


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


def _stored_knockout(adata: AnnData, name: str | None, key: str) -> tuple[Result, Knockout]:
    """Return the result, and the knockout of a name or the only one."""
    result = Result.read(adata, key)
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
            f"`name={name!r}` is no stored knockout; there are {shorten(names)}."
            f"{closest(str(name), names)}"
        )
    return result, entries[label]
