"""The worlds by name, each a function of the seed.

A world is an AnnData with log-normalised ``X``, positions, cell types, a pseudotime and flagged
roles. ``uns["truth"]`` has the tables of ``st.datasets.simulated``, ``uns["arguments"]`` the
arguments of ``st.tl.infer_ccc``.
"""

from __future__ import annotations

from collections.abc import Callable

from anndata import AnnData
from benchmarks.worlds import tissues_agents as mechanistic
from benchmarks.worlds import tissues_atlas as atlas
from benchmarks.worlds import tissues_boolean as networks
from benchmarks.worlds import tissues_foreign as foreign
from benchmarks.worlds import tissues_reference as reference
from benchmarks.worlds import tissues_sergio as sergio
from benchmarks.worlds import tissues_upstream as upstream

WORLDS: dict[str, Callable[[int], AnnData]] = {
    "sergio_ds4": foreign.sergio_ds4,
    "sergio_ds4_clean": foreign.sergio_ds4_clean,
    "beeline_gsd": foreign.beeline_gsd,
    "beeline_gsd_1type": foreign.beeline_gsd_1type,
    "sergio_like": sergio.sergio_like,
    "sergio_like_poisson": sergio.sergio_like_poisson,
    "sergio_like_clean": sergio.sergio_like_clean,
    "sergio_differentiation": sergio.sergio_differentiation,
    "sergio_differentiation_clean": sergio.sergio_differentiation_clean,
    "boolean": networks.boolean,
    "boolean_clean": networks.boolean_clean,
    "agents": mechanistic.agents,
    "agents_deep": mechanistic.agents_deep,
    "reference_log1p": reference.reference_log1p,
    "reference_cp10k": reference.reference_cp10k,
    "reference_poisson": reference.reference_poisson,
    "reference_b65": reference.reference_b65,
    "reference_b84": reference.reference_b84,
    "embryo_somite": atlas.embryo_somite,
    "embryo_blood": atlas.embryo_blood,
    "heart": atlas.heart,
}
#: Worlds for the direction of edges only, which run if they are named.
UPSTREAM_WORLDS: dict[str, Callable[[int], AnnData]] = {
    "agents_upstream": upstream.agents_upstream,
    "differentiation_upstream": upstream.differentiation_upstream,
    "agents_tfs": upstream.agents_tfs,
    "simulated": upstream.simulated,
    "simulated_tfs": upstream.simulated_tfs,
    "simulated_upstream": upstream.simulated_upstream,
}
