"""All verbs on one result: what they leave in the file, and that a new result makes it void."""

from __future__ import annotations

import anndata as ad
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, infer_again, slow, small_result, written_and_read

import spatrace_sc as st

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

READERS = {
    "cascades": st.get.cascades,
    "communication": st.get.communication,
    "comparison": lambda a: st.get.comparison(a, "lr_pairs"),
    "knockout": st.get.knockout,
    "lr_targets": st.get.lr_targets,
    "modules": st.get.modules,
    "sent_received": st.get.sent_received,
    "tf_targets": st.get.tf_targets,
}


def everything(adata):
    pairs = list(st.get.activity(adata).var_names[:1])
    st.tl.cascades(adata, max_q=1.0)
    st.tl.communication(adata, pairs=pairs, n_permutations=9, progress=False)
    st.tl.modules(adata, n_modules=2, max_q=1.0)
    st.tl.compare(adata, "stage", categories=["E1", "E3"])
    st.tl.knockout(adata, ligand=pairs[0].split("^")[0])


@pytest.fixture(scope="module")
def full():
    adata = small_result().copy()
    everything(adata)
    return adata


@pytest.mark.parametrize("form", ["h5ad", slow("zarr"), slow("spatialdata")])
def test_all_results_survive_together(full, tmp_path, form):
    back = written_and_read(full, form, tmp_path)
    for name, reader in READERS.items():
        pd.testing.assert_frame_equal(
            reader(back),
            reader(full),
            check_dtype=False,
            check_index_type=False,
            obj=name,
            check_categorical=False,
        )


def test_a_new_result_makes_the_old_ones_void(full):
    adata = full.copy()
    slots = {name: set(map(str, getattr(adata, name))) for name in ("obs", "obsm", "obsp")}
    bare = small_result()
    derived = {name: slots[name] - set(map(str, getattr(bare, name))) for name in slots}
    assert derived["obsm"]
    assert derived["obsp"]
    adata.obs["spatrace_mine"] = 1  # of the user's
    infer_again(adata)
    for name in slots:
        assert not derived[name] & set(map(str, getattr(adata, name)))
    assert "spatrace_mine" in adata.obs
    for name in ("cascades", "comparison", "knockout", "modules"):
        with pytest.raises(st.MissingKeyError):
            READERS[name](adata)


@pytest.mark.parametrize(
    "verb", ["cascades", "communication", "compare", "controls", "knockout", "modules"]
)
def test_a_copy_of_a_table_on_disk_is_refused_at_once(full, tmp_path, verb):
    path = tmp_path / "data.h5ad"
    full.write_h5ad(path)
    arguments = {"compare": ("stage",)}.get(verb, ())
    backed = ad.read_h5ad(path, backed="r")
    with pytest.raises(st.InvalidArgumentError, match="backed mode"):
        getattr(st.tl, verb)(backed, *arguments, copy=True)
    backed.file.close()
