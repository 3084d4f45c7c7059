"""Work and memory of the networks whose tokens are TFs, counted from the shapes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from benchmarks.performance.gpu.measure import (
    Product,
)
from benchmarks.performance.gpu.tensors import Size, synthetic
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import spatrace_sc as st
from spatrace_sc._model.evidence.silencing import (
    MAX_READ,
    MIN_CELLS_READ,
)
from spatrace_sc._model.evidence.silencing import split_blocks as split
from spatrace_sc._model.network.regulator_attention import LEVEL_UNITS, RegulatorAttention
from spatrace_sc._model.network.regulator_reading import MAX_CPU_NUMBERS, MAX_NUMBERS
from spatrace_sc._model.network.regulator_training import (
    BATCH,
    MAX_EPOCHS,
    MAX_STEPS,
    MAX_TARGETS,
)
from spatrace_sc._model.records import Problem
from spatrace_sc._model.runtime.memory import MAX_GPU_ROW_FACTOR

CPU = torch.device("cpu")
#: Of an H200 by its data sheet: operations a second in single precision, bytes a second.
H200_FLOP, H200_BYTES = 67e12, 4.8e12
#: Seconds in which the host starts an operation. This is an assumption.
SECONDS_PER_LAUNCH = 1e-5


class FusedAttention(RegulatorAttention):
    """The network with the fused attention of torch, which never holds the shares."""

    def _read(self, levels: Tensor, allowed: Tensor, targets: Tensor) -> Tensor:
        query, key, value = self._project(levels, targets)
        mask = F.pad(allowed, (0, 1), value=True)[:, None]
        query = query.expand(len(levels), *query.shape)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


NETWORKS = {"default": RegulatorAttention, "fused": FusedAttention}


class Passes(NamedTuple):
    """How often a network is run, on how many cells, and on how many of the targets."""

    steps: int
    step_cells: int
    step_targets: int
    evaluations: int
    evaluated_cells: int
    silenced: int
    """TFs that are silenced; the attention is computed twice for all of them."""
    silenced_cells: int


def passes(size: Size, epochs: int) -> Passes:
    """Return how often one network is run, if nothing stops its training early."""
    narrow = synthetic(size._replace(targets=1, ligands=1, receptors=1, tfs=1), CPU)
    cells = training_cells(narrow)
    rows, stop_rows = split(narrow, cells, torch.Generator().manual_seed(0))
    epochs = min(MAX_EPOCHS, epochs)
    steps = min(epochs * -(-len(rows) // BATCH), MAX_STEPS)
    every = max(1, steps // max(1, epochs))
    return Passes(
        steps=steps,
        step_cells=min(BATCH, len(rows)),
        step_targets=min(MAX_TARGETS, size.targets),
        evaluations=-(-steps // every),
        evaluated_cells=len(stop_rows),
        silenced=size.tfs,
        silenced_cells=min(max(MIN_CELLS_READ, MAX_READ // (size.targets * size.tfs)), len(cells)),
    )


def training_cells(problem: Problem) -> Tensor:
    """Return the cells that are not held out."""
    return torch.nonzero(problem.block % 5 != 0)[:, 0]


def forward_products(
    n_cells: int, n_targets: int, n_tfs: int, model: st.ModelConfig
) -> list[Product]:
    """Return the matrix products of a prediction."""
    d, heads, n_tokens = model.d_model, model.n_heads, n_tfs + 1
    n_read = n_cells * n_targets
    return [
        Product(n_tfs, n_cells, LEVEL_UNITS, d),  # tokens
        *2 * [Product(1, n_cells * n_tokens, d, d)],  # keys and values
        Product(1, n_targets, d, d),  # queries
        Product(n_cells * heads, n_tokens, d // heads, n_targets),  # scores
        Product(n_cells * heads, n_targets, n_tokens, d // heads),  # means of the values
        Product(1, n_read, d, d),  # mix
        Product(1, n_read, d, 2 * d),  # feed-forward
        Product(1, n_read, 2 * d, d),
    ]


def silencing_products(n_cells: int, n_targets: int, model: st.ModelConfig) -> list[Product]:
    """Return the matrix products of silencing one TF, whose attention is known."""
    return forward_products(n_cells, n_targets, 1, model)[-3:]


def forward_numbers(
    n_cells: int, n_targets: int, n_tfs: int, model: st.ModelConfig, *, fused: bool = False
) -> int:
    """Return how many numbers the arrays of a prediction hold together."""
    d = model.d_model
    tokens = n_cells * n_tfs * (3 * LEVEL_UNITS + 4 * d)
    # scores, masked scores and shares of every head; or a mask, as truth values and as numbers
    arrays = 2 if fused else 3 * model.n_heads
    return tokens + arrays * n_cells * (n_tfs + 1) * n_targets + 13 * n_cells * n_targets * d


def block_of(n_cells: int, n_targets: int, n_tfs: int, model: st.ModelConfig, device: str) -> int:
    """Return how many cells are predicted together, on a GPU with enough free memory."""
    width = n_targets * (n_tfs * model.n_heads + 4 * model.d_model)
    if device == "cuda":
        return min(n_cells, MAX_GPU_ROW_FACTOR * max(1, MAX_NUMBERS // width))
    return min(n_cells, max(1, MAX_CPU_NUMBERS // width))


class Recorded(TorchDispatchMode):
    """Counts the operations that are started, without views."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += not func.is_view
        return func(*args, **(kwargs or {}))


def one_step(network: RegulatorAttention, n_cells: int, n_targets: int) -> tuple[int, int]:
    """Return the bytes that a step holds for its gradients, and its number of operations."""
    device, n_tfs = network.slope.device, len(network.slope)
    levels = torch.randn(n_cells, n_tfs, device=device)
    allowed = torch.ones(n_cells, n_targets, n_tfs, dtype=torch.bool, device=device)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    held: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    optimizer = torch.optim.AdamW(network.parameters(), foreach=True)
    with Recorded() as recorded:
        with saved_tensors_hooks(note, lambda tensor: tensor):
            predicted = network(levels, allowed, torch.arange(n_targets, device=device))
        F.mse_loss(predicted, torch.zeros_like(predicted)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0, foreach=True)
        optimizer.step()
    return sum(held.values()), recorded.operations


def estimate(size: Size, epochs: int, network: str = "default") -> dict[str, Any]:
    """Return operations, bytes and memory of one network, and the seconds that an H200 needs.

    Arrays are written and read once each; a step does three times the work of a prediction. The
    seconds of a pass are those of its operations, its bytes or its launches, whichever are most.
    """
    model, run = st.ModelConfig(), passes(size, epochs)
    made = NETWORKS[network](size.tfs, size.targets, model)
    kept, launches = one_step(made, run.step_cells, run.step_targets)

    def work(n_cells: int, n_targets: int) -> tuple[float, float]:
        sizes = n_cells, n_targets, size.tfs, model
        flop = sum(product.flop for product in forward_products(*sizes))
        return flop, 8 * forward_numbers(*sizes, fused=network == "fused")

    def predictions(times: int, n_cells: int) -> tuple[float, float, float]:
        flop, moved = work(n_cells, size.targets)
        blocks = -(-n_cells // block_of(n_cells, size.targets, size.tfs, model, "cuda"))
        return times * flop, times * moved, times * blocks * launches / 3

    def silenced() -> tuple[float, float, float]:
        flop, moved, started = predictions(2, run.silenced_cells)
        head = silencing_products(run.silenced_cells, size.targets, model)
        each = 13 * run.silenced_cells * size.targets * model.d_model
        flop += run.silenced * sum(product.flop for product in head)
        return flop, moved + 8 * run.silenced * each, started * (1 + run.silenced / 4)

    flop, moved = work(run.step_cells, run.step_targets)
    work_of = {
        "steps": (3 * run.steps * flop, 3 * run.steps * moved, run.steps * launches),
        "evaluation": predictions(run.evaluations, run.evaluated_cells),
        "silencing": silenced(),
    }
    row = {"part": "estimate", "network": network, **size._asdict(), **run._asdict()}
    row |= {"parameters": sum(p.numel() for p in made.parameters())}
    row |= {"kept_gb": kept / 1e9, "operations_per_step": launches}
    for name, (flop, moved, started) in work_of.items():
        row |= {f"{name}_teraflop": flop / 1e12, f"{name}_gb": moved / 1e9}
        row[f"{name}_seconds_h200"] = max(
            flop / H200_FLOP, moved / H200_BYTES, started * SECONDS_PER_LAUNCH
        )
    return row
