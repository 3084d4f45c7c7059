"""Published lists of ligands, receptors and TFs of an organism."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache, partial
from importlib.metadata import version
from itertools import product

import pandas as pd
from anndata import AnnData

from .._check import closest, one_of, shorten
from .._data.complexes import Subunits
from .._data.expression import has_matrix, matrix_of
from .._data.gene_names import NO_NAME, name_of, subunits_of
from .._data.missing_genes import rarely_detected
from .._errors import DataError, InvalidArgumentError
from .._keys import ROLES
from ..datasets._tf_lists import read_tfs, tf_lists
from ._resources import read_liana

logger = logging.getLogger("spatrace_sc")

#: Resource of liana with the ligands and receptors of an organism.
LIANA_RESOURCES = {"human": "consensus", "mouse": "mouseconsensus"}
#: Roles in a resource of pairs: argument → column.
PAIR_COLUMNS = {"ligands": "ligand", "receptors": "receptor"}
#: What to cite for liana's resources.
LIANA_CITATION = (
    "Dimitrov et al., Nature Cell Biology 26, 1613-1622 (2024), doi 10.1038/s41556-024-01469-w, "
    "and the databases in the resource"
)


def lists_of_organism(
    lists: dict[str, Sequence[str] | None],
    organism: str | None,
    orthologs: pd.DataFrame | None,
) -> dict[str, Callable[[], list[str]]]:
    """Return functions that read published lists, for the roles without a list of the user's.

    A list of TFs may be downloaded: names of the other roles can be compared with the data first.
    """
    lacking = [name for name, genes in lists.items() if genes is None]
    if organism is not None:
        return published_lists(organism, lacking, orthologs)
    if orthologs is not None:
        raise InvalidArgumentError(
            "`orthologs` translates published lists, and no `organism` was given. Pass "
            "`organism='human'` for human lists, or leave it out."
        )
    if lacking:
        names = [f"`{name}`" for name in lacking]
        raise InvalidArgumentError(
            f"{' and '.join(names)} {'was' if len(names) == 1 else 'were'} not given: "
            "`st.pp.gene_roles(adata, organism='mouse')` takes published lists, "
            "`st.pp.gene_roles(adata, ligands=[...], receptors=[...], tfs=[...])` your own."
        )
    return {}


def published_lists(
    organism: str, roles: Iterable[str], orthologs: pd.DataFrame | None
) -> dict[str, Callable[[], list[str]]]:
    """Return the function that reads each role's published list, by names in the data.

    Human lists are translated by ``orthologs`` where the organism has none of its own.
    """
    roles = list(roles)
    known = sorted(tf_lists())
    one_of(
        organism,
        "organism",
        known,
        ", or leave it out and pass your own lists; with `organism='human'` and `orthologs=`, "
        "human lists are translated to the genes of any organism",
    )
    names_of = None if orthologs is None else names_by_human(orthologs, organism)
    sources = {role: _source(organism, role, translated=names_of is not None) for role in roles}
    if names_of is not None and roles and "human" not in sources.values():
        raise InvalidArgumentError(
            f"`orthologs` would not be used: the lists of {' and '.join(roles)} for "
            f"`organism={organism!r}` hold genes of that organism. Leave it out, or pass "
            "`organism='human'` to translate human lists."
        )

    def read(role: str) -> list[str]:
        names = _read(sources[role], role)
        if names_of is None or sources[role] != "human":
            return names
        return translate(names, names_of, role)

    return {role: partial(read, role) for role in sources}


def _source(organism: str, role: str, *, translated: bool) -> str:
    """Return the organism whose list is read for a role: its own, or human with orthologs."""
    if role == "tfs" or organism in LIANA_RESOURCES:
        return organism
    if translated:
        return "human"
    raise InvalidArgumentError(
        f"`organism={organism!r}` has a published list of TFs, but none of {role}. Pass "
        "`orthologs=`, a table with columns source (name in your data) and target (name of the "
        "human gene), e.g. from Ensembl BioMart or HCOP; or pass your own "
        "`ligands` and `receptors`."
    )


def _read(organism: str, role: str) -> list[str]:
    """Return the published names of one role, and log once what to cite."""
    if role == "tfs":
        names, placed_by_hand = read_tfs(organism)
        entry = tf_lists()[organism]
        if placed_by_hand is None:
            _log_source("TFs", entry.title, f"{entry.citation}, doi {entry.doi}")
        else:
            _log_file_of_user(str(placed_by_hand), len(names), entry.title)
        return names
    resource = LIANA_RESOURCES[organism]
    table = read_liana(resource, "organism")
    _log_source(
        "ligands and receptors", f"{resource!r} of liana {version('liana')}", LIANA_CITATION
    )
    return sorted({str(name) for name in table[PAIR_COLUMNS[role]].dropna()})


@lru_cache
def _log_source(roles: str, title: str, citation: str) -> None:
    """Log where a list comes from, once in a session."""
    logger.info("%s: from %s. Please cite %s.", roles, title, citation)


@lru_cache
def _log_file_of_user(path: str, n_names: int, title: str) -> None:
    """Log once in a session that a list was placed by hand, so its source is not known."""
    logger.info(
        "TFs: %d names from %s. The file was found there and not downloaded: it may be %s or "
        "another list. Please cite the source of the file.",
        *(n_names, path, title),
    )


def names_by_human(orthologs: pd.DataFrame, organism: str) -> dict[str, list[str]]:
    """Return the names in the data of every human gene in a table of orthologs."""
    is_table = isinstance(orthologs, pd.DataFrame)
    columns = [str(column) for column in orthologs] if is_table else []
    if {"source", "target"} <= set(columns):
        in_data, human = "source", "target"
    elif {"human", organism} <= set(columns) and organism != "human":
        in_data, human = organism, "human"
    else:
        raise InvalidArgumentError(
            "`orthologs` must be a table with columns source (name in the data) and target (name "
            f"of the human gene), or human and the organism; found "
            f"{columns if is_table else type(orthologs).__name__}."
            f"{closest('source', columns)}"
        )
    table = orthologs[[in_data, human]].map(name_of).apply(lambda column: column.str.strip())
    table = table[~table.isin(NO_NAME).any(axis=1)].drop_duplicates()
    names: dict[str, list[str]] = {}
    for name, gene in zip(table[in_data], table[human], strict=True):
        names.setdefault(gene, []).append(name)
    return names


def translate(listed: list[str], names_of: dict[str, list[str]], role: str) -> list[str]:
    """Return a human list in the names of the data; each combination of the subunits' orthologs.

    Raises
    ------
    InvalidArgumentError
        If no gene of the list has an ortholog.
    """
    translated = [
        "_".join(parts)
        for name in listed
        for parts in product(*(names_of.get(gene, []) for gene in _subunits(name, names_of)))
    ]
    if not translated:
        raise InvalidArgumentError(
            f"`orthologs` has none of the {len(listed)} human {role} "
            f"({shorten(listed, 3)} against {shorten(names_of, 3)}). Are the columns swapped? "
            "source is the name in the data, target the symbol of the human gene."
        )
    n_names = sum(all(gene in names_of for gene in _subunits(n, names_of)) for n in listed)
    logger.info("%s: %d of %d human names have orthologs.", role, n_names, len(listed))
    return list(dict.fromkeys(translated))


def _subunits(name: str, names_of: dict[str, list[str]]) -> list[str]:
    """Return the genes of a complex; the name itself where it is a gene."""
    return [name] if name in names_of else subunits_of(name)


def leave_out_rare(
    adata: AnnData,
    flags: pd.DataFrame,
    complexes: dict[str, Subunits],
    published: Collection[str],
    layer: str | None,
) -> None:
    """Remove published genes and complexes that are rarely detected, with a message in the log.

    A complex is left out if one of its subunits is.
    """
    if not published or not has_matrix(adata, layer):
        return
    matrix, _ = matrix_of(adata, layer)
    for role in published:
        column, of_role = ROLES[role], complexes[role]
        flagged = flags[column].to_numpy()
        subunits = [gene for genes in of_role.values() for gene in genes]
        rare, n_cells = rarely_detected(matrix, flagged | adata.var_names.isin(subunits))
        names = set(adata.var_names[rare])
        rare_complexes = [name for name, genes in of_role.items() if names.intersection(genes)]
        n_rare = int((rare & flagged).sum()) + len(rare_complexes)
        if not n_rare:
            continue
        if n_rare == int(flagged.sum()) + len(of_role):
            raise DataError(
                f"all {n_rare} published `{role}` in the data are above 0 in fewer than "
                f"1 % of {n_cells} cells. Pass your own list as `{role}` to use them."
            )
        flags[column] = flagged & ~rare
        for name in rare_complexes:
            del of_role[name]
        logger.info(
            "%s: %d published ones above 0 in fewer than 1 %% of %d cells are left out.",
            *(role, n_rare, n_cells),
        )
