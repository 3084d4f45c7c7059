"""One HTML file that shows a whole result: maps, tables, networks and how it was made."""

from ._write import report

__all__ = ["report"]
