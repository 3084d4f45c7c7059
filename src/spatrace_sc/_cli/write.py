"""Files that a run leaves in its folder."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from anndata import AnnData

import spatrace_sc as st

from .._check import shorten
from .._errors import InvalidArgumentError, SpatraceError

logger = logging.getLogger("spatrace_sc")

#: Figures are saved at this resolution, in dots per inch.
RESOLUTION = 150
#: File with the data and the result.
RESULT = "result.h5ad"


def check_folder(folder: Path, overwrite: bool) -> None:
    """Create the folder; require that it is empty unless files may be replaced."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = sorted(path.name for path in folder.iterdir())
        trial = folder / ".spatrace_sc_can_write"
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise InvalidArgumentError(
            f"--out: {str(folder)!r} cannot be written to: {error.strerror or error}."
        ) from error
    if present and not overwrite:
        raise InvalidArgumentError(
            f"--out: {str(folder)!r} is not empty (it has {shorten(present)}). Choose another "
            "folder, or add --overwrite to replace the files of an earlier run."
        )


def write(adata: AnnData, options: argparse.Namespace) -> None:
    """Write the result, its tables, figures, report and parameters."""
    folder: Path = options.out
    adata.write_h5ad(folder / RESULT)
    parameters = json.dumps(st.get.params(adata), indent=2, ensure_ascii=False, default=str)
    (folder / "parameters.json").write_text(parameters + "\n", encoding="utf-8")
    tables = {
        "lr_targets": st.get.lr_targets,
        "tf_targets": st.get.tf_targets,
        "lr_pairs": st.get.lr_pairs,
        "lr_tfs": st.get.lr_tfs,
        "communication": st.get.communication,
        "training_history": st.get.training_history,
    }
    _write_tables({name: read(adata) for name, read in tables.items()}, folder)
    maps = {"sample_key": options.sample, "stage_key": options.stage}
    figures: dict[str, Callable[[], object]] = {
        "spatial": lambda: st.pl.spatial(adata, spatial_key=options.spatial, **maps),
        "top_edges_lr_targets": lambda: st.pl.top_edges(adata),
        "top_edges_tf_targets": lambda: st.pl.top_edges(adata, "tf_targets"),
        "effect_heatmap": lambda: st.pl.effect_heatmap(adata),
        "communication": lambda: st.pl.communication(adata),
        "dotplot": lambda: st.pl.dotplot(adata),
        "training_history": lambda: st.pl.training_history(adata),
    }
    _draw(figures, folder)
    report = folder / "report.html"
    st.pl.report(adata, report, title=options.file.name, overwrite=options.overwrite)
    logger.info("Wrote %s; begin with %s.", folder.resolve(), report)


def write_controls(adata: AnnData, folder: Path) -> None:
    """Write the result again with its controls, their tables and their figure."""
    adata.write_h5ad(folder / RESULT)
    tables = {
        "controls_false_discoveries": st.get.controls(adata),
        "controls_power": st.get.controls(adata, "power"),
    }
    _write_tables(tables, folder)
    _draw({"controls": lambda: st.pl.controls(adata)}, folder)
    logger.info("Wrote the controls to %s.", folder.resolve())


def _write_tables(tables: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write one CSV file per table."""
    (folder / "tables").mkdir(exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / "tables" / f"{name}.csv", index=False)


def _draw(figures: dict[str, Callable[[], object]], folder: Path) -> None:
    """Save the figures; one that cannot be drawn is logged with the reason."""
    import matplotlib.pyplot as plt

    (folder / "figures").mkdir(exist_ok=True)
    for name, figure in figures.items():
        try:
            figure()
            file = folder / "figures" / f"{name}.png"
            plt.gcf().savefig(file, dpi=RESOLUTION, bbox_inches="tight")
        except SpatraceError as error:
            logger.warning("figures/%s.png was not drawn: %s", name, error)
        finally:
            plt.close("all")
