"""Steps of Adam on batches, taken one by one or recorded on a GPU and played again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..runtime.distributed import average_gradients, is_active, share_of
from .adam import Adam
from .encoder import Masks

#: Mean squared error and penalty of some cells, given what dropout keeps of them.
Loss = Callable[[Tensor, Sequence[Masks]], tuple[Tensor, Tensor]]
#: A step on a batch of cells, with masks for all of it; this process's sum of squared errors before the step.
Step = Callable[[Tensor, Sequence[Masks]], Tensor]
#: Makes of a step without arguments, whose inputs stay where they are, one that plays its kernels again.
Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]

#: Ordinary steps before one is recorded: libraries choose their kernels and allocate what they keep.
WARM = 3


def steps_on(device: torch.device, loss_of: Loss, optimiser: Adam, options: TrainingConfig) -> Step:
    """How steps are taken: recorded where that was asked for and can be, on one GPU."""
    plain = partial(step, loss_of, optimiser)
    if options.cuda_graphs and device.type == "cuda" and not is_active():
        stream = torch.cuda.Stream(device)
        return RecordedSteps(plain, options.batch_size, partial(record_graph, stream), stream)
    return plain


def step(loss_of: Loss, optimiser: Adam, batch: Tensor, masks: Sequence[Masks]) -> Tensor:
    """One step of Adam on a batch; this process's sum of squared errors before it. A process without cells in a small batch looks at one, which does not count."""
    cells = share_of(len(batch))
    n = cells.stop - cells.start
    cells = cells if n else slice(0, 1)
    error, penalty = loss_of(batch[cells], [m.part(cells, batch.device) for m in masks])
    optimiser.forget()
    (error + penalty).backward()
    average_gradients(optimiser.parameters, n)
    torch.nn.utils.clip_grad_norm_(optimiser.parameters, 1.0)
    optimiser.step()
    squared: Tensor = error.detach().double() * n
    return squared


class RecordedSteps:
    """Steps on batches of ``size`` cells, recorded after :data:`WARM` ordinary ones and then played again; those of another size, the last of an epoch, are ordinary ones.

    A step is some hundred kernels on small arrays, and starting them takes longer than most of them run. A recorded step is started as one. Numbers of cells and masks are copied to the same place every time, and parameters, moments and counters are changed in place, so what is played again works on what is there now.

    Parameters
    ----------
    plain
        An ordinary step.
    size
        Cells of the batches that are recorded.
    record
        :func:`record_graph` on a stream, or what stands in for it where there is no GPU.
    stream
        Where ordinary steps before the recording run, as torch asks; None: where everything does.
    """

    def __init__(
        self, plain: Step, size: int, record: Recorder, stream: torch.cuda.Stream | None = None
    ) -> None:
        self._plain, self._size, self._record, self._stream = plain, size, record, stream
        self._play: Callable[[], Tensor] | None = None
        self._batch: Tensor | None = None
        self._masks: list[Masks] = []
        self._seen = 0

    def __call__(self, batch: Tensor, masks: Sequence[Masks]) -> Tensor:
        if len(batch) != self._size:
            return self._plain(batch, masks)
        if self._seen < WARM:
            self._seen += 1
            return self._aside(batch, masks)
        if self._batch is None:
            self._batch = torch.empty_like(batch)
            self._masks = [
                Masks(*(torch.empty_like(m, device=batch.device) for m in layer)) for layer in masks
            ]
        self._batch.copy_(batch)
        for kept, layer in zip(self._masks, masks, strict=True):
            kept.fill(layer)
        if self._play is None:
            place, kept_masks = self._batch, self._masks
            self._play = self._record(lambda: self._plain(place, kept_masks))
        return self._play().clone()

    def _aside(self, batch: Tensor, masks: Sequence[Masks]) -> Tensor:
        """An ordinary step on the stream for it."""
        if self._stream is None:
            return self._plain(batch, masks)
        here = torch.cuda.current_stream(batch.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            error = self._plain(batch, masks)
        here.wait_stream(self._stream)
        return error


def record_graph(stream: torch.cuda.Stream, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A CUDA graph of some work, which is not done while it is recorded, on a stream of the GPU that the tensors are on: without one torch records the current GPU, which may be another. Waits for the GPU once."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(stream.device), torch.cuda.graph(graph, stream=stream):
        result = work()

    def play() -> Tensor:
        graph.replay()
        return result

    return play


def products(options: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """Where matrix products of a step are taken as ``options.precision`` says; those of an evaluation, without gradients, stay in single precision. No rounded copies of parameters are kept, as these change in place."""
    if options.precision == "float32" or not torch.is_grad_enabled():
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
