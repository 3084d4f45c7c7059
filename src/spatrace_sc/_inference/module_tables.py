"""Tables of signaling modules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._data.cells import categories
from .._edges import PAIR_SEPARATOR
from .._result import Result
from .module_profiles import PairProfiles


class Modules(NamedTuple):
    """``tables`` by name, strongest module first; ``scores`` (receivers, K); ``effects`` K × G."""

    tables: dict[str, pd.DataFrame]
    scores: NDArray[np.float32]
    effects: pd.DataFrame


def module_tables(
    adata: AnnData, result: Result, profiles: PairProfiles, weight: NDArray[np.float64]
) -> Modules:
    """Return the tables, scores and effects of modules with ``weight`` (pairs, K)."""
    strength = profiles.activity.mean(axis=0, dtype=np.float64) @ weight
    weight = weight[:, np.argsort(-strength, kind="stable")]
    scores = (profiles.activity @ weight.astype(profiles.activity.dtype)).astype(np.float32)
    effect = weight.T @ profiles.effect
    main = np.zeros(weight.shape, dtype=bool)
    if weight.shape[1]:
        main[np.arange(len(weight)), weight.argmax(axis=1)] = True
    summary = _summary(profiles, weight, effect, main, scores)
    names = summary["module"].to_numpy(dtype=object)
    tables = {
        "summary": summary,
        "stages": _stages(adata, result, profiles, scores, names),
        "lr_pairs": _pairs(profiles, weight, main, names),
        "targets": _targets(profiles, weight, effect, main, names),
    }
    return Modules(tables, scores, pd.DataFrame(effect, index=names, columns=profiles.targets))


def _pairs(
    profiles: PairProfiles,
    weight: NDArray[np.float64],
    main: NDArray[np.bool_],
    names: NDArray[np.object_],
) -> pd.DataFrame:
    """Return the pairs of every module, strongest first."""
    module, pair = np.nonzero(weight.T)
    table = profiles.pairs.iloc[pair].reset_index(drop=True)
    table = table.assign(
        module=names[module], weight=weight[pair, module], main=main[pair, module], order=module
    )
    table["score"] = table["weight"] * table["score"]
    return _ordered(table)[_keys.MODULES["lr_pairs"]]


def _targets(
    profiles: PairProfiles,
    weight: NDArray[np.float64],
    effect: NDArray[np.float64],
    main: NDArray[np.bool_],
    names: NDArray[np.object_],
) -> pd.DataFrame:
    """Return the targets of every module, strongest first."""
    module, target = np.nonzero(effect)
    size = np.abs(effect[module, target])
    total_size = weight.T @ np.abs(profiles.effect)
    n_pairs = main.T.astype(int) @ (profiles.effect != 0)
    table = pd.DataFrame(
        {
            "module": names[module],
            "target": np.array(profiles.targets, dtype=object)[target],
            "effect": effect[module, target],
            "score": size,
            "n_pairs": n_pairs[module, target],
            "agreement": size / total_size[module, target],
            "order": module,
        }
    )
    return _ordered(table)[_keys.MODULES["targets"]]


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Sort rows by module, strongest first within each."""
    return table.sort_values(
        ["order", "score"], ascending=[True, False], kind="stable", ignore_index=True
    )


def _summary(
    profiles: PairProfiles,
    weight: NDArray[np.float64],
    effect: NDArray[np.float64],
    main: NDArray[np.bool_],
    scores: NDArray[np.float32],
) -> pd.DataFrame:
    """Return a row per module, named by rank, strongest pair and most changed target."""
    strength = scores.mean(axis=0, dtype=np.float64)
    total = float(strength.sum())
    rows = []
    for k in range(weight.shape[1]):
        share = weight[:, k] * profiles.pairs["score"].to_numpy()
        top = profiles.pairs.iloc[int(share.argmax())]
        target = profiles.targets[int(np.abs(effect[k]).argmax())] if effect[k].any() else ""
        pair = f"{top['ligand']}{PAIR_SEPARATOR}{top['receptor']}"
        rows.append(
            {
                "module": f"M{k + 1} {pair} {target}".rstrip(),
                "ligand": top["ligand"],
                "receptor": top["receptor"],
                "target": target,
                "n_pairs": int(main[:, k].sum()),
                "score": float(strength[k]),
                "share": float(strength[k] / total) if total > 0 else 0.0,
            }
        )
    return pd.DataFrame(rows, columns=_keys.MODULES["summary"])


def _stages(
    adata: AnnData,
    result: Result,
    profiles: PairProfiles,
    scores: NDArray[np.float32],
    names: NDArray[np.object_],
) -> pd.DataFrame:
    """Return mean scores by stage, over the means of slices, with standard errors."""
    if not len(names):
        return pd.DataFrame(columns=_keys.MODULES["stages"])
    source = result.source
    sample = _column(adata, source.sample_key, "sample_key", profiles.receivers)
    stage = sample
    if source.stage_key is not None:
        stage = _column(adata, source.stage_key, "stage_key", profiles.receivers)
    cells = pd.DataFrame(scores.astype(np.float64), columns=names).assign(stage=stage, slice=sample)
    slices = cells.groupby(["stage", "slice"], sort=True)[list(names)].mean()
    by_stage = slices.groupby(level="stage")
    mean, n_slices = by_stage.mean(), by_stage.size()
    error = by_stage.std(ddof=1).div(np.sqrt(n_slices), axis=0)
    n_cells = cells["stage"].value_counts()
    rows = [
        (name, s, mean.loc[s, name], error.loc[s, name], int(n_cells[s]), int(n_slices[s]))
        for name in names
        for s in result.stages
        if s in mean.index
    ]
    return pd.DataFrame(rows, columns=_keys.MODULES["stages"])


def _column(
    adata: AnnData, key: str | None, argument: str, receivers: NDArray[np.bool_]
) -> NDArray[np.str_]:
    """Return a column of the receivers; "all" for every cell without a column."""
    if key is None:
        return np.full(int(receivers.sum()), "all")
    return categories(adata, key, argument)[receivers].astype(str)
