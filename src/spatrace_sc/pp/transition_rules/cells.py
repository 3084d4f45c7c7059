"""What a rule of transitions is given: the cells that take part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy import sparse

from ..._check import shorten
from ..._core.transitions import MAX_STAGES, is_discrete, order_of_cells
from ..._data.cells import categories
from ..._errors import DataError


@dataclass(frozen=True)
class Cells:
    """The *n* cells of ``adata`` that take part, in the order in which they stand there.

    ``mask`` (all cells,); ``time`` (n,) finite; ``embed`` gives the (n, dims) representation, computed once and only if a rule needs it; ``n_neighbors`` candidates per cell and direction.
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
        """(n,) which cell comes before which: time, or within stages what expression predicts."""
        return order_of_cells(self.representation, self.time)

    @cached_property
    def stage(self) -> NDArray[np.intp]:
        """(n,) 0 for the first stage, 1 for the next, and so on."""
        if self.stage_key is not None:
            names = categories(self.adata, self.stage_key, "stage_key")[self.mask].astype(str)
            mean = pd.Series(self.time).groupby(names).mean().sort_values(kind="stable")
            if mean.duplicated().any():
                raise DataError(
                    f"stages of `adata.obs[{self.stage_key!r}]` have the same mean `{self.time_key}` ({shorten(mean.index[mean.duplicated(keep=False)])}), so their order is unknown."
                )
            code = (
                pd.Series(names)
                .map({name: k for k, name in enumerate(mean.index)})
                .to_numpy(dtype=np.intp)
            )
        elif is_discrete(self.time):
            code = np.unique(self.time, return_inverse=True)[1].astype(np.intp)
        else:
            raise DataError(
                f"`adata.obs[{self.time_key!r}]` (`time_key`) has {len(np.unique(self.time))} different values in {len(self.time)} cells; this method goes from stage to stage "
                f"(at most {MAX_STAGES}, 5 cells each on average). Name a column of stages as `stage_key`, or a numeric one as `time_key`."
            )
        if code.max() < 1:
            raise DataError(
                f"all cells are of one stage (`{self.stage_key or self.time_key}`); going from stage to stage needs two."
            )
        return code

    def scatter(self, block: sparse.csr_matrix) -> sparse.csr_matrix:
        """A matrix among these cells as one among all cells of the data."""
        place = np.flatnonzero(self.mask)
        entries = block.tocoo()
        return sparse.csr_matrix(
            (entries.data, (place[entries.row], place[entries.col])), shape=(len(self.mask),) * 2
        )
