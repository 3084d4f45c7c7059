"""Set up an environment next to this file and use it. All you need is Python ≥ 3.11 and pip.

    python3 bootstrap.py demo      set up, then infer on the simulated tissue; writes results/
    python3 bootstrap.py test      set up, then run the tests
    python3 bootstrap.py setup     set up only

Where there is no NVIDIA GPU, the CPU build of torch is installed (a tenth of the size), from
PyTorch's own index if it answers. Arguments after the command are passed on, for example in
`python3 bootstrap.py test -m slow`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = Path(os.environ.get("SPATRACE_ENV", HERE / ".venv"))
CPU_TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def python() -> str:
    """Interpreter of the environment."""
    return str(ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))


def has(module: str) -> bool:
    """Whether a package is installed in the environment."""
    return (
        subprocess.run(
            [python(), "-c", f"import {module}"], capture_output=True, check=False
        ).returncode
        == 0
    )


def setup(extra: str) -> None:
    """Make the environment, take the right torch, install the package."""
    if sys.version_info < (3, 11):
        raise SystemExit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}.")
    if not Path(python()).exists():
        print(f"Making an environment in {ENVIRONMENT}", flush=True)
        venv.create(ENVIRONMENT, with_pip=True)
    pip = [python(), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    if not has("torch") and shutil.which("nvidia-smi") is None:
        print("No NVIDIA GPU: installing the CPU build of torch", flush=True)
        index = ["--extra-index-url", CPU_INDEX] if sys.platform.startswith("linux") else []
        subprocess.run(
            [*pip, "--no-deps", "--retries", "1", "--timeout", "15", *index, CPU_TORCH], check=True
        )
    print("Installing spatrace-sc and what it needs (a few minutes the first time)", flush=True)
    subprocess.run([*pip, "--editable", f"{HERE}{extra}"], check=True)


def main() -> int:
    """Run one of the commands."""
    command, *rest = sys.argv[1:] or [""]
    if command not in {"demo", "test", "setup"}:
        print(__doc__)
        return 2
    setup("[test]" if command == "test" else "")
    if command == "setup":
        return 0
    environment = {
        "OMP_WAIT_POLICY": "PASSIVE",
        **os.environ,
    }  # threads that wait by spinning crawl on busy cores
    if command == "test":
        environment |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    # tests file by file on as many cores as there are, four at most: each takes a gigabyte
    workers = ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    run = ["spatrace_sc", *rest] if command == "demo" else ["pytest", *workers, *rest]
    return subprocess.run([python(), "-m", *run], cwd=HERE, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
