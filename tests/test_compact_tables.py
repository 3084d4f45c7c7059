"""Tables of communication in their small form: nothing is lost, in memory and in files."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from spatrace_sc import _keys
from spatrace_sc._result.compact_tables import MIN_REPEATS, compact, expand


def table(n, seed=0):
    rng = np.random.default_rng(seed)
    names = {c: rng.choice(["a", "b", "c^d"], n).astype(object) for c in _keys.COMMUNICATION[:4]}
    p = rng.integers(1, 101, n) / 100.0
    q = np.where(rng.random(n) < 0.3, 0.1, 1.0)
    numbers = {"score": rng.random(n), "p_value": p, "q_value": q, "score_se": np.full(n, np.nan)}
    numbers["slices_above"] = np.where(rng.random(n) < 0.5, np.nan, 2.0)
    return pd.DataFrame({"stage": names["sender"], **names, **numbers, "n_slices": 3})


@pytest.mark.parametrize("n", [0, 1, 3, 400, 5000])
def test_nothing_is_lost(n):
    """Values are the same to the last digit, so that q ≤ 0.1 stays q ≤ 0.1."""
    pd.testing.assert_frame_equal(expand(compact(table(n))), table(n), check_exact=True)


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_nothing_is_lost_in_a_file(tmp_path, form):
    adata = ad.AnnData(np.zeros((1, 1), dtype=np.float32))
    adata.uns["table"] = compact(table(1000))
    getattr(adata, f"write_{form}")(tmp_path / "file")
    back = getattr(ad, f"read_{form}")(tmp_path / "file").uns["table"]
    expected = table(1000)
    result = expand(back).reset_index(drop=True)
    pd.testing.assert_frame_equal(result, expected, check_exact=True, check_column_type=False)


def test_numbers_that_repeat_are_small():
    small = compact(table(5000))
    plain = table(5000)
    assert isinstance(small["p_value"].dtype, pd.CategoricalDtype)
    assert small["score"].dtype == float
    n_bytes = [t.memory_usage(index=False, deep=False).sum() for t in (small, plain)]
    assert n_bytes[0] < 0.3 * n_bytes[1]


def test_numbers_that_do_not_repeat_stay():
    few = pd.DataFrame({"score": np.arange(12.0), "p_value": np.arange(12) // MIN_REPEATS + 0.5})
    assert [isinstance(t, pd.CategoricalDtype) for t in compact(few).dtypes] == [False, True]
    few["p_value"] = np.arange(12) // (MIN_REPEATS - 1) + 0.5
    assert not any(isinstance(t, pd.CategoricalDtype) for t in compact(few).dtypes)


def test_tables_of_earlier_forms_are_read():
    """Names as categories, and all numbers as they are."""
    former = table(50).astype(dict.fromkeys(["stage", *_keys.COMMUNICATION[:4]], "category"))
    pd.testing.assert_frame_equal(expand(former), table(50), check_exact=True)
