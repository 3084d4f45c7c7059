"""Faults: each must be refused with a typed error, or said in a warning of the package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from _scenes import Scene
from hypothesis import strategies as some
from scipy import sparse

Draw = Callable[[Any], Any]
COLUMNS = {"cell_type": "cell_type_key", "sample": "sample_key", "stage": "stage_key"}


def _some(scene: Scene, draw: Draw, least: int = 1) -> np.ndarray:
    """A few cells."""
    n = draw(some.integers(least, 20))
    return np.random.default_rng(draw(some.integers(0, 99))).permutation(scene.adata.n_obs)[:n]


def value_of_x(scene: Scene, draw: Draw) -> None:
    matrix = scene.adata.X.toarray().astype(draw(some.sampled_from(["float32", "float64"])))
    gene = scene.adata.var_names.get_loc("TF000") if draw(some.booleans()) else 0
    bad = draw(some.sampled_from([np.nan, np.inf, -np.inf, -1.0, -1e-3]))
    matrix[_some(scene, draw), gene] = bad
    scene.adata.X = sparse.csr_matrix(matrix) if draw(some.booleans()) else matrix


def whole_x(scene: Scene, draw: Draw) -> None:
    kind = draw(some.sampled_from(["zero", "counts", "bool", "scaled", "text", "missing", "raw"]))
    x = scene.adata.X.toarray()
    counts = scene.adata.layers["counts"]
    scene.adata.X = {
        "zero": lambda: np.zeros_like(x),
        "counts": lambda: counts.astype(draw(some.sampled_from(["int32", "int64", "float32"]))),
        "bool": lambda: x > 0,
        "scaled": lambda: (x - x.mean(0)) / np.maximum(x.std(0), 1e-6),
        "text": lambda: x.astype(object).astype(str).astype(object),
        "missing": lambda: None,
        "raw": lambda: 1000.0 * counts,
    }[kind]()


def few_genes(scene: Scene, draw: Draw) -> None:
    scene.adata = scene.adata[:, : draw(some.integers(0, 1))].copy()


def few_cells(scene: Scene, draw: Draw) -> None:
    scene.adata = scene.adata[: draw(some.integers(0, 3))].copy()


def lost_column(scene: Scene, draw: Draw) -> None:
    name = draw(some.sampled_from([*COLUMNS, "dpt_pseudotime"]))
    del scene.adata.obs[name]


def holes_in_a_column(scene: Scene, draw: Draw) -> None:
    name = draw(some.sampled_from(sorted(COLUMNS)))
    values = scene.adata.obs[name].astype(object)
    values.iloc[_some(scene, draw)] = draw(some.sampled_from([None, np.nan, pd.NA]))
    scene.adata.obs[name] = pd.Categorical(values) if draw(some.booleans()) else values


def wrong_time(scene: Scene, draw: Draw) -> None:
    n = scene.adata.n_obs
    kind = draw(some.sampled_from(["constant", "missing", "text", "infinite", "truth"]))
    scene.adata.obs["dpt_pseudotime"] = {
        "constant": np.ones(n),
        "missing": np.full(n, np.nan),
        "text": np.array(["late"] * n, dtype=object),
        "infinite": np.where(np.arange(n) % 3 == 0, np.inf, 0.5),
        "truth": np.ones(n, dtype=bool),
    }[kind]


def wrong_types(scene: Scene, draw: Draw) -> None:
    names = np.array([f"type {i}" for i in range(scene.adata.n_obs)], dtype=object)
    scene.adata.obs["cell_type"] = names


def lonely_samples(scene: Scene, draw: Draw) -> None:
    n = scene.adata.n_obs
    kind = draw(some.sampled_from(["each", "one of them"]))
    values = np.arange(n) if kind == "each" else np.where(np.arange(n) == 3, 1, 0)
    scene.adata.obs["sample"] = pd.Categorical(values.astype(str))


def wrong_positions(scene: Scene, draw: Draw) -> None:
    xy = np.asarray(scene.adata.obsm["spatial"], dtype=np.float64)
    kind = draw(some.sampled_from(["holes", "point", "line", "four", "text", "none", "complex"]))
    if kind == "holes":
        xy[_some(scene, draw), 0] = draw(some.sampled_from([np.nan, np.inf]))
    elif kind == "point":
        xy[:] = 7.0
    elif kind == "line":
        xy = xy[:, :1]
    elif kind == "four":
        xy = np.tile(xy, (1, 2))
    elif kind == "text":
        xy = pd.DataFrame(xy.astype(str), index=scene.adata.obs_names)
    elif kind == "complex":
        xy = xy.astype(complex) + 1j
    if kind == "none":
        del scene.adata.obsm["spatial"]
    else:
        scene.adata.obsm["spatial"] = xy


def mixed_units(scene: Scene, draw: Draw) -> None:
    xy = np.asarray(scene.adata.obsm["spatial"], dtype=np.float64)
    first = (scene.adata.obs["sample"] == scene.adata.obs["sample"].iloc[0]).to_numpy()
    xy[first] *= draw(some.sampled_from([5.0, 300.0, 1e6]))
    scene.adata.obsm["spatial"] = xy


def repeated_genes(scene: Scene, draw: Draw) -> None:
    names = scene.adata.var_names.to_numpy(dtype=object).copy()
    at = draw(some.integers(1, len(names) - 1))
    names[at] = names[0]
    scene.adata.var_names = names


def unknown_genes(scene: Scene, draw: Draw) -> None:
    role = draw(some.sampled_from(["ligands", "receptors", "tfs", "targets"]))
    kind = draw(some.sampled_from(["none", "unknown", "number", "mostly unknown"]))
    scene.reading[role] = {
        "none": [],
        "unknown": ["NOGENE1", "NOGENE2"],
        "number": [1, 2],
        "mostly unknown": ["NOGENE1", "TG000", "LIG000", "REC000", "TF000"],
    }[kind]


def no_flags(scene: Scene, draw: Draw) -> None:
    role = draw(some.sampled_from(["ligand", "receptor", "tf", "target"]))
    kind = draw(some.sampled_from(["lost", "none", "text", "dates"]))
    n = scene.adata.n_vars
    if kind == "lost" and role != "target":  # without flags every variable gene is a target
        del scene.adata.var[role]
        return
    kind = "none" if kind == "lost" else kind
    scene.adata.var[role] = {
        "none": np.zeros(n, dtype=bool),
        "text": np.array(["perhaps"] * n, dtype=object),
        "dates": pd.to_datetime(["2026-01-01"] * n),
    }[kind]


def wrong_argument(scene: Scene, draw: Draw) -> None:
    name = draw(
        some.sampled_from(
            ["radius", "layer", "device", "senders", "receivers", "sample_key", "key_added",
             "spatial_key", "transitions_key", "gene_symbols", "cell_type_key", "time_key"]
        )
    )  # fmt: skip
    odd = some.sampled_from([-1, 0, np.nan, "nowhere", [], ["nobody"], 3.5, b"x", {"a": 1}, object])
    value = draw(odd)
    fits = {"radius": (3.5,), "key_added": ("nowhere",)}
    if any(value is v or (isinstance(v, type(value)) and v == value) for v in fits.get(name, ())):
        value = None if name == "key_added" else -1
    scene.reading[name] = value


def a_stage_without_receivers(scene: Scene, draw: Draw) -> None:
    last = scene.adata.obs["stage"].astype(str) == "E3"
    receiving = scene.adata.obs["cell_type"].astype(str).str.startswith("receiver")
    scene.adata = scene.adata[~(last & receiving).to_numpy()].copy()


CHANGES = {
    f.__name__: f
    for f in (
        value_of_x, whole_x, few_genes, few_cells, lost_column, holes_in_a_column, wrong_time,
        wrong_types, lonely_samples, wrong_positions, mixed_units, repeated_genes, unknown_genes,
        no_flags, wrong_argument, a_stage_without_receivers,
    )
}  # fmt: skip
