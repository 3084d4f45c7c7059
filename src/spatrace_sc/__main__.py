"""Command line: ``python -m spatrace_sc``."""

from ._cli.command import main

if __name__ == "__main__":
    raise SystemExit(main())
