"""A pretended GPU: tensors in main memory report ``cuda:0``, and whatever a GPU refuses is refused.

Operations on tensors of both devices are refused, except on single numbers, on CPU indices into a
GPU tensor, and copies; so is reading a GPU tensor as an array. Moved tensors are copies.
It cannot show kernels that a GPU lacks, rounding, speed, concurrency, or what runs beneath Python,
such as the backward pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

GPU = torch.device("cuda", 0)
T = torch.Tensor
#: Functions that take tensors of both places: copies, and what :meth:`torch.nn.Module.to` asks.
ANYWHERE = {"copy_", "__set__", "_has_compatible_shallow_copy_type"}


class WrongPlaceError(RuntimeError):
    """What torch says of tensors on two devices."""


def on_gpu(tensor: torch.Tensor) -> bool:
    return bool(tensor.__dict__.get("_pretended", False))


def tensors_in(*things: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for thing in things:
        if isinstance(thing, torch.Tensor):
            found.append(thing)
        elif isinstance(thing, dict):
            found += tensors_in(*thing.values())
        elif isinstance(thing, (list, tuple)):
            found += tensors_in(*thing)
    return found


def is_cuda(device: Any) -> bool:
    return isinstance(device, (str, torch.device)) and torch.device(device).type == "cuda"


def put(result: Any, gpu: bool) -> Any:
    for tensor in tensors_in(result):
        tensor._pretended = gpu  # type: ignore[attr-defined]
    return result


class PretendGpu(TorchFunctionMode):
    """While it lasts, ``device="cuda"`` is the GPU that is not there."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(function, "__name__", "")
        first = args[0] if args else None
        if function == T.device.__get__:
            return GPU if on_gpu(first) else function(*args, **kwargs)
        if function == T.is_cuda.__get__:
            return on_gpu(first)
        if function in (T.to, T.cpu, T.cuda):
            return self.moved(function, args, kwargs)
        if function is T.pin_memory:
            if on_gpu(first):
                raise RuntimeError(
                    "cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned"
                )
            return first
        if name in ("numpy", "__array__") and on_gpu(first):
            raise TypeError(
                "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first."
            )
        made_on = kwargs.get("device")
        if is_cuda(made_on):
            kwargs["device"] = torch.device("cpu")
        gpu = self.place(function, name, args, kwargs)
        result = function(*args, **kwargs)
        if name == "__set__":
            put(first, gpu)
            return result
        if name in ("__get__", "set_", "backward") and result is None:
            return result
        return put(result, is_cuda(made_on) or (gpu and made_on is None))

    def moved(self, function: Any, args: Any, kwargs: Any) -> torch.Tensor:
        """A copy where the device changes."""
        tensor, rest = args[0], list(args[1:])
        before = on_gpu(tensor)
        asked = [
            a
            for a in [*rest, kwargs.get("device"), kwargs.get("other")]
            if isinstance(a, (str, torch.device))
        ]
        like = [a for a in rest if isinstance(a, torch.Tensor)]
        after = before
        if function is T.cpu:
            after = False
        elif function is T.cuda:
            after = True
        elif asked:
            after = is_cuda(asked[0])
        elif like:
            after = on_gpu(like[0])
        swap = lambda a: torch.device("cpu") if is_cuda(a) else a
        if function is T.to:
            result = function(tensor, *map(swap, rest), **{k: swap(v) for k, v in kwargs.items()})
        else:
            result = tensor
        if after == before:
            return put(result, after)
        if result is tensor or result.data_ptr() == tensor.data_ptr():
            result = result.clone()
        return put(result, after)

    def place(self, function: Any, name: str, args: Any, kwargs: Any) -> bool:
        """Whether the result is on the GPU."""
        given = tensors_in(args, kwargs)
        gpu = [t for t in given if on_gpu(t)]
        if not gpu:
            return False
        cpu = [t for t in given if not on_gpu(t) and t.dim() > 0]
        if name in ANYWHERE:
            return on_gpu(given[-1] if name == "__set__" else given[0])
        if not cpu:
            return True
        if name == "__getitem__" and on_gpu(args[0]):
            return True  # indices may be on the CPU
        if name == "__setitem__":
            masks, value = (
                [t for t in tensors_in(args[1]) if t.dtype == torch.bool or t.dim()],
                tensors_in(args[2]),
            )
            if not masks or (on_gpu(args[0]) and all(on_gpu(v) or v.dim() == 0 for v in value)):
                return on_gpu(args[0])  # a copy into a slice
        raise WrongPlaceError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"cuda:0 and cpu, in {name}."
        )


class Stream:
    """A stream of which is kept who waited for it and what ran on it, in one log for all."""

    log: ClassVar[list[str]] = []

    def __init__(self, device: Any = None) -> None:
        self.device = torch.device("cuda") if device is None else torch.device(device)
        self.name = "main" if device is None else "aside"

    def wait_stream(self, other: Stream) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


MAIN = Stream()


@contextmanager
def _within(stream: Stream, what: str) -> Iterator[None]:
    stream.log.append(f"{stream.name} {what}")
    yield


class OnCpu(torch.Generator):
    """Random numbers of the CPU, for whatever device they are asked."""

    def __new__(cls, device: Any = None) -> OnCpu:
        return super().__new__(cls)


class Graph:
    """What was done while it was recorded, operation by operation, is done again."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    @torch.no_grad()
    def replay(self) -> None:
        with torch._C.DisableTorchFunction():  # beneath Python nobody asks where a tensor is
            for function, args, kwargs, before in self.done:
                after = function(*args, **kwargs)
                for old, new in zip(tree_leaves(before), tree_leaves(after), strict=True):
                    if isinstance(old, T) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Recording(TorchDispatchMode):
    """Record operations beneath Python, the backward pass among them, into a graph.

    What they change in place is undone, because recording does nothing. Fused Adam only: steps that
    Python counts are not recorded.
    """

    def __init__(self, graph: Graph, stream: Stream) -> None:
        super().__init__()
        self.graph, self.stream = graph, stream
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __enter__(self) -> Recording:
        self.stream.log.append(f"{self.stream.name} records")
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        with torch.no_grad():
            for tensor, value in self.kept.values():
                tensor.copy_(value)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunction():
            return self._record(function, args, kwargs or {})

    def _record(self, function: Any, args: Any, kwargs: Any) -> Any:
        schema = function._schema.arguments
        for argument, value in zip(schema, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tree_leaves(value):
                    if isinstance(tensor, T) and tensor.data_ptr() not in self.kept:
                        self.kept[tensor.data_ptr()] = (tensor.detach(), tensor.detach().clone())
        result = function(*args, **kwargs)
        self.graph.done.append((function, args, kwargs, result))
        return result


@contextmanager
def pretend_gpu(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """One GPU with 16 GB, nothing of them in use."""
    state = torch.zeros(16, dtype=torch.uint8)
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "mem_get_info": lambda device=None: (16 * 10**9, 16 * 10**9),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0,
        "reset_peak_memory_stats": lambda device=None: None,
        "synchronize": lambda device=None: None,
        "get_device_name": lambda device=None: "pretended",
        "set_device": lambda device: None,
        "get_rng_state": lambda device=None: state,
        "set_rng_state": lambda new, device=None: None,
        "manual_seed_all": lambda seed: None,
        "set_sync_debug_mode": lambda mode: None,
        "device": lambda device: nullcontext(),
        "Stream": Stream,
        "stream": lambda stream: _within(stream, "runs"),
        "current_stream": lambda device=None: MAIN,
        "CUDAGraph": Graph,
        "graph": Recording,
    }
    for name, answer in answers.items():
        patch.setattr(torch.cuda, name, answer)
    autocast = torch.autocast

    def on_kind(kind: str, *args: Any, **kwargs: Any) -> torch.autocast:
        assert kind == "cuda", f"autocast of {kind} does nothing for tensors on a GPU"
        return autocast("cpu", *args, **kwargs)

    MAIN.log.clear()
    patch.setattr(torch, "autocast", on_kind)
    patch.setattr(torch, "Generator", OnCpu)
    with PretendGpu():
        yield
