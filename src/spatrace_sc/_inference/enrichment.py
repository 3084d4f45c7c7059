"""Gene sets that are enriched among the targets of modules, by decoupler or gseapy."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd

from .. import _keys
from .._check import one_of, shorten
from .._errors import InvalidArgumentError, MissingPackageError

#: Packages, and the method of each that is used.
METHODS = {"decoupler": "ulm", "gseapy": "ora"}
#: Fewest targets of the result in a gene set that is tested.
MIN_TARGETS = 5


def usable_sets(sets: pd.DataFrame, targets: list[str]) -> pd.DataFrame:
    """Return the gene sets with enough of the targets: columns source, target[, weight].

    Raises
    ------
    InvalidArgumentError
        If the table lacks a column, or no set has enough targets.
    """
    if not isinstance(sets, pd.DataFrame) or not {"source", "target"} <= set(sets):
        finding = shorten(sets.columns) if isinstance(sets, pd.DataFrame) else type(sets).__name__
        raise InvalidArgumentError(
            f"`enrichment` must be a table with the columns 'source' and 'target', found {finding}."
        )
    columns = ["source", "target", *(["weight"] if "weight" in sets else [])]
    members = sets[columns].astype({"source": str, "target": str})
    members = members[members["target"].isin(targets)]
    members = members.drop_duplicates(["source", "target"], ignore_index=True)
    size = members["source"].map(members["source"].value_counts())
    if not (size >= MIN_TARGETS).any():
        n_genes = members["target"].nunique()
        raise InvalidArgumentError(
            f"`enrichment`: none of its {sets['source'].nunique()} sets has {MIN_TARGETS} of the "
            f"{len(targets)} targets of the result ({n_genes} of its genes are among them). The "
            f"targets are {shorten(targets)}, the genes of the table "
            f"{shorten(sets['target'].unique())}; use the same names in both."
        )
    return members[size >= MIN_TARGETS].reset_index(drop=True)


def enrichment_package(name: str | None) -> ModuleType:
    """Import the package with this name, or the first that is installed.

    Raises
    ------
    InvalidArgumentError
        If the name is unknown.
    MissingPackageError
        If it, or none of them, can be imported.
    """
    if name is not None:
        one_of(name, "enrichment_with", METHODS, " or None")
    names = list(METHODS) if name is None else [name]
    for package in names:
        try:
            return import_module(package)
        except ImportError as error:
            reason = error
    raise MissingPackageError(
        f"`enrichment` needs {' or '.join(names)}, which cannot be imported ({reason}): "
        f"`pip install {names[0]}`."
    ) from reason


def enrich(effects: pd.DataFrame, sets: pd.DataFrame, package: ModuleType) -> pd.DataFrame:
    """Return the enrichment of gene sets in modules, by module and then by q.

    ``effects`` (modules, targets) are signed, 0 where a module has no effect.
    """
    name = package.__name__
    rows = _ulm(effects, sets, package) if name == "decoupler" else _ora(effects, sets, package)
    table = rows.assign(
        method=METHODS[name],
        q_value=rows["q_value"].clip(lower=np.finfo(float).tiny),
        order=effects.index.get_indexer(pd.Index(rows["module"])),
    )
    table = table.sort_values(["order", "q_value", "source"], kind="stable", ignore_index=True)
    return table[_keys.MODULES["enrichment"]]


def _ulm(effects: pd.DataFrame, sets: pd.DataFrame, decoupler: ModuleType) -> pd.DataFrame:
    """Return the univariate linear model of the effects on all targets."""
    score, q = decoupler.mt.ulm(data=effects, net=sets, tmin=MIN_TARGETS)
    long = score.rename_axis(index="module", columns="source").stack().rename("score").reset_index()
    scored: pd.DataFrame = long.assign(q_value=q.loc[score.index, score.columns].to_numpy().ravel())
    return scored


def _ora(effects: pd.DataFrame, sets: pd.DataFrame, gseapy: ModuleType) -> pd.DataFrame:
    """Return the over-representation among targets that a module changes more than any other."""
    size = effects.abs().to_numpy()
    strongest = (size == size.max(axis=0)) & (size > 0)
    members = {source: list(genes) for source, genes in sets.groupby("source")["target"]}
    tables = []
    for module, mask in zip(effects.index, strongest, strict=True):
        genes = list(effects.columns[mask])
        if not set(genes) & set(sets["target"]):
            continue
        enriched = gseapy.enrich(
            gene_list=genes,
            gene_sets=members,
            background=list(effects.columns),
            outdir=None,
            no_plot=True,
        ).results
        tables.append(
            pd.DataFrame(
                {
                    "module": module,
                    "source": enriched["Term"].astype(str),
                    "score": enriched["Odds Ratio"].astype(float),
                    "q_value": enriched["Adjusted P-value"].astype(float),
                }
            )
        )
    empty = pd.DataFrame(columns=["module", "source", "score", "q_value"])
    return pd.concat(tables) if tables else empty
