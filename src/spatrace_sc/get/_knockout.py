"""What a knockout changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._errors import InvalidArgumentError, MissingKeyError
from .._result import stored
from ._evidence import behind_removal


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
    entry = _entry(adata, name, key)
    if stage is None:
        targets: pd.DataFrame = entry["targets"]
        return _judged(targets[_keys.KNOCKOUT], stored(adata, key), entry)
    stages = [str(s) for s in stored(adata, key)["stages"]]
    if stage not in stages:
        raise InvalidArgumentError(
            f"`stage={stage!r}` is not a stage of the result; it has {shorten(stages)}.{closest(str(stage), stages)}"
        )
    table: pd.DataFrame = entry["by_stage"]
    here = table.loc[(table["stage"] == stage).to_numpy(), _keys.KNOCKOUT].reset_index(drop=True)
    return _judged(here, stored(adata, key), entry)


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
    entry = _entry(adata, name, key)
    slot, label = str(entry["obsm"]), str(entry["name"])
    if not slot:
        raise MissingKeyError(
            f"the knockout {label!r} has no values per cell and target: there were more than `max_values`; call `st.tl.knockout` again with a larger one. `adata.obs[{str(entry['obs'])!r}]` has the size of the change per cell."
        )
    for attribute, found in (("obsm", slot), ("obs", str(entry["obs"]))):
        if found not in getattr(adata, attribute):
            raise MissingKeyError(
                f"`adata.{attribute}[{found!r}]` is gone; call `st.tl.knockout` again."
            )
    result = stored(adata, key)
    ours = {str(other["obsm"]) for other in result["knockouts"].values()}
    slots = {k: v for k, v in adata.obsm.items() if k not in ours}
    obs = adata.obs.assign(knockout=adata.obs[str(entry["obs"])])
    targets = pd.DataFrame(index=[str(g) for g in result["genes"]["targets"]])
    return AnnData(X=np.array(adata.obsm[slot], dtype=np.float32), obs=obs, var=targets, obsm=slots)


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
    return sorted(str(entry["name"]) for entry in stored(adata, key).get("knockouts", {}).values())


def _judged(table: pd.DataFrame, result: dict[str, Any], entry: dict[str, Any]) -> pd.DataFrame:
    """A copy with the evidence of every target: at least "ranked" where it changes, "none" where it does not."""
    targets = [str(g) for g in result["genes"]["targets"]]
    best = pd.Series(behind_removal(result, entry["params"]), index=targets)
    found = best.reindex(table["target"].astype(str)).to_numpy(dtype=object)
    changes = table["change"].to_numpy() != 0
    found = np.where(changes, np.where(found == "none", "ranked", found), "none")
    blind = found == "co-variation"
    unknown = {column: table[column].where(~blind) for column in ("se", "agreement")}
    return table.assign(
        **unknown, evidence=pd.Categorical(found, categories=_keys.EVIDENCE_LEVELS, ordered=True)
    )


def _entry(adata: AnnData, name: str | None, key: str) -> dict[str, Any]:
    names = knockouts(adata, key=key)
    if not names:
        hint = "" if key == _keys.RESULT else f", key={key!r}"
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` has no knockout; call e.g. `st.tl.knockout(adata, ligand=...{hint})` first."
        )
    if name is None and len(names) > 1:
        raise InvalidArgumentError(
            f"{len(names)} knockouts are stored: {shorten(names)}; give one as `name`."
        )
    label = names[0] if name is None else name
    if label not in names:
        raise InvalidArgumentError(
            f"`name={name!r}` is no stored knockout; there are {shorten(names)}.{closest(str(name), names)}"
        )
    return next(
        dict(e) for e in stored(adata, key)["knockouts"].values() if str(e["name"]) == label
    )
