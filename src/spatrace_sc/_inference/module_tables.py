"""Tables of signaling modules."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys, get
from .._data.cells import categories


class Scene(NamedTuple):
    """What modules are found in; pairs and targets in the order of their names."""

    pairs: pd.DataFrame
    """``ligand, receptor, score``"""
    targets: list[str]
    effect: NDArray[np.float64]
    """(pairs, targets) signed, direct and through TFs."""
    activity: NDArray[np.floating]
    """(receivers, pairs)"""
    receiving: NDArray[np.bool_]
    """(cells,)"""


def module_tables(
    adata: AnnData, scene: Scene, weight: NDArray[np.float64], key: str
) -> tuple[dict[str, Any], NDArray[np.float32], pd.DataFrame]:
    """Tables of the modules, strongest first; (receivers, K) scores; modules × targets effects."""
    weight = weight[
        :, np.argsort(-(scene.activity.mean(axis=0, dtype=np.float64) @ weight), kind="stable")
    ]
    scores = (scene.activity @ weight.astype(scene.activity.dtype)).astype(np.float32)
    effect = weight.T @ scene.effect
    main = np.zeros(weight.shape, dtype=bool)
    if weight.shape[1]:
        main[np.arange(len(weight)), weight.argmax(axis=1)] = True
    summary = _summary(scene, weight, effect, main, scores)
    names = summary["module"].to_numpy(dtype=object)
    module, pair = np.nonzero(weight.T)
    pairs = scene.pairs.iloc[pair].reset_index(drop=True)
    pairs = pairs.assign(
        module=names[module], weight=weight[pair, module], main=main[pair, module], order=module
    )
    pairs["score"] = pairs["weight"] * pairs["score"]
    module, target = np.nonzero(effect)
    sizes = weight.T @ np.abs(scene.effect)
    targets = pd.DataFrame(
        {
            "module": names[module],
            "target": np.array(scene.targets, dtype=object)[target],
            "effect": effect[module, target],
            "score": np.abs(effect[module, target]),
            "n_pairs": (main.T.astype(int) @ (scene.effect != 0))[module, target],
            "agreement": np.abs(effect[module, target]) / sizes[module, target],
            "order": module,
        }
    )
    found: dict[str, Any] = {
        "summary": summary,
        "stages": _stages(adata, scene, scores, names, key),
    }
    for name, table in (("pairs", pairs), ("targets", targets)):
        table = table.sort_values(
            ["order", "score"], ascending=[True, False], kind="stable", ignore_index=True
        )
        found[name] = table[_keys.MODULES[name]]
    return found, scores, pd.DataFrame(effect, index=names, columns=scene.targets)


def _summary(
    scene: Scene,
    weight: NDArray[np.float64],
    effect: NDArray[np.float64],
    main: NDArray[np.bool_],
    scores: NDArray[np.float32],
) -> pd.DataFrame:
    """A row per module, with its name: number, strongest pair, target it changes most."""
    strength = scores.mean(axis=0, dtype=np.float64)
    total = float(strength.sum())
    rows = []
    for k in range(weight.shape[1]):
        top = scene.pairs.iloc[int((weight[:, k] * scene.pairs["score"].to_numpy()).argmax())]
        target = scene.targets[int(np.abs(effect[k]).argmax())] if effect[k].any() else ""
        rows.append(
            {
                "module": f"M{k + 1} {top['ligand']}^{top['receptor']} {target}".rstrip(),
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
    adata: AnnData, scene: Scene, scores: NDArray[np.float32], names: NDArray[np.object_], key: str
) -> pd.DataFrame:
    """Mean score by stage: the mean of the means of its slices, with the standard error between them."""
    if not len(names):
        return pd.DataFrame(columns=_keys.MODULES["stages"])
    used = get.params(adata, key=key)
    sample = _column(adata, used["sample_key"], "sample_key", scene)
    stage = (
        sample
        if used["stage_key"] is None
        else _column(adata, used["stage_key"], "stage_key", scene)
    )
    frame = pd.DataFrame(scores.astype(np.float64), columns=names).assign(stage=stage, slice=sample)
    slices = frame.groupby(["stage", "slice"], sort=True)[list(names)].mean()
    grouped = slices.groupby(level="stage")
    mean, n = grouped.mean(), grouped.size()
    error = grouped.std(ddof=1).div(np.sqrt(n), axis=0)
    cells = frame["stage"].value_counts()
    order = [s for s in get.stages(adata, key=key) if s in mean.index]
    rows = [
        (name, s, mean.loc[s, name], error.loc[s, name], int(cells[s]), int(n[s]))
        for name in names
        for s in order
    ]
    return pd.DataFrame(rows, columns=_keys.MODULES["stages"])


def _column(adata: AnnData, key: str | None, argument: str, scene: Scene) -> NDArray[np.str_]:
    """A column of the receivers; one word for all where there is none."""
    if key is None:
        return np.full(int(scene.receiving.sum()), "all")
    return categories(adata, key, argument)[scene.receiving].astype(str)
