"""A time series of three sections in a SpatialData, from gathering to a figure.

python -m benchmarks.road.spatialdata [--figure docs/_static/spatialdata.png]

The sections are gathered, inferred on, written, read, and drawn by spatialdata-plot, which is
needed for the figure only. Cells are polygons in pixels of 0.5, 0.65 and 1 µm; every section has a
table of its own. A few minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import spatialdata as sd
import torch
from anndata import AnnData
from benchmarks._scores import KEYS, machine, rank_scores
from scipy.spatial import Voronoi
from shapely import Point, Polygon
from spatialdata.models import ShapesModel, TableModel
from spatialdata.transformations import Scale

import spatrace_sc as st

#: Size of a pixel in µm.
MICROMETRES = (0.5, 0.65, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--figure", type=Path, help="draw the activity of the strongest pair")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(machine())
    plain = st.datasets.simulated(given.seed)
    sdata = sections(plain)
    st.pp.gather(sdata, coordinate_system="um")
    table = sdata["gathered"]
    same = plain[table.obs["cell"].to_numpy()]
    error = np.linalg.norm(table.obsm["spatial"] - same.obsm["spatial"], axis=1)
    print(
        f"{table.n_obs} cells of {len(sdata.shapes)} sections; "
        f"centroid to cell: median {np.median(error):.2f} µm"
    )
    options = {
        "radius": 40.0,
        "time_key": "dpt_pseudotime",
        "config": st.Config(progress=False),
        "device": "cpu",
    }
    st.tl.infer_ccc(sdata, table_key="gathered", sample_key="region", stage_key="stage", **options)
    st.tl.infer_ccc(plain, sample_key="sample", stage_key="stage", **options)
    sdata["activity"] = st.get.activity(sdata["gathered"])
    with tempfile.TemporaryDirectory() as folder:
        sdata.write(Path(folder) / "series.zarr")
        back = sd.read_zarr(Path(folder) / "series.zarr")
        read, truth = st.get.lr_targets(back["gathered"]), plain.uns["truth"]["lr_targets"]
        for name, result in (
            ("SpatialData, read from disk", read),
            ("AnnData", st.get.lr_targets(plain)),
        ):
            scores = rank_scores(result, truth, KEYS["lr_targets"])
            print(f"{name}: LR→TG AUPRC {scores['AUPRC']:.3f}, AUROC {scores['AUROC']:.3f}")
        if given.figure:
            draw(back, given.figure)


def sections(plain: AnnData) -> sd.SpatialData:
    """Return sections as polygons around their cells, in pixels, each with its own table."""
    shapes, tables = {}, {}
    for name, size in zip(plain.obs["sample"].cat.categories, MICROMETRES, strict=True):
        rows = np.flatnonzero((plain.obs["sample"] == name).to_numpy())
        stage, table = name.split("_")[0], plain[rows].copy()
        outlines = around(table.obsm.pop("spatial") / size)
        um = Scale([size, size], axes=("x", "y"))
        shapes[f"cells_{stage}"] = ShapesModel.parse(
            geopandas.GeoDataFrame({"geometry": outlines}, index=rows), transformations={"um": um}
        )
        table.uns.clear()
        table.obs = table.obs.drop(columns="sample").assign(region=f"cells_{stage}", cell=rows)
        table.obs["region"] = table.obs["region"].astype("category")
        tables[f"table_{stage}"] = TableModel.parse(
            table, region=f"cells_{stage}", region_key="region", instance_key="cell"
        )
    return sd.SpatialData(shapes=shapes, tables=tables)


def around(xy: np.ndarray) -> list[Polygon]:
    """Return the Voronoi cell of every cell within a disc."""
    near = np.median(np.linalg.norm(xy - xy.mean(axis=0), axis=1))
    reach = near / np.sqrt(len(xy)) * 1.6
    far = 20 * near * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) + xy.mean(axis=0)
    diagram = Voronoi(np.concatenate([xy, far]))
    cells = [diagram.vertices[diagram.regions[diagram.point_region[k]]] for k in range(len(xy))]
    return [
        Polygon(corners).intersection(Point(p).buffer(reach))
        for p, corners in zip(xy, cells, strict=True)
    ]


def draw(sdata: sd.SpatialData, path: Path) -> None:
    """Draw the strongest pair in every section with spatialdata-plot."""
    import spatialdata_plot  # noqa: F401

    pair = sdata["activity"].var_names[0]
    top = float(np.nanquantile(sdata["activity"][:, pair].X, 0.99))
    figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4), layout="constrained")
    for name, ax in zip(sdata.shapes, axes, strict=True):
        shown = sdata.pl.render_shapes(
            name,
            color=pair,
            table_name="activity",
            norm=plt.Normalize(0, top),
            na_color="#DDDDDD",
            method="matplotlib",
        )
        shown.pl.show(coordinate_systems="um", ax=ax, title=name, colorbar=ax is axes[-1])
        ax.set(xlabel="µm", ylabel="µm" if ax is axes[0] else "")
    figure.suptitle(f"{pair}: activity (sd of its targets)", fontsize=11)
    figure.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
