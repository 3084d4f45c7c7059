"""Lists of gene names as users write them: blanks, versions of Ensembl ids, complexes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._check import MAX_QUOTED, shorten
from .._errors import DataError, InvalidArgumentError

logger = logging.getLogger("spatrace_sc")

#: Missing names as text.
NO_NAME = {"", "nan", "None", "<NA>"}
#: An Ensembl id with a version; AC012345.1, which is a symbol, is none.
VERSIONED = re.compile(r"(ENS[A-Z]*\d{6,})\.\d+")
#: The same with or without a version.
ENSEMBL = re.compile(r"ENS[A-Z]*\d{6,}(\.\d+)?")
#: What precedes and what separates the subunits of a complex. Only some genes have an underscore.
COMPLEX_PREFIX = re.compile(r"complex:", re.IGNORECASE)
SEPARATORS = re.compile(r"[_&+]")


def listed_names(names: object, argument: str) -> list[str]:
    """Return a list of genes as text: each name once, without blanks around it.

    Any collection will do, the keys of a dictionary or a single name too; missing values are left
    out. The log counts what was changed.

    Raises
    ------
    InvalidArgumentError
        If the argument is not a list of names, but for example a table or a mask.
    DataError
        If the list has no name.
    """
    values = _values(names, argument)
    texts = [name_of(value) for value in values]
    stripped = [text.strip() for text in texts]
    listed = list(dict.fromkeys(name for name in stripped if name not in NO_NAME))
    n_missing = sum(name in NO_NAME for name in stripped)
    if not listed:
        finding = f"has {len(values)} entries, all missing or blank" if values else "is empty"
        raise DataError(f"`{argument}` {finding}; name at least one gene, as in `adata.var_names`.")
    n_blank = sum(a != b for a, b in zip(texts, stripped, strict=True))
    if n_blank:
        logger.info("%s: blanks around %d names were removed.", argument, n_blank)
    if n_missing:
        logger.info("%s: %d missing or blank entries were left out.", argument, n_missing)
    return listed


def name_of(value: Any) -> str:
    """Return the name of a gene as text; "" for a missing value, "5" for the numbers 5 and 5.0."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if is_whole else value)


def _values(names: object, argument: str) -> list[object]:
    """Return the entries of a list of genes, each a single value that may be a name."""
    if isinstance(names, np.ndarray) and names.ndim == 0:
        names = names.item()
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        names = [names]
    wrong = type(names).__name__ if isinstance(names, pd.DataFrame) else ""
    values = sorted(names, key=str) if isinstance(names, Set) else list(names)
    if any(isinstance(value, bool | np.bool_) for value in values):
        raise InvalidArgumentError(
            f"`{argument}` holds truth values; pass names, e.g. `adata.var_names[mask]`."
        )
    nested = [value for value in values if not pd.api.types.is_scalar(value)]
    if wrong or nested:
        raise InvalidArgumentError(
            f"`{argument}` must be a list of gene names, found "
            f"{wrong or repr(nested[0])[:MAX_QUOTED]}."
            + (" Pass one of its columns." if wrong else "")
        )
    return values


def find_genes(
    wanted: Iterable[str], available: Iterable[str] | NDArray[np.str_], argument: str
) -> dict[str, str]:
    """Return the name in the data of every wanted name that is there.

    Names are equal as they are or, where that is unambiguous, without blanks around them and
    without the version of an Ensembl id; such matches are logged.
    """
    names = set(map(str, available))
    matched = {name: name for name in wanted if name in names}
    others = [name for name in wanted if name not in names]
    if not others:
        return matched
    by_stable: dict[str, set[str]] = {}
    for name in names:
        by_stable.setdefault(stable_id(name), set()).add(name)
    candidates = {name: by_stable.get(stable_id(name), set()) for name in others}
    similar = {name: next(iter(c)) for name, c in candidates.items() if len(c) == 1}
    if similar:
        first = next(iter(similar))
        logger.info(
            "%s: %d names match the data but for the version of an Ensembl id or blanks, e.g. %r "
            "is %r there.",
            *(argument, len(similar), first, similar[first]),
        )
    ambiguous = {name: sorted(c) for name, c in candidates.items() if len(c) > 1}
    if ambiguous:
        first = next(iter(ambiguous))
        logger.warning(
            "%s: %d names match several versions in the data and are left out, e.g. %r: %s.",
            *(argument, len(ambiguous), first, shorten(ambiguous[first], 3)),
        )
    return matched | similar


def stable_id(name: str) -> str:
    """Return a name without blanks around it and without the version of an Ensembl id."""
    name = name.strip()
    match = VERSIONED.fullmatch(name)
    return match[1] if match else name


def subunits_of(name: str) -> list[str]:
    """Return the parts of a name such as "A_B", "A&B", "A+B" or "complex:A_B"."""
    parts = SEPARATORS.split(COMPLEX_PREFIX.sub("", name.strip(), count=1))
    return [part.strip() for part in parts if part.strip()] or [name]


def looks_like_complex(name: str, names: Set[str]) -> bool:
    """Return whether a name that is not a gene means several; ``names`` are those of the data."""
    parts = subunits_of(name)
    if COMPLEX_PREFIX.match(name):
        return True
    return len(parts) > 1 and bool(re.search("[&+]", name) or any(p in names for p in parts))


def complex_hint(missing: Iterable[str], available: Sequence[str] | NDArray[np.str_]) -> str:
    """Return ``" n names look like complexes: ..."`` or ``""``."""
    names = {str(name) for name in available}
    underscores_are_usual = any("_" in name for name in names)
    complexes = {name: [part in names for part in subunits_of(name)] for name in sorted(missing)}
    looking_so = {
        name: present
        for name, present in complexes.items()
        if looks_like_complex(name, names)
        or (len(present) > 1 and not underscores_are_usual and _all_begin_with_a_letter(name))
    }
    if not looking_so:
        return ""
    n_all = sum(all(present) for present in looking_so.values())
    n_some = sum(any(present) for present in looking_so.values()) - n_all
    return (
        f" {len(looking_so)} names look like complexes ({shorten(looking_so, 2)}). Name their "
        f"subunits, which are genes of their own: {n_all} of these complexes have all subunits in "
        f"the data, {n_some} some."
    )


def hint_at_ensembl(wanted: Iterable[str], available: Iterable[str]) -> str:
    """Return a hint if either the list or the data hold Ensembl ids, else ``""``."""
    n_wanted, n_available = (sum(map(bool, map(ENSEMBL.fullmatch, n))) for n in (wanted, available))
    if bool(n_wanted) == bool(n_available):
        return ""
    ids, others = ("list", "data") if n_wanted else ("data", "list")
    return (
        f" The {ids} has Ensembl ids, the {others} has other names: bring them to one kind, or "
        "name the column of `adata.var` with the other kind as `gene_symbols`."
    )


def _all_begin_with_a_letter(name: str) -> bool:
    """Return whether every part of a name could be the symbol of a gene."""
    return all(part[0].isalpha() for part in subunits_of(name))
