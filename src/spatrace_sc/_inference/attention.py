"""Attention of targets to TFs and pairs, averaged over cells, stages and cell types.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from .._model.evidence.pair_tokens import PairTokens, attention_to_pairs
from .._model.evidence.silencing import SilencingEffects, mean_attention
from .._result import Attention
from .._study.records import Study

#: Stages and cell types with fewer receivers get no attention of their own.
MIN_CELLS = 10


def attention_of_regulators(
    study: Study, silenced: SilencingEffects, max_edges: int
) -> dict[str, Any]:
    """Return ``groups`` of receivers, and ``share`` (groups, TFs, targets) of attention.

    The first group holds all receivers. Stages and cell types follow, unless there are more than
    ``max_edges`` shares. ``effect`` (TFs, targets) are the signed effects of silencing, 0 where
    they were not needed. Empty without a trained network.
    """
    if not silenced.networks:
        return {}
    groups, rows = _groups(study, silenced.effect.size, max_edges)
    device = silenced.networks[0][1].targets.device
    share = [mean_attention(silenced, torch.as_tensor(cells, device=device)) for cells in rows]
    return Attention(groups, np.stack(share), silenced.effect.astype(np.float32)).to_slots()


def attention_of_pairs(study: Study, tokens: PairTokens | None, max_edges: int) -> dict[str, Any]:
    """Return the same as :func:`attention_of_regulators`, with the ``pairs`` that are tokens."""
    if tokens is None:
        return {}
    groups, rows = _groups(study, tokens.effect.size, max_edges)
    members = torch.zeros((len(rows), len(study.time)), dtype=torch.bool)
    for group, cells in enumerate(rows):
        members[group, torch.as_tensor(cells)] = True
    if tokens.network is not None:
        members = members.to(tokens.network[1].levels.device)
    share = attention_to_pairs(tokens, members)
    return Attention(groups, share, tokens.effect, tokens.pairs).to_slots()


def _groups(
    study: Study, n_shares: int, max_edges: int
) -> tuple[pd.DataFrame, list[NDArray[np.intp]]]:
    """Return a table of groups of receivers, and the receivers of each."""
    groups = [("all", "", np.arange(len(study.time)))]
    stages = np.array(study.stages, dtype=object)[study.stage].astype(str)
    for kind, names in (("stage", stages), ("cell_type", study.receiver_types)):
        groups += [(kind, name, np.flatnonzero(names == name)) for name in np.unique(names)]
    groups = [group for group in groups if len(group[2]) >= MIN_CELLS]
    if len(groups) * n_shares > max_edges:
        groups = groups[:1]
    table = pd.DataFrame(
        {
            "kind": [kind for kind, *_ in groups],
            "name": [str(name) for _, name, _ in groups],
            "n_cells": [len(rows) for *_, rows in groups],
        }
    )
    return table, [rows for *_, rows in groups]
