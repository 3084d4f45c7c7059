"""The expression of a target as the quantity of a map."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ... import get
from ..._check import closest, shorten
from ..._data.expression import columns, expression_by_slice
from ..._data.genes import names_by_label
from ..._errors import InvalidArgumentError
from .mapped_quantity import Quantity
from .significance import THRESHOLD, is_significant

#: Kind of a map that shows the expression of a target.
TARGETS = "targets"


def target_expression(adata: AnnData, name: str | tuple[str, str] | None, key: str) -> Quantity:
    """Return the expression of a target; that with the strongest edge from a pair for None."""
    edges = get.lr_targets(adata, key=key)
    targets = list(dict.fromkeys(edges["target"].astype(str)))
    target = targets[0] if name is None and targets else str(name)
    if target not in targets:
        raise InvalidArgumentError(
            f"{target!r} is not a target of the result; it has "
            f"{shorten(targets)}.{closest(target, targets)}"
        )
    tables = [edges, get.tf_targets(adata, key=key)]
    n = sum(int(is_significant(t[t["target"].astype(str) == target]).sum()) for t in tables)
    significance = f"{n or 'no'} significant regulator{'' if n == 1 else 's'} ({THRESHOLD})"
    arguments = get.params(adata, key=key)
    values = _expression(adata, target, arguments)
    return Quantity(target, significance, "expression (log)", False, values, "not measured")


def _expression(
    adata: AnnData, target: str, arguments: dict[str, str | None]
) -> NDArray[np.float64]:
    """Return (cells,) expression of a gene; NaN in slices in which it was not measured."""
    gene = names_by_label(adata, arguments["gene_symbols"]).get(target)
    index = pd.Index(adata.var_names.astype(str)).get_indexer(pd.Index([str(gene)]))
    if index[0] < 0:
        raise InvalidArgumentError(f"{target!r} is not among the genes of `adata` any more.")
    slice_key = arguments["sample_key"] or arguments["stage_key"]
    matrix, unmeasured = expression_by_slice(adata, arguments["layer"], slice_key)
    values = columns(matrix, index)[:, 0].astype(np.float64)
    if unmeasured is not None:
        values[unmeasured.missing(index, np.arange(adata.n_obs))[:, 0]] = np.nan
    return values
