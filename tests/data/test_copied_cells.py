"""Slices that contain copied cells are named in a warning, and the remedy it gives works."""

from __future__ import annotations

import re
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import (
    FEW_GENES,
    MIXED_STAGES,
    NOTHING_SIGNIFICANT,
    ONE_SLICE,
    TWO_OF_EACH,
    tiny_config,
    tissue,
)
from scipy import sparse

import spatrace_sc as st
from spatrace_sc._data import copied_cells, on_disk
from spatrace_sc._data.copied_cells import Copies, find_copies, row_keys

pytestmark = pytest.mark.filterwarnings(
    NOTHING_SIGNIFICANT, ONE_SLICE, MIXED_STAGES, "ignore::FutureWarning"
)
MESSAGE = "exactly the same values of all genes"


def with_copies(n):
    """The tissue and a slice "new" of 100 cells; its first ``n`` copy the first slice."""
    adata = tissue()
    first = np.flatnonzero(adata.obs["sample"] == adata.obs["sample"].iloc[0])[:n]
    others = st.datasets.simulated(5, n_cells=300, n_targets=5, n_background=48, **FEW_GENES)
    others = others[: 100 - n]
    new = ad.concat([adata[first], others])
    new.obsm["spatial"] = new.obsm["spatial"] + 7.0
    new.obs["sample"] = "new"
    new.obs_names = [f"new{k}" for k in range(new.n_obs)]
    return ad.concat([adata, new], merge="same")


def warnings_of(adata, **arguments):
    """Messages about copied cells."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        st.tl.infer_ccc(adata, config=tiny_config(), device="cpu", **TWO_OF_EACH, **arguments)
    return [str(w.message) for w in caught if MESSAGE in str(w.message)]


def remedied(adata, message):
    scope = {"adata": adata}
    exec(re.search(r"`(adata = .*|table = .*)`\. Only", message).group(1), scope)
    return scope["adata"]


def test_a_copied_slice_is_named():
    adata = with_copies(60)
    name = adata.obs["sample"].iloc[0]
    (message,) = warnings_of(adata, sample_key="sample")
    assert message.startswith(
        f"60 of 100 cells of slice {name!r} have {MESSAGE} as cells of slice 'new'."
    )
    assert "count twice" in message
    assert "Nothing was dropped" in message
    single = remedied(adata, message)
    assert single.n_obs == adata.n_obs - 100
    assert not warnings_of(single, sample_key="sample")


@pytest.mark.parametrize(("n", "expected"), [(9, 0), (10, 1), (20, 1)])
def test_the_share_at_which_copies_draw_a_warning(n, expected):
    """A tenth of one slice."""
    assert len(warnings_of(with_copies(n), sample_key="sample")) == expected


def test_copies_without_slices():
    adata = with_copies(60)
    (message,) = warnings_of(adata)
    assert message.startswith(f"120 of 400 cells have {MESSAGE} as another cell at another")
    assert "name them with `sample_key`" in message
    single = remedied(adata, message)
    copied = {f"new{k}" for k in range(60)}
    assert list(single.obs_names) == [n for n in adata.obs_names if n not in copied]
    assert not warnings_of(single)
    (message,) = warnings_of(adata, sample_key="stage")
    assert "of slice 'E1' have" in message
    assert "If slices were joined" not in message


@pytest.mark.parametrize("rng", range(3))
def test_simulated_tissues_draw_no_warning(rng):
    adata = st.datasets.simulated(rng, n_cells=3000, n_slices=2, depth=150, n_background=20)
    slices = adata.obs["sample"].cat.codes.to_numpy()
    everyone = np.ones(adata.n_obs, dtype=bool)
    for sample in (slices, np.zeros_like(slices)):
        assert not find_copies(sparse.csr_matrix(adata.X), sample, everyone)


def profiles(n_detected, n=60):
    """Two slices with the same profiles; ``n_detected`` genes of each are above 0."""
    rng = np.random.default_rng(1)
    counts = np.zeros((n, 200))
    for row in counts:
        row[rng.choice(200, n_detected, replace=False)] = rng.integers(1, 4, n_detected)
    return np.log1p(np.vstack([counts, counts])), np.repeat([0, 1], n)


def copies_of(values, sample):
    return find_copies(values, sample, np.ones(len(sample), dtype=bool))


def test_cells_with_few_detected_genes_are_not_compared():
    """Near-empty profiles agree by chance."""
    assert not copies_of(*profiles(19))
    assert copies_of(*profiles(20)) == [Copies(0, 1, 60, 60)]
    sparse_counts = np.random.default_rng(0).poisson(0.005, (4000, 100)).astype(float)
    assert len(np.unique(sparse_counts, axis=0)) < 2500
    assert not copies_of(sparse_counts, np.repeat([0, 1], 2000))


def test_near_empty_cells_do_not_dilute_copies():
    values, sample = profiles(25)
    empty = np.zeros((500, 200))
    empty[:, 3] = 1
    stacked = np.vstack([values, empty, empty]), np.r_[sample, np.repeat([0, 1], 500)]
    assert copies_of(*stacked) == [Copies(0, 1, 60, 60)]


def test_profiles_of_types_are_not_copies():
    means = np.random.default_rng(0).random((4, 50)) + 1
    assert not copies_of(means[np.arange(200) % 4], np.repeat([0, 1], 100))


def test_cells_that_take_no_part_are_not_compared():
    values, sample = profiles(25)
    assert not find_copies(values, sample, sample == 0)


def test_three_copies_of_a_slice():
    values, _ = profiles(25)
    three = np.vstack([values, values[:60]]), np.repeat([0, 1, 2], 60)
    assert [c[:2] for c in copies_of(*three)] == [(0, 1), (0, 2), (1, 2)]
    adata = ad.AnnData(three[0], obs=pd.DataFrame({"s": three[1].astype(str)}))
    with pytest.warns(st.SpatraceWarning, match=MESSAGE) as caught:
        copied_cells.warn_of_copied_cells(copies_of(*three), adata, "s", None)
    assert set(remedied(adata, str(caught[0].message)).obs["s"]) == {"2"}


@pytest.mark.parametrize("block_values", [201, 7 * 200, 10**7])
def test_keys_do_not_depend_on_form_and_blocks(monkeypatch, block_values):
    """Stored zeros, sparse and dense blocks: equal rows have equal keys, others do not."""
    values, _ = profiles(25)
    stored = sparse.csr_matrix(values)
    stored.data[::5] = 0
    monkeypatch.setattr(on_disk, "BLOCK_VALUES", block_values)
    for matrix in (stored, stored.toarray(), stored.astype(np.float32)):
        keys, n_detected = row_keys(matrix)
        np.testing.assert_array_equal(keys[:60], keys[60:])
        assert len(np.unique(keys)) == 60
        np.testing.assert_array_equal(n_detected, (stored.toarray() > 0).sum(axis=1))
    no_zeros = stored.copy()
    no_zeros.eliminate_zeros()
    np.testing.assert_array_equal(row_keys(no_zeros)[0], row_keys(stored)[0])


def test_a_file_on_disk(tmp_path):
    with_copies(60).write_h5ad(tmp_path / "data.h5ad")
    opened = ad.read_h5ad(tmp_path / "data.h5ad", backed="r")
    assert len(warnings_of(opened, sample_key="sample")) == 1
    opened.file.close()
