from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from _helpers import (
    NOTHING_SIGNIFICANT,
    OTHER_CELLS,
    assert_unchanged,
    infer_again,
    slow,
    small_result,
    snapshot,
    written_and_read,
)
from sklearn.metrics import adjusted_rand_score

import spatrace_sc as st
from spatrace_sc import _keys

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT)

GROUPS = 3
KEY = "spatrace"
DRAWS = 5


@pytest.fixture
def result():
    """A small tissue with a result; a copy."""
    return small_result().copy()


@pytest.fixture(scope="module")
def planted():
    """Return a result with planted pairs: three groups of four that share targets and location."""
    adata = small_result().copy()
    rng = np.random.default_rng(0)
    found = {k: v for k, v in adata.uns[KEY].items() if k != "contents"}
    genes = found["genes"]
    ligand, receptor = np.arange(12), np.arange(12)
    group = np.arange(12) % GROUPS
    n_targets = len(genes["targets"])
    own = np.where(rng.random((GROUPS, n_targets)) < 0.4, rng.normal(size=(GROUPS, n_targets)), 0.0)
    effect = own[group] * rng.uniform(0.3, 1.0, (12, 1))
    score = np.linalg.norm(effect, axis=1)
    row, target = np.nonzero(effect)
    edges = pd.DataFrame({c: np.zeros(len(row)) for c in found["lr_targets"].columns})
    edges["ligand"], edges["receptor"], edges["target"] = ligand[row], receptor[row], target
    edges["effect"], edges["score"] = effect[row, target], np.abs(effect[row, target])
    edges["group"] = np.int32(list(found["groups"]).index(""))
    pairs = pd.DataFrame({c: np.zeros(12) for c in found["lr_pairs"].columns})
    pairs["ligand"], pairs["receptor"], pairs["score"] = ligand, receptor, score
    pairs["group"] = np.int32(list(found["groups"]).index(""))
    edges["limited_by"] = pairs["limited_by"] = np.int8(0)
    names = pd.DataFrame(
        {
            "ligand": genes["ligands"][ligand],
            "receptor": genes["receptors"][receptor],
            "score": score,
            "p_value": 0.0,
            "q_value": 0.0,
        }
    )
    factors = {
        name: np.ones((len(found["stages"]), 12), np.float32) for name in ("pair", "pair_se")
    }
    found |= {
        "stage_factors": found["stage_factors"] | factors,
        "lr_targets": edges,
        "lr_pairs": pairs,
        "lr_tfs": found["lr_tfs"].iloc[:0],
        "activity_pairs": names,
    }
    receiving = adata.obs["dpt_pseudotime"].notna().to_numpy()
    place = adata.obsm["spatial"] / np.ptp(adata.obsm["spatial"], axis=0).max()
    field = np.stack(
        [np.sin(6 * place[:, 0] + k) + np.cos(5 * place[:, 1] - k) + 2 for k in range(GROUPS)],
        axis=1,
    )
    activity = (field[:, group] * score + 0.2 * rng.random((adata.n_obs, 12))).astype(np.float32)
    activity[~receiving] = np.nan
    adata.obsm["spatrace_activity"] = activity
    adata.obsm["spatrace_activity_se"] = np.full_like(activity, np.nan)
    adata.uns[KEY] = found
    st.tl.modules(adata, progress=False, n_draws=DRAWS)
    return adata


def main_of(adata, **options):
    table = st.get.modules(adata, **options)
    table = table[table["main"].astype(bool)]
    return pd.Series(
        table["module"].to_numpy(), index=table["ligand"] + "^" + table["receptor"]
    ).sort_index()


def true_groups(adata):
    genes = adata.uns[KEY]["genes"]
    return pd.Series(
        np.arange(12) % GROUPS,
        index=[f"{a}^{b}" for a, b in zip(genes["ligands"], genes["receptors"], strict=True)],
    )


def effects(adata):
    """Pairs × targets, from the tables."""
    table = st.get.lr_targets(adata)
    table = table.assign(
        pair=table["ligand"] + "^" + table["receptor"], total=table["effect"] + table["mediated"]
    )
    return table.pivot(index="pair", columns="target", values="total").fillna(0.0)


def weights(adata):
    table = st.get.modules(adata)
    table = table.assign(pair=table["ligand"] + "^" + table["receptor"])
    return table.pivot(index="pair", columns="module", values="weight").fillna(0.0)


def test_planted_modules_are_recovered(planted):
    curve = st.get.modules(planted, "stability")
    assert curve.loc[curve["chosen"].astype(bool), "rank"].tolist() == [GROUPS]
    found, true = main_of(planted), true_groups(planted)
    assert adjusted_rand_score(true[found.index], found) == 1.0
    assert weights(planted).max(axis=1).min() > 0.7


def test_weights_add_up_and_scores_are_their_sums(planted):
    weight = weights(planted)
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, rtol=1e-6)
    pairs, modules = st.get.activity(planted), st.get.activity(planted, "modules")
    slow = pairs[:, weight.index].X @ weight[modules.var_names].to_numpy()
    np.testing.assert_allclose(modules.X, slow, rtol=1e-4)
    np.testing.assert_allclose(modules.X.sum(axis=1), pairs.X.sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(np.nanmean(modules.X, axis=0), modules.var["score"], rtol=1e-4)
    np.testing.assert_allclose(modules.var["share"].sum(), 1.0)
    assert (np.diff(modules.var["score"]) <= 0).all()


def test_effects_of_a_module_by_hand(planted):
    weight, effect = weights(planted), effects(planted)
    table = st.get.modules(planted, "targets")
    assert len(table) > 10
    main = main_of(planted)
    for row in table.groupby("module").head(4).itertuples():
        parts = weight[row.module] * effect.loc[weight.index, row.target]
        assert row.effect == pytest.approx(parts.sum())
        assert row.score == pytest.approx(abs(parts.sum()))
        assert row.agreement == pytest.approx(abs(parts.sum()) / parts.abs().sum())
        assert row.n_pairs == (effect.loc[main.index[main == row.module], row.target] != 0).sum()


def test_stages_are_means_of_the_receivers(planted):
    table, cells = st.get.modules(planted, "stages"), st.get.activity(planted, "modules")
    assert table["stage"].unique().tolist() == st.get.stages(planted)
    for row in table.itertuples():
        here = (cells.obs["stage"].astype(str) == row.stage).to_numpy()
        values = cells[here, row.module].X.ravel()
        assert row.score == pytest.approx(np.nanmean(values), rel=1e-4)
        assert row.n_cells == np.isfinite(values).sum()
        assert row.n_slices == 1
        assert np.isnan(row.score_se)


def test_replicate_slices_give_a_standard_error(planted):
    adata = planted.copy()
    half = np.where(np.arange(adata.n_obs) % 3 == 0, "a", "b")
    adata.obs["sample"] = adata.obs["sample"].astype(str) + half
    st.tl.modules(adata, n_modules=2)
    row = st.get.modules(adata, "stages").iloc[0]
    cells = st.get.activity(adata, "modules")
    here = (cells.obs["stage"].astype(str) == row["stage"]).to_numpy()
    values = pd.Series(
        cells[here, row["module"]].X.ravel().astype(float), index=cells.obs["sample"][here]
    )
    means = values.groupby(level=0).mean()
    assert row["n_slices"] == 2
    assert row["score"] == pytest.approx(means.mean(), rel=1e-4)
    assert row["score_se"] == pytest.approx(means.std(ddof=1) / np.sqrt(2), rel=1e-3)


def test_cells_that_do_not_receive_are_nan(planted):
    scores = planted.obsm["spatrace_modules"]
    receiving = planted.obs["dpt_pseudotime"].notna().to_numpy()
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(
        np.isnan(scores), np.broadcast_to(~receiving[:, None], scores.shape)
    )
    assert "spatrace_modules" not in st.get.activity(planted).obsm
    assert "spatrace_modules" not in st.get.activity(planted, "modules").obsm


def test_names_are_short_unique_and_of_the_top_genes(planted):
    summary = st.get.modules(planted, "summary")
    assert summary["module"].is_unique
    pairs, targets = st.get.modules(planted), st.get.modules(planted, "targets")
    for k, row in enumerate(summary.itertuples(), start=1):
        top = pairs[pairs["module"] == row.module].iloc[0]
        assert row.module == f"M{k} {top['ligand']}^{top['receptor']} {row.target}"
        assert row.target == targets.loc[targets["module"] == row.module, "target"].iloc[0]
    assert summary["n_pairs"].sum() == 12


@pytest.mark.parametrize("kind", _keys.MODULES)
def test_columns_and_order(planted, kind):
    table = st.get.modules(planted, kind)
    assert list(table.columns) == _keys.MODULES[kind]
    if kind in {"lr_pairs", "targets"}:
        assert (table.groupby("module")["score"].diff().dropna() <= 1e-12).all()
    table["new"] = 0
    assert list(st.get.modules(planted, kind).columns) == _keys.MODULES[kind]


def test_order_of_genes_cells_and_edges_does_not_matter(planted):
    rng = np.random.default_rng(3)
    turned = planted[rng.permutation(planted.n_obs)][:, rng.permutation(planted.n_vars)].copy()
    found = dict(turned.uns[KEY])
    genes = dict(found["genes"])
    place = rng.permutation(len(genes["targets"]))  # of the old number, the new one
    genes["targets"] = genes["targets"][np.argsort(place)]
    edges = found["lr_targets"].assign(target=place[found["lr_targets"]["target"].to_numpy()])
    found["lr_targets"] = edges.sample(frac=1, random_state=0).reset_index(drop=True)
    order = rng.permutation(12)
    found["activity_pairs"] = found["activity_pairs"].iloc[order].reset_index(drop=True)
    for slot in ("spatrace_activity", "spatrace_activity_se"):
        turned.obsm[slot] = turned.obsm[slot][:, order]
    turned.uns[KEY] = found | {"genes": genes}
    pd.testing.assert_frame_equal(effects(turned), effects(planted))
    st.tl.modules(turned, n_modules=GROUPS)
    pd.testing.assert_frame_equal(
        weights(turned), weights(planted).reindex(columns=weights(turned).columns), atol=1e-3
    )
    scores = pd.DataFrame(turned.obsm["spatrace_modules"], index=turned.obs_names).loc[
        planted.obs_names
    ]
    np.testing.assert_allclose(scores, planted.obsm["spatrace_modules"], atol=1e-2)


def test_same_seed_same_modules(planted):
    again = st.tl.modules(planted, progress=False, n_draws=DRAWS, copy=True)
    pd.testing.assert_frame_equal(st.get.modules(again), st.get.modules(planted))
    np.testing.assert_array_equal(again.obsm["spatrace_modules"], planted.obsm["spatrace_modules"])


def modules_written_and_read(adata, form, tmp_path):
    """What modules need and wrote, without the rest of the tissue, which takes most of the time."""
    adata = adata[:, :1].copy()
    del adata.obsp, adata.layers
    adata.uns = {KEY: adata.uns[KEY]}
    return written_and_read(adata, form, tmp_path)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr"), slow("spatialdata")])
@pytest.mark.filterwarnings("ignore::FutureWarning:spatialdata", "ignore::UserWarning:zarr")
def test_storage(planted, form, tmp_path):
    back = modules_written_and_read(planted.copy(), form, tmp_path)
    for kind in _keys.MODULES:
        kept, found = st.get.modules(planted, kind), st.get.modules(back, kind)
        pd.testing.assert_frame_equal(
            found.astype(kept.dtypes.to_dict()), kept, check_index_type=False
        )
    one, two = st.get.activity(planted, "modules"), st.get.activity(back, "modules")
    np.testing.assert_array_equal(one.X, two.X)
    assert list(one.var_names) == list(two.var_names)
    st.tl.modules(back, n_modules=2)
    assert len(st.get.modules(back, "summary")) == 2


def test_copy_leaves_the_data_and_a_new_inference_forgets(result):
    before = snapshot(result)
    annotated = st.tl.modules(result, max_q=1.0, n_modules=2, copy=True)
    assert_unchanged(result, before)
    assert "modules" not in result.uns[KEY]
    assert annotated.obsm["spatrace_modules"].shape == (result.n_obs, 2)
    infer_again(annotated)
    assert "spatrace_modules" not in annotated.obsm
    with pytest.raises(st.MissingKeyError, match=r"st\.tl\.modules"):
        st.get.activity(annotated, "modules")


def test_spatialdata_in(planted):
    import spatialdata

    sdata = spatialdata.SpatialData(tables={"cells": planted.copy()})
    assert st.tl.modules(sdata, table_key="cells", n_modules=2) is None
    assert len(st.get.modules(sdata.tables["cells"], "summary")) == 2


def few(planted, n):
    """Only the first n pairs are supported."""
    adata = planted.copy()
    pairs = adata.uns[KEY]["lr_pairs"]
    adata.uns[KEY] = dict(adata.uns[KEY]) | {
        "lr_pairs": pairs.assign(q_value=np.where(pairs.index < n, 0.0, 1.0))
    }
    return adata


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_pairs_are_one_module(planted, n, caplog):
    adata = few(planted, n)
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.tl.modules(adata)
    assert f"{n} pairs make one module" in caplog.text
    table = st.get.modules(adata)
    assert len(table) == n
    assert (table["weight"] == 1).all()
    assert table["main"].all()
    with pytest.raises(st.InvalidArgumentError, match=f"only {n} pairs"):
        st.tl.modules(adata, n_modules=n + 1)


@pytest.mark.parametrize("form", ["h5ad", slow("zarr")])
def test_no_pair_is_empty_tables_with_the_columns(planted, form, caplog, tmp_path):
    adata = few(planted, 0)
    with caplog.at_level("INFO", logger="spatrace_sc"):
        st.tl.modules(adata)
    assert "there are no modules" in caplog.text
    for found in (adata, modules_written_and_read(adata.copy(), form, tmp_path)):
        for kind in _keys.MODULES:
            assert list(st.get.modules(found, kind).columns) == _keys.MODULES[kind]
            assert len(st.get.modules(found, kind)) == 0
        assert st.get.activity(found, "modules").shape == (adata.n_obs, 0)


def test_targets_alone_ignore_the_cells(planted):
    blank = planted.copy()
    rng = np.random.default_rng(0)
    values = blank.obsm["spatrace_activity"]
    blank.obsm["spatrace_activity"] = np.where(
        np.isnan(values), np.nan, rng.random(values.shape)
    ).astype(np.float32)
    for adata in (alone := planted.copy(), blank):
        st.tl.modules(adata, n_modules=3, target_share=1.0)
    one, two = weights(alone), weights(blank)
    assert sorted(map(tuple, one.T.round(4).to_numpy())) == sorted(
        map(tuple, two.T.round(4).to_numpy())
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        *(({"n_modules": v}, "`n_modules`") for v in (0, 1.5, True, "3", 99)),
        *(({"max_modules": v}, "`max_modules`") for v in (0, None)),
        *(({"max_q": v}, "`max_q`") for v in (0, 1.1, "0.1", np.nan)),
        *(({"target_share": v}, "`target_share`") for v in (0, 2, True)),
        ({"n_draws": 0}, "`n_draws`"),
        ({"rng": -1}, "`rng`"),
        ({"enrichment": pd.DataFrame({"gene": ["a"]})}, "'source' and 'target'"),
        ({"enrichment": "hallmark"}, "found str"),
        (
            {"enrichment": pd.DataFrame({"source": ["s"] * 9, "target": list("abcdefghi")})},
            "none of its 1 sets has 5",
        ),
        ({"enrichment_with": "decouplr"}, "Did you mean 'decoupler'"),
    ],
)
def test_arguments_are_checked(planted, arguments, text):
    adata = planted.copy()
    before = snapshot(adata)
    with pytest.raises(st.InvalidArgumentError, match=text):
        st.tl.modules(adata, **arguments)
    assert_unchanged(adata, before)


@pytest.mark.filterwarnings(OTHER_CELLS)
def test_missing_things_are_named(result, planted):
    with pytest.raises(st.MissingKeyError, match="infer_ccc"):
        st.tl.modules(result, key="other")
    with pytest.raises(st.MissingKeyError, match=r"call `st\.tl\.modules"):
        st.get.modules(result)
    with pytest.raises(st.InvalidArgumentError, match="Did you mean 'stages'"):
        st.get.modules(planted, "stage")
    senders = planted[planted.obs["dpt_pseudotime"].isna()].copy()
    with pytest.raises(st.DataError, match="no cell of `adata` receives"):
        st.tl.modules(senders)
    lost = planted.copy()
    del lost.obs["stage"]
    with pytest.raises(st.MissingKeyError, match="stage_key"):
        st.tl.modules(lost)


def gene_sets(adata):
    """The four strongest targets and more of every module, and a set of the rest."""
    table = st.get.modules(adata, "targets")
    best = table.sort_values("score", ascending=False).drop_duplicates("target")
    rows = [
        best.groupby("module").head(6).rename(columns={"module": "source"})[["source", "target"]]
    ]
    rest = best.groupby("module").tail(2)["target"]
    return pd.concat([*rows, pd.DataFrame({"source": "rest", "target": rest})])


def test_enrichment_without_the_packages_is_refused(planted, monkeypatch):
    adata = planted.copy()
    for name in ("decoupler", "gseapy"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(st.MissingPackageError, match="pip install decoupler"):
        st.tl.modules(adata, enrichment=gene_sets(planted))
    with pytest.raises(ImportError, match="pip install gseapy"):
        st.tl.modules(adata, enrichment=gene_sets(planted), enrichment_with="gseapy")


@pytest.mark.parametrize(("package", "method"), [("decoupler", "ulm"), ("gseapy", "ora")])
def test_enrichment_recovers_the_targets_of_a_module(planted, package, method):
    pytest.importorskip(package)
    adata, sets = planted.copy(), gene_sets(planted)
    if package == "decoupler":  # signs as weights
        sign = st.get.modules(planted, "targets").set_index(["module", "target"])["effect"]
        sets["weight"] = [
            np.sign(sign.get((s, t), 1.0))
            for s, t in zip(sets["source"], sets["target"], strict=True)
        ]
    st.tl.modules(adata, enrichment=sets, enrichment_with=package, n_modules=GROUPS)
    table = st.get.modules(adata, "enrichment")
    assert list(table.columns) == _keys.MODULES["enrichment"]
    assert (table["method"] == method).all()
    assert table["q_value"].between(0, 1, inclusive="right").all()
    top = table.groupby("module", sort=False).head(1)
    assert (top["source"] == top["module"]).mean() > 0.5
    assert (top["score"] > 0).all()
