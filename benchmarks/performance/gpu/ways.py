"""Precision of products and recording of steps, the ways in which a part is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import torch

import spatrace_sc as st


class Way(NamedTuple):
    """Precision of products, and whether steps are recorded."""

    name: str
    tf32: bool = False
    precision: str = "float32"
    graphs: bool = False

    def of(self, training: st.TrainingConfig) -> st.TrainingConfig:
        """Return the options with this precision and kind of steps."""
        return replace(training, precision=self.precision, cuda_graphs=self.graphs)

    @contextmanager
    def products(self) -> Iterator[None]:
        """Switch TF32 on within a ``with`` block, or leave it as it is."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if self.tf32 else before)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


PLAIN = Way("float32")
TF32 = Way("tf32", tf32=True)
WAYS = (
    PLAIN,
    TF32,
    Way("bf16", precision="bf16"),
    Way("float32, recorded", graphs=True),
    Way("bf16, recorded", precision="bf16", graphs=True),
)
