"""What a rule of transitions receives and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from ..._check import shorten
from ..._core.cell_order import MAX_STAGES, is_discrete, order_of_cells
from ..._data.cells import categories
from ..._errors import DataError


@dataclass(frozen=True)
class Cells:
    """The *n* cells of ``adata`` that are analysed, in their order there.

    ``mask`` (all cells,); ``time`` (n,) finite; ``n_neighbors`` candidates per cell and direction.
    ``embed`` returns the (n, dims) representation; it is called once, and only if a rule needs it.
    """

    adata: AnnData
    mask: NDArray[np.bool_]
    time: NDArray[np.float64]
    time_key: str
    stage_key: str | None
    n_neighbors: int
    embed: Callable[[], NDArray[np.float64]]

    @cached_property
    def representation(self) -> NDArray[np.float64]:
        """(n, dims) coordinates in expression space."""
        return self.embed()

    @cached_property
    def order(self) -> NDArray[np.floating]:
        """(n,) order of the cells: time or, within stages, the stage that expression predicts."""
        return order_of_cells(self.representation, self.time)

    @cached_property
    def stage(self) -> NDArray[np.intp]:
        """(n,) index of the stage: 0 for the first, 1 for the next, and so on."""
        if self.stage_key is not None:
            code = self._stage_of_column(self.stage_key)
        elif is_discrete(self.time):
            code = np.unique(self.time, return_inverse=True)[1].astype(np.intp)
        else:
            raise DataError(
                f"`adata.obs[{self.time_key!r}]` (`time_key`) has {len(np.unique(self.time))} "
                f"different values in {len(self.time)} cells; this method links consecutive stages "
                f"(at most {MAX_STAGES}, 5 cells each on average). Name a column of stages as "
                "`stage_key`, or a numeric one as `time_key`."
            )
        if code.max() < 1:
            raise DataError(
                f"all cells have the same stage (`{self.stage_key or self.time_key}`); transitions "
                "between stages need two."
            )
        return code

    def _stage_of_column(self, stage_key: str) -> NDArray[np.intp]:
        """(n,) index of the stage in a column of ``obs``, ordered by mean time."""
        names = categories(self.adata, stage_key, "stage_key")[self.mask].astype(str)
        mean = pd.Series(self.time).groupby(names).mean().sort_values(kind="stable")
        if mean.duplicated().any():
            raise DataError(
                f"stages of `adata.obs[{stage_key!r}]` have the same mean `{self.time_key}` "
                f"({shorten(mean.index[mean.duplicated(keep=False)])}), so their order is unknown."
            )
        return np.asarray(mean.index.get_indexer(pd.Index(names)), dtype=np.intp)

    def scatter(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """Expand an (n, n) matrix to all cells of the data."""
        index = np.flatnonzero(self.mask)
        entries = block.tocoo()
        return sparse.csr_matrix(
            (entries.data, (index[entries.row], index[entries.col])), shape=(len(self.mask),) * 2
        )


#: Numbers that a rule reports about its matrix, by name.
Notes: TypeAlias = dict[str, float]
#: Cells → (n, n) matrix among them, and notes. The matrix is checked and normalised afterwards.
Rule: TypeAlias = Callable[[Cells], tuple[sparse.csr_matrix, Notes]]
