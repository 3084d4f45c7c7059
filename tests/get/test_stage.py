from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import small_result

import spatrace_sc as st

PAIR = ["ligand", "receptor"]


@pytest.fixture(scope="module")
def result():
    adata = small_result().copy()
    st.tl.cascades(adata, max_q=1.0)
    return adata


def factors(result, stage):
    """Score of a pair in a stage over that in the whole."""
    whole, there = (st.get.lr_pairs(result, s).set_index(PAIR)["score"] for s in (None, stage))
    whole = whole[whole > 0]
    return there.loc[whole.index] / whole


@pytest.mark.parametrize(
    ("reader", "names", "scaled"),
    [
        ("lr_tfs", [*PAIR, "tf"], ["effect", "score"]),
        ("cascades", [*PAIR, "tf", "target"], ["effect", "score", "pair_on_tf", "direct_effect"]),
    ],
)
def test_effects_of_a_stage_are_those_of_the_whole_times_the_factor_of_the_pair(
    result, reader, names, scaled
):
    read = getattr(st.get, reader)
    whole = read(result).set_index(names)
    assert len(whole) > 5
    seen = []
    for stage in st.get.stages(result):
        there = read(result, stage)
        assert (np.diff(there["score"]) <= 1e-12).all()
        there = there.set_index(names).loc[whole.index]
        factor = (
            factors(result, stage)
            .reindex(whole.reset_index().set_index(PAIR).index)
            .fillna(1.0)
            .to_numpy()
        )
        seen.append(factor)
        for column in whole:
            expected = whole[column] * factor if column in scaled else whole[column]
            np.testing.assert_allclose(there[column], expected, atol=1e-12)
    assert np.ptp(np.stack(seen), axis=0).max() > 0.1
    pd.testing.assert_frame_equal(read(result, None), read(result))


def test_an_unknown_stage_is_refused(result):
    for read in (st.get.lr_tfs, st.get.cascades):
        with pytest.raises(st.InvalidArgumentError, match=r"`stage='E9'`.*'E1', 'E2', 'E3'"):
            read(result, "E9")


@pytest.mark.parametrize("kind", ["lr_pairs", "tfs"])
def test_activity_of_a_stage_is_that_of_its_cells(result, kind):
    whole, part = st.get.activity(result, kind), st.get.activity(result, kind, "E2")
    here = (result.obs["stage"] == "E2").to_numpy()
    assert 0 < part.n_obs < whole.n_obs
    assert list(part.obs_names) == list(result.obs_names[here])
    np.testing.assert_array_equal(part.X, whole.X[here])
    with pytest.raises(st.InvalidArgumentError, match="'E1', 'E2', 'E3'"):
        st.get.activity(result, kind, "E9")


def test_stages_are_found_by_number_as_well():
    """Stages that were numbers are stored as text, of floats with a point."""
    adata = small_result().copy()
    result = dict(adata.uns["spatrace"])
    result["stages"] = np.array(["10.0", "11.5", "12.0"], dtype=object)
    by_stage = result["communication_by_stage"].copy()
    names = dict(zip(adata.uns["spatrace"]["stages"], result["stages"], strict=True))
    by_stage["stage"] = by_stage["stage"].map(names)
    adata.uns["spatrace"] = result | {"communication_by_stage": by_stage}
    for stage in (10, 10.0, "10", "10.0"):
        for reader in (st.get.lr_pairs, st.get.communication):
            table = reader(adata, stage)
            assert len(table)
            pd.testing.assert_frame_equal(table, reader(adata, "10.0"))
    with pytest.raises(st.InvalidArgumentError, match=r"`stage=11` is not in the result"):
        st.get.lr_pairs(adata, 11)
