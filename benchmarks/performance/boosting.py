"""GRNBoost2 of arboreto, target by target in this process, without dask and on one thread.

python boosting.py INPUTS.npz   (``x``, cells × regulators; ``y``, cells × targets)

Runs in any Python that has arboreto, without this package.
"""

import sys

import numpy as np
from arboreto.core import SGBM_KWARGS, infer_partial_network


def main() -> None:
    given = np.load(sys.argv[1])
    x, y = given["x"], given["y"]
    names = [f"r{k}" for k in range(x.shape[1])]
    for g in range(y.shape[1]):
        links = infer_partial_network("GBM", SGBM_KWARGS, x, names, f"g{g}", y[:, g], seed=0)
        print(f"g{g}", len(links))


if __name__ == "__main__":
    main()
