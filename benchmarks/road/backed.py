"""Memory and time of reading a table on disk, compared with one in memory.

python -m benchmarks.road.backed [--cells 50000] [--genes 5000] [--density 0.1]

A sparse table of log-normalised counts is written as .h5ad and .zarr. A process for every way of
opening it reads the input of one inference: expression of the genes with a role, exposure,
transitions, and the value of one molecule in every cell. Printed are the largest memory of the
process above that after the imports, and seconds, opening included. Three minutes.
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

#: Number of genes of every role.
ROLES = {"ligand": 30, "receptor": 30, "tf": 60, "target": 200}

#: Program that reads a table; it prints memory, seconds and three sums.
CHILD = """
import resource, sys, threading, time, warnings
warnings.filterwarnings("ignore")
import anndata as ad, h5py, zarr, sklearn.neighbors, scanpy, dask.array, xarray
from spatrace_sc._data.table import as_table
from spatrace_sc._study.read import read_study
from spatrace_sc._study.source import Source

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
if way == "lazy":
    adata = ad.experimental.read_lazy(path)
else:
    adata = ad.read_h5ad(path, backed="r" if way == "backed" else None)
source = Source(
    cell_type_key="cell_type", sample_key="sample", stage_key=None, time_key="time",
    spatial_key="spatial", layer=None, transitions_key=None, gene_symbols=None,
    senders=None, receivers=["receiver"], radius=20.0,
)
roles = dict.fromkeys(("ligands", "receptors", "tfs", "targets"))
study = read_study(as_table(adata, ""), roles, source)
running = False; thread.join()
sums = " ".join(f"{values.sum():.6g}" for values in (study.tf, study.exposure, study.unit))
print(f"{(peak - before) / 2**20:.0f} {time.perf_counter() - start:.1f} {sums}")
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
            output = subprocess.run(
                command, capture_output=True, text=True, check=True
            ).stdout.split()
            print(f"{title:18s} {output[0]:>6s} MB {output[1]:>6s} s   sums {' '.join(output[2:])}")


def write(folder: Path, n: int, n_genes: int, density: float) -> dict:
    """Write one table in two formats."""
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
