"""The input of every method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData


@dataclass(frozen=True)
class Tissue:
    """One data set: cells × genes with roles flagged in ``var``, arguments and the truth.

    ``arguments`` are those of :func:`spatrace_sc.tl.infer_ccc`. ``truth`` has the keys of
    ``benchmarks._scores.KEYS``; ``lr_targets`` may have a column ``kind`` (``direct`` or
    ``indirect``). It is not in ``adata``, and only the method that is called an oracle reads it.
    """

    adata: AnnData
    arguments: dict[str, Any]
    truth: dict[str, pd.DataFrame]

    def given(self, *names: str) -> dict[str, Any]:
        """Return the arguments with these names."""
        return {k: v for k, v in self.arguments.items() if k in names}


class SkipMethod(Exception):
    """A method cannot run on this tissue or machine; the reason is reported."""
