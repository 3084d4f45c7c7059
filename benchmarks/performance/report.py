"""Size of a report, and the time until it is drawn, with many cells.

python -m benchmarks.performance.report [cells]

A small simulated tissue is repeated until it has that many cells. Its pairs and TFs are as many as
the report can hold. For comparison, a page of plotly with the same cells is timed where plotly is
installed.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from anndata import AnnData
from benchmarks._browser import Browser
from scipy import sparse

import spatrace_sc as st

#: Each page is opened this often; the median is printed.
REPEATS = 5
GENES = {"n_ligands": 24, "n_receptors": 24, "n_tfs": 80, "n_targets": 100, "n_pairs": 24}


def small_tissue() -> AnnData:
    """Return the result for 1500 simulated cells."""
    small = st.datasets.simulated(0, n_cells=1500, **GENES)
    training = st.TrainingConfig(max_epochs=1, n_penalties=4)
    evidence = st.EvidenceConfig(n_resamples=2, n_permutations=9)
    config = st.Config(progress=False, training=training, evidence=evidence)
    st.tl.infer_ccc(small, sample_key="sample", stage_key="stage", config=config, device="cpu")
    return small


def repeated(small: AnnData, n_cells: int) -> AnnData:
    """Return a result whose cells are copies of those of a small one, in slices side by side.

    Expression is left out.
    """
    copy, cell = np.divmod(np.arange(n_cells), small.n_obs)
    obs = small.obs.iloc[cell].copy()
    obs.index = [str(k) for k in range(n_cells)]
    slots = {name: np.asarray(values)[cell] for name, values in small.obsm.items()}
    side = int(np.ceil(np.sqrt(copy.max() + 1)))
    tile = np.column_stack(np.divmod(copy, side)) * np.ptp(small.obsm["spatial"], axis=0)
    slots["spatial"] = slots["spatial"] + tile
    names = {"cells": obs.index.to_numpy(dtype=object), "labels": {}}
    uns = {"spatrace": dict(small.uns["spatrace"]) | names}
    return AnnData(sparse.csr_matrix((n_cells, small.n_vars)), obs, small.var, uns, slots)


def plotly_page(adata: AnnData, path: Path) -> None:
    """Write the cells by type as a page of plotly, with its scripts."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for name in sorted(set(adata.obs["cell_type"].astype(str))):
        x, y = adata.obsm["spatial"][(adata.obs["cell_type"] == name).to_numpy()].T
        figure.add_trace(go.Scattergl(x=x, y=y, mode="markers", marker={"size": 3}, name=name))
    ready = "document.documentElement.dataset.ready = String(performance.now())"
    path.write_text(figure.to_html(include_plotlyjs=True, post_script=ready), encoding="utf-8")


def seconds_to_open(path: Path) -> float:
    """Median seconds until the page is drawn."""
    with Browser() as browser:
        return float(np.median([browser.open(path) for _ in range(REPEATS)]))


def main(n_cells: int) -> None:
    """Print megabytes and seconds."""
    warnings.simplefilter("ignore")
    adata = repeated(small_tissue(), n_cells)
    columns = sum(st.get.activity(adata, kind).n_vars for kind in ("lr_pairs", "tfs"))
    print(f"{columns} pairs and TFs with an activity")
    print(f"{adata.n_obs} cells          MB   s to write   s to open")
    with tempfile.TemporaryDirectory() as folder:
        pages = {"report": lambda path: st.pl.report(adata, path)}
        if find_spec("plotly"):
            pages["plotly, types"] = lambda path: plotly_page(adata, path)
        for name, write in pages.items():
            path = Path(folder) / f"{len(name)}.html"
            start = time.perf_counter()
            write(path)
            written = time.perf_counter() - start
            size = path.stat().st_size / 1e6
            print(f"{name:<16}{size:>8.1f}{written:>13.1f}{seconds_to_open(path):>12.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
