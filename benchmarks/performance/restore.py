"""What it costs to restore a fitted model, with and without the stored transitions.

python -m benchmarks.performance.restore [cells]
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._inference.restore import restore

#: Each is timed this often; the median is printed.
REPEATS = 5


def seconds(adata: AnnData) -> float:
    """Median CPU seconds of restoring the model, after a first time that is not counted."""
    restore(adata, "spatrace")
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        restore(adata, "spatrace")
        times.append(time.process_time() - start)
    return sorted(times)[REPEATS // 2]


def megabytes(adata: AnnData) -> float:
    """Size of the compressed file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tissue.h5ad"
        adata.write_h5ad(path, compression="gzip")
        return path.stat().st_size / 1e6


def main(n_cells: int) -> None:
    """Print CPU seconds and megabytes of both."""
    warnings.simplefilter("ignore", st.SpatraceWarning)
    adata = st.datasets.simulated(0, n_cells=n_cells)
    config = st.Config(progress=False, evidence=st.EvidenceConfig(n_resamples=2))
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", config=config, device="cpu")
    without = adata.copy()
    del without.uns["spatrace"]["restoration"]
    print("transitions   CPU s    MB")
    for name, data in (("stored", adata), ("found again", without)):
        print(f"{name:<12}{seconds(data):>7.2f}{megabytes(data):>7.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12_000)
