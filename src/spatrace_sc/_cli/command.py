"""Entry point: parse, dispatch, and turn errors into a message and an exit code."""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._errors import SpatraceError, SpatraceWarning
from .._settings import settings
from .arguments import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("spatrace_sc")

#: Exit codes of a call that cannot succeed, and of one that was interrupted.
WRONG, INTERRUPTED = 2, 130
#: Options under another name than the argument of the function that they are passed to.
OPTIONS = {
    "cell_type_key": "--cell-type",
    "sample_key": "--sample",
    "stage_key": "--stage",
    "time_key": "--time",
    "spatial_key": "--spatial",
    "table_key": "--table",
    "gene_symbols": "--gene-symbols",
    "proportions": "--proportions",
    "n_jobs": "--jobs",
}


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("MPLBACKEND", "Agg")
    quiet = getattr(options, "quiet", False)
    with settings.override(verbosity="warning" if quiet else "info"), _logged_warnings():
        if quiet:
            settings.progress = False
        try:
            if options.command == "demo":
                from .demo import demo

                demo(options)
            else:
                from .run import run

                run(options)
        except SpatraceError as error:
            logger.error("%s: %s%s", type(error).__name__, error, in_options(str(error)))
            return WRONG
        except KeyboardInterrupt:
            folder = getattr(options, "checkpoint", None)
            continues = " The same command continues from the checkpoint." if folder else ""
            logger.error("Interrupted before all files were written.%s", continues)
            return INTERRUPTED
    return 0


def in_options(message: str) -> str:
    """Return how the arguments that a message names are called on the command line."""
    named = [name for name in OPTIONS if re.search(rf"`{name}\b", message)]
    if not named:
        return ""
    return f" (On the command line, {', '.join(f'`{n}` is {OPTIONS[n]}' for n in named)}.)"


@contextmanager
def _logged_warnings() -> Iterator[None]:
    """Log warnings of this package, and leave out those of others."""

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        logger.warning("%s: %s", category.__name__, message)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", SpatraceWarning)
        warnings.showwarning = show
        yield
