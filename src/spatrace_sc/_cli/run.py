"""Inference from a file to a folder: ``python -m spatrace_sc run``."""

from __future__ import annotations

import argparse
import logging
import os
import tomllib
from pathlib import Path
from typing import Any

import anndata
from anndata import AnnData

import spatrace_sc as st

from .._check import one_of
from .._data.log_normalise import log_normalise
from .._data.table import as_table
from .._errors import InvalidArgumentError
from .write import check_folder, write, write_controls

logger = logging.getLogger("spatrace_sc")

#: Lists of genes that can be given as text files.
ROLES = ("ligands", "receptors", "tfs", "targets")


def run(options: argparse.Namespace) -> None:
    """Read a file, infer, and write results, tables, figures and the report to a folder."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise InvalidArgumentError(
            "the command line runs in one process, and the environment variable WORLD_SIZE is "
            f"{os.environ['WORLD_SIZE']!r}. Start it without torchrun, or call "
            "`st.tl.infer_ccc` in a script of your own (docs/scaling.md)."
        )
    lists: dict[str, Any] = {
        role: _gene_list(path, role) for role in ROLES if (path := getattr(options, role))
    }
    config = _config(options.config)
    if options.jobs is not None and not options.controls:
        raise InvalidArgumentError("--jobs is the number of inferences of --controls: add it.")
    check_folder(options.out, options.overwrite)
    adata = _read(options.file, options.table)
    layer = options.layer
    if options.normalise:
        log_normalise(adata, layer)
        layer = None
    shared = {"sample_key": options.sample, "layer": layer}
    if lists or options.organism:
        genes: dict[str, Any] = {"organism": options.organism, "gene_symbols": options.gene_symbols}
        st.pp.gene_roles(adata, **lists, **genes, **shared)
    columns = {"cell_type_key": options.cell_type, "stage_key": options.stage}
    columns |= {"time_key": options.time, "receivers": options.receivers}
    if options.root:
        st.pp.transitions(adata, root=options.root, **columns, **shared)
    folders = {"checkpoint": options.checkpoint, "rng": options.seed, "device": options.device}
    st.tl.infer_ccc(
        adata,
        **columns,
        **shared,
        **folders,
        spatial_key=options.spatial,
        senders=options.senders,
        radius=options.radius,
        scale=options.scale,
        gene_symbols=options.gene_symbols,
        covariates=options.covariates,
        proportions=options.proportions,
        own=options.own,
        config=config,
    )
    write(adata, options)
    if options.controls:
        if options.checkpoint:
            folders["checkpoint"] = options.checkpoint / "controls"
        st.tl.controls(adata, n_jobs=1 if options.jobs is None else options.jobs, **folders)
        write_controls(adata, options.out)


def _read(file: Path, table: str | None) -> AnnData:
    """Return the data of a file, in memory."""
    if not file.exists():
        raise InvalidArgumentError(f"FILE: {str(file)!r} does not exist.")
    one_of(file.suffix, "FILE", (".h5ad", ".zarr"), f"; it is the ending of {file.name!r}")
    if table is not None and file.suffix != ".zarr":
        raise InvalidArgumentError(
            f"--table names a table of a SpatialData in a .zarr folder; FILE is {file.name!r}."
        )
    try:
        if table is not None:
            from spatialdata import read_zarr

            return as_table(read_zarr(file), table)
        return anndata.read_h5ad(file) if file.suffix == ".h5ad" else anndata.read_zarr(file)
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, st.SpatraceError):
            raise
        raise InvalidArgumentError(f"FILE: {str(file)!r} cannot be read: {error}.") from error


def _gene_list(path: Path, role: str) -> list[str]:
    """Return the genes of a text file, one per line; blank lines and lines with # are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"--{role}: {str(path)!r} cannot be read: {error}.") from error
    genes = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not genes:
        raise InvalidArgumentError(f"--{role}: {str(path)!r} lists no gene; write one per line.")
    if wrong := [gene for gene in genes if "," in gene or "\t" in gene]:
        raise InvalidArgumentError(
            f"--{role}: {str(path)!r} must have one gene per line, found {wrong[0]!r}."
        )
    return genes


def _config(path: Path | None) -> st.Config:
    """Return the configuration of a TOML file; the defaults without one."""
    if path is None:
        return st.Config()
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"--config: {str(path)!r} cannot be read: {error}.") from error
    known = st.Config().to_dict()
    for name, value in values.items():
        one_of(name, f"--config {str(path)!r}", known)
        if isinstance(known[name], dict):
            if not isinstance(value, dict):
                raise InvalidArgumentError(
                    f"--config: {name} is a section: write [{name}], then one option per line."
                )
            for option in value:
                one_of(option, f"--config {str(path)!r}, [{name}]", known[name])
            values[name] = known[name] | value
    return st.Config.from_dict(known | values)
