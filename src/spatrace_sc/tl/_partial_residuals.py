"""The evidence of one edge: its target against its signal, and the strongest rival."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import closest, shorten, whole
from .._data.table import as_table, check_copy
from .._edges import LR_TARGETS, NAME_SEPARATOR, PAIR_SEPARATOR, TARGET_KINDS, TF_TARGETS
from .._errors import InvalidArgumentError
from .._result import Result, add_partial_residuals

if TYPE_CHECKING:
    from spatialdata import SpatialData

#: What is drawn against which signal.
EDGE, RIVAL, OTHER = "regulator", "rival of the group", "strongest other regulator"


def partial_residuals(
    data: AnnData | SpatialData,
    regulator: str | tuple[str, str],
    target: str,
    *,
    rival: str | tuple[str, str] | None = None,
    n_bins: int = 10,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Compute the partial residuals of a target, binned by the signal of one regulator.

    The partial residual of a cell is the target minus everything that the model predicts from all
    other regulators and covariates. It is averaged in bins of the signal of the regulator, and in
    bins of the signal of a rival. A rival that explains the target equally well shows as clear a
    trend. :func:`spatrace_sc.pl.edge` draws both.

    The model is restored on the data as in :func:`spatrace_sc.tl.knockout`. The slope is not the
    effect in the tables. The effect of a TF is corrected for count noise, so for significant edges
    it is usually larger than the slope. All effects are shrunk towards 0, so for edges that are not
    significant the slope is usually larger, often many times.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`. Only the order of genes and cells may have changed since
        the inference.
    regulator
        TF, or pair as ``"ligand^receptor"`` or ``(ligand, receptor)``.
    target
        Name of the target.
    rival
        Regulator to compare with. None: the one with the largest effect on the target among those
        that column ``group`` of the edge names, otherwise among all.
    n_bins
        Bins of the signal, which have equal numbers of cells.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Writes ``uns[key]["partial_residuals"]``, which collects
    edges; read it with :func:`spatrace_sc.get.partial_residuals`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        If there is no result under ``key``, or a name or another argument is invalid.
    DataError
        If the data have changed since the inference.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.partial_residuals(adata, "TF000", "TG000")
    >>> st.get.partial_residuals(adata)["role"].unique().tolist()
    ['regulator', 'strongest other regulator']
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    result = Result.read(adata, key, of_cells=True)
    whole(n_bins, "n_bins", low=2)
    target = _target(result, target)
    name = _regulator(result, regulator, "regulator")
    tables = {kind.name: getattr(get, kind.name)(adata, key=key) for kind in TARGET_KINDS}
    if rival is None:
        other, role = _strongest_rival(tables, name, target)
    else:
        other, role = _regulator(result, rival, "rival"), RIVAL
        if other == name:
            raise InvalidArgumentError(f"`rival={rival!r}` is the regulator itself.")
    from .._inference.partial_residuals import partial_residuals as compute

    roles = {name: EDGE} | ({other: role} if other else {})
    split = [tuple(one.split(PAIR_SEPARATOR)) for one in roles]
    table = compute(adata, key, split, target, int(n_bins))
    table = table.assign(regulator=name, target=target, role=table["against"].map(roles))
    if copy:
        adata = adata.copy()
    add_partial_residuals(adata, key, table[_keys.PARTIAL_RESIDUALS])
    return adata if copy else None


def _target(result: Result, target: object) -> str:
    """Return the name of a target of the result."""
    names = [str(name) for name in result.genes.targets]
    if str(target) not in names:
        raise InvalidArgumentError(
            f"`target={target!r}` is not among the {len(names)} targets of the result: "
            f"{shorten(names)}.{closest(str(target), names)}"
        )
    return str(target)


def _regulator(result: Result, regulator: object, argument: str) -> str:
    """Return a TF, or a pair as ``ligand^receptor``, of the result."""
    name = regulator if isinstance(regulator, str) else None
    if isinstance(regulator, tuple | list) and len(regulator) == 2:
        name = PAIR_SEPARATOR.join(map(str, regulator))
    genes = result.genes
    if name is not None:
        parts = name.split(PAIR_SEPARATOR)
        roles = ("tfs",) if len(parts) == 1 else ("ligands", "receptors")
        if len(parts) <= 2 and all(
            part in set(map(str, genes[role])) for part, role in zip(parts, roles, strict=True)
        ):
            return name
    tfs = [str(tf) for tf in genes.tfs]
    available = [*tfs, *(genes.regulator_name(genes.n_tfs + k) for k in range(genes.n_pairs))]
    raise InvalidArgumentError(
        f"`{argument}={regulator!r}` is neither a TF of the result ({shorten(tfs, 4)}) nor a pair "
        f"of its genes (`'ligand^receptor'`).{closest(str(name), available)}"
    )


def _strongest_rival(
    tables: dict[str, pd.DataFrame], name: str, target: str
) -> tuple[str | None, str]:
    """Return the rival of an edge with the largest effect, and whether its group names it."""
    rows = []
    for kind in (TF_TARGETS, LR_TARGETS):
        table = tables[kind.name]
        table = table[(table["target"].astype(str) == target) & (table["score"] > 0)]
        columns = {"name": kind.source_names(table), "score": table["score"]}
        rows.append(pd.DataFrame(columns | {"group": table["group"].astype(str)}))
    edges = pd.concat(rows).sort_values("score", ascending=False, kind="stable")
    group = "".join(edges.loc[edges["name"] == name, "group"]).split(NAME_SEPARATOR)
    others = edges.loc[edges["name"] != name, "name"]
    named = [other for other in others if other in group]
    # members without an effect of their own come last
    named += [member for member in group if member not in {*named, name, ""}]
    named = [member for member in named if not member.endswith(" more")]
    if named:
        return named[0], RIVAL
    return (str(others.iloc[0]), OTHER) if len(others) else (None, OTHER)
