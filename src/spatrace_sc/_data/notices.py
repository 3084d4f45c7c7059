"""What users are told besides results: columns that deserve a second look, and a result that says little."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._check import shorten
from .._errors import warn

logger = logging.getLogger("spatrace_sc")

#: Text that stands for "not known", in any case.
PLACEHOLDERS = {"", "nan", "na", "n/a", "<na>", "none", "null", "unknown", "unassigned"}
#: Cell types with fewer cells are named.
FEW_CELLS = 20
#: Where the reader of an empty result is sent.
NOTHING_SUPPORTED = 'docs/notebooks/own_data.md, section "Nothing with q ≤ 0.1"'


def look_at_columns(
    adata: AnnData, columns: dict[str, str | None], cells: NDArray[np.bool_]
) -> None:
    """Warn of text that stands for missing values in the named columns of ``obs`` (argument → column), and log cell types with few of the cells that take part."""
    said: list[str] = []
    for argument, key in columns.items():
        if key is None or any(f"obs[{key!r}]" in text for text in said):
            continue
        values = adata.obs[key].astype(str)[cells]
        counts = values[values.str.strip().str.lower().isin(PLACEHOLDERS)].value_counts()
        if len(counts):
            found = ", ".join(f"{name!r}: {n} cells" for name, n in counts.head(4).items())
            said.append(f"obs[{key!r}] (`{argument}`) has {found}")
    if said:
        warn(
            f"text that stands for missing values is taken as a name like any other: {'; '.join(said)}. "
            "Drop those cells, fill in what they are, or for cell types leave them out of `senders` and `receivers`."
        )
    key = columns.get("cell_type_key")
    if key is not None:
        number = pd.Series(adata.obs[key].astype(str).to_numpy()[cells]).value_counts()
        few = number[number < FEW_CELLS]
        if len(few):
            logger.warning(
                "cell types with fewer than %d cells, of which little can be said: %s. Merge them with a related type, or leave them out of `senders` and `receivers`.",
                *(FEW_CELLS, shorten(f"{name} ({n})" for name, n in few.items())),
            )


def hint_at_symbols(adata: AnnData, gene_symbols: str | None, by_flags: bool) -> None:
    """Say that results will be in ``var_names`` although the roles were given by a column of symbols."""
    written = adata.uns.get(_keys.GENE_ROLES)
    column = str(written.get("gene_symbols", "")) if isinstance(written, Mapping) else ""
    if gene_symbols is None and by_flags and column and column in adata.var:
        logger.warning(
            "Results will name genes as `var_names` do (%r, ...). The roles were given by `adata.var[%r]`: `gene_symbols=%r` shows those names.",
            *(str(adata.var_names[0]), column, column),
        )


def look_at_result(tables: dict[str, pd.DataFrame]) -> None:
    """Warn where no edge of any kind is supported."""
    if any(
        (tables[name]["q_value"] <= _keys.SUPPORTED).any()
        for name in ("tf_targets", "lr_targets", "lr_pairs")
    ):
        return
    warn(
        f"no edge has q ≤ {_keys.SUPPORTED:g}: what follows is a ranking of hypotheses, not findings. "
        f"What can help: fewer TFs or targets, more cells, genes that are seen in more of the cells; see {NOTHING_SUPPORTED}."
    )
