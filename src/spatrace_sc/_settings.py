"""Where to compute, and where data sets are kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ._errors import DeviceError, InvalidArgumentError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("spatrace_sc")

#: Environment variables: the folder in which fetched data sets are kept, and the address that they are fetched from instead of their publisher's.
DATA_DIR = "SPATRACE_SC_DATA_DIR"
MIRROR = "SPATRACE_SC_MIRROR"


def resolve_device(device: str) -> torch.device:
    """The device named; ``"auto"`` takes a CUDA GPU if there is one. A GPU that was asked for and is absent is an error, never a silent fall-back."""
    import torch

    if device == "auto":
        chosen = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        logger.info("device: %s%s.", chosen, "" if chosen.type == "cuda" else " (no CUDA GPU found)")
        return chosen
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InvalidArgumentError(f"`device={device!r}` is not a device; use 'auto', 'cpu' or 'cuda'.") from error
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (chosen.index or 0) >= count:
            raise DeviceError(
                f"`device={device!r}` was asked for but this machine has {count} CUDA GPUs; use 'cpu' or 'auto', or install a CUDA build of torch."
            )
    elif chosen.type != "cpu":
        raise InvalidArgumentError(f"`device={device!r}` is not supported; use 'auto', 'cpu' or 'cuda'.")
    return chosen
