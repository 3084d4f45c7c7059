"""Ablations of what follows the joint model: pooling, shared credit, the test among neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch

from spatrace_sc._inference import edge_tests as inference
from spatrace_sc._model.evidence import shared_credit


@contextmanager
def credit_as_it_falls() -> Iterator[None]:
    """Keep the weights of the joint model without sharing credit."""
    with patch.object(
        inference, "share_credit", lambda problem, fitted, evidence, *supported: evidence
    ):
        yield


@contextmanager
def effects_not_pooled() -> Iterator[None]:
    """Keep the effects of pairs of the joint model without pooling over the targets of TFs."""
    with patch.object(inference, "pool_effects", lambda problem, evidence, *significant: evidence):
        yield


@contextmanager
def substitution_ignored() -> Iterator[None]:
    """Share credit where receptors follow TFs, whether or not they predict the targets."""
    always = lambda problem, fitted: torch.ones(())
    with patch.object(shared_credit, "_substitution", always):
        yield


@contextmanager
def neither_pooled_nor_shared() -> Iterator[None]:
    """Keep the weights of pairs of the joint model as they are."""
    with effects_not_pooled(), credit_as_it_falls():
        yield


@contextmanager
def location_ignored() -> Iterator[None]:
    """Let pairs and their edges keep their q even if they do not hold among neighbours."""
    with patch.object(inference, "apply_local_test", lambda *given: given[-1]):
        yield
