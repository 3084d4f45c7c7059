"""The name of the pair that an argument means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..._check import closest, shorten
from ..._edges import PAIR_SEPARATOR
from ..._errors import InvalidArgumentError


def written_name(pair: str | Sequence[str]) -> str:
    """Return ``ligand^receptor`` for a name or for the two genes."""
    return pair if isinstance(pair, str) else PAIR_SEPARATOR.join(map(str, pair))


def pair_name(pair: str | Sequence[str], available: Iterable[str], origin: str) -> str:
    """Return the available ``ligand^receptor`` that ``pair`` names.

    ``origin`` says in the message where the available pairs come from.
    """
    names = list(available)
    name = written_name(pair)
    if name in names:
        return name
    reverse = PAIR_SEPARATOR.join(reversed(name.split(PAIR_SEPARATOR)))
    hint = f" Did you mean {reverse!r}?" if reverse in names else _closest_pair(name, names)
    raise InvalidArgumentError(
        f"`pair={pair!r}` is not among the {len(names)} pairs {origin}; "
        "give 'ligand^receptor' or (ligand, receptor). "
        f"The first are {shorten(names)}.{hint}"
    )


def _closest_pair(name: str, names: list[str]) -> str:
    """Return a hint at the gene that was misspelled, or at the most similar pair."""
    genes = name.split(PAIR_SEPARATOR)
    if len(genes) == 2:
        available = [
            list(dict.fromkeys(n.split(PAIR_SEPARATOR)[side] for n in names)) for side in (0, 1)
        ]
        hints = [
            closest(gene, choices)
            for gene, choices in zip(genes, available, strict=True)
            if gene not in choices
        ]
        if any(hints):
            return "".join(hints)
    return closest(name, names)
