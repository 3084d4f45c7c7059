"""Tools: verbs that infer, each writing one result."""

from ._infer_ccc import infer_ccc

__all__ = ["infer_ccc"]
