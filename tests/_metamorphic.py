"""One tissue, every public verb, reader and plot on it, and the comparison of what they return.

Metamorphic tests change the form of the data, not the data, and require the same outcomes.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from _controls import run_measured
from _helpers import dense, page_data
from _same import EXACT, changes, plain
from _scenes import RECEIVERS, STAGES, Scene, config, genes, solved_problem, tissue

import spatrace_sc as st
from spatrace_sc.get._controls import TABLES as TABLES_OF_CONTROLS
from spatrace_sc.pl._report._pack import unpack, unpack_table

#: Verbs that read no AnnData of the user's, and why.
WITHOUT_DATA = {"pl.evaluation": "draws the table of tl.evaluate, which is compared itself"}
#: Called with the data, but tested in test_elements.py: it reads a SpatialData of several tables.
ELSEWHERE = {"pp.gather"}


#: Plots of positions.
MAPS = ("activity_map", "spatial")


def infer(scene: Scene, **changes: Any) -> None:
    """Infer with all genes of the tissue."""
    keys = {"sample_key": "sample", "stage_key": "stage", "config": config()}
    st.tl.infer_ccc(scene.data, **keys | scene.reading | changes)


def _transitions(scene: Scene, **arguments: Any) -> pd.DataFrame:
    keys = scene.keys("layer")
    matrix = st.pp.transitions(scene.data, **arguments, **keys, copy=True, n_pcs=5)
    names = [str(name) for name in scene.adata.obs_names]
    return pd.DataFrame(dense(matrix), index=names, columns=names)


def _exposure(scene: Scene) -> pd.DataFrame:
    keys = scene.keys("layer", "spatial_key", "sample_key")
    table = st.pp.ligand_exposure(scene.data, **{"sample_key": "sample"} | keys, copy=True)
    return table.rename(columns=lambda name: scene.labels.get(name, name))


def _gene_roles(scene: Scene) -> pd.DataFrame:
    roles = {f"{role}s": genes(role) for role in ("ligand", "receptor", "tf")}
    keys = scene.keys("layer", "gene_symbols")
    table = st.pp.gene_roles(scene.data, **roles, **keys, copy=True)
    return table.rename(index=lambda name: scene.labels.get(name, name)).sort_index()


def _prior(scene: Scene) -> pd.DataFrame:
    resource = pd.DataFrame(
        {"source": [*genes("ligand"), "NONE"], "target": [*genes("receptor"), "REC000"]}
    )
    resource = resource.rename(columns={"source": "ligand", "target": "receptor"})
    return st.pp.prior(scene.data, resource, **scene.keys("gene_symbols"))


def _positions(scene: Scene) -> pd.DataFrame:
    keys = {"sample_key": "sample"} | scene.keys("sample_key", "spatial_key")
    positions = st.pp.scale_positions(scene.data, 100, **keys, copy=True)
    return pd.DataFrame(positions[:, :2], index=scene.adata.obs_names)


def _store(scene: Scene, verb: Callable[..., Any], slot: str, **arguments: Any) -> pd.DataFrame:
    """Call a verb that writes, and return the per-cell values it has written."""
    verb(scene.data, **arguments)
    return pd.DataFrame(np.asarray(scene.adata.obsm[slot]), index=scene.adata.obs_names)


def _infer(scene: Scene) -> list[Any]:
    infer(scene)
    adata = scene.adata
    slots = ("spatrace_activity", "spatrace_activity_se", "spatrace_tf_activity")
    values = [pd.DataFrame(np.asarray(adata.obsm[s]), index=adata.obs_names) for s in slots]
    matrix = dense(adata.obsp["spatrace_communication"])
    return [*values, pd.DataFrame(matrix, adata.obs_names, adata.obs_names)]


def _communication(scene: Scene) -> list[Any]:
    tables = []
    for null in ("positions", "labels"):
        pair = st.get.activity(scene.adata).var_names[0]
        st.tl.communication(
            scene.data, pairs=pair, null=null, n_permutations=9, block_size=np.inf, progress=False
        )
        tables.append(st.get.communication(scene.adata))
    return [*tables, st.get.sent_received(scene.adata, pair)]


def _cascades(scene: Scene) -> Any:
    st.tl.cascades(scene.data, max_q=1.0)
    return scene.adata.uns["spatrace"]["cascades"]


def _compare(scene: Scene) -> list[Any]:
    options = {"max_q": 1.0, "top_n": 5}
    st.tl.compare(scene.data, "dpt_pseudotime", n_bins=2, **options)
    bins = st.get.comparison(scene.adata)
    st.tl.compare(scene.data, "half", reference="a", **options)
    kinds = ("tf_targets", "lr_targets", "tfs", "lr_pairs")
    return [bins, *(st.get.comparison(scene.adata, kind) for kind in kinds)]


def _evaluate(scene: Scene) -> Any:
    truth = tissue().uns["truth"]
    return st.tl.evaluate(scene.data, truth["tf_targets"], n_random=3)


def _model(scene: Scene) -> Any:
    """Activity by the model of the result, applied to the same cells."""
    with tempfile.TemporaryDirectory() as folder:
        st.tl.save_model(scene.data, f"{folder}/model")
        model = st.tl.load_model(f"{folder}/model")
    st.tl.apply_model(model, scene.data, key_added="applied")
    return st.get.activity(scene.adata, key="applied")


def _ranges(scene: Scene) -> Any:
    st.tl.ranges(scene.data, max_q=1.0)
    return st.get.ranges(scene.adata, profile=True).drop(columns="preferred")


def _partial_residuals(scene: Scene) -> Any:
    edge = st.get.tf_targets(scene.adata).iloc[0]
    st.tl.partial_residuals(scene.data, str(edge["tf"]), str(edge["target"]), n_bins=4)
    return st.get.partial_residuals(scene.adata)


def _controls(scene: Scene) -> None:
    """Controls whose tissues are measured: every form of the data has the same ones."""
    run_measured(scene.data)


def _attention(scene: Scene) -> list[Any]:
    stage = st.get.stages(scene.adata)[0]
    return [
        st.get.attention(scene.adata, of_stage, kind=kind)
        for kind in ("tf_targets", "lr_targets")
        for of_stage in (None, stage)
    ]


def _params(scene: Scene) -> Any:
    named = {"cell_type_key", "sample_key", "stage_key", "time_key", "spatial_key"}
    named |= {"layer", "gene_symbols"}
    kept = {k: v for k, v in st.get.params(scene.adata).items() if k not in named}
    return json.dumps(kept, sort_keys=True)


def _reach(scene: Scene) -> Any:
    st.pp.transitions(scene.data, **scene.keys("layer"), n_pcs=5)
    return st.get.transition_reach(scene.adata)


def _report(scene: Scene) -> list[pd.DataFrame]:
    """Tables of the page, and its cells by slice and type."""
    with tempfile.TemporaryDirectory() as folder:
        path = st.pl.report(scene.adata, f"{folder}/report.html")
        data = page_data(path.read_text(encoding="utf-8"))
    cells, types = data["cells"], np.array(data["cells"]["types"])
    sizes = np.diff(cells["starts"])
    names = np.repeat([piece["title"] for piece in cells["slices"]], sizes)
    counts = pd.crosstab(names, types[unpack(cells["type"])]).reset_index()
    return [counts, *(unpack_table(table["columns"]) for table in data["tables"].values())]


def _between_cells(scene: Scene, matrix: Any) -> pd.DataFrame:
    names = [str(name) for name in scene.adata.obs_names]
    return pd.DataFrame(dense(matrix), index=names, columns=names)


def _map(draw: Callable[..., Any], scene: Scene) -> Any:
    sample_key = scene.reading.get("sample_key", "sample")
    return draw(scene.adata, sample_key=sample_key, **scene.keys("spatial_key"))


def _trajectory(scene: Scene) -> Any:
    """Over a plane of two columns of ``obs``, as every form of the data has them."""
    st.pp.transitions(scene.data, **scene.keys("layer"), n_pcs=5)
    plane = [scene.adata.obs[c].astype(float) for c in ("dpt_pseudotime", "latent_time")]
    scene.adata.obsm["X_plane"] = np.nan_to_num(np.column_stack(plane))
    axes = st.pl.trajectory(scene.adata, "plane")
    del scene.adata.obsm["X_plane"]
    return axes


def _whole(read: Callable[..., Any], scene: Scene) -> Any:
    return read(scene.adata)


def _whole_and_by_stage(read: Callable[..., Any], scene: Scene) -> list[Any]:
    stages = st.get.stages(scene.adata)
    return [read(scene.adata), *(read(scene.adata, stage=stage) for stage in stages)]


#: Every public name that reads data → its outcomes. Later ones need results of earlier ones.
CASES: dict[str, Callable[[Scene], Any]] = {
    "pp.gene_roles": _gene_roles,
    "pp.ligand_exposure": _exposure,
    "pp.prior": _prior,
    "pp.scale_positions": _positions,
    "pp.transitions": lambda s: [
        _transitions(s),
        _transitions(s, time_key="stage_time", receivers=RECEIVERS),
        _transitions(s, method="T_fwd", **STAGES),
        _transitions(s, time_key="own", root="receiver_0", receivers=RECEIVERS),
    ],
    "pp.Stages": lambda s: _transitions(s, method=st.pp.Stages(within=0.3), **STAGES),
    "pp.OptimalTransport": lambda s: [
        _transitions(s, method=st.pp.OptimalTransport(), **STAGES),
        _transitions(
            s,
            method=st.pp.OptimalTransport(space=0.5, **s.keys("spatial_key")),
            time_key="dpt_pseudotime",
            **{"stage_key": "stage"} | s.keys("stage_key"),
        ),
    ],
    "pp.Moscot": lambda s: _transitions(
        s, method=st.pp.Moscot(solved_problem(), within=0.2), **STAGES
    ),
    "pp.CellRank": lambda s: _transitions(s, method=st.pp.CellRank(), **STAGES),
    "get.transition_reach": _reach,
    "tl.infer_ccc": _infer,
    "tl.communication": _communication,
    "tl.knockout": lambda s: _store(s, st.tl.knockout, "spatrace_knockout_tf-TF000", tf="TF000"),
    "tl.modules": lambda s: _store(
        s, st.tl.modules, "spatrace_modules", max_q=1.0, n_modules=2, progress=False
    ),
    "tl.cascades": _cascades,
    "tl.compare": _compare,
    "tl.evaluate": _evaluate,
    "tl.partial_residuals": _partial_residuals,
    "tl.controls": _controls,
    "tl.ranges": _ranges,
    **dict.fromkeys(("tl.save_model", "tl.load_model", "tl.apply_model"), _model),
    "get.params": _params,
    "get.attention": _attention,
    "get.activity": lambda s: [
        *(st.get.activity(s.adata, kind) for kind in ("lr_pairs", "tfs", "modules")),
        st.get.activity(s.adata, stage=st.get.stages(s.adata)[1]),
    ],
    "get.to_networkx": lambda s: st.get.to_networkx(s.adata, max_q=1.0),
    "get.to_decoupler": lambda s: st.get.to_decoupler(s.adata, max_q=1.0),
    **{
        f"get.{name}": partial(_whole_and_by_stage, getattr(st.get, name))
        for name in ("lr_targets", "tf_targets", "lr_pairs", "lr_tfs", "cascades")
    },
    **{
        f"get.{name}": partial(_whole_and_by_stage, getattr(st.get, name))
        for name in ("communication", "knockout", "to_liana")
    },
    "get.modules": lambda s: [
        st.get.modules(s.adata, kind) for kind in ("lr_pairs", "targets", "stages", "summary")
    ],
    **{
        f"get.{name}": partial(_whole, getattr(st.get, name))
        for name in ("comparison", "knockout_cells", "knockouts", "sent_received", "stages")
    },
    "get.controls": lambda s: [
        st.get.controls(s.adata, table) for table in TABLES_OF_CONTROLS if table != "settings"
    ],
    "get.ranges": lambda s: st.get.ranges(s.adata, profile=True).drop(columns="preferred"),
    "get.prediction": lambda s: st.get.prediction(s.adata, key="applied").sort_values("target"),
    "get.partial_residuals": lambda s: st.get.partial_residuals(s.adata),
    "get.training_history": lambda s: st.get.training_history(s.adata),
    "get.cell_communication": lambda s: _between_cells(s, st.get.cell_communication(s.adata)),
    "get.sample_features": lambda s: [
        st.get.sample_features(s.adata, form=form).reset_index() for form in ("wide", "long")
    ],
    "get.signal_direction": lambda s: st.get.signal_direction(s.adata),
    "get.transitions": lambda s: [
        st.pp.transitions(s.data, **s.keys("layer"), n_pcs=5),
        _between_cells(s, st.get.transitions(s.adata)),
    ],
    "get.trend": lambda s: [
        *(st.get.trend(s.adata, kind) for kind in ("lr_pairs", "tfs", "modules")),
        st.get.trend(s.adata, time_key="dpt_pseudotime", n_bins=3),
    ],
    **{f"pl.{name}": partial(_map, getattr(st.pl, name)) for name in MAPS},
    "pl.trajectory": _trajectory,
    **{
        f"pl.{name}": partial(_whole, getattr(st.pl, name))
        for name in sorted(set(st.pl.__all__) - {*MAPS, "evaluation", "trajectory", "report"})
    },
    "pl.report": lambda s: _report(s),
}

#: Cases without plots, which read no expression.
WITHOUT_PLOTS = tuple(name for name in CASES if not name.startswith("pl."))


def public_names() -> set[str]:
    """Names of all verbs, readers and plots."""
    rooms = {"pp": st.pp, "tl": st.tl, "get": st.get, "pl": st.pl}
    return {f"{room}.{name}" for room, module in rooms.items() for name in module.__all__}


def outcomes(scene: Scene, names: Any = tuple(CASES)) -> dict[str, Any]:
    """Outcomes of the named verbs, or the error that a verb raised, and what was warned of."""
    found: dict[str, Any] = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in names:
            try:
                found[name] = plain(CASES[name](scene))
            except Exception as error:  # noqa: BLE001 an error is an outcome, too
                found[name] = f"{type(error).__name__}: {error}"
            plt.close("all")
    said = {str(w.message) for w in caught if issubclass(w.category, st.SpatraceWarning)}
    return found | {"warnings": sorted(said)}


@lru_cache(maxsize=1)
def expected() -> dict[str, Any]:
    """Outcomes of the tissue as it is."""
    return outcomes(Scene(tissue()))


def assert_same(scene: Scene, names: Any = WITHOUT_PLOTS, tolerance: float = EXACT) -> None:
    """Data in another form give the outcomes of the tissue as it is."""
    found = changes(expected(), outcomes(scene, names), tolerance)
    if found:
        pytest.fail("\n".join(f"{name}: {text}" for name, text in found.items()), pytrace=False)
