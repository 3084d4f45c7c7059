"""What every method is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData


@dataclass(frozen=True)
class Tissue:
    """One data set: cells × genes with roles flagged in ``var``, the arguments of :func:`spatrace_sc.tl.infer_ccc`, and the truth.

    ``truth`` has the keys of ``benchmarks._scores.KEYS``; ``lr_targets`` may have a column ``kind`` (``direct`` or ``indirect``). No method but one that says so reads it,
    and it is nowhere in ``adata``.
    """

    adata: AnnData
    arguments: dict[str, Any]
    truth: dict[str, pd.DataFrame]

    def given(self, *names: str) -> dict[str, Any]:
        """Those of the arguments that are called so."""
        return {k: v for k, v in self.arguments.items() if k in names}


class SkipMethod(Exception):
    """This method cannot run on this tissue or machine, and why. It is reported, not dropped."""
