"""Several processes that work on one inference, as ``torchrun`` starts them. With one process nothing here does anything.

Every process reads the same data and draws the same random numbers. What costs time is shared: the cells of each batch (:func:`share_of`, :func:`average_gradients`) and tasks that know
nothing of each other (:func:`share_tasks`, :func:`gather_results`). What is exchanged has the same bits everywhere, so all processes take the same decisions and end with the same result.
All functions but :func:`world`, :func:`is_active`, :func:`is_first`, :func:`shows`, :func:`share_of` and :func:`share_tasks` are collective: every process has to call them, in the same order.
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

#: Environment variable; ``1``: processes of one ``torchrun`` work each for itself, on data of its own.
ALONE = "SPATRACE_SC_ALONE"
#: A process waits so long for the others: one of them may have the longest refit.
PATIENCE = timedelta(hours=6)


def is_active() -> bool:
    """Whether there are other processes to work with."""
    joined = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return joined and os.environ.get(ALONE, "0") in {"", "0"}


def world() -> tuple[int, int]:
    """Number of this process, from 0, and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if is_active() else (0, 1)


def is_first() -> bool:
    """Whether this is process 0, the one that speaks."""
    return world()[0] == 0


def shows(progress: bool) -> bool:
    """Whether this process shows a progress bar, if one is wanted."""
    return progress and is_first()


def init_from_environment(device: torch.device) -> torch.device:
    """Join the processes that ``torchrun`` started, unless the script did, and return the device of this one.

    Does nothing where ``WORLD_SIZE`` is unset or 1, or where :data:`ALONE` is set. ``cuda`` without a number becomes the GPU of this process, ``LOCAL_RANK``. Tensors on GPUs travel by NCCL, others by gloo.
    Processes other than 0 log warnings only.

    Raises
    ------
    DeviceError
        If ``WORLD_SIZE`` names several processes that cannot be joined, or this machine has fewer GPUs than processes.
    """
    if os.environ.get(ALONE, "0") not in {"", "0"}:
        return _own_gpu(device)
    if not (dist.is_available() and dist.is_initialized()):
        size = os.environ.get("WORLD_SIZE", "1")
        if size == "1":
            return device
        device = _own_gpu(device)
        _join(size, device)
        atexit.register(_leave)
    else:
        device = _own_gpu(device)
    rank, size_now = world()
    if rank and not any(isinstance(f, _OnlyWarnings) for f in logger.filters):
        logger.addFilter(_OnlyWarnings())
    if size_now > 1:
        logger.info(
            "%d processes share the work; this is number %d, on %s.", size_now, rank, device
        )
    return device


class _OnlyWarnings(logging.Filter):
    """Process 0 tells what all do."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or is_first()


def _own_gpu(device: torch.device) -> torch.device:
    """``cuda`` without a number becomes that of this process."""
    number = os.environ.get("LOCAL_RANK", "")
    if device.type != "cuda" or device.index is not None or not number.isdigit():
        return device
    if int(number) >= torch.cuda.device_count():
        raise DeviceError(
            f"Process {number} of this machine has no GPU of its own: there are {torch.cuda.device_count()}. "
            f"Start as many processes as GPUs, `torchrun --nproc-per-node {torch.cuda.device_count()} script.py`, or pass `device='cpu'`."
        )
    torch.cuda.set_device(int(number))
    return torch.device("cuda", int(number))


def _join(size: str, device: torch.device) -> None:
    try:
        if int(size) < 1:
            raise ValueError("it must be at least 1")
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=PATIENCE)
    except (
        ValueError,
        RuntimeError,
        AttributeError,
    ) as error:  # AttributeError: a build of torch without it
        raise DeviceError(
            f"WORLD_SIZE={size!r} in the environment says that several processes work together, but they cannot be joined: {error}. "
            "Start the script with `torchrun --nproc-per-node 2 script.py`, or unset WORLD_SIZE to work with one process."
        ) from error


def _leave() -> None:
    """Take the group down that :func:`init_from_environment` made; a process that ends first would cut the others off."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _transport(device: torch.device) -> torch.device:
    """Where a tensor of that device has to lie to travel."""
    backend = str(dist.get_backend_config())  # "cpu:gloo,cuda:nccl"
    known = dict(part.split(":") for part in backend.split(",") if ":" in part)
    if device.type in known and not (device.type == "cuda" and known["cuda"] == "gloo"):
        return device
    return (
        torch.device("cpu") if "cpu" in known else torch.device("cuda", torch.cuda.current_device())
    )


def add_up(tensor: Tensor) -> Tensor:
    """Sum over all processes, the same bits in each."""
    if not is_active():
        return tensor
    moved = tensor.to(_transport(tensor.device), copy=True)
    dist.all_reduce(moved)
    return moved.to(tensor.device)


def average_gradients(parameters: Iterable[Tensor], weight: float) -> None:
    """Gradients of the mean over the cells of all processes, from each one's mean over ``weight`` cells of its own, in place and in one exchange.

    A process without cells takes part with ``weight`` 0 and any gradients; the same parameters must have some everywhere.
    """
    if not is_active():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([*(g.flatten() for g in gradients), gradients[0].new_ones(1)]) * weight
    total = add_up(flat)
    parts = (total[:-1] / total[-1]).split([g.numel() for g in gradients])
    for gradient, mean in zip(gradients, parts, strict=True):
        gradient.copy_(mean.view_as(gradient))


def share_of(n: int) -> slice:
    """Which of *n* rows are this process's: contiguous, sizes that differ by at most one."""
    rank, size = world()
    return slice(n * rank // size, n * (rank + 1) // size)


def share_tasks(n: int) -> Sequence[int]:
    """Which of *n* tasks are this process's, in turn: 0, 2, 4, … and 1, 3, 5, … of two."""
    rank, size = world()
    return range(rank, n, size)


def gather_results(results: Iterable[T], n: int) -> Iterator[T]:
    """The results of all *n* tasks, in their order, in every process, from those of this one's :func:`share_tasks`.

    One at a time: a process holds the results that it has not handed over yet and one of another process. To be read to the end by all.
    """
    rank, size = world()
    if size == 1:
        yield from results
        return
    own = iter(results)
    for task in range(n):
        yield broadcast(next(own) if task % size == rank else None, task % size)  # type: ignore[misc]


def broadcast(value: T, source: int = 0) -> T:
    """What ``source`` has, in every process: anything that can be pickled. Only among the processes of one inference."""
    if not is_active():
        return value
    box: list[T] = [value]
    where = _transport(torch.device("cpu"))
    dist.broadcast_object_list(box, src=source, device=where)
    return value if source == dist.get_rank() else box[0]


def check_agreement(**numbers: int) -> None:
    """Refuse to go on where the processes do not work on the same thing; they would wait for each other for ever, or mix two data sets.

    Raises
    ------
    DataError
        In every process, naming what differs.
    """
    if not is_active():
        return
    mine = torch.tensor(list(numbers.values()), dtype=torch.int64)
    mine = mine.to(_transport(mine.device))
    all_of_them = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(all_of_them, mine)
    found = torch.stack(all_of_them).cpu()
    for name, values in zip(numbers, found.T.tolist(), strict=True):
        if len(set(values)) > 1:
            raise DataError(
                f"The processes do not work on the same data: {name.replace('_', ' ')} {', '.join(map(str, values))}. "
                f"Every process has to read the same data and call with the same arguments and seed; set {ALONE}=1 if each shall work for itself."
            )
