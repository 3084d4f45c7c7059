"""What happens when a gene, or a type of sender, is gone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten, whole
from .._data.table import as_table, check_copy
from .._edges import ROLE_OF_COLUMN
from .._errors import InvalidArgumentError
from .._result import Knockout, Result, add_knockout

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._inference.knockout import Outcome

logger = logging.getLogger("spatrace_sc")

#: Longest name, so that it fits the names of files.
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
    r"""Predict what changes when a ligand, a receptor, a TF or a type of sender is removed.

    The signals *s* of the pairs and the levels *x* of the TFs are those of the trained model, as attended. What is removed is set to 0: the signals of a ligand or receptor, the level of a TF; of senders
    the exposure is computed again without them. Then

    .. math::
        \Delta s_{ip} &= (s'_{ip} - s_{ip})(1 + v_{ip}) / sd_p, \qquad
        \Delta x_{if} = \sum_p M_{pf}\,\Delta s_{ip} + \sum_{f'} A_{f'f} \sum_k \alpha_{ik} \sum_j P^k_{ij}\,\Delta x_{jf'} \\
        \Delta y_{ig} &= \sum_p W_{pg}\,\Delta s_{ip} + \sum_f W_{fg}\,\Delta x_{if}

    with *W* the effects of pairs and TFs on targets, *M* those of pairs on TFs, *A* those of TFs in earlier cells on TFs, *P* the backward transitions and :math:`\alpha` the attention to *k* steps back, *v* the gates. All
    effects that are not 0 are used, supported or not: the sparse fit has shrunk the doubtful ones. The second line is rolled forward ``max_chain`` times, each time one TF further. *A* is scaled down if a chain could grow,
    no TF falls below 0, and a removed TF stays removed.

    The model is linear in what is removed and its effects are shrunken, so changes come out too small, and the order and sign of targets are better known than sizes (``docs/knockout.md``). Ligands and receptors that change
    because a TF is gone do not act on in turn, and nothing is said of cells that die or move.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of :func:`spatrace_sc.tl.infer_ccc`, unchanged since but for the order of genes and cells.
    ligand, receptor, tf
        Gene, or genes, of this role to remove. Give exactly one of these and ``sender``; or ``ligand`` and ``receptor`` together, to block the pairs of the two and leave the genes alone.
    sender
        Cell type, or types, that no longer send anything.
    max_chain
        Longest chain of TFs. 0: only what pairs do to TFs directly, and TFs to targets.
    max_values
        The change of every target in every cell is stored when cells × targets is at most this (4 bytes each). The size of the change per cell is stored always.
    name
        Name of this knockout, under which it is read. None: e.g. ``"ligand:WNT3"``, ``"pair:WNT3+FZD1"``. The same name again replaces it.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData. Writes, with *slug* the name with other signs than letters, digits, ``_``, ``-`` and ``.`` as ``-``:

    - ``uns[key]["knockouts"][slug]``: tables of targets, all cells together and by stage; read them with :func:`spatrace_sc.get.knockout`.
    - ``obs[key + "_knockout_" + slug]``: Euclidean norm of a cell's change over all targets, in their standard deviations; NaN in cells that do not receive.
    - ``obsm[key + "_knockout_" + slug]``: change of every target in every cell, float32; read it with :func:`spatrace_sc.get.knockout_cells`.

    Raises
    ------
    MissingKeyError, InvalidArgumentError
    DataError
        The data have changed since the inference.

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
    result = Result.read(adata, key)
    given = {"ligand": ligand, "receptor": receptor, "tf": tf, "sender": sender}
    removed = _removed(given, result)
    whole(max_chain, "max_chain", low=0)
    whole(max_values, "max_values", low=0)
    label = _default_name(removed) if name is None else name
    slug = _slug(label, result)
    from .._inference.knockout import Removed, remove

    outcome = remove(adata, key, Removed(**removed), int(max_chain))
    if not outcome.change.any():
        logger.info("Nothing changes without %s: the model gives it no effect.", label)
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
    return adata if copy else None


def _removed(given: dict[str, Any], result: Result) -> dict[str, list[str]]:
    """Return what is removed, by argument, in alphabetical order."""
    named = [argument for argument, value in given.items() if value is not None]
    if len(named) != 1 and named != ["ligand", "receptor"]:
        finding = " and ".join(f"`{n}`" for n in named) or "none"
        raise InvalidArgumentError(
            "give one of `ligand`, `receptor`, `tf` and `sender` (or `ligand` and `receptor`: the "
            f"pair of the two), found {finding}."
        )
    available = {
        column: [str(g) for g in result.genes[ROLE_OF_COLUMN[column]]]
        for column in ("ligand", "receptor", "tf")
    }
    available["sender"] = [str(name) for name in result.source.senders or ()]
    return {
        argument: _names(argument, value, available) if value is not None else []
        for argument, value in given.items()
    }


def _names(argument: str, value: object, available: dict[str, list[str]]) -> list[str]:
    """One or several known names."""
    chosen = [value] if isinstance(value, str) else value
    if not isinstance(chosen, Sequence | np.ndarray | pd.Index) or not all(
        isinstance(v, str) for v in chosen
    ):
        raise InvalidArgumentError(
            f"`{argument}` must be a name or a list of names, found {value!r}."
        )
    if not len(chosen):
        raise InvalidArgumentError(
            f"`{argument}` is empty; name at least one of {shorten(available[argument])}."
        )
    unknown = [v for v in chosen if v not in set(available[argument])]
    if unknown:
        elsewhere = [other for other, names in available.items() if unknown[0] in names]
        hint = (
            f" It is a {elsewhere[0]}: pass `{elsewhere[0]}={unknown[0]!r}`." if elsewhere else ""
        )
        raise InvalidArgumentError(
            f"`{argument}`: {shorten(unknown)} not among the {len(available[argument])} of the result: {shorten(available[argument])}."
            + (hint or closest(unknown[0], available[argument]))
        )
    return sorted({str(v) for v in chosen})


def _default_name(removed: dict[str, list[str]]) -> str:
    """``ligand:A``, ``tf:A+B``, ``pair:A+B`` (ligands before receptors)."""
    parts = [(argument, names) for argument, names in removed.items() if names]
    kind = "pair" if len(parts) == 2 else parts[0][0]
    return f"{kind}:" + "+".join(n for _, names in parts for n in names)


def _slug(label: object, result: Result) -> str:
    """Return the name as the end of a slot; refuse one that would replace another knockout."""
    if not isinstance(label, str) or not label.strip():
        raise InvalidArgumentError(f"`name` must be a text that is not empty, found {label!r}.")
    if len(label) > MAX_NAME_LENGTH:
        raise InvalidArgumentError(
            f"`name` has {len(label)} characters, more than the {MAX_NAME_LENGTH} that fit a slot; "
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
    """Whether the change of every target in every cell is stored; log where it is not."""
    fits = outcome.cells.size <= max_values
    if not fits:
        logger.info(
            "%d cells × %d targets are more than `max_values=%d`: the change per cell and target "
            "is not stored, its size per cell is.",
            *outcome.cells.shape,
            max_values,
        )
    return fits


def _by_stage(outcome: Outcome) -> pd.DataFrame:
    """Return the targets of every stage, stages in order of time."""
    tables = [
        _table(outcome, row).assign(stage=stage) for row, stage in enumerate(outcome.stages, 1)
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["stage", *_keys.KNOCKOUT]].astype({"stage": object})


def _table(outcome: Outcome, row: int) -> pd.DataFrame:
    """Targets of all cells (row 0) or of a stage, those that change most first."""
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
