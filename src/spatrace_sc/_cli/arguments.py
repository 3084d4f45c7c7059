"""Arguments of the command line."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .._version import __version__

RUN = """Infer which ligand–receptor pairs and TFs regulate which genes, from one file.

FILE is an .h5ad, or a .zarr folder of AnnData or (with --table) SpatialData.
X, or --layer, holds log1p of normalised counts; with --normalise it holds raw
counts. FILE is only read."""

GENES = """Published lists by organism, or text files with one gene per line. A file
replaces the published list. Without any, the flags in var are used that
st.pp.gene_roles wrote."""

EXAMPLE = """example:
  spatrace-sc run embryo.h5ad --organism mouse --normalise \\
      --sample slice --stage stage --time day --radius 50 --out results/embryo

OUT then holds result.h5ad (for AnnData and this package), tables/*.csv,
figures/*.png, report.html (open it in a browser) and parameters.json.
Messages go to standard error. Exit codes: 0 done; 2 an argument or the data
cannot be used, and the message says why; 130 interrupted."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of a command line; no subcommand stands for ``demo``."""
    alone = not arguments or (
        arguments[0].startswith("-") and arguments[0] not in {"-h", "--help", "--version"}
    )
    return _parser().parse_args(["demo", *arguments] if alone else arguments)


def _parser() -> argparse.ArgumentParser:
    name = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog="python -m spatrace_sc" if name == "__main__.py" else name,
        description="Signals that regulate genes, from spatial transcriptomics over time.",
    )
    parser.add_argument("--version", action="version", version=f"spatrace-sc {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="{run,demo}", required=True)
    run = commands.add_parser(
        "run",
        help="infer from a file",
        description=RUN,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("file", type=Path, metavar="FILE", help="data to read: .h5ad or .zarr")
    _add_genes(run)
    _add_columns(run)
    _add_space(run)
    _add_computation(run)
    _add_output(run)
    demo = commands.add_parser(
        "demo",
        help="infer from a simulated tissue and compare with its truth (without a command: this)",
        description="Simulate a tissue, infer its edges, and compare them with the truth.",
    )
    demo.add_argument(
        "--out", type=Path, default=Path("results/demo"), help="folder for the result and figures"
    )
    demo.add_argument("--seed", type=int, default=0, help="seed of the tissue and the inference")
    demo.add_argument("--cells", type=int, default=4000, help="number of cells")
    return parser


def _add_genes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "genes",
        GENES,
    )
    group.add_argument("--organism", metavar="NAME", help="human, mouse, rat, zebrafish, chicken")
    for role in ("ligands", "receptors", "tfs", "targets"):
        group.add_argument(f"--{role}", type=Path, metavar="LIST", help=f"text file: {role}")
    group.add_argument(
        "--gene-symbols", metavar="COLUMN", help="column of var with gene names, if not var_names"
    )


def _add_columns(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("columns of obs")
    group.add_argument("--cell-type", default="cell_type", metavar="COLUMN", help="[cell_type]")
    group.add_argument(
        "--sample", metavar="COLUMN", help="slice; cells of different slices are not neighbours"
    )
    group.add_argument("--stage", metavar="COLUMN", help="stage, for results by stage [--sample]")
    group.add_argument(
        "--time",
        default="dpt_pseudotime",
        metavar="COLUMN",
        help="numeric time of the receivers: stage or pseudotime [dpt_pseudotime]",
    )
    group.add_argument(
        "--root", metavar="TYPE", help="compute a pseudotime that begins in this cell type"
    )
    group.add_argument("--senders", nargs="+", metavar="TYPE", help="types that send [all]")
    group.add_argument(
        "--receivers", nargs="+", metavar="TYPE", help="types that receive [all with a time]"
    )
    group.add_argument("--covariates", nargs="+", metavar="COLUMN", help="confounders")
    group.add_argument(
        "--proportions", metavar="SLOT", help="obsm slot: proportions of cell types in mixed spots"
    )
    group.add_argument(
        "--own",
        action=argparse.BooleanOptionalAction,
        help="cells signal to themselves [with --proportions]",
    )


def _add_space(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("coordinates and expression")
    group.add_argument("--spatial", default="spatial", metavar="SLOT", help="obsm slot [spatial]")
    group.add_argument(
        "--radius",
        type=_radius,
        metavar="R",
        help="reach of signals in units of the coordinates, or a platform such as visium or xenium "
        "[5 × the distance between nearest cells]",
    )
    group.add_argument("--scale", type=float, metavar="UM", help="µm per unit of the coordinates")
    group.add_argument("--table", metavar="NAME", help="table of a SpatialData")
    group.add_argument("--layer", metavar="NAME", help="layer to read instead of X")
    group.add_argument(
        "--normalise",
        action="store_true",
        help="X (or --layer) holds raw counts: store them in layers['counts'], then normalise "
        "each cell to 10,000 and take log1p, with scanpy",
    )


def _add_computation(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("computation")
    group.add_argument(
        "--config", type=Path, metavar="TOML", help="options of st.Config, by section"
    )
    group.add_argument("--seed", type=int, default=0, help="seed of all random draws [0]")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:1 [auto]")
    group.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="store every refit; the same command continues there after an interruption",
    )
    group.add_argument(
        "--controls",
        action="store_true",
        help="estimate false discovery rate and power on this tissue; ten times as long",
    )
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="parallel inferences of --controls; -1: all cores [1]",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to write")
    group.add_argument(
        "--overwrite", action="store_true", help="replace the files of an earlier run in FOLDER"
    )
    group.add_argument("--quiet", action="store_true", help="warnings and errors only, no progress")


def _radius(text: str) -> float | str:
    """Return a number if the text is one, otherwise the name of a platform."""
    try:
        return float(text)
    except ValueError:
        return text
