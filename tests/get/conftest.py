from __future__ import annotations

import pytest
from _helpers import small_result


@pytest.fixture(scope="session")
def result():
    """A tissue with a result, shared: copy it before changing it."""
    return small_result()


@pytest.fixture
def adata(result):
    """A copy of the shared tissue whose tables can be replaced."""
    adata = result.copy()
    adata.uns["spatrace"] = dict(adata.uns["spatrace"])
    return adata
