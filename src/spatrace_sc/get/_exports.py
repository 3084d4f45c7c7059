"""Results in the formats of other packages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, number_in, shorten
from .._edges import EDGE_KINDS, PAIR_SEPARATOR, public_word
from .._errors import InvalidArgumentError, MissingPackageError
from ._cascades import lr_tfs
from ._communication import communication
from ._tables import lr_pairs, lr_targets, tf_targets

if TYPE_CHECKING:
    import networkx

logger = logging.getLogger("spatrace_sc")

#: Readers of tables of edges, by kind.
READERS: dict[str, Callable[..., pd.DataFrame]] = {
    reader.__name__: reader for reader in (tf_targets, lr_targets, lr_tfs, lr_pairs)
}
#: Kinds with a signed effect.
SIGNED = [name for name in READERS if EDGE_KINDS[name].signed]
#: Columns that become attributes of an edge if the table has them; they are never NaN.
ATTRIBUTES = ["effect", "p_value", "q_value", "stability"]


def to_decoupler(
    adata: AnnData,
    kind: str = "tf_targets",
    stage: str | None = None,
    *,
    max_q: float | None = _keys.MAX_SIGNIFICANT_Q,
    key: str = _keys.RESULT,
) -> pd.DataFrame:
    """Return a network for decoupler: source, target, weight.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"tf_targets"``, ``"lr_targets"`` or ``"lr_tfs"``. Sources that are pairs are named
        ``ligand^receptor``.
    stage
        None: the full data set. A stage: its weights, as in :func:`tf_targets`.
    max_q
        Largest q of an edge. None: every non-zero edge.
    key
        Name of the result.

    Returns
    -------
    Table ``source, target, weight``, strongest first, each edge once. ``weight`` is the signed
    effect, in standard deviations of the target per standard deviation of the source. If no edge
    passes, the table is empty and a log message reports it.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> net = st.get.to_decoupler(adata, max_q=None)  # then decoupler.mt.ulm(adata, net)
    >>> list(net.columns)
    ['source', 'target', 'weight']
    """
    kind = public_word(kind, SIGNED)
    table = _edges(adata, kind, stage, max_q, key)
    return table.rename(columns={"effect": "weight"})[_keys.DECOUPLER].reset_index(drop=True)


def to_liana(
    adata: AnnData, stage: str | None = None, *, max_q: float | None = None, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return communication between cell types in the format of liana's results.

    Store it in ``adata.uns["liana_res"]``, or pass it as ``liana_res``, for liana's plots::

        liana.pl.dotplot(liana_res=table, colour="score", size="q_value", inverse_size=True)

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    stage
        None: the full data set. A stage: scores, p and q in this stage.
    max_q
        Largest q of a row. None: every row with a non-zero score.
    key
        Name of the result.

    Returns
    -------
    Table, strongest first. If no row passes, it is empty and a log message reports it.

    - ``source``, ``target``: cell types that send and that receive.
    - ``ligand_complex``, ``receptor_complex``: single genes.
    - ``score``: the magnitude; larger is stronger. As in :func:`communication`.
    - ``q_value``: the specificity; smaller is more specific. As in :func:`communication`.
    - ``p_value``: as in :func:`communication`.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> adata.uns["liana_res"] = st.get.to_liana(adata)
    >>> list(adata.uns["liana_res"].columns)[:4]
    ['source', 'target', 'ligand_complex', 'receptor_complex']
    """
    table = _up_to(communication(adata, stage, key=key), "communication", max_q)
    names = {
        "sender": "source",
        "receiver": "target",
        "ligand": "ligand_complex",
        "receptor": "receptor_complex",
    }
    return table.rename(columns=names)[_keys.LIANA].reset_index(drop=True)


def to_networkx(
    adata: AnnData,
    kind: str | Sequence[str] = "tf_targets",
    stage: str | None = None,
    *,
    max_q: float | None = _keys.MAX_SIGNIFICANT_Q,
    key: str = _keys.RESULT,
) -> networkx.DiGraph | networkx.MultiDiGraph:
    """Return a directed graph for networkx, or for Cytoscape and Gephi through GraphML.

    ``networkx.write_graphml`` writes the file that Cytoscape and Gephi open.

    Parameters
    ----------
    adata
        With a result of :func:`spatrace_sc.tl.infer_ccc`.
    kind
        ``"tf_targets"`` (TF → target), ``"lr_targets"`` (``ligand^receptor`` → target),
        ``"lr_tfs"`` (``ligand^receptor`` → TF) or ``"lr_pairs"`` (ligand → receptor). A list
        joins several of these in one graph, such as ``["lr_tfs", "tf_targets"]``.
        ``"communication"``: sender type → receiver type, one edge per pair.
    stage
        None: the full data set. A stage: effects and scores in this stage.
    max_q
        Largest q of an edge. None: every edge with a non-zero score.
    key
        Name of the result.

    Returns
    -------
    ``DiGraph``; for communication ``MultiDiGraph`` whose edges have the key ``ligand^receptor``.
    All values are strings and plain numbers. If no edge passes, the graph is empty and a log
    message reports it.

    - Nodes are named as in the tables. Their ``role`` is "tf", "target", "pair", "ligand",
      "receptor", "cell type", or several of these joined by " | ".
    - Edges have ``kind``, ``weight`` (the score, above 0), ``q_value``, ``p_value`` and, if the
      table has them, ``effect`` (signed) and ``stability``. Edges of communication have
      ``ligand`` and ``receptor``.
    - An edge that several tables list has the first ``kind`` that lists it.

    Raises
    ------
    MissingPackageError
        If networkx is not installed.
    InvalidArgumentError
        If a kind is unknown.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> graph = st.get.to_networkx(adata, ["lr_tfs", "tf_targets"], max_q=None)
    >>> graph.is_directed()
    True
    """
    try:
        nx = import_module("networkx")
    except ImportError as error:
        raise MissingPackageError(
            f"`st.get.to_networkx` needs networkx, which cannot be imported ({error}): "
            "`pip install networkx`."
        ) from error
    kinds = [kind] if isinstance(kind, str) else list(kind)
    wrong = [k for k in kinds if k not in READERS and k != "communication"]
    if wrong or not kinds:
        every = [*READERS, "communication"]
        hint = closest(str(wrong[0]), every) if wrong else ""
        raise InvalidArgumentError(
            f"`kind` must be one or several of {shorten(every)}, found {kind!r}.{hint}"
        )
    if "communication" in kinds:
        if len(kinds) > 1:
            raise InvalidArgumentError(
                "`kind='communication'` links cell types and cannot be joined with tables of "
                f"genes, found {kind!r}."
            )
        return _of_types(
            nx.MultiDiGraph(kind="communication"), communication(adata, stage, key=key), max_q
        )
    graph = nx.DiGraph(kind=" | ".join(kinds))
    for name in kinds:
        _add(graph, name, _edges(adata, name, stage, max_q, key))
    return graph


def _edges(
    adata: AnnData, kind: str, stage: str | None, max_q: float | None, key: str
) -> pd.DataFrame:
    """Return the rows up to ``max_q`` with a score, plus the columns source and target."""
    table = _up_to(READERS[kind](adata, stage, key=key), kind, max_q)
    names = EDGE_KINDS[kind].source_names(table)
    ends = table[EDGE_KINDS[kind].target].astype(str).astype(object)
    return table.assign(source=names, target=ends)


def _up_to(table: pd.DataFrame, kind: str, max_q: float | None) -> pd.DataFrame:
    """Return the rows with a score and q ≤ ``max_q``; log if there are none."""
    if max_q is not None:
        number_in(max_q, "max_q", 0, 1, ", or None for every edge")
    selected = table[table["score"] > 0]
    if max_q is not None:
        selected = selected[selected["q_value"] <= max_q]
    if selected.empty:
        logger.info(
            "%s: none of %d rows has a score and q ≤ %s; nothing is exported.",
            kind,
            len(table),
            max_q,
        )
    return selected


def _add(graph: Any, kind: str, table: pd.DataFrame) -> None:
    """Add the edges of a table with their attributes as plain numbers, and the roles of nodes."""
    edges = EDGE_KINDS[kind]
    begin, end = "pair" if edges.of_pairs else edges.source[0], edges.target
    present = [c for c in ATTRIBUTES if c in table]
    values = zip(*(table[c].tolist() for c in ("source", "target", "score", *present)), strict=True)
    for source, target, weight, *attributes in values:
        _node(graph, source, begin)
        _node(graph, target, end)
        if not graph.has_edge(source, target):
            graph.add_edge(
                *(source, target),
                kind=kind,
                weight=weight,
                **dict(zip(present, attributes, strict=True)),
            )


def _of_types(graph: Any, table: pd.DataFrame, max_q: float | None) -> Any:
    """Add an edge between cell types for every row up to ``max_q``."""
    table = _up_to(table, "communication", max_q)
    columns = ["sender", "receiver", "ligand", "receptor", "score", "p_value", "q_value"]
    for sender, receiver, ligand, receptor, weight, p, q in zip(
        *(table[c].tolist() for c in columns), strict=True
    ):
        for name in (sender, receiver):
            _node(graph, str(name), "cell type")
        graph.add_edge(
            str(sender),
            str(receiver),
            key=f"{ligand}{PAIR_SEPARATOR}{receptor}",
            kind="communication",
            ligand=str(ligand),
            receptor=str(receptor),
            weight=weight,
            p_value=p,
            q_value=q,
        )
    return graph


def _node(graph: Any, name: str, role: str) -> None:
    """Add a node, or another role to an existing node."""
    if name not in graph:
        graph.add_node(name, role=role)
        return
    roles = graph.nodes[name]["role"].split(" | ")
    if role not in roles:
        graph.nodes[name]["role"] = " | ".join([*roles, role])
