"""Checks of a stored model before it is restored.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from .._model.network.checkpoint import check_parameters
from .._result import Result
from .._result.damage import damaged, inference_call, require_transitions, whole
from .._result.model_checks import require_scales


def require_whole_model(result: Result) -> None:
    """Raise DataError unless the network, the transitions and the scales fit the genes."""
    genes, stored, call = result.genes, result.restoration, inference_call(result.key)
    sizes = (genes.n_tfs, genes.n_receptors, genes.n_ligands, 2 * genes.n_tfs)
    parameters = result.model["network"]
    finding = whole(
        *(result.key, "model", call),
        lambda: check_parameters(dict(parameters), result.config.model, sizes),
    )
    if finding:
        raise damaged(result.key, f"model: {finding}", call)
    matrices = () if stored is None else (stored.backward, stored.state)
    for matrix in matrices:
        if stored is not None and matrix is not None:
            require_transitions(matrix, len(stored.held_out), result.key)
    require_scales(result)
