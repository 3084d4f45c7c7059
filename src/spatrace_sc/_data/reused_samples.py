"""Names of samples that are used again at every stage, such as "1" and "2" for two replicates."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData

from .._check import name_of_column
from .._core.cell_order import is_discrete
from .._errors import warn

#: Columns of ``obs`` that usually hold the stage, as letters in lower case.
STAGE_NAMES = {
    *("stage", "stages", "stagetime", "developmentstage", "developmentalstage", "devstage"),
    *("time", "timepoint", "timepoints", "day", "days", "week", "weeks", "age", "hour", "hours"),
    *("hpf", "dpf", "dpi", "dpa", "pcw", "condition", "treatment", "disease"),
}
#: Number of samples that the warning shows.
N_SHOWN = 4


class _Reuse(NamedTuple):
    """Column of the stages, and the number of stages of every sample with several."""

    column: str
    n_stages: pd.Series
    n_samples: int


def warn_of_reused_samples(
    adata: AnnData, key: str, *, stage_key: str | None = None, time_key: str | None = None
) -> None:
    """Warn if cells of one sample are of several stages.

    Stages are the values of ``stage_key``. Without it, they are those of a column that looks like
    the stage or, where there is none, of a ``time_key`` with few values.
    """
    name_of_column(stage_key, "stage_key")
    name_of_column(time_key, "time_key")
    if stage_key is not None:
        columns = [stage_key] if stage_key in adata.obs else []
    else:
        columns = [str(c) for c in adata.obs if _looks_like_stages(adata.obs[c], str(c))]
        if not columns and time_key in adata.obs and _has_few_values(adata.obs[time_key]):
            columns = [str(time_key)]
    reuses = (_reuse(adata, key, column) for column in columns if column != key)
    reuse = next((r for r in reuses if len(r.n_stages)), None)
    if reuse is None:
        return
    shown = ", ".join(f"{name!r}: {n}" for name, n in reuse.n_stages.head(N_SHOWN).items())
    more = ", ..." if len(reuse.n_stages) > N_SHOWN else ""
    warn(
        f"`sample_key={key!r}`: {len(reuse.n_stages)} of {reuse.n_samples} samples have cells of "
        f"several values of `obs[{reuse.column!r}]` ({shown}{more}), and each sample is treated as "
        "one slice. If sample names are reused at every stage, tissues are stacked and cells of "
        "different stages count as neighbours. Name every slice once: "
        f'`adata.obs["slice"] = adata.obs[{reuse.column!r}].astype(str) + "_" + '
        f'adata.obs[{key!r}].astype(str)`, then `sample_key="slice"`. If these slices truly '
        "contain several stages, ignore this."
    )


def _reuse(adata: AnnData, key: str, column: str) -> _Reuse:
    """Return the samples with several values in a column."""
    sample = adata.obs[key].astype(str).to_numpy(dtype=object)
    n_stages = adata.obs[column].astype(object).groupby(sample).nunique()
    return _Reuse(column, n_stages[n_stages > 1], len(n_stages))


def _looks_like_stages(values: pd.Series, name: str) -> bool:
    """Return whether a column is named like the stage and has few values."""
    return re.sub("[^a-z]", "", name.lower()) in STAGE_NAMES and _has_few_values(values)


def _has_few_values(values: pd.Series) -> bool:
    """Return whether each value is shared by many cells; false for a continuous pseudotime."""
    code = pd.factorize(values.astype(object))[0]
    known = code[code >= 0].astype(np.float64)
    return len(known) > 0 and is_discrete(known)
