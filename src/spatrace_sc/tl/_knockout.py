"""Predict what changes when a gene, or a type of sender, is removed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys, get
from .._check import closest, find_labels, labels, shorten, whole
from .._data.genes import gene_labels, symbols_of
from .._data.table import as_table, check_copy
from .._edges import ROLE_OF_COLUMN
from .._errors import InvalidArgumentError
from .._result import Knockout, Result, add_knockout

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._inference.knockout import Outcome

logger = logging.getLogger("spatrace_sc")

#: Longest name of a knockout; longer ones do not fit into file names.
MAX_NAME_LENGTH = 120


def knockout(
    data: AnnData | SpatialData,
    *,
    ligand: str | Sequence[str] | None = None,
    receptor: str | Sequence[str] | None = None,
    tf: str | Sequence[str] | None = None,
    sender: str | Sequence[str] | None = None,
    max_chain: int = 3,
    max_values: int = 50_000_000,
    name: str | None = None,
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Predict how targets change when a ligand, receptor, TF or type of sender is removed.

    The fitted model is re-evaluated with the removed regulator set to 0: the signals of a ligand
    or receptor, or the level of a TF. Without a type of sender, exposure is computed again from
    the remaining senders. Changes are then propagated::

        ds[i, p] = (s'[i, p] - s[i, p]) * (1 + gate[i, p]) / sd[p]
        dx[i, f] = sum_p M[p, f] * ds[i, p]
                 + sum_f' A[f', f] * sum_k attention[i, k] * sum_j P^k[i, j] * dx[j, f']
        dy[i, g] = sum_p W[p, g] * ds[i, p] + sum_f W[f, g] * dx[i, f]

    ``s`` and ``s'`` are the signals of pairs before and after the removal, ``x`` the levels of
    TFs, both as attended in the fitted model. ``W`` holds the effects of pairs and TFs on
    targets, ``M`` those of pairs on TFs, ``A`` those of TFs in earlier cells on TFs. ``P`` are
    the backward transitions, and ``attention`` weighs *k* steps back.

    The second equation is applied ``max_chain`` times, each time one TF further along a chain.
    ``A`` is scaled down if a chain could grow. No TF falls below 0, and a removed TF stays
    removed. All non-zero effects are used, significant or not: the sparse fit has already shrunk
    the uncertain ones.

    Predicted changes are too small, because the model is linear in what is removed and its
    effects are shrunk. The order and direction of the changes are more reliable than their size
    (``docs/knockout.md``). If no significant edge leads to a target, a log message says that the
    changes are hypotheses. The prediction ignores ligands and receptors that change because a TF
    is gone, and cells that die or move. ``docs/method/derived.md`` has the equations.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`. Only the order of genes and cells may have changed since
        the inference.
    ligand, receptor, tf
        Gene, or genes, of this role to remove; a subunit takes its complexes with it. Give
        exactly one of ``ligand``, ``receptor``, ``tf`` and ``sender``. To block pairs without
        removing their genes, give ``ligand`` and ``receptor`` together.
    sender
        Cell type, or types, that no longer send any ligand.
    max_chain
        Largest number of TFs in a chain. 0: only direct effects of pairs on TFs, and of TFs on
        targets.
    max_values
        Largest number of values (cells × targets, 4 bytes each) up to which the change of every
        target in every cell is stored. The size of the change per cell is always stored.
    name
        Name under which this knockout is stored and read. None: built from the arguments, e.g.
        ``"ligand:WNT3"`` or ``"pair:WNT3+FZD1"``. A knockout of the same name is replaced.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. ``slug`` below is the name with every character other
    than letters, digits, ``_``, ``-`` and ``.`` replaced by ``-``. Writes

    - ``uns[key]["knockouts"][slug]``: tables of targets, over all cells and by stage. Read them
      with :func:`spatrace_sc.get.knockout`.
    - ``obs[key + "_knockout_" + slug]``: Euclidean norm of a cell's change over all targets, in
      their standard deviations. NaN in cells that do not receive.
    - ``obsm[key + "_knockout_" + slug]``: change of every target in every cell, float32. Read it
      with :func:`spatrace_sc.get.knockout_cells`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
        If there is no result under ``key``, a gene or type is unknown, or another argument is
        invalid.
    DataError
        If the data have changed since the inference.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata)
    >>> st.tl.knockout(adata, ligand="LIG000")
    >>> st.get.knockout(adata).columns[0]
    'target'
    """
    adata = as_table(data, table_key)
    check_copy(adata, copy)
    result = Result.read(adata, key, of_cells=True)
    given = {"ligand": ligand, "receptor": receptor, "tf": tf, "sender": sender}
    removed = _removed(given, result)
    whole(max_chain, "max_chain", low=0)
    whole(max_values, "max_values", low=0)
    label = _default_name(removed) if name is None else name
    slug = _slug(label, result)
    from .._inference.knockout import Removed, remove

    outcome = remove(adata, key, Removed(**removed), int(max_chain))
    if not outcome.change.any():
        logger.info("Nothing changes without %s: it has no effect in the model.", label)
    if copy:
        adata = adata.copy()
    slot = _keys.knockout_key(key, slug)
    adata.obs[slot] = np.sqrt(np.square(outcome.cells, dtype=np.float64).sum(axis=1))
    stores_cells = _fits(outcome, max_values)
    knockout_entry = Knockout(
        name=label,
        removed={role: names for role, names in removed.items() if names},
        targets=_table(outcome, 0),
        by_stage=_by_stage(outcome),
        obs_slot=slot,
        obsm_slot=slot if stores_cells else "",
        max_chain=int(max_chain),
    )
    add_knockout(adata, key, slug, knockout_entry, outcome.cells if stores_cells else None)
    if outcome.change.any():
        _warn_if_not_significant(get.knockout(adata, label, key=key), removed)
    return adata if copy else None


def _removed(given: dict[str, Any], result: Result) -> dict[str, list[str]]:
    """Return the names that are removed, by argument, in alphabetical order."""
    named = [argument for argument, value in given.items() if value is not None]
    if len(named) != 1 and named != ["ligand", "receptor"]:
        finding = " and ".join(f"`{n}`" for n in named) or "none"
        raise InvalidArgumentError(
            "give one of `ligand`, `receptor`, `tf` and `sender` (or `ligand` and `receptor` "
            f"together, to block their pairs), found {finding}."
        )
    available = {
        column: [str(g) for g in result.genes[ROLE_OF_COLUMN[column]]]
        for column in ("ligand", "receptor", "tf")
    }
    for column in ("ligand", "receptor"):
        subunits = {g for name in available[column] for g in result.genes.genes_of(name)}
        available[column] += sorted(subunits - set(available[column]))
    available["sender"] = result.source.sender_names(result.adata)
    symbol_key = result.source.gene_symbols
    symbols = symbols_of(result.adata, symbol_key) if symbol_key in result.adata.var else None
    shown = gene_labels(result.adata, symbols)
    return {
        argument: _names(argument, value, available, shown) if value is not None else []
        for argument, value in given.items()
    }


def _names(
    argument: str, value: object, available: dict[str, list[str]], shown: dict[str, str]
) -> list[str]:
    """Return the names as a sorted list; each must be available for its argument.

    ``shown`` holds the name in results of every gene, for a hint.
    """
    wanted = labels(value, argument)
    if not wanted:
        raise InvalidArgumentError(
            f"`{argument}` is empty; name at least one of {shorten(available[argument])}."
        )
    chosen, unknown = find_labels(wanted, available[argument])
    if unknown:
        name = shown.get(unknown[0], unknown[0])
        elsewhere = [other for other, names in available.items() if name in names]
        elsewhere.sort(key=lambda other: other != argument)
        hint = f" It is a {elsewhere[0]}: pass `{elsewhere[0]}={name!r}`." if elsewhere else ""
        raise InvalidArgumentError(
            f"`{argument}`: {shorten(unknown)} not among the {len(available[argument])} of the "
            f"result: {shorten(available[argument])}."
            + (hint or closest(unknown[0], available[argument]))
        )
    return sorted(chosen)


def _default_name(removed: dict[str, list[str]]) -> str:
    """Return ``ligand:A``, ``tf:A+B`` or ``pair:A+B`` (ligands before receptors)."""
    parts = [(argument, names) for argument, names in removed.items() if names]
    kind = "pair" if len(parts) == 2 else parts[0][0]
    return f"{kind}:" + "+".join(n for _, names in parts for n in names)


def _slug(label: object, result: Result) -> str:
    """Return the name as the suffix of a slot; it must not replace another knockout."""
    if not isinstance(label, str) or not label.strip():
        raise InvalidArgumentError(f"`name` must be a non-empty string, found {label!r}.")
    if len(label) > MAX_NAME_LENGTH:
        raise InvalidArgumentError(
            f"`name` has {len(label)} characters, more than the maximum of {MAX_NAME_LENGTH}; "
            f"give a shorter one ({label[:30]!r}...)."
        )
    slug = _keys.plain(label)
    other = result.knockouts.get(slug)
    if other is not None and other.name != label:
        raise InvalidArgumentError(
            f"`name={label!r}` would be stored in the slot of the knockout {other.name!r}; choose "
            "another name."
        )
    return slug


def _fits(outcome: Outcome, max_values: int) -> bool:
    """Return whether the change of every target in every cell is stored; log if it is not."""
    fits = outcome.cells.size <= max_values
    if not fits:
        logger.info(
            "%d cells × %d targets are more than `max_values=%d`: the change per cell and target "
            "is not stored, its size per cell is.",
            *outcome.cells.shape,
            max_values,
        )
    return fits


def _warn_if_not_significant(table: pd.DataFrame, removed: dict[str, list[str]]) -> None:
    """Log that the changes are hypotheses if no significant edge leads to any target."""
    if (table["evidence"] == "supported").any():
        return
    names = " and ".join(shorten(names) for names in removed.values() if names)
    logger.warning(
        "No edge from %s to a target is significant (q ≤ %g): the changes are hypotheses.",
        *(names, _keys.MAX_SIGNIFICANT_Q),
    )


def _by_stage(outcome: Outcome) -> pd.DataFrame:
    """Return the changes of the targets in every stage, stages in order of time."""
    tables = [
        _table(outcome, row).assign(stage=stage) for row, stage in enumerate(outcome.stages, 1)
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["stage", *_keys.KNOCKOUT]].astype({"stage": object})


def _table(outcome: Outcome, row: int) -> pd.DataFrame:
    """Return the changes over all cells (row 0) or in one stage, largest change first."""
    change = outcome.change[row]
    table = pd.DataFrame(
        {
            "target": outcome.targets.astype(object),
            "change": change,
            "se": outcome.se[row],
            "direct": outcome.direct[row],
            "mediated": change - outcome.direct[row],
            "log_change": change * outcome.target_sd,
            "agreement": outcome.agreement[row],
        }
    )
    order = np.argsort(-np.abs(change), kind="stable")
    return table.iloc[order].reset_index(drop=True)[_keys.KNOCKOUT]
