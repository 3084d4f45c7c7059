from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _threads_stay():
    """Some packages set the number of threads when they are imported (liana does); sums in another order differ in their last digits."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)
