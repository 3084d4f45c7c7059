"""Which genes are ligands, receptors, transcription factors, targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import shorten
from .._data.complexes import Subunits, match_role, table_of
from .._data.expression import expression_by_slice, has_matrix, matrix_of
from .._data.flags import is_flagged, is_replaceable, written_by_gene_roles
from .._data.genes import default_targets, full_names, match, symbols_of
from .._data.missing_genes import rarely_detected
from .._data.table import as_table, detach_view
from .._errors import DataError, InvalidArgumentError
from ._published_lists import leave_out_rare, lists_of_organism

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def gene_roles(
    data: AnnData | SpatialData,
    *,
    organism: str | None = None,
    ligands: Sequence[str] | None = None,
    receptors: Sequence[str] | None = None,
    tfs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    orthologs: pd.DataFrame | None = None,
    gene_symbols: str | None = None,
    sample_key: str | None = None,
    layer: str | None = None,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> pd.DataFrame | None:
    """Flag ligands, receptors, transcription factors and targets in ``var``.

    The lists are plain gene lists: they do not pair ligands with receptors. A gene may have
    several roles.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    organism
        Organism whose published lists are used for roles without a list: ``"human"``, ``"mouse"``,
        ``"rat"``, ``"zebrafish"`` or ``"chicken"``. Ligands and receptors come from the installed
        liana (human and mouse). The TFs come from Lambert et al. 2018 (human) or AnimalTFDB 4.0,
        which are downloaded once. Genes of these lists that are detected in fewer than 1 % of the
        cells are left out (logged). None: all three lists must be given.
    ligands, receptors, tfs
        Names as in ``var_names`` or in ``var[gene_symbols]``. A list that you pass is used
        unchanged, whatever ``organism`` is. Names that are not in the data are left out; their
        number is logged, with similar names of the data. Blanks around a name do not matter, nor
        does the version of an Ensembl id where only one gene fits. A ligand or receptor ``"A_B"``,
        ``"A&B"`` or ``"A+B"`` that is not itself a gene is a complex. It counts as one regulator,
        and its subunits only if they are listed, too. It is left out, with a warning, if a subunit
        is not in the data.
    targets
        The genes to explain. None: the most variable genes that are detected in at least 5 % of
        cells, at most 300; only highly variable genes if ``var["highly_variable"]`` exists. The
        genes of the other three roles are never among them.
    orthologs
        Table ``source, target``: ``source`` is a name in the data, ``target`` the human symbol. It
        translates human lists for an organism without its own lists. For an organism that is not
        listed above, pass ``organism="human"``. The columns may also be ``human`` and the organism.
    gene_symbols
        Column of ``var`` with the names to match, e.g. ``"symbol"`` where ``var_names`` are
        Ensembl ids. All genes that share a symbol are flagged. The column is stored, so that
        :func:`spatrace_sc.tl.infer_ccc` can log a hint if it is called without it.
    sample_key
        Column of ``obs`` with the slice. With ``targets=None``, a gene that is NaN in every cell
        of a slice is judged by the other slices. None: NaN is an error.
    layer
        Layer of log-normalised expression, from which ``targets=None`` chooses. None: ``X``.
    table_key
        Table of a SpatialData.
    copy
        Return the flags (genes × roles, bool) instead of writing them and the complexes.

    Returns
    -------
    None, or the flags with ``copy=True``. Writes ``var["ligand"]``, ``var["receptor"]``,
    ``var["tf"]``, ``var["target"]`` (bool) and ``uns["gene_roles"]``: the names of the column and
    of the layer, and ``complexes``, a table ``role, complex, subunit``, if there are any.

    Raises
    ------
    InvalidArgumentError
        If a list is neither passed nor published for ``organism``, or is not a list of names; or if
        ``var`` already has a column with the name of a role and other content, which would be lost.
    MissingPackageError
        If liana is needed for ligands and receptors and is not installed.
    DownloadError
        If a list of TFs is not in the cache and cannot be downloaded. The message names the
        address, and the path at which to place the file by hand.
    DataError
        If a role has no gene in the data. The message suggests another column, ``adata.raw`` or a
        different case if that would match.
    MissingKeyError
        If ``gene_symbols`` is not a column of ``var``, or ``layer`` is not a layer.

    Warns
    -----
    SpatraceWarning
        If less than half of a list is in the data, or if targets are to be chosen from what looks
        like raw counts.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.gene_roles(
    ...     adata,
    ...     ligands=["LIG000", "LIG001"],
    ...     receptors=["REC000"],
    ...     tfs=["TF000"],
    ...     targets=["TG000", "TG001"],
    ... )
    >>> int(adata.var["ligand"].sum())
    2
    """
    adata = as_table(data, table_key)
    lists = {"ligands": ligands, "receptors": receptors, "tfs": tfs}
    published = lists_of_organism(lists, organism, orthologs)
    if not copy:
        _check_columns(adata)
    symbols = symbols_of(adata, gene_symbols)
    if layer is not None:
        matrix_of(adata, layer)
    flags = pd.DataFrame(index=adata.var_names)
    complexes: dict[str, Subunits] = {}
    for name, given in lists.items():
        genes = published[name]() if name in published else given
        mask, complexes[name] = match_role(
            *(adata, () if genes is None else genes, name, symbols, gene_symbols),
            published=name in published,
        )
        flags[_keys.ROLES[name]] = mask
    leave_out_rare(adata, flags, complexes, published, layer)
    if targets is None:
        regulators = set(adata.var_names[flags.any(axis=1).to_numpy()])
        regulators |= set(table_of(complexes)["subunit"])
        matrix, unmeasured = expression_by_slice(adata, layer, sample_key)
        n_measured = None if unmeasured is None else unmeasured.n_measured
        chosen = default_targets(adata, regulators, matrix, n_measured)
        if not chosen:
            raise DataError(
                "`targets` was not given and every gene is a ligand, receptor or TF; name the "
                "genes to explain."
            )
        flags[_keys.ROLES["targets"]] = np.isin(adata.var_names.to_numpy(dtype=str), chosen)
    else:
        flags[_keys.ROLES["targets"]] = match(adata, targets, "targets", symbols, gene_symbols)
    _log_roles(adata, flags, complexes, layer, symbols)
    if copy:
        return flags
    subunits = table_of(complexes)
    _check_slot(adata, subunits)
    detach_view(adata)
    _log_replaced(adata, flags)
    for column in flags:
        adata.var[column] = flags[column].to_numpy()
    _store_names(adata, gene_symbols, layer, subunits)
    return None


def _check_slot(adata: AnnData, complexes: pd.DataFrame) -> None:
    """Require that complexes can be stored."""
    if len(complexes) and adata.uns.get(_keys.GENE_ROLES) and not written_by_gene_roles(adata):
        raise InvalidArgumentError(
            f"`adata.uns[{_keys.GENE_ROLES!r}]` was not written by `st.pp.gene_roles`, and the "
            "complexes in the lists would have to replace it. Rename that slot, or list genes."
        )


def _store_names(
    adata: AnnData, gene_symbols: str | None, layer: str | None, complexes: pd.DataFrame
) -> None:
    """Store column, layer and complexes, unless the slot holds something of the user's."""
    if not adata.uns.get(_keys.GENE_ROLES) or written_by_gene_roles(adata):
        names = {"gene_symbols": gene_symbols or "", "layer": layer or ""}
        stored = {_keys.COMPLEXES: complexes} if len(complexes) else {}
        adata.uns[_keys.GENE_ROLES] = names | stored
    else:
        logger.info("uns[%r] holds something else and is not changed.", _keys.GENE_ROLES)


def _check_columns(adata: AnnData) -> None:
    """Require that the columns of the roles are free, or hold nothing but flags."""
    for column in _keys.ROLES.values():
        if column in adata.var and not is_replaceable(adata, column):
            values = shorten(adata.var[column].astype(object).drop_duplicates(), 3)
            raise InvalidArgumentError(
                f"`adata.var[{column!r}]` was not written by `st.pp.gene_roles` and would be lost "
                f"(it holds {values}). Rename it, e.g. `adata.var = "
                f"adata.var.rename(columns={{{column!r}: '{column}_annotation'}})`, delete it, or "
                "use `copy=True`."
            )


def _log_replaced(adata: AnnData, flags: pd.DataFrame) -> None:
    """Log flags of the user's that are replaced by others."""
    for column in flags.columns.astype(str):
        if column not in adata.var or written_by_gene_roles(adata):
            continue
        former = is_flagged(adata, column)
        if not np.array_equal(former, flags[column].to_numpy()):
            logger.warning(
                "adata.var[%r] held other flags (%d genes), which are replaced.",
                *(column, int(former.sum())),
            )


def _log_roles(
    adata: AnnData,
    flags: pd.DataFrame,
    complexes: dict[str, Subunits],
    layer: str | None,
    symbols: NDArray[np.object_] | None,
) -> None:
    """Log the genes of each role, genes with two roles in an edge, and rarely detected genes."""
    n_complexes = {name: len(complexes.get(name, ())) for name in _keys.ROLES}
    counts = ", ".join(
        f"{int(flags[c].sum())} {name}"
        + (f" and {n} complex{'es'[: 2 * (n > 1)]}" if (n := n_complexes[name]) else "")
        for name, c in _keys.ROLES.items()
    )
    logger.info("gene roles: %s.", counts)
    names = pd.Index(full_names(adata, symbols))
    both = flags["target"] & (flags["ligand"] | flags["receptor"])
    if both.any():
        logger.info(
            "%d genes are targets and also ligands or receptors (%s): a pair is never tested on "
            "its own ligand or receptor.",
            *(int(both.sum()), shorten(names[both.to_numpy()], 5)),
        )
    if not has_matrix(adata, layer):
        return
    matrix, _ = matrix_of(adata, layer)
    rare, n_cells = rarely_detected(matrix, flags.any(axis=1).to_numpy())
    if rare.any():
        by_role = ", ".join(
            f"{int(flags[c][rare].sum())} {name}"
            for name, c in _keys.ROLES.items()
            if flags[c][rare].any()
        )
        logger.info(
            "%d of the flagged genes are above 0 in fewer than 1 %% of %d cells (%s; %s): they "
            "add run time but little information, consider leaving them out.",
            *(int(rare.sum()), n_cells, by_role, shorten(names[rare], 5)),
        )
