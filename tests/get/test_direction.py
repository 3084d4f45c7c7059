"""The column ``direction`` of TF edges."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from _helpers import NOTHING_SIGNIFICANT, ONE_SLICE, infer_quietly, tiny_config

import spatrace_sc as st
from spatrace_sc._core.leads import Leads
from spatrace_sc._inference.direction import add_leads
from spatrace_sc.get._direction import add_direction

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, ONE_SLICE)
FORMER = Path(__file__).parents[1] / "data" / "stored_result_0.1.0.h5ad"
N_CELLS = 700


def wave(time, centre):
    """Return levels that rise and fall around some time."""
    return np.exp(-(((time - centre) / 0.12) ** 2))


def timed_tissue(*, real=True):
    """Return cells along time: UP rises first, then the TF MID, then DOWN; the rest has no order.

    UP is upstream of MID, and DOWN is downstream of it. Without ``real`` the time is random.
    """
    rng = np.random.default_rng(0)
    time = rng.random(N_CELLS)
    centres = {"UP": 0.42, "MID": 0.5, "DOWN": 0.58}
    level = {name: 1.0 + 25.0 * wave(time, centre) for name, centre in centres.items()}
    others = [*(f"TF{k}" for k in range(4)), *(f"T{k}" for k in range(4)), "L", "R"]
    level |= {name: 8.0 + 5.0 * np.abs(rng.normal(size=N_CELLS)) for name in others}
    quiet = 20.0 * rng.lognormal(0, 0.5, 40)
    level["CONSTANT"] = np.zeros(N_CELLS)
    counts = rng.poisson(np.column_stack([*level.values(), np.tile(quiet, (N_CELLS, 1))]))
    names = [*level, *(f"B{k}" for k in range(40))]
    logged = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    adata = ad.AnnData(
        logged.astype(np.float32),
        obs=pd.DataFrame(
            {
                "cell_type": pd.Categorical(["cell"] * N_CELLS),
                "dpt_pseudotime": time if real else rng.random(N_CELLS),
            },
            index=[f"c{k}" for k in range(N_CELLS)],
        ),
        var=pd.DataFrame(index=names),
        obsm={"spatial": rng.uniform(0, 200, (N_CELLS, 2))},
    )
    st.pp.gene_roles(
        adata,
        ligands=["L"],
        receptors=["R"],
        tfs=["MID", "TF0", "TF1", "TF2", "TF3"],
        targets=["UP", "DOWN", "T0", "T1", "T2", "T3", "CONSTANT"],
    )
    infer_quietly(adata, config=tiny_config())
    return adata


@pytest.fixture(scope="module")
def known():
    return timed_tissue()


def of_edge(adata, target):
    table = st.get.tf_targets(adata)
    (row,) = table[(table["tf"] == "MID") & (table["target"] == target)].to_dict("records")
    return row


def test_the_downstream_gene_is_forward_and_the_upstream_gene_is_not(known):
    down, up = of_edge(known, "DOWN"), of_edge(known, "UP")
    assert down["score"] > 0
    assert up["score"] > 0
    assert (down["direction"], up["direction"]) == ("forward", "reverse as likely")
    assert down["lead"] > 0 > up["lead"]
    assert known.uns["spatrace"]["fit"]["order_share"] > 0.5


def test_time_that_orders_nothing_gives_no_direction():
    table = st.get.tf_targets(timed_tissue(real=False))
    assert (table["direction"] == "not determined").all()
    assert table["lead_se"].isna().all()


def test_edges_without_a_lead_have_no_direction(known):
    table = st.get.tf_targets(known)
    assert list(table["direction"].cat.categories) == [
        *("forward", "reverse as likely", "not determined")
    ]
    without = table[table["lead_se"].isna()]
    assert set(zip(without["tf"], without["target"], strict=True)) >= {("TF0", "CONSTANT")}
    assert (without["direction"] == "not determined").all()
    assert without["lead"].isna().all()


def test_results_stored_without_leads_can_be_read(known):
    former = ad.read_h5ad(FORMER)
    without = known.copy()
    slots = dict(without.uns["spatrace"])
    slots["tf_targets"] = slots["tf_targets"].drop(columns=["lead", "lead_se"])
    without.uns["spatrace"] = slots
    for adata in (former, without):
        table = st.get.tf_targets(adata)
        assert len(table)
        assert (table["direction"] == "not determined").all()
        assert table[["lead", "lead_se"]].isna().all(axis=None)


def test_direction_by_hand():
    table = pd.DataFrame(
        {"lead": [0.2, 0.2, -0.2, -0.2, 0.0, 0.0], "lead_se": [0.1, 0.2, 0.1, 0.2, 0.1, 0.0]}
    )
    forward, unknown, reverse = "forward", "not determined", "reverse as likely"
    expected = [forward, unknown, reverse, unknown, unknown, unknown]
    assert list(add_direction(table)["direction"]) == expected


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_leads_follow_the_sign_of_the_effect(share):
    edges = pd.DataFrame({"tf": [0, 1, 1], "target": [1, 0, 1], "effect": [0.5, -0.5, 1.0]})
    leads = Leads(np.array([[0.0, 0.3], [0.4, 0.0]]), np.array([[0.1, 0.1], [0.1, np.inf]]), share)
    table = add_leads(edges, leads)
    np.testing.assert_array_equal(table["lead"], [0.3, -0.4, 0.0] if share > 0.5 else [0.0] * 3)
    errors = [0.1, 0.1, 0.0] if share > 0.5 else [0.0] * 3
    np.testing.assert_array_equal(table["lead_se"], errors)
