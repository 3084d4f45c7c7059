"""Memory and time of reading a table that stays on disk, beside one in memory.

python -m benchmarks.road.backed [--cells 50000] [--genes 5000] [--density 0.1]

Makes a sparse table of log-normalised counts, writes it as .h5ad and .zarr, and in a process of its own for every way of opening it reads what one inference needs (expression of the genes with a role, exposure,
transitions, the value of one molecule in every cell). Printed: the largest memory of the process above that after the imports, and seconds, opening included. Three minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from benchmarks._scores import machine
from scipy import sparse

ROLES = {"ligand": 30, "receptor": 30, "tf": 60, "target": 200}

CHILD = """
import resource, sys, threading, time, warnings
warnings.filterwarnings("ignore")
import anndata as ad, h5py, zarr, sklearn.neighbors, scanpy, dask.array, xarray
from spatrace_sc.tl._study import read_study

def now():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

peak, running = now(), True
def watch():
    global peak
    while running:
        peak = max(peak, now())
        time.sleep(0.01)

way, path = sys.argv[1:]
start, before = time.perf_counter(), now()
thread = threading.Thread(target=watch); thread.start()
adata = ad.read_h5ad(path) if way == "memory" else ad.read_h5ad(path, backed="r") if way == "backed" else ad.experimental.read_lazy(path)
from spatrace_sc._compat import as_table
study = read_study(
    as_table(adata, ""), dict.fromkeys(("ligands", "receptors", "tfs", "targets")), cell_type_key="cell_type", sample_key="sample", stage_key=None, time_key="time", spatial_key="spatial",
    layer=None, senders=None, receivers=["receiver"], radius=20.0, transitions_key=None,
)
running = False; thread.join()
print(f"{(peak - before) / 2**20:.0f} {time.perf_counter() - start:.1f} {study.tf.sum():.6g} {study.exposure.sum():.6g} {study.unit.sum():.6g}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=50_000)
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--density", type=float, default=0.1)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), given.cells, given.genes, given.density)
        print(
            f"{given.cells} cells, {given.genes} genes; matrix {files.pop('size') / 2**20:.0f} MB"
        )
        for title, way, file in (
            ("in memory", "memory", "h5ad"),
            ("backed='r', h5ad", "backed", "h5ad"),
            ("read_lazy, h5ad", "lazy", "h5ad"),
            ("read_lazy, zarr", "lazy", "zarr"),
        ):
            command = [sys.executable, "-c", CHILD, way, str(files[file])]
            said = subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.split()
            print(f"{title:18s} {said[0]:>6s} MB {said[1]:>6s} s   sums {' '.join(said[2:])}")


def write(folder: Path, n: int, n_genes: int, density: float) -> dict:
    """One table in two formats."""
    rng = np.random.default_rng(0)
    matrix = sparse.random(
        n, n_genes, density=density, format="csr", dtype=np.float32, random_state=rng
    )
    matrix.data = rng.geometric(0.6, matrix.nnz).astype(np.float32)
    depth = np.asarray(matrix.sum(axis=1)).ravel()
    matrix.data = np.log1p(matrix.data * np.repeat(1e4 / depth, np.diff(matrix.indptr))).astype(
        np.float32
    )
    receives = rng.random(n) < 0.2
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical(np.where(receives, "receiver", "sender")),
            "sample": pd.Categorical(rng.choice(["a", "b", "c", "d"], n)),
            "time": np.where(receives, rng.random(n), np.nan),
        },
        index=[f"c{k}" for k in range(n)],
    )
    var = pd.DataFrame(index=[f"g{k}" for k in range(n_genes)])
    order, start = rng.permutation(n_genes), 0
    for role, number in ROLES.items():
        var[role] = np.isin(np.arange(n_genes), order[start : start + number])
        start += number
    adata = ad.AnnData(matrix, obs=obs, var=var, obsm={"spatial": rng.random((n, 2)) * 1000})
    adata.write_h5ad(folder / "t.h5ad")
    adata.write_zarr(folder / "t.zarr")
    return {
        "h5ad": folder / "t.h5ad",
        "zarr": folder / "t.zarr",
        "size": matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes,
    }


if __name__ == "__main__":
    main()
