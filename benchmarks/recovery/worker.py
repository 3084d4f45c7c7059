"""One process: prepare a data set, or run one method on a prepared one.

python -m benchmarks.recovery.worker prepare DATA SEED FILE
python -m benchmarks.recovery.worker run DATA SEED METHOD FILE   (prints one row as JSON, last)
"""

from __future__ import annotations

import json
import logging
import pickle
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from benchmarks._scores import Cost
from benchmarks.recovery.judge import judge
from benchmarks.recovery.tissue import SkipMethod, Tissue


def prepare(data: str, seed: int, file: Path) -> None:
    """Write a tissue to a file."""
    from benchmarks.recovery.datasets import DATASETS

    file.write_bytes(pickle.dumps(DATASETS[data](seed)))


def run(data: str, seed: int, method: str, file: Path) -> dict[str, Any]:
    """Return a row: scores, CPU and wall seconds of the method, and peak memory in GB.

    Seconds exclude imports and reading; memory is that of the process.
    """
    from benchmarks.recovery.methods import METHODS

    row: dict[str, Any] = {"data": data, "seed": seed, "method": method}
    chosen = METHODS[method]
    try:
        if data in chosen.left_out:
            raise SkipMethod(f"not run on {data}: {chosen.why}")
        function = chosen.load()
        tissue: Tissue = pickle.loads(file.read_bytes())
        with Cost() as cost:
            tables = function(tissue, seed)
        row |= {
            "status": "ok",
            "cpu": round(cost.cpu, 2),
            "wall": round(cost.wall, 2),
            "peak": round(cost.peak, 3),
        }
        row["scores"] = judge(tissue, tables)
    except SkipMethod as reason:
        row |= {"status": "skipped", "error": str(reason)}
    except Exception as error:  # noqa: BLE001  every failure of a method is a result
        traceback.print_exc()
        row |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return row


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    verb, data, seed, *rest = sys.argv[1:]
    if verb == "prepare":
        prepare(data, int(seed), Path(rest[0]))
    else:
        print("\n" + json.dumps(run(data, int(seed), rest[0], Path(rest[1])), ensure_ascii=False))


if __name__ == "__main__":
    main()
