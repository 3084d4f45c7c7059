"""Steps of Adam on batches, taken one by one or recorded on a GPU and replayed."""

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

#: Mean squared error and penalty of a batch of cells under given dropout masks.
Loss = Callable[[Tensor, Sequence[Masks]], tuple[Tensor, Tensor]]
#: A step on a batch of cells with masks for all of it. It returns the sum of squared errors
#: before the step, over the cells of this process.
Step = Callable[[Tensor, Sequence[Masks]], Tensor]
#: Turns work without arguments, whose inputs keep their addresses, into a replay of its kernels.
Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]

#: Ordinary steps before one is recorded: libraries choose their kernels and allocate memory.
N_WARMUP_STEPS = 3


def steps_on(device: torch.device, loss_of: Loss, optimiser: Adam, options: TrainingConfig) -> Step:
    """The step of a training, recorded if the options say so and there is one GPU."""
    plain = partial(step, loss_of, optimiser)
    if options.cuda_graphs and device.type == "cuda" and not is_active():
        stream = torch.cuda.Stream(device)
        return RecordedSteps(plain, options.batch_size, partial(record_graph, stream), stream)
    return plain


def step(loss_of: Loss, optimiser: Adam, batch: Tensor, masks: Sequence[Masks]) -> Tensor:
    """One step of Adam on a batch; returns this process's sum of squared errors before it.

    A process without cells in a small batch evaluates one cell, which does not count.
    """
    cells = share_of(len(batch))
    n = cells.stop - cells.start
    cells = cells if n else slice(0, 1)
    error, penalty = loss_of(batch[cells], [m.subset(cells, batch.device) for m in masks])
    optimiser.clear_gradients()
    (error + penalty).backward()
    average_gradients(optimiser.parameters, n)
    torch.nn.utils.clip_grad_norm_(optimiser.parameters, 1.0)
    optimiser.step()
    squared: Tensor = error.detach().double() * n
    return squared


class RecordedSteps:
    """Steps on batches of ``size`` cells that are recorded once and then replayed.

    The first :data:`N_WARMUP_STEPS` steps are ordinary ones, and so are steps on batches of
    another size, as the last of an epoch. A step is some hundred kernels on small arrays, and
    starting them takes longer than most of them run; a recorded step is started as one. Cells
    and masks are copied to the same addresses every time, and parameters, moments and counters
    change in place, so a replay works on their present values.

    Parameters
    ----------
    plain
        An ordinary step.
    size
        Number of cells of the batches that are recorded.
    record
        :func:`record_graph` on a stream, or a stand-in where there is no GPU.
    stream
        Stream for the ordinary steps before the recording, as torch requires. None: the
        current stream.
    """

    def __init__(
        self, plain: Step, size: int, record: Recorder, stream: torch.cuda.Stream | None = None
    ) -> None:
        self._plain, self._size, self._record, self._stream = plain, size, record, stream
        self._replay: Callable[[], Tensor] | None = None
        self._batch: Tensor | None = None
        self._masks: list[Masks] = []
        self._n_warmed_up = 0

    def __call__(self, batch: Tensor, masks: Sequence[Masks]) -> Tensor:
        if len(batch) != self._size:
            return self._plain(batch, masks)
        if self._n_warmed_up < N_WARMUP_STEPS:
            self._n_warmed_up += 1
            return self._warm_up(batch, masks)
        if self._batch is None:
            self._batch = torch.empty_like(batch)
            self._masks = [
                Masks(*(torch.empty_like(m, device=batch.device) for m in layer)) for layer in masks
            ]
        self._batch.copy_(batch)
        for stored, layer in zip(self._masks, masks, strict=True):
            stored.fill(layer)
        if self._replay is None:
            cells, stored_masks = self._batch, self._masks
            self._replay = self._record(lambda: self._plain(cells, stored_masks))
        return self._replay().clone()

    def _warm_up(self, batch: Tensor, masks: Sequence[Masks]) -> Tensor:
        """An ordinary step on the stream for it."""
        if self._stream is None:
            return self._plain(batch, masks)
        current = torch.cuda.current_stream(batch.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            error = self._plain(batch, masks)
        current.wait_stream(self._stream)
        return error


def record_graph(stream: torch.cuda.Stream, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Replay of the work as a CUDA graph, which is recorded here without being executed.

    The stream must belong to the GPU of the tensors, because torch would otherwise record the
    current GPU. Recording waits for the GPU once.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.device(stream.device), torch.cuda.graph(graph, stream=stream):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def products(options: TrainingConfig, device: torch.device) -> AbstractContextManager[object]:
    """Context in which the matrix products of a step have the precision of the options.

    Products of an evaluation, without gradients, stay in single precision. No rounded copies of
    parameters are cached, because parameters change in place.
    """
    if options.precision == "float32" or not torch.is_grad_enabled():
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
