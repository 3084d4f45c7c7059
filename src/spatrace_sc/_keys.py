"""Names of all slots and columns."""

from __future__ import annotations

import re

SPATIAL = "spatial"
#: Coordinates of slices in one unit.
SCALED = "spatial_scaled"
#: Suffix and columns of the table in ``uns`` with the scale factors.
SCALE = "_scale"
SCALE_COLUMNS = ["factor", "distance"]
CELL_TYPE = "cell_type"
TIME = "dpt_pseudotime"
TABLE = "table"
COUNTS = "counts"
SAMPLE = "sample"
REGION = "region"
GATHERED = "gathered"
#: Slot of ``uns`` in which a table of a SpatialData names the elements it annotates.
ATTRS = "spatialdata_attrs"
STAGE = "stage"
STAGE_TIME = "stage_time"
ATLAS = "atlas"
CITATION = "citation"
RESULT = "spatrace"
#: Slot of ``uns`` with the arguments of :func:`spatrace_sc.pp.gene_roles`.
GENE_ROLES = "gene_roles"
#: Key in that slot of the complexes.
COMPLEXES = "complexes"
EXPOSURE = "ligand_exposure"
TRANSITIONS = "transitions"
#: Sorted values of the pseudotime computed for transitions, by which it is recognised.
PSEUDOTIME = "pseudotime"
#: Table of how far paths reach back in time, stored with the transitions.
REACH = "reach"
REACH_COLUMNS = ["steps", "cells", "time_back"]

#: Form of checkpoints; it changes when a checkpoint of before cannot be continued.
CHECKPOINT_FORM = "1"
#: Edges with at most this q are significant.
MAX_SIGNIFICANT_Q = 0.1

#: Columns of ``adata.var`` that flag a role.
ROLES = {"ligands": "ligand", "receptors": "receptor", "tfs": "tf", "targets": "target"}

# Columns of the tables.
#: Reliability of a row. These columns come last, because pandas hides middle columns of wide
#: tables.
EVIDENCE = ["q_value", "stability", "evidence"]
#: Levels of evidence, weakest first.
EVIDENCE_LEVELS = ["none", "co-variation", "noise unknown", "ranked", "group", "supported"]
#: Values of the column ``limited_by``. The stored result holds their indices, so new ones come
#: last; the first stands for a significant edge.
LIMITS = [
    *("", "no effect", "noise not known", "list too short", "weaker than decoys"),
    *("below the minimum effect", "too many candidates", "a rival explains it", "not recorded"),
    *("location explains it", "not tested (same gene)"),
]
#: Values of the column ``direction`` of TF edges.
DIRECTIONS = ["forward", "reverse as likely", "not determined"]
#: Effects of a TF within and between groups of cells, and which of them an edge rests on.
EFFECT_PARTS = [
    *("effect_within", "effect_within_se", "effect_between", "effect_between_se", "rests_on"),
]
#: Strength of a confounder that would explain an edge, and of the strongest measured covariate.
ROBUSTNESS = ["robustness", "benchmark"]
#: Levels of ``rests_on``; the stored result holds their indices.
RESTS_ON = ["neither", "within", "between", "both"]
TF_TARGETS = [
    "tf",
    "target",
    "effect",
    "score",
    "p_value",
    "effect_se",
    "minimum_effect",
    *ROBUSTNESS,
    *EFFECT_PARTS,
    "group",
    *("lead", "lead_se", "direction"),
    "limited_by",
    *EVIDENCE,
]
LR_TARGETS = [
    *("ligand", "receptor", "target", "effect", "score", "p_value", "effect_se", "group_q_value"),
    *("mediated", "direct_share", "through", "group", "route", "limited_by", *EVIDENCE),
]
LR_PAIRS = [
    "ligand",
    "receptor",
    "score",
    "p_value",
    "score_se",
    "group_q_value",
    "group",
    "limited_by",
    *EVIDENCE,
]
LR_TFS = ["ligand", "receptor", "tf", "effect", "score", "q_value"]
CASCADES = [
    *("ligand", "receptor", "tf", "target", "effect", "score"),
    *("pair_on_tf", "tf_on_target", "q_value", "direct_effect", "direct_share"),
]
COMMUNICATION = [
    *("sender", "receiver", "ligand", "receptor", "score", "p_value", "q_value"),
    *("score_se", "n_slices", "slices_above", "type_p_value", "pair_q_value"),
]
MODULES = {
    "lr_pairs": ["module", "ligand", "receptor", "weight", "score", "main"],
    "targets": ["module", "target", "effect", "score", "n_pairs", "agreement"],
    "stages": ["module", "stage", "score", "score_se", "n_cells", "n_slices"],
    "summary": ["module", "ligand", "receptor", "target", "n_pairs", "score", "share"],
    "stability": ["rank", "stability", "shuffled", "smallest", "chosen"],
    "enrichment": ["module", "source", "score", "q_value", "method"],
}
COMPARISON = [
    *("group", "reference", "effect", "effect_se", "effect_reference", "effect_reference_se"),
    *("difference", "se", "p_value", "q_value", "change", "unit"),
]
KNOCKOUT = ["target", "change", "se", "direct", "mediated", "log_change", "agreement"]
#: Columns of partial residuals: of means in bins, and of the line through all cells.
BINNED = ["signal", "residual", "residual_se", "n_cells"]
FITTED_LINE = ["slope", "slope_se", "r2"]
PARTIAL_RESIDUALS = [
    *("regulator", "target", "against", "role", "stage", "sample", "bin"),
    *(*BINNED, *FITTED_LINE),
]
#: Columns of ranges of ligands, and of the likelihood at every radius.
RANGES = ["ligand", "n_edges", "radius", "low", "high", "determined"]
RANGE_PROFILE = ["ligand", "radius", "log_likelihood", "preferred"]
#: Columns of how well a model that was applied to other cells predicts their targets.
PREDICTION = ["target", "r2", "r2_covariates", "n_cells"]
HISTORY = ["phase", "epoch", "train", "held_out"]
#: Exports.
DECOUPLER = ["source", "target", "weight"]
LIANA = ["source", "target", "ligand_complex", "receptor_complex", "score", "q_value", "p_value"]


def communication_key(key: str, pair: str = "") -> str:
    """``obsp`` slot of the sender → receiver matrix, of all pairs or of one ``pair``."""
    return f"{key}_communication" + (f"_{plain(pair.replace('^', '--'))}" if pair else "")


def plain(name: str) -> str:
    """Return a name that is a valid slot in every format.

    Every character other than a letter, digit, underscore, dot or hyphen becomes a hyphen.
    """
    return re.sub(r"[^A-Za-z0-9_.-]", "-", name)


def activity_key(key: str) -> str:
    """``obsm`` slot of the per-cell activity of pairs."""
    return f"{key}_activity"


def activity_error_key(key: str) -> str:
    """``obsm`` slot of the standard errors of the activity."""
    return f"{key}_activity_se"


def tf_activity_key(key: str) -> str:
    """``obsm`` slot of the per-cell activity of TFs."""
    return f"{key}_tf_activity"


def modules_key(key: str) -> str:
    """``obsm`` slot of the per-cell scores of modules."""
    return f"{key}_modules"


def knockout_key(key: str, slug: str) -> str:
    """``obs`` and ``obsm`` slot of the change per cell after a knockout."""
    return f"{key}_knockout_{slug}"


def outdated(key: str) -> tuple[str, ...]:
    """Prefixes of slots in ``obs``, ``obsm`` and ``obsp`` that a new result makes outdated."""
    return communication_key(key) + "_", modules_key(key), knockout_key(key, "")
