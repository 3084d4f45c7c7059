"""Which genes are ligands, receptors, transcription factors, targets."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from anndata import AnnData

from .. import _keys
from .._compat import as_table
from .._errors import DataError
from .._prepare import default_targets, match, symbols_of
from .._validate import expression

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")


def gene_roles(
    data: AnnData | SpatialData,
    *,
    ligands: Sequence[str],
    receptors: Sequence[str],
    tfs: Sequence[str],
    targets: Sequence[str] | None = None,
    gene_symbols: str | None = None,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> pd.DataFrame | None:
    """Flag ligands, receptors, transcription factors and targets.

    The lists are gene lists, nothing more: no pairing of ligands with receptors is taken from them. A gene may have several roles.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    ligands, receptors, tfs
        Names as in ``var_names`` or in ``var[gene_symbols]``. Names that are not in the data are ignored and counted in the log.
    targets
        The genes to explain. None: the highly variable genes if ``var["highly_variable"]`` exists, otherwise the 1000 most variable genes seen in at least 5 % of
        cells; in both cases without the other three roles.
    gene_symbols
        Column of ``var`` with the names to match, e.g. ``"symbol"`` where ``var_names`` are Ensembl ids. Several genes of one symbol are all flagged.
    table_key
        Table of a SpatialData.
    copy
        Return the flags (genes × roles, bool) instead of writing them.

    Returns
    -------
    None, or the flags with ``copy=True``. Writes ``var["ligand"]``, ``var["receptor"]``, ``var["tf"]``, ``var["target"]`` (bool).

    Raises
    ------
    DataError
        If a role has no gene in the data; the message suggests another column or a difference in case where that would help.
    MissingKeyError
        If ``gene_symbols`` is not a column of ``var``.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=300)
    >>> st.pp.gene_roles(
    ...     adata, ligands=["LIG000", "LIG001"], receptors=["REC000"], tfs=["TF000"], targets=["TG000", "TG001"]
    ... )
    >>> int(adata.var["ligand"].sum())
    2
    """
    adata = as_table(data, table_key)
    symbols = symbols_of(adata, gene_symbols)
    given = {"ligands": ligands, "receptors": receptors, "tfs": tfs}
    flags = pd.DataFrame(
        {_keys.ROLES[name]: match(adata, genes, name, symbols) for name, genes in given.items()}, index=adata.var_names
    )
    if targets is None:
        regulators = set(adata.var_names[flags.any(axis=1).to_numpy()])
        chosen = default_targets(adata, regulators, expression(adata, None))
        if not chosen:
            raise DataError(
                "`targets` was not given and no gene is left beside the ligands, receptors and TFs; name the genes to explain."
            )
        flags[_keys.ROLES["targets"]] = np.isin(adata.var_names.to_numpy(dtype=str), chosen)
    else:
        flags[_keys.ROLES["targets"]] = match(adata, targets, "targets", symbols)
    logger.info("gene roles: %s.", ", ".join(f"{int(flags[c].sum())} {name}" for name, c in _keys.ROLES.items()))
    if copy:
        return flags
    for column in flags:
        adata.var[column] = flags[column].to_numpy()
    return None
