"""A fitted model without its cells: what a file of a model holds."""

from __future__ import annotations

import datetime
import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .._check import shorten
from .._data.tensor_file import TensorFile, opened, parse_json, unreadable, write_tensors
from .._errors import DataError
from .._free_memory import free_memory
from .._model.config import Config
from .._regulators import Regulators
from .._study.source import Source, complexes_in
from .._version import __version__
from .checks import FORM
from .model_checks import check_model, check_sizes
from .plain_tree import decode, encode
from .record import Result

#: Version of the form of model files.
FORMAT = 1
#: Parts of a file.
PARTS = ("format", "version", "written", "slots", "reading_scales", "level_scales")
#: Slots of a result that a model keeps: those that are not about its cells.
KEPT = (
    *("form", "version", "params", "genes", "stages", "candidates", "evidence"),
    *("tf_targets", "lr_targets", "lr_pairs", "lr_tfs", "groups", "p_values"),
    *("minimum_effect", "noise_known", "refits", "fit", "attention", "attention_to_pairs"),
    *("history", "stage_factors", "model", "activity_pairs", "tf_scores"),
)
#: Slots of these that a result in other cells has of its own.
OF_CELLS = ("form", "version", "params", "genes", "stages", "candidates", "evidence", "groups")


@dataclass(frozen=True, repr=False)
class Model:
    """A fitted model that can be applied to other cells: genes, weights, tables and scales.

    :func:`spatrace_sc.tl.load_model` returns it; :func:`spatrace_sc.tl.apply_model` takes it. Its
    arrays are not to be changed.
    """

    slots: dict[str, Any]
    reading_scales: dict[str, Any]
    level_scales: dict[str, Any]
    written: str

    @property
    def genes(self) -> Regulators:
        """Names of the ligands, receptors, TFs and targets."""
        params = self.slots["params"]
        return Regulators.from_mapping(
            self.slots["genes"],
            homophilic=bool(params["homophilic"]),
            complexes=complexes_in(params),
        )

    @property
    def source(self) -> Source:
        """Keys, cell types and radius of the inference."""
        return Source.from_params(self.slots["params"])

    @property
    def config(self) -> Config:
        """Configuration of the inference."""
        return Config.from_dict(self.slots["params"]["config"])

    @property
    def seed(self) -> int:
        """Seed of the inference."""
        return int(self.slots["params"]["seed"])

    @property
    def arrays(self) -> dict[str, Any]:
        """Parameters of the network, weights and scales of the targets."""
        return dict(self.slots["model"])

    @property
    def activity_pairs(self) -> pd.DataFrame:
        """Pairs with an activity, strongest first: ligand, receptor, score, p and q."""
        table: pd.DataFrame = self.slots["activity_pairs"]
        return table.astype({"ligand": str, "receptor": str}).reset_index(drop=True)

    @property
    def group_names(self) -> list[str]:
        """Names of the groups of regulators that cannot be distinguished."""
        return [str(name) for name in self.slots["groups"]]

    @property
    def pairs(self) -> pd.DataFrame:
        """The compact table of pairs, genes as indices."""
        table: pd.DataFrame = self.slots["lr_pairs"]
        return table

    def values(self) -> dict[str, Any]:
        """Return copies of the slots that a result in other cells takes over."""
        return {name: deepcopy(v) for name, v in self.slots.items() if name not in OF_CELLS}

    @property
    def version(self) -> str:
        """Version of the package that inferred the model."""
        return str(self.slots["version"])

    @property
    def r2(self) -> float:
        """Held-out R² at the inference."""
        return float(self.slots["fit"]["r2_gates"])

    def __repr__(self) -> str:
        genes, source = self.genes, self.source
        return "\n".join(
            [
                f"Model of spatrace-sc {self.version}, written {self.written}",
                f"  {genes.n_ligands} ligands × {genes.n_receptors} receptors, {genes.n_tfs} TFs",
                f"  {genes.n_targets} targets: {shorten(genes.targets, 4)}",
                f"  receivers: {shorten(source.receivers or (), 4)}",
                f"  senders: {shorten(source.senders or (), 4)}",
                f"  radius {source.radius:g}; held-out R² at the inference {self.r2:.3f}",
            ]
        )


def model_of(result: Result, reading_scales: dict[str, Any], level_scales: dict[str, Any]) -> Model:
    """Return the model of a result, with the scales of its cells."""
    slots = {name: result.slots[name] for name in KEPT if name in result.slots}
    return Model(slots, reading_scales, level_scales, datetime.date.today().isoformat())


def write_model(model: Model, path: Path, *, overwrite: bool) -> None:
    """Write a model into one file."""
    arrays: dict[str, Any] = {}
    content: dict[str, Any] = {"format": FORMAT, "version": __version__, "written": model.written}
    for part in ("slots", "reading_scales", "level_scales"):
        content[part] = encode(getattr(model, part), part, arrays)
    write_tensors(path, arrays, json.dumps(content, allow_nan=False), overwrite=overwrite)


def read_model(path: Path) -> Model:
    """Return the model in a file. Nothing in the file is executed.

    Raises
    ------
    InvalidArgumentError
        If there is no such file.
    DataError
        If it is no model, is damaged, was written by a later version, or does not fit in memory.
    """
    with opened(path) as file:
        content = _content(file)
        check_sizes(file, content, free_memory())
        arrays = file.arrays()
        try:
            parts = {
                name: decode(content[name], arrays, file.name)
                for name in ("slots", "reading_scales", "level_scales")
            }
        except RecursionError:
            raise unreadable(file.name, "it is nested too deeply") from None
        if arrays:
            extra = shorten(sorted(arrays), 3)
            raise unreadable(file.name, f"it holds arrays that belong nowhere ({extra})")
        check_model(parts, file.name, KEPT)
    return Model(**parts, written=content["written"][:40])


def _content(file: TensorFile) -> dict[str, Any]:
    """Return the description in a file, whose version must be known."""
    content = parse_json(file.text, file.name)
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise unreadable(file.name, "it holds no description of a model")
    if content["format"] > FORMAT:
        version = str(content.get("version"))[:20]
        raise DataError(
            f"{file.name} was written by spatrace-sc {version!r} in form {content['format']}, and "
            f"this version ({__version__}) reads forms up to {FORMAT}: "
            "`pip install --upgrade spatrace-sc`."
        )
    if set(content) != set(PARTS):
        lacking, extra = set(PARTS) - set(content), set(content) - set(PARTS)
        raise unreadable(
            file.name, f"parts are missing ({shorten(lacking, 3)}) or extra ({shorten(extra, 3)})"
        )
    form = content["slots"].get("form") if isinstance(content["slots"], dict) else None
    if not isinstance(content["written"], str) or not isinstance(form, int) or form > FORM:
        raise unreadable(file.name, "the form of its result is unknown")
    return content
