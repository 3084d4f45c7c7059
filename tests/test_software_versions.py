"""A result names the software that computed it."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy
import torch
from _helpers import NOTHING_SIGNIFICANT, infer_again, tissue

import spatrace_sc as st
from spatrace_sc._result import software

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

FORMER = Path(__file__).parent / "data" / "stored_result_0.1.0.h5ad"


def test_versions_and_device_are_stored_and_read_from_a_file(tmp_path):
    adata = tissue()
    infer_again(adata)
    adata.write_h5ad(tmp_path / "a.h5ad")
    params = st.get.params(ad.read_h5ad(tmp_path / "a.h5ad"))
    assert params["device"] in {"cpu", "cuda", "cuda:0", "mps"}
    expected = {
        "spatrace_sc": st.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "anndata": ad.__version__,
    }
    assert expected.items() <= params["versions"].items()


def test_a_package_is_named_once_it_is_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "scanpy", sys)
    assert "scanpy" in software.software_versions()
    monkeypatch.delitem(sys.modules, "scanpy")
    assert "scanpy" not in software.software_versions()
    monkeypatch.setattr(software, "PACKAGES", ("no_such_package",))
    assert software.software_versions()["no_such_package"] == "unknown"


def test_reading_versions_warns_of_nothing(recwarn):
    import scanpy  # some versions of it deprecate `__version__`

    assert software.software_versions()["scanpy"] == version(scanpy.__name__)
    assert not recwarn.list


def test_a_result_of_version_0_1_0_names_none():
    params = st.get.params(ad.read_h5ad(FORMER))
    assert params["versions"] == {}
    assert params["device"]
