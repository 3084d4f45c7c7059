"""Run the tests of the numerics as other processors would round.

    python tests/processors.py [pytest arguments]

torch and OpenBLAS choose their kernels by the processor, and every kernel adds in an order of its
own. Environment variables choose them on one machine; the last settings change the last digits of
what the model reads instead (``tests/_last_digits.py``). Prints a row for each setting, and exits
with 1 if a test fails under any. ``PYTEST`` names another command that runs pytest.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Where sums and products of floats decide. Files, plots and messages are left out, and so are
#: tests in which numbers pass through unchanged.
NUMERICS = (
    "tests/core",
    "tests/model",
    "tests/benchmarks/test_calibration.py",
    "tests/get/test_activity.py",
    "tests/test_stored_result.py",
    *(f"tests/tl/test_{name}.py" for name in ("cascades", "communication", "compare")),
    *(f"tests/tl/test_{name}.py" for name in ("infer_ccc", "knockout", "restore")),
)
#: The kernels of an old processor in all libraries.
OLDEST = {
    "ATEN_CPU_CAPABILITY": "default",
    "OPENBLAS_CORETYPE": "Prescott",
    "MKL_CBWR": "COMPATIBLE",
    "DNNL_MAX_CPU_ISA": "SSE41",
}
#: Kernels of torch and of OpenBLAS; {} is what the machine takes.
SETTINGS = (
    {},
    {"ATEN_CPU_CAPABILITY": "avx2"},
    {"ATEN_CPU_CAPABILITY": "default"},
    *({"OPENBLAS_CORETYPE": name} for name in ("Prescott", "Haswell", "SkylakeX", "Zen")),
    OLDEST,
)
THREADS = ("1", "2")
#: Roundings of the data, which do not depend on the number of threads.
ROUNDINGS = tuple({"SPATRACE_LAST_DIGITS": str(seed)} for seed in (1, 2, 3))


def row_of(setting: dict[str, str], threads: str, arguments: list[str]) -> bool:
    """Run the tests under one setting, print its row and return whether all passed."""
    command = shlex.split(os.environ.get("PYTEST", f"{shlex.quote(sys.executable)} -m pytest"))
    environment = {"OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "Agg"} | os.environ | setting
    began = time.monotonic()
    done = subprocess.run(
        [*command, "-q", "--tb=short", "-rfE", *(arguments or NUMERICS)],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""]
    listed = ", ".join(f"{key}={value}" for key, value in setting.items()) or "as it is"
    name = "oldest kernels" if setting == OLDEST else listed
    result = re.sub(r" in [0-9.]+s.*|=", "", lines[-1]).strip()
    seconds = time.monotonic() - began
    outcome = "FAILED" if done.returncode else "ok"
    print(f"{name:36} {threads} {outcome:6} {seconds:5.0f} s  {result}", flush=True)
    if done.returncode:
        print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR", "E  "))))
    return done.returncode == 0


def main() -> int:
    """Run every setting with every number of threads, and every rounding with one thread."""
    rows = [(setting, threads) for setting in SETTINGS for threads in THREADS]
    rows += [(rounding, "1") for rounding in ROUNDINGS]
    print(f"{'setting':36} threads", flush=True)
    passed = [row_of(*row, sys.argv[1:]) for row in rows]
    return int(not all(passed))


if __name__ == "__main__":
    raise SystemExit(main())
