from __future__ import annotations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from _helpers import FEW_GENES, infer_quietly
from _report_page import browser, chromium, page  # noqa: F401 fixtures
from anndata import AnnData

import spatrace_sc as st

CONFIG = st.Config(
    evidence=st.EvidenceConfig(n_resamples=2, n_permutations=9),
    training=st.TrainingConfig(max_epochs=2),
    progress=False,
)


@pytest.fixture(scope="session")
def result() -> AnnData:
    """Two slices at each of three stages; the stages' names do not sort in order of time."""
    adata = st.datasets.simulated(0, n_cells=600, n_targets=20, n_slices=2, **FEW_GENES)
    later = {"E1": "early", "E2": "body", "E3": "adult"}
    adata.obs["stage"] = adata.obs["stage"].astype(str).map(later)
    number = adata.obs["sample"].astype(str).str.replace("slice1", "slice10").str.split("_").str[1]
    adata.obs["sample"] = adata.obs["stage"] + "_" + number
    infer_quietly(adata, sample_key="sample", stage_key="stage", config=CONFIG, device="cpu")
    return adata


@pytest.fixture
def one_slice(result: AnnData) -> AnnData:
    """The first slice of the result."""
    return result[(result.obs["sample"] == "early_slice2").to_numpy()].copy()


@pytest.fixture(scope="session")
def silent(result: AnnData) -> AnnData:
    """A result in which nothing was found and nothing trained."""
    adata = result.copy()
    stored = adata.uns["spatrace"]
    names = ("lr_targets", "tf_targets", "lr_pairs", "activity_pairs", "history", "communication")
    stored = {name: value for name, value in stored.items() if name != "contents"}
    factors = {k: v[:, :0] for k, v in stored["stage_factors"].items() if k.startswith("pair")}
    adata.uns["spatrace"] = stored | {name: stored[name].iloc[:0] for name in names}
    adata.uns["spatrace"]["stage_factors"] = stored["stage_factors"] | factors
    for slot in ("spatrace_activity", "spatrace_activity_se"):
        adata.obsm[slot] = adata.obsm[slot][:, :0]
    return adata


@pytest.fixture(scope="session")
def no_effects(result: AnnData) -> AnnData:
    """The result with all effects and scores 0, and no pair with an activity."""
    adata = result.copy()
    stored = adata.uns["spatrace"]
    tables = ("lr_pairs", "lr_targets", "lr_tfs", "tf_targets")
    tables += ("communication", "communication_by_stage")
    nothing = {
        name: stored[name].assign(
            q_value=1.0, **dict.fromkeys({"score", "effect"} & set(stored[name]), 0.0)
        )
        for name in tables
    }
    nothing["activity_pairs"] = stored["activity_pairs"].iloc[:0]
    adata.uns["spatrace"] = stored | nothing
    for slot in ("spatrace_activity", "spatrace_activity_se"):
        adata.obsm[slot] = adata.obsm[slot][:, :0]
    return adata


@pytest.fixture(autouse=True)
def nothing_shown(monkeypatch: pytest.MonkeyPatch):
    """No figure is shown, none stays open, and every figure can be drawn."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a figure was shown")

    monkeypatch.setattr(plt, "show", refuse)
    plt.close("all")
    yield
    for number in plt.get_fignums():
        plt.figure(number).draw_without_rendering()
    plt.close("all")
