"""Every slot and every column, named once."""

from __future__ import annotations

SPATIAL = "spatial"
CELL_TYPE = "cell_type"
TIME = "dpt_pseudotime"
TABLE = "table"
RESULT = "spatrace"
EXPOSURE = "ligand_exposure"
TRANSITIONS = "transitions"

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
COMMUNICATION = ["sender", "receiver", "ligand", "receptor", "score", "p_value", "q_value"]
HISTORY = ["phase", "epoch", "train", "held_out"]


def communication_key(key: str) -> str:
    """``obsp`` slot of the sender → receiver matrix."""
    return f"{key}_communication"


def activity_key(key: str) -> str:
    """``obsm`` slot of the per-cell activity of pairs."""
    return f"{key}_activity"


def activity_error_key(key: str) -> str:
    """``obsm`` slot of the standard errors of the activity."""
    return f"{key}_activity_se"


def tf_activity_key(key: str) -> str:
    """``obsm`` slot of the per-cell activity of TFs."""
    return f"{key}_tf_activity"
