"""Several processes that work on one inference, as ``torchrun`` starts them.

Every process reads the same data and draws the same random numbers. The expensive work is
shared: the cells of each batch (:func:`share_of`, :func:`average_gradients`) and independent
tasks (:func:`share_tasks`, :func:`gather_results`). All processes receive the same bits, so they
take the same decisions and end with the same result.

Most functions are collective: every process has to call them, in the same order. The exceptions
are :func:`world`, :func:`is_active`, :func:`is_first`, :func:`shows`, :func:`share_of` and
:func:`share_tasks`. With one process nothing here does anything.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from ..._errors import DataError, DeviceError

logger = logging.getLogger("spatrace_sc")

T = TypeVar("T")

#: Environment variable. With ``1`` every process of one ``torchrun`` works on its own data.
ALONE_VARIABLE = "SPATRACE_SC_ALONE"
#: How long a process waits for the others, one of which may have the longest refit.
TIMEOUT = timedelta(hours=6)


def is_active() -> bool:
    """Whether there are other processes to work with."""
    joined = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return joined and not _works_alone()


def _works_alone() -> bool:
    return os.environ.get(ALONE_VARIABLE, "0") not in {"", "0"}


def world() -> tuple[int, int]:
    """Rank of this process, from 0, and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if is_active() else (0, 1)


def is_first() -> bool:
    """Whether this is process 0, the one that logs."""
    return world()[0] == 0


def shows(progress: bool) -> bool:
    """Whether this process shows a progress bar, if one is wanted."""
    return progress and is_first()


def init_from_environment(device: torch.device) -> torch.device:
    """Device of this process, after it has joined the processes that ``torchrun`` started.

    Nothing is joined if the script has done so, if ``WORLD_SIZE`` is unset or 1, or if
    :data:`ALONE_VARIABLE` is set. ``cuda`` without an index becomes the GPU of this process,
    ``LOCAL_RANK``. Tensors on GPUs travel by NCCL, others by gloo. Only process 0 logs more
    than warnings.

    Raises
    ------
    DeviceError
        If ``WORLD_SIZE`` names several processes that cannot be joined, or if this machine has
        fewer GPUs than processes.
    """
    if _works_alone():
        return _gpu_of_process(device)
    if not (dist.is_available() and dist.is_initialized()):
        size = os.environ.get("WORLD_SIZE", "1")
        if size == "1":
            return device
        device = _gpu_of_process(device)
        _join(size, device)
        atexit.register(_leave)
    else:
        device = _gpu_of_process(device)
    rank, n_processes = world()
    if rank and not any(isinstance(f, _OnlyWarnings) for f in logger.filters):
        logger.addFilter(_OnlyWarnings())
    if n_processes > 1:
        logger.info(
            "%d processes share the work; this is process %d, on %s.", n_processes, rank, device
        )
    return device


class _OnlyWarnings(logging.Filter):
    """Drops what process 0 logs for all processes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or is_first()


def _gpu_of_process(device: torch.device) -> torch.device:
    """The device, where ``cuda`` without an index becomes the GPU of this process."""
    rank = os.environ.get("LOCAL_RANK", "")
    if device.type != "cuda" or device.index is not None or not rank.isdigit():
        return device
    n_gpus = torch.cuda.device_count()
    if int(rank) >= n_gpus:
        raise DeviceError(
            f"Process {rank} of this machine has no GPU of its own: there are {n_gpus}. "
            f"Start as many processes as GPUs, `torchrun --nproc-per-node {n_gpus} script.py`, "
            "or pass `device='cpu'`."
        )
    torch.cuda.set_device(int(rank))
    return torch.device("cuda", int(rank))


def _join(size: str, device: torch.device) -> None:
    try:
        if int(size) < 1:
            raise ValueError("it must be at least 1")
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=TIMEOUT)
    # a build of torch without distributed execution raises AttributeError
    except (ValueError, RuntimeError, AttributeError) as error:
        raise DeviceError(
            f"WORLD_SIZE={size!r} in the environment says that several processes work together, "
            f"but they cannot be joined: {error}. Start the script with "
            "`torchrun --nproc-per-node 2 script.py`, or unset WORLD_SIZE to use one process."
        ) from error


def _leave() -> None:
    """Destroy the group of :func:`init_from_environment`.

    At exit only, because a process that ends first would cut the others off.
    """
    if dist.is_initialized():
        dist.destroy_process_group()


def _transport(device: torch.device) -> torch.device:
    """Device on which a tensor of ``device`` has to lie to travel."""
    backend = str(dist.get_backend_config())  # "cpu:gloo,cuda:nccl"
    backends = dict(pair.split(":") for pair in backend.split(",") if ":" in pair)
    if device.type in backends and not (device.type == "cuda" and backends["cuda"] == "gloo"):
        return device
    if "cpu" in backends:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def add_up(tensor: Tensor) -> Tensor:
    """Sum over all processes, the same bits in each."""
    if not is_active():
        return tensor
    moved = tensor.to(_transport(tensor.device), copy=True)
    dist.all_reduce(moved)
    return moved.to(tensor.device)


def average_gradients(parameters: Iterable[Tensor], weight: float) -> None:
    """Average gradients over the cells of all processes, in place and in one exchange.

    The gradients of each process are means over its ``weight`` cells. A process without cells
    takes part with ``weight`` 0 and any gradients. The same parameters must have gradients in
    every process.
    """
    if not is_active():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_ones(1)]) * weight
    total = add_up(flat)
    means = (total[:-1] / total[-1]).split([g.numel() for g in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def share_of(n: int) -> slice:
    """Slice of *n* rows for this process; sizes differ by at most one between processes."""
    rank, size = world()
    return slice(n * rank // size, n * (rank + 1) // size)


def share_tasks(n: int) -> Sequence[int]:
    """Indices of the tasks of this process, in turn: 0, 2, 4, … and 1, 3, 5, … of two."""
    rank, size = world()
    return range(rank, n, size)


def gather_results(results: Iterable[T], n: int) -> Iterator[T]:
    """Results of all *n* tasks in order, in every process, from those of its :func:`share_tasks`.

    One result travels at a time: a process holds the results that it has not handed over yet and
    one of another process. Every process has to read the iterator to its end.
    """
    rank, size = world()
    if size == 1:
        yield from results
        return
    remaining = iter(results)
    for task in range(n):
        source = task % size
        yield broadcast(next(remaining) if source == rank else None, source)  # type: ignore[misc]


def broadcast(value: T, source: int = 0) -> T:
    """The value of process ``source``, in every process; anything that can be pickled.

    It travels only among the processes of one inference.
    """
    if not is_active():
        return value
    box: list[T] = [value]
    dist.broadcast_object_list(box, src=source, device=_transport(torch.device("cpu")))
    return value if source == dist.get_rank() else box[0]


def check_agreement(**numbers: int) -> None:
    """Check that all processes work on the same data.

    Otherwise they would wait for each other for ever, or mix two data sets.

    Raises
    ------
    DataError
        In every process, naming what differs.
    """
    if not is_active():
        return
    local = torch.tensor(list(numbers.values()), dtype=torch.int64)
    local = local.to(_transport(local.device))
    gathered = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, local)
    by_name = torch.stack(gathered).cpu().T.tolist()
    for name, values in zip(numbers, by_name, strict=True):
        if len(set(values)) > 1:
            raise DataError(
                "The processes do not work on the same data: "
                f"{name.replace('_', ' ')} {', '.join(map(str, values))}. Every process has to "
                "read the same data and call with the same arguments and seed. "
                f"Set {ALONE_VARIABLE}=1 if each process should work on its own."
            )
