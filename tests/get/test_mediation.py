"""Direct effects and effects through TFs: of hand-made results, and by stage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _helpers import small_result
from anndata import AnnData

import spatrace_sc as st
from spatrace_sc._keys import MAX_SIGNIFICANT_Q
from spatrace_sc._result import Result
from spatrace_sc.get._mediation import DIRECT_SHARE, MIN_CARRIED_SHARE, add_mediation

GENES = {
    "ligands": ["la", "lb"],
    "receptors": ["ra", "rb"],
    "tfs": ["ta", "tb", "tc"],
    "targets": ["ga", "gb"],
}


def result_of(steps, onto, genes=None):
    """``steps`` ligand, receptor, tf, effect[, q]; ``onto`` tf, target, effect[, q]."""
    first = pd.DataFrame(
        [(*s, 0.01)[:5] for s in steps], columns=["ligand", "receptor", "tf", "effect", "q_value"]
    ).astype(
        {"ligand": "int32", "receptor": "int32", "tf": "int32", "effect": float, "q_value": float}
    )
    second = pd.DataFrame(
        [(*s, 0.01)[:4] for s in onto], columns=["tf", "target", "effect", "q_value"]
    ).astype({"tf": "int32", "target": "int32", "effect": float, "q_value": float})
    slots = {"genes": GENES if genes is None else genes, "lr_tfs": first, "tf_targets": second}
    return Result(AnnData(), "spatrace", slots)


def edges(*rows):
    """ligand, receptor, target, effect."""
    table = pd.DataFrame(rows, columns=["ligand", "receptor", "target", "effect"])
    table = table.astype(
        {"ligand": "int32", "receptor": "int32", "target": "int32", "effect": float}
    )
    return table.assign(score=table["effect"].abs())


def test_a_mediated_effect_is_the_product_of_its_steps():
    result = result_of(
        [(0, 1, 2, 0.5), (1, 0, 0, -0.4)], [(2, 1, -0.6), (2, 0, 0.2), (0, 1, 0.5), (1, 1, 9.0)]
    )
    table = add_mediation(
        edges((0, 1, 1, 0.1), (0, 1, 0, 0.0), (1, 0, 1, 0.3), (1, 0, 0, 0.3), (0, 0, 1, 0.3)),
        result,
    )
    np.testing.assert_allclose(table["mediated"], [-0.3, 0.1, -0.2, 0, 0])
    assert list(table["through"]) == ["tc", "tc", "ta", "", ""]
    np.testing.assert_allclose(table["direct_share"], [0.1 / 0.4, 0, 0.6, 1, 1])
    assert list(table["route"]) == ["both", "mediated", "both", "direct", "direct"]


def test_mediated_effects_add_up_over_tfs_of_either_sign():
    result = result_of(
        [(0, 0, 0, 1.0), (0, 0, 1, -1.0), (0, 0, 2, 0.5)],
        [(0, 0, 0.3), (1, 0, -0.2), (2, 0, -0.4), (0, 1, 0.7)],
    )
    table = add_mediation(edges((0, 0, 0, 0.1), (0, 0, 1, 0.0)), result)
    np.testing.assert_allclose(table["mediated"], [0.3 + 0.2 - 0.2, 0.7])


def test_against_a_slow_loop():
    rng = np.random.default_rng(0)
    on_tfs = rng.normal(size=(4, 3)) * (rng.random((4, 3)) < 0.7)
    onto = rng.normal(size=(3, 2)) * (rng.random((3, 2)) < 0.7)
    result = result_of(
        [(p // 2, p % 2, t, on_tfs[p, t]) for p, t in zip(*np.nonzero(on_tfs), strict=True)],
        [(t, g, onto[t, g]) for t, g in zip(*np.nonzero(onto), strict=True)],
    )
    rows = [(p // 2, p % 2, g, rng.normal()) for p in rng.permutation(4) for g in (1, 0)]
    table = add_mediation(edges(*rows), result)
    for row in table.itertuples():
        slow = sum(on_tfs[2 * row.ligand + row.receptor, t] * onto[t, row.target] for t in range(3))
        assert row.mediated == pytest.approx(slow)
        assert row.direct_share == pytest.approx(abs(row.effect) / (abs(row.effect) + abs(slow)))


@pytest.mark.parametrize(
    ("share", "route"),
    [
        (1.0, "direct"),
        (DIRECT_SHARE + 0.01, "direct"),
        (DIRECT_SHARE - 0.01, "both"),
        (0.5, "both"),
        (1 - DIRECT_SHARE + 0.01, "both"),
        (1 - DIRECT_SHARE - 0.01, "mediated"),
        (0.0, "mediated"),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_routes_by_share(share, route, sign):
    result = result_of([(0, 0, 0, 1.0)], [(0, 0, sign * (1 - share))] if share < 1 else [])
    table = add_mediation(edges((0, 0, 0, share)), result)
    assert table["direct_share"].item() == pytest.approx(share)
    assert table["route"].item() == route


def test_without_any_effect_there_is_no_route():
    table = add_mediation(edges((0, 0, 0, 0.0)), result_of([], []))
    assert table[["mediated", "direct_share", "route", "through"]].iloc[0].tolist() == [
        0,
        0,
        "",
        "",
    ]


def test_carriers_are_named_strongest_first():
    shares = [0.3, 0.6, 0.1]
    result = result_of(
        [(0, 0, t, 1.0) for t in range(3)], [(t, 0, s) for t, s in enumerate(shares)]
    )
    assert add_mediation(edges((0, 0, 0, 0.0)), result)["through"].item() == "tb | ta"
    against = result_of(
        [(0, 0, t, 1.0) for t in range(3)],
        [(0, 0, 1.0), (1, 0, -0.4), (2, 0, MIN_CARRIED_SHARE * 0.6 / 0.75)],
    )
    assert add_mediation(edges((0, 0, 0, 0.0)), against)["through"].item() == "ta | tc", (
        "one that works against is not named"
    )
    down = result_of([(0, 0, t, -1.0) for t in range(3)], [(t, 0, s) for t, s in enumerate(shares)])
    assert add_mediation(edges((0, 0, 0, 0.0)), down)["through"].item() == "tb | ta"


def test_steps_without_support_do_not_count():
    result = result_of(
        [(0, 0, 0, 1.0, MAX_SIGNIFICANT_Q + 0.01), (0, 0, 1, 1.0, MAX_SIGNIFICANT_Q)],
        [(0, 0, 5.0), (1, 0, 0.5)],
    )
    table = add_mediation(edges((0, 0, 0, 0.5)), result)
    assert table["mediated"].item() == 0.5
    assert table["through"].item() == "tb"
    both = [(0, 0, 0, 1.0), (0, 0, 1, 1.0)]
    result = result_of(
        both, [(0, 0, 5.0, MAX_SIGNIFICANT_Q + 0.01), (1, 0, 0.5, MAX_SIGNIFICANT_Q)]
    )
    assert add_mediation(edges((0, 0, 0, 0.5)), result)["mediated"].item() == 0.5


def test_where_nobody_carries_much_nobody_is_named():
    genes = GENES | {"tfs": list("abcde")}
    result = result_of([(0, 0, t, 1.0) for t in range(5)], [(t, 0, 0.2) for t in range(5)], genes)
    table = add_mediation(edges((0, 0, 0, 0.0)), result)
    assert table["mediated"].item() == pytest.approx(1)
    assert table["through"].item() == ""
    assert table["route"].item() == "mediated"


def test_names_may_come_from_a_file():
    """zarr gives names as numpy's variable-width strings, pandas as its own."""
    steps, onto = [(0, 0, 2, 1.0)], [(2, 0, 0.5)]
    for kind in (
        list,
        lambda x: np.array(x, dtype=object),
        lambda x: np.array(x, dtype=np.dtypes.StringDType()),
        lambda x: pd.array(x, dtype="string"),
    ):
        genes = {role: kind(names) for role, names in GENES.items()}
        assert (
            add_mediation(edges((0, 0, 0, 0.5)), result_of(steps, onto, genes))["through"].item()
            == "tc"
        )


@pytest.fixture(scope="module")
def planted():
    """Two significant steps of the strongest pair, and one of a pair without a score."""
    adata = small_result().copy()
    stored = {k: v for k, v in adata.uns["spatrace"].items() if k != "contents"}
    pairs = stored["lr_pairs"]
    strongest = pairs.iloc[0]
    n_r = len(stored["genes"]["receptors"])
    listed = set(pairs["ligand"] * n_r + pairs["receptor"])
    silent = next(k for k in range(n_r * len(stored["genes"]["ligands"])) if k not in listed)
    rows = [
        (int(strongest["ligand"]), int(strongest["receptor"]), 0, 0.8, 0.01),
        (int(strongest["ligand"]), int(strongest["receptor"]), 3, -0.5, 0.02),
        (silent // n_r, silent % n_r, 1, 0.6, 0.05),
    ]
    steps = pd.DataFrame(rows, columns=["ligand", "receptor", "tf", "effect", "q_value"]).astype(
        {"ligand": "int32", "receptor": "int32", "tf": "int32"}
    )
    # every other TF edge is supported
    onto = stored["tf_targets"].assign(
        q_value=np.where(np.arange(len(stored["tf_targets"])) % 2, 0.05, 0.5)
    )
    adata.uns["spatrace"] = stored | {"lr_tfs": steps, "tf_targets": onto}
    return adata


def test_mediated_effects_are_products_of_the_tables_of_both_steps(planted):
    stored = planted.uns["spatrace"]
    onto = st.get.tf_targets(planted).set_index(["tf", "target"])
    onto = onto["effect"].where(onto["q_value"] <= MAX_SIGNIFICANT_Q, 0.0)
    table = st.get.lr_targets(planted)
    names = {
        role: list(map(str, stored["genes"][role])) for role in ("ligands", "receptors", "tfs")
    }
    expected = {}
    for step in stored["lr_tfs"].itertuples():
        pair = names["ligands"][step.ligand], names["receptors"][step.receptor]
        for target in table["target"].unique():
            key = (*pair, target)
            expected[key] = expected.get(key, 0) + step.effect * onto[names["tfs"][step.tf], target]
    found = table.set_index(["ligand", "receptor", "target"])["mediated"]
    assert 10 < (found != 0).sum() == sum(value != 0 for value in expected.values()) < 2 * 20
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=1e-9)
    silent = table[(table["mediated"] != 0) & (table["score"] == 0)]
    assert len(silent) >= 5, "a pair without a direct effect may act through a TF"
    assert (silent["route"] == "mediated").all()
    through = set(silent.loc[silent["through"] != "", "through"])
    first, second, third = (names["tfs"][tf] for tf in (0, 1, 3))
    assert through <= {first, second, third, f"{first} | {third}", f"{third} | {first}"}


def test_a_stage_scales_direct_and_mediated_alike(planted):
    keys = ["ligand", "receptor", "target"]
    whole = st.get.lr_targets(planted).set_index(keys)
    pairs = st.get.lr_pairs(planted).set_index(keys[:2])["score"]
    for stage in ("E1", "E3"):
        part = st.get.lr_targets(planted, stage).set_index(keys).reindex(whole.index)
        factor = (st.get.lr_pairs(planted, stage).set_index(keys[:2])["score"] / pairs).reindex(
            whole.index.droplevel("target")
        )
        known = factor.notna().to_numpy()
        moved = known & (whole["mediated"] != 0).to_numpy()
        assert moved.sum() >= 5
        assert not np.allclose(factor[moved], 1)
        np.testing.assert_allclose(
            part["mediated"][moved], (whole["mediated"] * factor.to_numpy())[moved], rtol=1e-5
        )
        for column in ("direct_share", "route", "through"):
            pd.testing.assert_series_equal(part[column], whole[column])


def test_the_error_of_a_stage_is_that_of_effect_and_factor(planted):
    stored = planted.uns["spatrace"]
    for stage, number in (("E1", 0), ("E3", 2)):
        factors = stored["stage_factors"]
        whole = st.get.tf_targets(planted).set_index(["tf", "target"])
        part = st.get.tf_targets(planted, stage).set_index(["tf", "target"]).reindex(whole.index)
        names = list(map(str, stored["genes"]["tfs"]))
        place = [names.index(tf) for tf in whole.index.get_level_values("tf")]
        factor, error = (factors[k][number][place] for k in ("tf", "tf_se"))
        np.testing.assert_allclose(
            part["effect_se"],
            np.hypot(whole["effect_se"] * factor, whole["effect"] * error),
            rtol=1e-5,
        )
        pd.testing.assert_series_equal(part["minimum_effect"], whole["minimum_effect"])
        assert error.max() > 0
