"""Every slot and every column, named once."""

from __future__ import annotations

import re

SPATIAL = "spatial"
CELL_TYPE = "cell_type"
TIME = "dpt_pseudotime"
TABLE = "table"
COUNTS = "counts"
SAMPLE = "sample"
REGION = "region"
GATHERED = "gathered"
#: Where a table of a SpatialData says what it annotates.
ATTRS = "spatialdata_attrs"
STAGE = "stage"
STAGE_TIME = "stage_time"
ATLAS = "atlas"
CITATION = "citation"
RESULT = "spatrace"
EXPOSURE = "ligand_exposure"
TRANSITIONS = "transitions"

#: Edges with at most this q are supported.
SUPPORTED = 0.1

#: Columns of ``adata.var`` that flag a role.
ROLES = {"ligands": "ligand", "receptors": "receptor", "tfs": "tf", "targets": "target"}

# Columns of the tables.
EVIDENCE = ["score", "p_value", "q_value", "stability"]
ROUTE = ["mediated", "direct_share", "route", "through"]
TF_TARGETS = ["tf", "target", "effect", *EVIDENCE, "effect_se", "minimum_effect", "group"]
LR_TARGETS = ["ligand", "receptor", "target", "effect", *EVIDENCE, "effect_se", "group", "group_q_value", *ROUTE]
LR_PAIRS = ["ligand", "receptor", *EVIDENCE, "score_se", "group", "group_q_value"]
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
    "pairs": ["module", "ligand", "receptor", "weight", "score", "main"],
    "targets": ["module", "target", "effect", "score", "n_pairs", "agreement"],
    "stages": ["module", "stage", "score", "score_se", "n_cells", "n_slices"],
    "summary": ["module", "ligand", "receptor", "target", "n_pairs", "score", "share"],
    "stability": ["rank", "stability", "shuffled", "smallest", "chosen"],
    "enrichment": ["module", "source", "score", "q_value", "method"],
}
#: Columns that name what is compared between groups, by kind: responses and, of the last two, levels.
COMPARED = {
    "tf_targets": ["tf", "target"],
    "lr_targets": ["ligand", "receptor", "target"],
    "tfs": ["tf"],
    "lr_pairs": ["ligand", "receptor"],
    "tf_activity": ["tf"],
    "pair_activity": ["ligand", "receptor"],
}
COMPARISON = [
    *("group", "reference", "effect", "effect_se", "effect_reference", "effect_reference_se"),
    *("difference", "se", "p_value", "q_value", "change", "unit"),
]
KNOCKOUT = ["target", "change", "se", "direct", "mediated", "log_change", "agreement"]
HISTORY = ["phase", "epoch", "train", "held_out"]
#: Exports.
DECOUPLER = ["source", "target", "weight"]
LIANA = ["source", "target", "ligand_complex", "receptor_complex", "score", "q_value", "p_value"]


def communication_key(key: str, pair: str = "") -> str:
    """``obsp`` slot of the sender → receiver matrix, of all pairs or of one named ``ligand^receptor``."""
    return f"{key}_communication" + (f"_{plain(pair.replace('^', '--'))}" if pair else "")


def plain(name: str) -> str:
    """A name that every format takes as a slot: what is not a letter, digit, underscore, dot or hyphen becomes a hyphen."""
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
    """How slots of ``obs``, ``obsm`` and ``obsp`` begin that verbs derive from a result and that a new result makes void."""
    return communication_key(key) + "_", modules_key(key), knockout_key(key, "")
