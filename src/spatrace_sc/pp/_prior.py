"""Soft priors from resources of known interactions."""

from __future__ import annotations

import logging
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import positive, shorten
from .._data.flags import flags_of_role
from .._data.gene_names import NO_NAME, find_genes, name_of, subunits_of
from .._data.genes import explain_no_match, labels_of, symbols_of
from .._data.table import as_table
from .._errors import DataError, InvalidArgumentError
from ._prior_complexes import with_complexes
from ._resources import read_resource

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Name in the resource → labels in results of the genes of the data that it stands for.
Labels = dict[str, list[str]]


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

    Nothing is written. The table lists known edges; ``infer_ccc(prior=table)`` divides their
    penalty by 1 + weight, and all other edges remain candidates.

    - *Complexes.* ``A_B``, ``A&B`` or ``A+B`` is one ligand or receptor where
      :func:`spatrace_sc.pp.gene_roles` has listed it as such. Otherwise it stands for its
      subunits: every subunit of the ligand is paired with every subunit of the receptor, each
      pair with the full weight. A name that is itself a gene of the data (or of ``orthologs``) is
      not split.
    - *Several names.* A gene of the resource may correspond to several genes of the data, and
      several may correspond to one. Every combination is listed with the full weight. An edge
      that is listed several times keeps its largest weight.
    - *Roles.* Where :func:`spatrace_sc.pp.gene_roles` has flagged a role, only its genes are
      used; otherwise all genes of the data are.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    resource
        ``"liana:consensus"`` (human), ``"liana:mouseconsensus"`` or another resource that the
        installed liana contains; ``"decoupler:collectri"`` or ``"decoupler:dorothea"`` (human),
        which the installed decoupler (≥ 2) downloads. Or a table with the columns ligand,
        receptor[, weight]; tf, target[, weight]; or source, target[, weight], as decoupler calls
        TFs and targets. Weights of decoupler and of source, target tables hold the sign of
        regulation; their absolute value is used.
    orthologs
        Table ``source, target``: ``source`` is a name in the data (e.g. an axolotl id),
        ``target`` the name in the resource (e.g. a human symbol). Genes that it does not list
        then do not match the resource. One to many is allowed in both directions, see above.
        None: names are the same in both.
    gene_symbols
        Column of ``var`` with the names to match; pass the same to
        :func:`spatrace_sc.tl.infer_ccc`. The prior labels genes as results do. None:
        ``var_names``.
    weight
        Factor that multiplies the weights of the table, which are 1 where it has none.
    table_key
        Table of a SpatialData.

    Returns
    -------
    Table ``ligand, receptor, weight`` or ``tf, target, weight`` in the order of the resource. It
    is empty, with a warning in the log, if no edge has both genes in the data.
    ``attrs["report"]`` holds the number of ``rows`` of the resource, the number ``used`` in the
    prior, and for each role how many genes were ``matched`` and which are ``missing``.

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
    positive(weight, "weight")
    known, title = read_resource(resource)
    labels = labels_in_data(adata, gene_symbols)
    if orthologs is not None:
        labels = labels_by_ortholog(orthologs, labels, known)
    labels = with_other_spellings(labels, known)
    left, right = known.columns[:2]
    allowed = {column: labels_of_role(adata, column, gene_symbols) for column in (left, right)}
    labels = with_complexes(adata, labels, known, allowed, gene_symbols)
    edges = expand(known, labels, allowed)
    edges["weight"] *= float(weight)
    report: dict[str, Any] = {"rows": len(known), "used": int(edges.pop("row").nunique())}
    largest = edges.groupby([left, right], sort=False)["weight"].idxmax()
    edges = edges.loc[largest].reset_index(drop=True)
    for column in (left, right):
        genes = pd.unique(
            pd.Series([g for name in known[column] for g in subunits(name, labels)], dtype=object)
        )
        missing = sorted(g for g in genes if not set(labels.get(g, [])) & allowed[column])
        report[column] = {"matched": len(genes) - len(missing), "missing": missing}
    _check_matched(adata, title, report, labels, edges)
    edges.attrs["report"] = report
    return edges


def _check_matched(
    adata: AnnData,
    title: str,
    report: dict[str, Any],
    labels: Labels,
    edges: pd.DataFrame,
) -> None:
    """Log how many genes and edges matched; no matched gene at all is an error."""
    left, right = edges.columns[:2]
    if not report[left]["matched"] and not report[right]["matched"]:
        wanted = set(report[left]["missing"]) | set(report[right]["missing"])
        hint = (
            f" Some are in the data, but not flagged in `adata.var[{left!r}]` or "
            f"`adata.var[{right!r}]`: see `st.pp.gene_roles`."
            if wanted & set(labels)
            else explain_no_match(adata, wanted, np.array(list(labels), dtype=str), "st.pp.prior")
        )
        raise DataError(
            f"`resource`: none of the {len(wanted)} genes of {title} is a {left} or {right} of "
            f"the data ({shorten(sorted(wanted), 3)} against {shorten(labels, 3)}).{hint}"
        )
    counts = []
    for column in (left, right):
        n_matched, missing = report[column]["matched"], report[column]["missing"]
        detail = f" (missing: {shorten(missing, 3)})" if missing else ""
        counts.append(f"{n_matched} of {n_matched + len(missing)} {column}s{detail}")
    logger.log(
        logging.INFO if len(edges) else logging.WARNING,
        "prior from %s: %d edges from %d of %d rows; %s, %s found.",
        *(title, len(edges), report["used"], report["rows"], *counts),
    )


def labels_in_data(adata: AnnData, gene_symbols: str | None) -> Labels:
    """Return the labels in results of the genes with each name."""
    symbols = symbols_of(adata, gene_symbols)
    if symbols is None:
        return {n: [n] for n in adata.var_names.astype(str)}
    label_of = labels_of(adata, symbols)
    labels: Labels = {}
    for gene, symbol in zip(adata.var_names.astype(str), symbols, strict=True):
        labels.setdefault(gene if symbol in NO_NAME else str(symbol), []).append(label_of[gene])
    return labels


def labels_by_ortholog(orthologs: pd.DataFrame, labels: Labels, known: pd.DataFrame) -> Labels:
    """Return the labels of the genes of the data that map to each name in the resource."""
    is_table = isinstance(orthologs, pd.DataFrame)
    if not is_table or not {"source", "target"} <= set(orthologs):
        finding = list(orthologs.columns) if is_table else type(orthologs).__name__
        raise InvalidArgumentError(
            "`orthologs` must be a table with columns source (name in the data) and target (name "
            f"in the resource), found {finding}."
        )
    table = orthologs[["source", "target"]].dropna().map(name_of).apply(lambda c: c.str.strip())
    for column, names in (("source", labels), ("target", _names_in(known))):
        spelling = find_genes(table[column].unique(), names, f"orthologs[{column!r}]")
        table[column] = table[column].map(lambda name, s=spelling: s.get(name, name))
    table = table.drop_duplicates()
    _check_orthologs(table, labels, known)
    mapped: Labels = {}
    for source, target in zip(table["source"], table["target"], strict=True):
        if source in labels:
            mapped.setdefault(target, []).extend(labels[source])
    sources = set(table["source"])
    logger.info(
        "orthologs: %d of %d sources are genes of the data.",
        *(len(sources & set(labels)), len(sources)),
    )
    return mapped


def _check_orthologs(table: pd.DataFrame, labels: Labels, known: pd.DataFrame) -> None:
    """Require that some sources are genes of the data, and some targets genes of the resource."""
    in_resource = _names_in(known)
    source, target = set(table["source"]), set(table["target"])
    in_data = set(labels)
    if not source & in_data:
        problem = "sources is a gene of the data"
    elif not target & in_resource:
        problem = "targets is a gene of the resource"
    else:
        return
    swapped = (
        " The columns seem to be swapped: source is the name in the data."
        if source & in_resource and target & in_data
        else ""
    )
    raise InvalidArgumentError(
        f"`orthologs`: none of its {problem} (sources {shorten(table['source'].unique(), 2)}, "
        f"targets {shorten(table['target'].unique(), 2)}; data {shorten(labels, 2)}, resource "
        f"{shorten(sorted(in_resource), 2)}).{swapped}"
    )


def _names_in(known: pd.DataFrame) -> set[str]:
    """Return the names in a resource, and those of the subunits of complexes."""
    names = {name for column in known.columns[:2] for name in known[column]}
    return names | {part for name in names for part in subunits_of(name)}


def with_other_spellings(labels: Labels, known: pd.DataFrame) -> Labels:
    """Return the labels also under names of the resource with another version of an Ensembl id."""
    others = sorted(_names_in(known) - set(labels))
    return labels | {
        name: labels[match] for name, match in find_genes(others, labels, "resource").items()
    }


def labels_of_role(adata: AnnData, role: str, gene_symbols: str | None) -> set[str]:
    """Return the labels of the genes flagged for a role; of all genes where it is not flagged."""
    symbols = symbols_of(adata, gene_symbols)
    names = adata.var_names.astype(str)
    label_of = (
        dict(zip(names, names, strict=True)) if symbols is None else labels_of(adata, symbols)
    )
    flags = flags_of_role(adata, role)
    return {label_of[n] for n in (names if flags is None else names[flags])}


def subunits(name: str, labels: Labels) -> list[str]:
    """Return the genes of a complex; the name itself where it is a gene."""
    return [name] if name in labels else subunits_of(name)


def expand(known: pd.DataFrame, labels: Labels, allowed: dict[str, set[str]]) -> pd.DataFrame:
    """Return the edges between genes of the data to which each row refers; ``row`` is its index."""
    left, right = known.columns[:2]

    def labels_allowed(name: str, column: str) -> list[str]:
        genes = [label for gene in subunits(name, labels) for label in labels.get(gene, [])]
        return [g for g in genes if g in allowed[column]]

    rows = [
        (one, other, weight, number)
        for number, (a, b, weight) in enumerate(
            zip(known[left], known[right], known["weight"], strict=True)
        )
        for one, other in product(labels_allowed(a, left), labels_allowed(b, right))
    ]
    table = pd.DataFrame(rows, columns=[left, right, "weight", "row"])
    return table.astype({left: object, right: object, "weight": float, "row": int})
