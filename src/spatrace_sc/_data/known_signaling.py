"""Genes that are known to signal, from another package, which is imported lazily."""

from __future__ import annotations

import logging
from functools import cache
from importlib import import_module

from .gene_names import NO_NAME, name_of, subunits_of

logger = logging.getLogger("spatrace_sc")

#: Resources of liana that are read, as far as the installed version has them.
RESOURCES = ("consensus", "mouseconsensus")


@cache
def listed_by_liana() -> frozenset[str]:
    """Return the ligands and receptors of liana's consensus of databases, in upper case.

    Complexes are split into their subunits. Upper case makes the names serve human and mouse
    genes alike. The set is empty if liana is not installed, and the log says so.
    """
    try:
        liana = import_module("liana")
    except ImportError as error:
        logger.info(
            "Genes known to signal are not read from liana, which cannot be imported (%s).", error
        )
        return frozenset()
    available = set(map(str, liana.rs.show_resources()))
    names: set[str] = set()
    for resource in RESOURCES:
        if resource in available:
            table = liana.rs.select_resource(resource)
            names |= {name_of(name) for column in ("ligand", "receptor") for name in table[column]}
    subunits = {part.upper() for name in names - NO_NAME for part in subunits_of(name)}
    logger.info("Genes known to signal: %d ligands and receptors listed by liana.", len(subunits))
    return frozenset(subunits)
