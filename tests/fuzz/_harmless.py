"""Changes of form: each leaves what the data say, and so must leave the result."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _scenes import Scene
from hypothesis import strategies as some
from scipy import sparse

Draw = Callable[[Any], Any]

MATRICES = {
    "dense": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr_array": sparse.csr_array,
    "csc_array": sparse.csc_array,
}
#: Letters that names of genes, files and keys choke on.
ODD = ["_", "|", "^", "/", " ", "µ", "β-", "基", "'", '"', "\\", "{}", "%s", ".", "->", "#"]


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix)


def matrix_form(scene: Scene, draw: Draw) -> None:
    if scene.adata.is_view:  # anndata writes into the parent, which may be read-only
        scene.adata = scene.adata.copy()
    form = draw(some.sampled_from(sorted(MATRICES)))
    kind = draw(some.sampled_from(["float32", "float64"]))
    name = scene.reading.get("layer")
    given = scene.adata.X if name is None else scene.adata.layers[name]
    matrix = MATRICES[form](_dense(given).astype(kind))
    if draw(some.booleans()):
        (matrix.data if sparse.issparse(matrix) else matrix).flags.writeable = False
    if name is None:
        scene.adata.X = matrix
    else:
        scene.adata.layers[name] = matrix


def layer(scene: Scene, draw: Draw) -> None:
    if "layer" in scene.reading:
        return
    name = draw(some.sampled_from(["logged", "a|b", "µ"]))
    scene.adata.layers[name] = scene.adata.X.copy()
    scene.adata.X = draw(some.sampled_from([None, np.full(scene.adata.shape, -1.0, "float32")]))
    scene.reading["layer"] = name


def positions(scene: Scene, draw: Draw) -> None:
    """Moved or in other units, on a grid that every form holds exactly.

    Not turned: blocks of cells that are resampled together lie along the axes.
    """
    xy = np.asarray(scene.adata.obsm["spatial"], dtype=np.float64)
    xy = xy + draw(some.integers(-4096, 4096))
    if draw(some.booleans()) and xy.shape[1] == 2:
        xy = np.column_stack([xy, np.zeros(len(xy))])
    xy = xy * draw(some.sampled_from([0.5, 1.0, 2.0, 4096.0]))
    kind = draw(some.sampled_from(["float64", "float32", "int64", "frame", "read-only"]))
    if kind == "frame":
        xy = pd.DataFrame(xy, index=scene.adata.obs_names, columns=list("xyz")[: xy.shape[1]])
    elif kind == "read-only":
        xy = np.ascontiguousarray(xy)
        xy.flags.writeable = False
    elif kind == "int64":
        xy = (2 * xy).astype(kind)
    else:
        xy = xy.astype(kind)
    scene.adata.obsm["spatial"] = xy


def columns_of_labels(scene: Scene, draw: Draw) -> None:
    for name in ("cell_type", "sample", "stage"):
        values = scene.adata.obs[name].astype(str)
        form = draw(some.sampled_from(["category", "object", "string", "unused", "reversed"]))
        labels = sorted(set(values))
        if form == "unused":
            column: Any = pd.Categorical(values, categories=["nobody", *labels, "Ω"])
        elif form == "reversed":
            column = pd.Categorical(values, categories=labels[::-1])
        else:
            column = values.astype(form)
        scene.adata.obs[name] = column


def times(scene: Scene, draw: Draw) -> None:
    kind = draw(some.sampled_from(["float32", "float64", "Float64"]))
    scene.adata.obs["dpt_pseudotime"] = scene.adata.obs["dpt_pseudotime"].astype(kind)


def order_of_cells(scene: Scene, draw: Draw) -> None:
    rng = np.random.default_rng(draw(some.integers(0, 99)))
    scene.adata = scene.adata[rng.permutation(scene.adata.n_obs)].copy()


def order_of_genes(scene: Scene, draw: Draw) -> None:
    rng = np.random.default_rng(draw(some.integers(0, 99)))
    scene.adata = scene.adata[:, rng.permutation(scene.adata.n_vars)].copy()


def names_of_genes(scene: Scene, draw: Draw) -> None:
    before, after = draw(some.sampled_from(ODD)), draw(some.sampled_from(ODD))
    old = [str(name) for name in scene.adata.var_names]
    new = [f"{before}{name}{after}" for name in old]
    scene.labels = {n: scene.labels.get(o, o) for n, o in zip(new, old, strict=True)}
    scene.adata.var_names = new


def unrelated(scene: Scene, draw: Draw) -> None:
    adata = scene.adata
    adata.obs["q|/^"] = np.nan
    adata.var["dates"] = pd.Timestamp("2026-01-01")
    adata.layers["empty"] = np.full(adata.shape, np.nan, dtype=np.float32)
    adata.uns["a | b"] = {"": [1, None, "µ"]} if draw(some.booleans()) else "text"
    adata.obsm["X_odd"] = np.full((adata.n_obs, 1), np.inf)


def view(scene: Scene, draw: Draw) -> None:
    if not scene.adata.isbacked:
        scene.adata = scene.adata[:]


#: Kinds of columns that h5ad cannot hold, besides dates.
NOT_IN_H5AD = (pd.Float32Dtype, pd.Float64Dtype)


def through_a_file(scene: Scene, draw: Draw) -> None:
    scene.adata.uns = {}
    if any("/" in name for name in (*scene.adata.obs, *scene.adata.layers)):
        del scene.adata.obs["q|/^"]
    kinds = [*scene.adata.obs.dtypes, *scene.adata.var.dtypes]
    if any(isinstance(kind, NOT_IN_H5AD) or kind.kind == "M" for kind in kinds):
        return
    folder = tempfile.mkdtemp()
    scene.adata.write_h5ad(f"{folder}/data.h5ad")
    scene.adata = ad.read_h5ad(f"{folder}/data.h5ad")


CHANGES = {
    f.__name__: f
    for f in (
        matrix_form, layer, positions, columns_of_labels, times, order_of_cells, order_of_genes,
        names_of_genes, unrelated, view, through_a_file,
    )
}  # fmt: skip
