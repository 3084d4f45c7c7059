"""Soft priors out of resources of known interactions."""

from __future__ import annotations

import logging
import numbers
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import positive, shorten
from .._data.genes import NO_NAME, _reason, labels_of, symbols_of
from .._data.table import as_table
from .._errors import DataError, InvalidArgumentError
from ._resources import read_resource

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Between the subunits of a complex.
SUBUNITS = "_"

#: What genes of a resource are called in the data, by name there.
Names = dict[str, list[str]]


def prior(
    data: AnnData | SpatialData,
    resource: str | pd.DataFrame,
    *,
    orthologs: pd.DataFrame | None = None,
    gene_symbols: str | None = None,
    weight: float = 1.0,
    table_key: str = _keys.TABLE,
) -> pd.DataFrame:
    """Turn a resource of known interactions into a soft prior for :func:`spatrace_sc.tl.infer_ccc`.

    Nothing is written. The table names what is known; ``infer_ccc(prior=table)`` then divides the penalty of these edges by 1 + weight, and all other edges stay candidates.

    - *Complexes.* ``A_B`` stands for its subunits: every subunit of the ligand with every subunit of the receptor is a row of its own, each with the full weight. A name that is itself a gene of the data (or of
      ``orthologs``) is not split.
    - *Several names.* A gene of the resource that is several genes of the data stands for each of them, and several may be one; every combination is listed, each with the full weight. An edge that is named several
      times keeps its largest weight.
    - *Roles.* Where :func:`spatrace_sc.pp.gene_roles` has flagged a role, only its genes are kept; otherwise any gene of the data is.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    resource
        ``"liana:consensus"`` (human), ``"liana:mouseconsensus"`` or any other resource of the installed liana, which come with the package; ``"decoupler:collectri"`` or ``"decoupler:dorothea"`` (human), which the installed
        decoupler (≥ 2) downloads. Or a table: ligand, receptor[, weight]; tf, target[, weight]; or source, target[, weight] as decoupler calls TFs and targets. The weights of the latter, and those of decoupler, are signs of
        regulation: their size is taken.
    orthologs
        Table ``source, target``: ``source`` is a name in the data (an axolotl id), ``target`` the name in the resource (a human symbol). Genes that it does not list are not in the resource then. One to many in either
        direction, see above. None: names are the same in both.
    gene_symbols
        Column of ``var`` with the names of the data to match; use the same in :func:`spatrace_sc.tl.infer_ccc`. The prior calls genes as results do. None: ``var_names``.
    weight
        Multiplies the weights of a table, which are 1 where it has none.
    table_key
        Table of a SpatialData.

    Returns
    -------
    Table ``ligand, receptor, weight`` or ``tf, target, weight`` in the order of the resource; empty, with a warning in the log, when no edge has both its genes in the data. ``attrs["report"]`` tells how many rows the resource has, how many of
    them are in the prior, and of each role how many genes were matched and which are missing.

    Raises
    ------
    MissingPackageError
        If liana or decoupler is not installed.
    DownloadError
        If decoupler cannot download its network.
    DataError
        If no gene of the resource is in the data.
    InvalidArgumentError, MissingKeyError
        If a name or a table cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> known = pd.DataFrame(
    ...     {"ligand": ["LIG000", "LIG001"], "receptor": ["REC000_REC001", "elsewhere"]}
    ... )
    >>> st.pp.prior(adata, known, weight=2)
       ligand receptor  weight
    0  LIG000   REC000     2.0
    1  LIG000   REC001     2.0
    """
    adata = as_table(data, table_key)
    if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        raise InvalidArgumentError(f"`weight` must be a positive number, found {weight!r}.")
    positive(float(weight), "weight")
    known, title = read_resource(resource)
    names = names_in_data(adata, gene_symbols)
    if orthologs is not None:
        names = through(orthologs, names, known)
    left, right = known.columns[:2]
    allowed = {column: genes_of_role(adata, column, gene_symbols) for column in (left, right)}
    found = expand(known, names, allowed)
    found["weight"] *= float(weight)
    report = {"rows": len(known), "used": int(found.pop("row").nunique())}
    found = found.loc[found.groupby([left, right], sort=False)["weight"].idxmax()].reset_index(
        drop=True
    )
    for column in (left, right):
        genes = pd.unique(
            pd.Series([g for name in known[column] for g in subunits(name, names)], dtype=object)
        )
        missing = sorted(g for g in genes if not set(names.get(g, [])) & allowed[column])
        report[column] = {"matched": len(genes) - len(missing), "missing": missing}
    _tell(adata, title, report, names, found)
    found.attrs["report"] = report
    return found


def _tell(
    adata: AnnData, title: str, report: dict[str, dict[str, Any]], names: Names, found: pd.DataFrame
) -> None:
    """Log what was matched; no gene at all is an error."""
    left, right = found.columns[:2]
    parts = []
    for column in (left, right):
        matched, missing = report[column]["matched"], report[column]["missing"]
        lost = f" (missing: {shorten(missing, 3)})" if missing else ""
        parts.append(f"{matched} of {matched + len(missing)} {column}s{lost}")
    if not report[left]["matched"] and not report[right]["matched"]:
        wanted = set(report[left]["missing"]) | set(report[right]["missing"])
        hint = (
            f" Some are in the data, but not flagged in `adata.var[{left!r}]` or `adata.var[{right!r}]`: see `st.pp.gene_roles`."
            if wanted & set(names)
            else _reason(adata, wanted, np.array(list(names), dtype=str), "st.pp.prior")
        )
        raise DataError(
            f"`resource`: none of the {len(wanted)} genes of {title} is a {left} or {right} of the data ({shorten(sorted(wanted), 3)} against {shorten(names, 3)}).{hint}"
        )
    level = logging.INFO if len(found) else logging.WARNING
    logger.log(
        level,
        "prior from %s: %d edges from %d of %d rows; %s, %s found.",
        *(title, len(found), report["used"], report["rows"], *parts),
    )


def names_in_data(adata: AnnData, gene_symbols: str | None) -> Names:
    """Name → what genes with that name are called in results."""
    symbols = symbols_of(adata, gene_symbols)
    if symbols is None:
        return {n: [n] for n in adata.var_names.astype(str)}
    labels = labels_of(adata, symbols)
    names: Names = {}
    for gene, symbol in zip(adata.var_names.astype(str), symbols, strict=True):
        names.setdefault(gene if symbol in NO_NAME else str(symbol), []).append(labels[gene])
    return names


def through(orthologs: pd.DataFrame, names: Names, known: pd.DataFrame) -> Names:
    """Names in the resource → what the genes of the data that are mapped to them are called."""
    if not isinstance(orthologs, pd.DataFrame) or not {"source", "target"} <= set(orthologs):
        found = (
            list(orthologs.columns)
            if isinstance(orthologs, pd.DataFrame)
            else type(orthologs).__name__
        )
        raise InvalidArgumentError(
            f"`orthologs` must be a table with columns source (name in the data) and target (name in the resource), found {found}."
        )
    table = orthologs[["source", "target"]].dropna().astype(str).drop_duplicates()
    wanted = {
        g for c in known.columns[:2] for name in known[c] for g in (name, *name.split(SUBUNITS))
    }
    source, target = set(table["source"]), set(table["target"])
    if not source & set(names) or not target & wanted:
        side = (
            "sources is a gene of the data"
            if not source & set(names)
            else "targets is a gene of the resource"
        )
        turned = (
            " It seems to be turned around: source is the name in the data."
            if source & wanted and target & set(names)
            else ""
        )
        raise InvalidArgumentError(
            f"`orthologs`: none of its {side} (sources {shorten(table['source'].unique(), 2)}, targets {shorten(table['target'].unique(), 2)}; data {shorten(names, 2)}, resource {shorten(sorted(wanted), 2)}).{turned}"
        )
    mapped: Names = {}
    for one, other in zip(table["source"], table["target"], strict=True):
        if one in names:
            mapped.setdefault(other, []).extend(names[one])
    logger.info(
        "orthologs: %d of %d sources are genes of the data.", len(source & set(names)), len(source)
    )
    return mapped


def genes_of_role(adata: AnnData, role: str, gene_symbols: str | None) -> set[str]:
    """What the genes flagged for a role are called; all genes where it is not flagged."""
    symbols = symbols_of(adata, gene_symbols)
    names = adata.var_names.astype(str)
    called = dict(zip(names, names, strict=True)) if symbols is None else labels_of(adata, symbols)
    if role not in adata.var:
        return set(called.values())
    flags = adata.var[role]
    return {called[n] for n in names[flags.where(flags.notna(), False).astype(bool).to_numpy()]}


def subunits(name: str, names: Names) -> list[str]:
    """Genes of a complex; the name itself where it is a gene."""
    return [name] if name in names else [part for part in name.split(SUBUNITS) if part] or [name]


def expand(known: pd.DataFrame, names: Names, allowed: dict[str, set[str]]) -> pd.DataFrame:
    """Every row as the edges of genes of the data that it stands for, with its number in ``row``."""
    left, right = known.columns[:2]

    def called(name: str, column: str) -> list[str]:
        genes = [label for part in subunits(name, names) for label in names.get(part, [])]
        return [g for g in genes if g in allowed[column]]

    rows = [
        (one, other, weight, number)
        for number, (a, b, weight) in enumerate(
            zip(known[left], known[right], known["weight"], strict=True)
        )
        for one, other in product(called(a, left), called(b, right))
    ]
    table = pd.DataFrame(rows, columns=[left, right, "weight", "row"])
    return table.astype({left: object, right: object, "weight": float, "row": int})
