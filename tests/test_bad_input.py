"""Mistaken input: a typed error names the argument, the finding and the remedy.

The data stay unchanged.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from _helpers import (
    NOTHING_SIGNIFICANT,
    ONE_SLICE,
    assert_unchanged,
    dense,
    small_result,
    snapshot,
    tiny_config,
    tissue,
)
from anndata import AnnData
from scipy import sparse

import spatrace_sc as st
from spatrace_sc import _keys

pytestmark = pytest.mark.filterwarnings(NOTHING_SIGNIFICANT, ONE_SLICE)

VERBS = {
    "infer_ccc": lambda adata, **k: st.tl.infer_ccc(adata, **{"config": tiny_config()} | k),
    "ligand_exposure": st.pp.ligand_exposure,
    "transitions": st.pp.transitions,
    "gene_roles": lambda adata, **k: st.pp.gene_roles(
        adata, **{"ligands": ["LIG000"], "receptors": ["REC000"], "tfs": ["TF000"]} | k
    ),
}
EXPRESSION, SPACE, TIME = [*VERBS], ["infer_ccc", "ligand_exposure"], ["infer_ccc", "transitions"]


def fails(verb, adata, error, *says, **arguments):
    """The verb raises the error with all of the texts, and the data stay unchanged."""
    before = snapshot(adata)
    with pytest.raises(error) as caught:
        VERBS[verb](adata, **arguments)
    assert isinstance(caught.value, st.SpatraceError)
    message = str(caught.value)
    for text in says:
        assert text in message, message
    assert "\n" not in message
    assert len(message) < 500
    assert_unchanged(adata, before)


def each(verbs):
    return pytest.mark.parametrize("verb", verbs)


def receiving(adata):
    return adata.obs["cell_type"].str.startswith("receiver").to_numpy()


# Data


@each([*VERBS])
@pytest.mark.parametrize(
    "data",
    [None, 3, "data.h5ad", np.zeros((3, 3)), pd.DataFrame({"a": [1]})],
    ids=lambda d: type(d).__name__,
)
def test_not_data(verb, data):
    with pytest.raises(st.InvalidArgumentError) as caught:
        VERBS[verb](data)
    for text in ("`data`", "AnnData", "SpatialData", type(data).__name__):
        assert text in str(caught.value)


@each([*VERBS])
def test_unknown_table(verb):
    from spatialdata import SpatialData

    adata = tissue()
    before = snapshot(adata)
    with pytest.raises(st.MissingKeyError) as caught:
        VERBS[verb](SpatialData(tables={"cells": adata, "spots": tissue()}))
    for text in ("`table_key='table'`", "'cells'", "'spots'"):
        assert text in str(caught.value)
    assert_unchanged(adata, before)


def test_errors_are_of_the_builtin_kind_too():
    assert issubclass(st.InvalidArgumentError, ValueError)
    assert issubclass(st.DataError, ValueError)
    assert issubclass(st.MissingKeyError, KeyError)
    assert issubclass(st.DeviceError, RuntimeError)
    assert issubclass(st.SpatraceWarning, UserWarning)
    assert not str(st.MissingKeyError("plain")).startswith("'")


# Coordinates


@each(SPACE)
def test_no_coordinates(verb):
    adata = tissue()
    del adata.obsm["spatial"]
    fails(
        verb,
        adata,
        st.MissingKeyError,
        "`spatial_key='spatial'`",
        "adata.obsm",
        "'true_signal'",
        "coordinates",
    )


@each(SPACE)
def test_unknown_slot_of_coordinates(verb):
    fails(
        verb,
        tissue(),
        st.MissingKeyError,
        "`spatial_key='X_spatial'`",
        "'spatial'",
        spatial_key="X_spatial",
    )


@each(SPACE)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite(verb, value):
    adata = tissue()
    adata.obsm["spatial"][[3, 7], 0] = value
    fails(verb, adata, st.DataError, "adata.obsm['spatial']", "2 of 300 cells", "drop")


@each(SPACE)
@pytest.mark.parametrize("n_dims", [1, 4])
def test_coordinates_of_another_dimension(verb, n_dims):
    adata = tissue()
    adata.obsm["spatial"] = np.zeros((300, n_dims))
    fails(verb, adata, st.DataError, "adata.obsm['spatial']", f"(300, {n_dims})", "2", "3")


@each(SPACE)
def test_coordinates_that_are_text(verb):
    adata = tissue()
    adata.obsm["spatial"] = pd.DataFrame(
        {"x": ["a"] * 300, "y": ["b"] * 300}, index=adata.obs_names
    )
    fails(verb, adata, st.DataError, "adata.obsm['spatial']")


@each(SPACE)
def test_one_position_for_all(verb):
    adata = tissue()
    adata.obsm["spatial"] = np.zeros((300, 2))
    fails(verb, adata, st.DataError, "radius", "coordinates", "`sample_key`")


# Columns of obs


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        *(("infer_ccc", k) for k in ("cell_type_key", "sample_key", "stage_key", "time_key")),
        ("ligand_exposure", "sample_key"),
        *(("transitions", k) for k in ("cell_type_key", "time_key")),
    ],
)  # fmt: skip
def test_unknown_column(verb, argument):
    fails(
        verb,
        tissue(),
        st.MissingKeyError,
        f"`{argument}='nowhere'`",
        "adata.obs",
        "'cell_type'",
        "'sample'",
        **{argument: "nowhere"},
    )


def test_unknown_column_of_types_in_ligand_exposure():
    fails(
        "ligand_exposure", tissue(), st.MissingKeyError, "`cell_type_key='nowhere'`", "'cell_type'",
        cell_type_key="nowhere", senders=["sender_0"],
    )  # fmt: skip


def test_a_slip_of_the_pen_is_recognised():
    fails("infer_ccc", tissue(), st.MissingKeyError, "Did you mean 'sample'?", sample_key="smaple")
    fails(
        "infer_ccc",
        tissue(),
        st.MissingKeyError,
        "Did you mean 'cell_type'?",
        cell_type_key="celltype",
    )
    fails("infer_ccc", tissue(), st.MissingKeyError, "Did you mean 'counts'?", layer="count")


@pytest.mark.parametrize(
    ("argument", "column"),
    [("cell_type_key", "cell_type"), ("sample_key", "sample"), ("stage_key", "stage")],
)
def test_missing_values_in_a_column(argument, column):
    adata = tissue()
    adata.obs.loc[adata.obs_names[:4], column] = np.nan
    fails(
        "infer_ccc",
        adata,
        st.DataError,
        f"`{argument}`",
        f"adata.obs['{column}']",
        "4 of 300 cells",
        **{argument: column},
    )


@each(SPACE)
def test_a_sample_of_one_cell(verb):
    adata = tissue()
    adata.obs["slide"] = np.where(np.arange(300) == 5, "lonely", "main")
    fails(
        verb,
        adata,
        st.DataError,
        "`sample_key='slide'`",
        "'lonely'",
        "single cell",
        sample_key="slide",
    )


# Layers and expression


@pytest.mark.parametrize("verb", ["infer_ccc", "ligand_exposure", "transitions"])
def test_unknown_layer(verb):
    fails(
        verb,
        tissue(),
        st.MissingKeyError,
        "`layer='logged'`",
        "adata.layers",
        "'counts'",
        layer="logged",
    )


def warned(verb, adata, **arguments):
    with pytest.warns(st.SpatraceWarning) as caught:
        VERBS[verb](adata, **arguments)
    messages = [str(w.message) for w in caught if issubclass(w.category, st.SpatraceWarning)]
    return [
        message
        for message in messages
        if "treated as one slice" not in message and "no edge has q" not in message
    ]


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("verb", ["infer_ccc", "ligand_exposure", "transitions"])
def test_raw_counts_warn(verb):
    adata = tissue()
    (message,) = warned(verb, adata, layer="counts")
    for text in ("`adata.layers['counts']`", "raw counts", "sc.pp.normalize_total", "sc.pp.log1p"):
        assert text in message
    adata = tissue()
    adata.X = adata.layers["counts"].copy()
    (message,) = warned(verb, adata)
    assert "`adata.X`" in message
    if verb == "infer_ccc":
        assert np.isfinite(st.get.lr_targets(adata)["score"]).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_large_raw_counts_do_not_overflow():
    adata = tissue()
    adata.X = 1000 * adata.layers["counts"]
    warned("infer_ccc", adata)
    talk = st.get.communication(adata).drop(columns="score_se")  # NaN: one slice
    for table in (st.get.lr_targets(adata), st.get.tf_targets(adata), talk):
        # NaN: nothing to measure them on
        unmeasured = {"minimum_effect", "lead", *_keys.ROBUSTNESS, *_keys.EFFECT_PARTS}
        errors = [c for c in table if str(c).endswith("_se") or c in unmeasured]
        assert np.isfinite(table.drop(columns=errors).select_dtypes("number")).all(axis=None)
        assert not np.isinf(table.select_dtypes("number")).any(axis=None)


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_large_raw_counts_do_not_overflow_in_ligand_exposure():
    adata = tissue()
    adata.X = 1000 * adata.layers["counts"]
    with pytest.warns(st.SpatraceWarning):
        st.pp.ligand_exposure(adata)
    assert np.isfinite(adata.obsm["ligand_exposure"].to_numpy()).all()


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_values_too_large_for_logarithms_warn():
    adata = tissue()
    adata.X = dense(adata.X) * 10.5
    (message,) = warned("ligand_exposure", adata)
    assert "does not look log-normalised" in message


@pytest.mark.parametrize("verb", EXPRESSION)
def test_log_normalised_expression_does_not_warn(verb):
    with warnings.catch_warnings():
        warnings.simplefilter("error", st.SpatraceWarning)
        warnings.filterwarnings("ignore", "no edge has q")
        VERBS[verb](
            tissue(),
            **({"sample_key": "sample"} if verb in {"infer_ccc", "ligand_exposure"} else {}),
        )


@each(EXPRESSION)
@pytest.mark.parametrize("as_dense", [False, True])
def test_negative_expression(verb, as_dense):
    adata = tissue()
    matrix = adata.X.toarray() - (0.5 if as_dense else 0.0)
    matrix[matrix == 0] = 0 if as_dense else -1.5
    adata.X = matrix if as_dense else sparse.csr_matrix(matrix)
    remedy = ("`adata.layers['counts']`", "sc.pp.log1p(adata)")
    fails(verb, adata, st.DataError, "`adata.X`", "negative", "log-normalised", *remedy)


@each(EXPRESSION)
@pytest.mark.parametrize("as_dense", [False, True])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_expression_that_is_not_finite(verb, value, as_dense):
    adata = tissue()
    matrix = adata.X.toarray()
    matrix[[1, 2], 3] = value
    adata.X = matrix if as_dense else sparse.csr_matrix(matrix)
    fails(verb, adata, st.DataError, "`adata.X`", "2 NaN or inf", "drop")


@pytest.mark.parametrize("verb", ["infer_ccc", "ligand_exposure", "transitions"])
def test_a_layer_that_is_not_finite(verb):
    adata = tissue()
    adata.layers["broken"] = np.full(adata.shape, np.nan, dtype=np.float32)
    fails(verb, adata, st.DataError, "`adata.layers['broken']`", "NaN", layer="broken")


@each(EXPRESSION)
def test_no_expression(verb):
    adata = tissue()
    adata = AnnData(obs=adata.obs, var=adata.var, obsm={"spatial": adata.obsm["spatial"]})
    with pytest.raises(st.DataError, match=r"`adata\.X` is empty.*`layer`"):
        VERBS[verb](adata)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@each(EXPRESSION)
def test_duplicate_genes(verb):
    adata = tissue()
    names = adata.var_names.to_numpy().copy()
    names[1], names[2] = names[0], names[0]
    adata.var_names = names
    fails(
        verb,
        adata,
        st.DataError,
        "adata.var_names",
        "1 repeated",
        repr(str(names[0])),
        "var_names_make_unique",
    )


def test_no_cells():
    with pytest.raises(st.SpatraceError):
        st.tl.infer_ccc(tissue()[:0].copy())


# Time


@each(TIME)
def test_no_time(verb):
    adata = tissue()
    del adata.obs["dpt_pseudotime"]
    fails(
        verb,
        adata,
        st.MissingKeyError,
        "`time_key='dpt_pseudotime'`",
        "'stage_time'",
        "st.pp.transitions(adata, root=..., cell_type_key=",
    )


@each(TIME)
def test_constant_time(verb):
    adata = tissue()
    adata.obs.loc[receiving(adata), "dpt_pseudotime"] = 0.25
    fails(verb, adata, st.DataError, "`time_key`", "dpt_pseudotime", "0.25", "vary")


@each(TIME)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_time_of_nobody(verb, value):
    adata = tissue()
    adata.obs["dpt_pseudotime"] = value
    fails(
        verb, adata, st.DataError, "`time_key`", "dpt_pseudotime", "NaN in every cell", "receivers"
    )


@each(TIME)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_time_lacking_in_some_receivers(verb, value):
    adata = tissue()
    some = adata.obs_names[(adata.obs["cell_type"] == "receiver_0").to_numpy()][:3]
    adata.obs.loc[some, "dpt_pseudotime"] = value
    says = ["`time_key`", "3 receivers", "'receiver_0': 3", "`receivers=`", "drop"]
    fails(verb, adata, st.DataError, *says)
    fails(verb, adata, st.DataError, *says, receivers=["receiver_0"])


@each(TIME)
def test_time_of_receivers_that_have_none(verb):
    fails(
        verb,
        tissue(),
        st.DataError,
        "`time_key`",
        "'sender_1'",
        receivers=["sender_1", "receiver_0"],
    )


@each(TIME)
@pytest.mark.parametrize("dtype", ["text", "category"])
def test_time_that_is_no_number(verb, dtype):
    fails(
        verb, tissue(), st.DataError, "`time_key`", "stage", "category", "numeric", time_key="stage"
    )
    adata = tissue()
    adata.obs["when"] = (
        adata.obs["stage"].astype(str).astype(object if dtype == "text" else "category")
    )
    fails(verb, adata, st.DataError, "`time_key`", "adata.obs['when']", "numeric", time_key="when")


@each(TIME)
def test_too_few_receivers(verb):
    adata = tissue()
    adata.obs["dpt_pseudotime"] = np.where(np.arange(300) < 7, np.arange(300.0), np.nan)
    adata.obs["cell_type"] = pd.Categorical(np.where(np.arange(300) < 7, "few", "rest"))
    fails(verb, adata, st.DataError, "only 7 receivers", "20", "`receivers`", "`time_key`")


def test_senders_need_no_time():
    adata = small_result()
    assert adata.obs.loc[~receiving(adata), "dpt_pseudotime"].isna().all()
    assert set(st.get.communication(adata)["sender"]) > {"sender_0", "sender_1", "sender_2"}
    assert set(st.get.communication(adata)["receiver"]) == {"receiver_0", "receiver_1"}


def test_root_beside_an_existing_time():
    fails(
        "transitions",
        tissue(),
        st.InvalidArgumentError,
        "`root='cell0'`",
        "dpt_pseudotime",
        "`time_key`",
        root="cell0",
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_unknown_root():
    adata = tissue()
    del adata.obs["dpt_pseudotime"]
    fails(
        "transitions",
        adata,
        st.InvalidArgumentError,
        "`root='receiver_9'`",
        "'receiver_0'",
        "Did you mean",
        root="receiver_9",
    )


@pytest.mark.parametrize("value", [0, -1, 2.5, "many", None])
def test_bad_number_of_neighbours(value):
    fails(
        "transitions",
        tissue(),
        st.InvalidArgumentError,
        "`n_neighbors`",
        repr(value),
        n_neighbors=value,
    )


@pytest.mark.parametrize("value", [0, -3, "many"])
def test_bad_number_of_components(value):
    fails("transitions", tissue(), st.InvalidArgumentError, "`n_pcs`", repr(value), n_pcs=value)


def test_unknown_representation():
    fails(
        "transitions",
        tissue(),
        st.MissingKeyError,
        "`use_rep='X_pca'`",
        "'spatial'",
        use_rep="X_pca",
    )


def test_representation_that_is_not_finite():
    adata = tissue()
    adata.obsm["X_pca"] = np.full((300, 3), np.nan)
    fails("transitions", adata, st.DataError, "adata.obsm['X_pca']", "NaN", use_rep="X_pca")


# Transitions


def test_unknown_transitions():
    fails(
        "infer_ccc",
        tissue(),
        st.MissingKeyError,
        *("`transitions_key='transitions'`", "adata.obsp", "none", "st.pp.transitions(adata)"),
        transitions_key="transitions",
    )


@pytest.mark.parametrize("value", [-0.5, np.nan, np.inf])
def test_transitions_that_are_no_probabilities(value):
    adata = tissue()
    st.pp.transitions(adata)
    adata.obsp["transitions"].data[0] = value
    fails(
        "infer_ccc",
        adata,
        st.DataError,
        "adata.obsp['transitions']",
        "probabilities",
        transitions_key="transitions",
    )


def test_transposed_transitions():
    adata = tissue()
    st.pp.transitions(adata)
    adata.obsp["back"] = sparse.csr_matrix(adata.obsp["transitions"].T)
    fails(
        "infer_ccc",
        adata,
        st.InvalidArgumentError,
        "adata.obsp['back']",
        "`time_key`",
        "transposed",
        transitions_key="back",
    )


def test_transitions_between_others():
    adata = tissue()
    senders = np.flatnonzero(~receiving(adata))
    adata.obsp["others"] = sparse.csr_matrix(
        (np.ones(len(senders) - 1), (senders[:-1], senders[1:])), shape=(300, 300)
    )
    fails(
        "infer_ccc",
        adata,
        st.InvalidArgumentError,
        "adata.obsp['others']",
        "receivers",
        transitions_key="others",
    )


def test_transitions_of_too_few_cells():
    adata = tissue()
    time = adata.obs["dpt_pseudotime"]
    first, last = adata.obs_names.get_loc(time.idxmin()), adata.obs_names.get_loc(time.idxmax())
    adata.obsp["one"] = sparse.csr_matrix(([1.0], ([first], [last])), shape=(300, 300))
    fails(
        "infer_ccc",
        adata,
        st.DataError,
        "only 1 receivers",
        "`time_key`",
        "transitions",
        transitions_key="one",
    )


# Genes and roles


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs", "targets"])
def test_a_role_without_genes_in_the_data(role):
    fails(
        "infer_ccc",
        tissue(),
        st.DataError,
        f"`{role}`",
        "'Nowhere'",
        "none of the 1",
        **{role: ["Nowhere"]},
    )


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs"])
def test_no_flags(role):
    adata = tissue()
    del adata.var[role[:-1]]
    fails(
        "infer_ccc",
        adata,
        st.MissingKeyError,
        f"`{role}`",
        f"adata.var['{role[:-1]}']",
        "st.pp.gene_roles",
    )


def test_no_flags_in_ligand_exposure():
    adata = tissue()
    del adata.var["ligand"]
    fails(
        "ligand_exposure",
        adata,
        st.MissingKeyError,
        "`ligands`",
        "adata.var['ligand']",
        "st.pp.gene_roles",
    )
    fails("ligand_exposure", tissue(), st.DataError, "`ligands`", "'Nowhere'", ligands=["Nowhere"])


def test_targets_without_flag_are_the_variable_genes():
    adata = tissue()
    del adata.var["target"]
    VERBS["infer_ccc"](adata)
    targets = set(st.get.tf_targets(adata)["target"])
    assert len(targets) > 5
    assert not targets & set(adata.var_names[adata.var[["ligand", "receptor", "tf"]].any(axis=1)])


@pytest.mark.parametrize("role", ["ligands", "receptors", "tfs", "targets"])
def test_flags_that_name_no_gene(role):
    adata = tissue()
    adata.var[role[:-1]] = False
    fails("infer_ccc", adata, st.DataError, f"`{role}`")


def test_flags_that_name_no_gene_say_where_to_look():
    adata = tissue()
    adata.var["ligand"] = False
    fails("infer_ccc", adata, st.DataError, "adata.var['ligand']", "st.pp.gene_roles")


def test_flags_with_missing_values():
    adata = tissue()
    adata.var["ligand"] = adata.var["ligand"].astype(object).where(adata.var["ligand"], np.nan)
    table = st.pp.ligand_exposure(adata, copy=True)
    assert all(gene.startswith("LIG") for gene in table.columns)


def test_names_of_another_case():
    adata = tissue()
    fails(
        "infer_ccc",
        adata,
        st.DataError,
        "`ligands`",
        "upper and lower case",
        ligands=[f"lig{k:03d}" for k in range(12)],
    )


# Cell types


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        *(("infer_ccc", k) for k in ("senders", "receivers")),
        *(("ligand_exposure", k) for k in ("senders", "receivers")),
        ("transitions", "receivers"),
    ],
)  # fmt: skip
def test_cell_types(verb, argument):
    fails(
        verb,
        tissue(),
        st.InvalidArgumentError,
        f"`{argument}`",
        "is empty",
        "'receiver_0'",
        "'sender_2'",
        "None",
        **{argument: []},
    )
    says = [f"`{argument}`", "unknown", "'fibroblast'", "'receiver_0'", "'sender_2'"]
    fails(
        verb, tissue(), st.InvalidArgumentError, *says, **{argument: ["receiver_0", "fibroblast"]}
    )
    fails(verb, tissue(), st.InvalidArgumentError, *says, **{argument: "fibroblast"})


def test_one_type_may_be_given_as_text():
    one = st.pp.ligand_exposure(tissue(), senders="sender_0", receivers="receiver_0", copy=True)
    pd.testing.assert_frame_equal(
        one,
        st.pp.ligand_exposure(tissue(), senders=["sender_0"], receivers=["receiver_0"], copy=True),
    )


# Radius


@each(SPACE)
@pytest.mark.parametrize(
    "radius",
    [0, -1.0, float("nan"), float("inf"), "10", True, [10.0], np.array([10.0, 20.0])],
    ids=repr,
)
def test_bad_radius(verb, radius):
    fails(
        verb,
        tissue(),
        st.InvalidArgumentError,
        "`radius`",
        "positive",
        repr(radius),
        "coordinates",
        radius=radius,
    )


@each(SPACE)
def test_nobody_within_the_radius(verb):
    adata = tissue()
    with pytest.warns(st.SpatraceWarning, match="`radius=1e-06`"):
        fails(
            verb,
            adata,
            st.DataError,
            "`radius=1e-06`",
            "units",
            "`senders`",
            "`sample_key`",
            radius=1e-6,
        )


def test_nobody_within_the_radius_for_the_types_chosen():
    adata = tissue()
    adata.obsm["spatial"][(adata.obs["cell_type"] == "sender_0").to_numpy()] += 1e5
    fails(
        "infer_ccc",
        adata,
        st.DataError,
        "`radius=40`",
        "`senders`",
        radius=40.0,
        senders=["sender_0"],
    )


# Settings


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "cuda:7"])
def test_a_gpu_that_is_not_there(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    fails(
        "infer_ccc",
        tissue(),
        st.DeviceError,
        f"`device='{device}'`",
        "0 CUDA GPUs",
        "'cpu'",
        "'auto'",
        device=device,
    )


def test_the_second_gpu_of_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    fails(
        "infer_ccc", tissue(), st.DeviceError, "`device='cuda:1'`", "1 CUDA GPUs", device="cuda:1"
    )


@pytest.mark.parametrize("device", ["gpu", "banana", "mps", "meta", "", None, 3.5])
def test_a_device_that_makes_no_sense(device):
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        f"`device={device!r}`",
        "'auto'",
        "'cpu'",
        "'cuda'",
        device=device,
    )


@pytest.mark.parametrize("config", [{"n_blocks": 4}, 3, "fast", st.TrainingConfig(), st.Config])
def test_config_of_another_type(config):
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`config`",
        "spatrace_sc.Config",
        type(config).__name__,
        config=config,
    )


BAD_VALUES = {
    "model.n_lags": lambda: st.Config(model=st.ModelConfig(n_lags=0)),
    "model.d_model": lambda: st.Config(model=st.ModelConfig(d_model=33)),
    "model.dropout": lambda: st.Config(model=st.ModelConfig(dropout=1.0)),
    "model.hill_exponent": lambda: st.Config(model=st.ModelConfig(hill_exponent=float("nan"))),
    "model.hill_quantile": lambda: st.Config(model=st.ModelConfig(hill_quantile=1.0)),
    "model.gate_rank": lambda: st.Config(model=st.ModelConfig(gate_rank=0)),
    "model.gate_limit": lambda: st.Config(model=st.ModelConfig(gate_limit=-0.1)),
    "training.max_epochs": lambda: st.Config(training=st.TrainingConfig(max_epochs=-1)),
    "training.batch_size": lambda: st.Config(training=st.TrainingConfig(batch_size=0)),
    "training.held_out": lambda: st.Config(training=st.TrainingConfig(held_out=0.0)),
    "training.n_folds": lambda: st.Config(training=st.TrainingConfig(n_folds=1)),
    "evidence.n_resamples": lambda: st.Config(evidence=st.EvidenceConfig(n_resamples=1)),
    "evidence.sample_share": lambda: st.Config(evidence=st.EvidenceConfig(sample_share=1.5)),
    "evidence.n_permutations": lambda: st.Config(evidence=st.EvidenceConfig(n_permutations=0)),
    "n_blocks": lambda: st.Config(n_blocks=1),
    "max_edges": lambda: st.Config(max_edges=0),
    "max_activity": lambda: st.Config(max_activity=0),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_config_with_bad_values(name):
    with pytest.raises(ValueError, match=r"`config`") as caught:
        BAD_VALUES[name]()
    assert name in str(caught.value)
    assert "spatrace_sc.Config" in str(caught.value)


@pytest.mark.parametrize("name", BAD_VALUES)
def test_config_with_bad_values_raises_the_typed_error(name):
    with pytest.raises(st.InvalidArgumentError, match=name):
        BAD_VALUES[name]()


def test_config_with_bad_values_says_what_was_found():
    with pytest.raises(ValueError, match="-17"):
        st.Config(training=st.TrainingConfig(max_epochs=-17))


@pytest.mark.parametrize(
    "build",
    [
        lambda: st.Config(model=st.ModelConfig(n_heads=0)),
        lambda: st.Config(model=st.ModelConfig(n_layers=-1)),
        lambda: st.Config(model=st.ModelConfig(n_lags=1.5)),
        lambda: st.Config(training=st.TrainingConfig(learning_rate=-1.0)),
        lambda: st.Config(training=st.TrainingConfig(learning_rate=float("nan"))),
        lambda: st.Config(training=st.TrainingConfig(weight_decay=-1.0)),
        lambda: st.Config(training=st.TrainingConfig(gate_penalty=-1.0)),
        lambda: st.Config(training=st.TrainingConfig(patience=-1)),
        lambda: st.Config(training=st.TrainingConfig(tolerance=-1.0)),
        lambda: st.Config(training=st.TrainingConfig(max_epochs=1.5)),
        lambda: st.Config(evidence=st.EvidenceConfig(n_resamples=2.5)),
        lambda: st.Config(evidence={"n_resamples": 3}),
        lambda: st.Config(training=st.ModelConfig()),
        lambda: st.Config(n_blocks="8"),
    ],
)
def test_config_without_a_rule(build):
    with pytest.raises(ValueError, match="config"):
        build()


@pytest.mark.parametrize("name", ["rng", "seed"])
@pytest.mark.parametrize("value", [-1, 1.5, "0", True, [1]])
def test_bad_seed(name, value):
    fails("infer_ccc", tissue(), st.InvalidArgumentError, f"`{name}`", repr(value), **{name: value})


def test_seed_of_numpy():
    adata, same = tissue(), tissue()
    VERBS["infer_ccc"](adata, rng=np.int64(3))
    VERBS["infer_ccc"](same, rng=3)
    pd.testing.assert_frame_equal(st.get.lr_targets(adata), st.get.lr_targets(same))


# Prior


def pairs(**columns):
    return pd.DataFrame({"ligand": ["LIG000"], "receptor": ["REC000"]} | columns)


@pytest.mark.parametrize(
    "prior",
    [["LIG000"], {"ligand": ["LIG000"], "receptor": ["REC000"]}, "CellChat"],
    ids=lambda p: type(p).__name__,
)
def test_prior_that_is_no_table(prior):
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`prior`",
        "ligand, receptor",
        "tf, target",
        type(prior).__name__,
        prior=prior,
    )


@pytest.mark.parametrize(
    "columns", [["source", "target"], ["ligand"], ["ligand", "target"], ["tf", "receptor"]]
)
def test_prior_without_its_columns(columns):
    prior = pd.DataFrame({c: ["a"] for c in columns})
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`prior`",
        "ligand, receptor",
        repr(columns[0]),
        prior=prior,
    )


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_prior_with_bad_weights(weight):
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`prior['weight']`",
        "at least 0",
        prior=pairs(weight=[weight]),
    )


def test_prior_of_other_genes():
    prior = pd.DataFrame({"ligand": ["Wnt5a"], "receptor": ["Fzd1"]})
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`prior`",
        "none of its 1 rows",
        "'Wnt5a'",
        prior=prior,
    )
    prior = pd.DataFrame({"tf": ["Sox2"], "target": ["Gata1"]})
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`prior`",
        "a tf and a target",
        "'Sox2'",
        prior=prior,
    )
    fails(
        "infer_ccc", tissue(), st.InvalidArgumentError, "`prior`", "0 rows", prior=pairs().iloc[:0]
    )


def test_prior_with_weights_that_are_text():
    fails(
        "infer_ccc",
        tissue(),
        st.InvalidArgumentError,
        "`prior['weight']`",
        prior=pairs(weight=["strong"]),
    )


def test_prior_with_columns_of_two_kinds():
    prior = pd.DataFrame({"ligand": ["LIG000"], "tf": ["TF000"], "target": ["TG000"]})
    VERBS["infer_ccc"](tissue(), prior=prior)  # a full tf, target table: usable


# Results


def test_reading_what_is_not_there():
    fails_reading = pytest.raises(
        st.MissingKeyError, match=r"adata\.uns\['other'\].*st\.tl\.infer_ccc"
    )
    with fails_reading:
        st.get.lr_pairs(tissue(), key="other")


@pytest.mark.parametrize("key", [None, 3, ""])
def test_bad_name_of_the_result(key):
    fails("infer_ccc", tissue(), st.InvalidArgumentError, "`key_added`", key_added=key)


def test_copy_leaves_the_data_alone():
    adata = tissue()
    before = snapshot(adata)
    copied = VERBS["infer_ccc"](adata, copy=True)
    assert_unchanged(adata, before)
    assert "spatrace" in copied.uns
    assert VERBS["infer_ccc"](adata) is None
    pd.testing.assert_frame_equal(st.get.lr_targets(adata), st.get.lr_targets(copied))
    after = snapshot(adata)
    for slot in ("obs", "var", "X", "layers", "varm"):
        assert after[slot] == before[slot]
    assert set(after["uns"]) - set(before["uns"]) == {"spatrace"}
    assert set(after["obsm"]) - set(before["obsm"]) == {
        "spatrace_activity",
        "spatrace_activity_se",
        "spatrace_tf_activity",
    }
    assert set(after["obsp"]) - set(before["obsp"]) == {"spatrace_communication"}


def test_a_failure_keeps_an_earlier_result():
    adata = small_result().copy()
    expected = st.get.lr_pairs(adata)
    fails("infer_ccc", adata, st.InvalidArgumentError, "`senders`", senders=[])
    pd.testing.assert_frame_equal(st.get.lr_pairs(adata), expected)
