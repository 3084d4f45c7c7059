"""What the targets of modules have in common, by packages that do this well."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import numpy as np
import pandas as pd

from .. import _keys
from .._check import one_of, shorten
from .._errors import InvalidArgumentError, MissingPackageError

#: Packages and what each computes here.
METHODS = {"decoupler": "ulm", "gseapy": "ora"}
#: A set with fewer targets among those of the study is left out.
FEWEST = 5


def usable_sets(sets: pd.DataFrame, targets: list[str]) -> pd.DataFrame:
    """Columns ``source, target`` and, if there is one, ``weight``, of the sets that have enough of the targets."""
    lacking = [
        c for c in ("source", "target") if not isinstance(sets, pd.DataFrame) or c not in sets
    ]
    if lacking:
        found = shorten(sets.columns) if isinstance(sets, pd.DataFrame) else type(sets).__name__
        raise InvalidArgumentError(
            f"`enrichment` must be a table with the columns 'source' and 'target', found {found}."
        )
    kept = sets[["source", "target", *(["weight"] if "weight" in sets else [])]].astype(
        {"source": str, "target": str}
    )
    kept = kept[kept["target"].isin(targets)].drop_duplicates(
        ["source", "target"], ignore_index=True
    )
    size = kept["source"].map(kept["source"].value_counts())
    if not (size >= FEWEST).any():
        raise InvalidArgumentError(
            f"`enrichment`: none of its {sets['source'].nunique()} sets has {FEWEST} of the {len(targets)} targets of the result ({kept['target'].nunique()} of its genes are among them). "
            f"The targets are {shorten(targets)}, the genes of the table {shorten(sets['target'].unique())}; names must be written alike."
        )
    return kept[size >= FEWEST].reset_index(drop=True)


def enrichment_package(wanted: str | None) -> ModuleType:
    """The package named, or the first that is installed."""
    if wanted is not None:
        one_of(wanted, "enrichment_with", METHODS, " or None")
    names = list(METHODS) if wanted is None else [wanted]
    for name in names:
        try:
            return import_module(name)
        except ImportError as error:
            reason = error
    raise MissingPackageError(
        f"`enrichment` needs {' or '.join(names)}, which cannot be imported ({reason}): `pip install {names[0]}`."
    ) from reason


def enrich(effects: pd.DataFrame, sets: pd.DataFrame, package: ModuleType) -> pd.DataFrame:
    """Table of modules × sets from signed effects, modules × targets (0: none)."""
    name = package.__name__
    rows = _ulm(effects, sets, package) if name == "decoupler" else _ora(effects, sets, package)
    table = rows.assign(
        method=METHODS[name], q_value=rows["q_value"].clip(lower=np.finfo(float).tiny)
    )
    order = {module: k for k, module in enumerate(effects.index)}
    table = table.assign(order=table["module"].map(order))
    return table.sort_values(["order", "q_value", "source"], kind="stable", ignore_index=True)[
        _keys.MODULES["enrichment"]
    ]


def _ulm(effects: pd.DataFrame, sets: pd.DataFrame, decoupler: ModuleType) -> pd.DataFrame:
    score, q = decoupler.mt.ulm(data=effects, net=sets, tmin=FEWEST)
    long = score.rename_axis(index="module", columns="source").stack().rename("score").reset_index()
    scored: pd.DataFrame = long.assign(q_value=q.loc[score.index, score.columns].to_numpy().ravel())
    return scored


def _ora(effects: pd.DataFrame, sets: pd.DataFrame, gseapy: ModuleType) -> pd.DataFrame:
    """Of the targets that a module changes more than any other module does."""
    size = effects.abs()
    strongest = (size.to_numpy() == size.max(axis=0).to_numpy()) & (size.to_numpy() > 0)
    named = {source: list(genes) for source, genes in sets.groupby("source")["target"]}
    rows = []
    for module, chosen in zip(effects.index, strongest, strict=True):
        genes = list(effects.columns[chosen])
        if not set(genes) & set(sets["target"]):
            continue
        found = gseapy.enrich(
            gene_list=genes,
            gene_sets=named,
            background=list(effects.columns),
            outdir=None,
            no_plot=True,
        ).results
        rows.append(
            pd.DataFrame(
                {
                    "module": module,
                    "source": found["Term"].astype(str),
                    "score": found["Odds Ratio"].astype(float),
                    "q_value": found["Adjusted P-value"].astype(float),
                }
            )
        )
    return (
        pd.concat(rows) if rows else pd.DataFrame(columns=["module", "source", "score", "q_value"])
    )
