"""Attention of targets to TFs and pairs, averaged over cells, stages and cell types.

This module imports torch: import it when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

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
    groups, members = _groups(study, silenced.effect.size, max_edges)
    share = mean_attention(silenced, members.to(silenced.networks[0][1].targets.device))
    return Attention(groups, share, silenced.effect.astype(np.float32)).to_slots()


def attention_of_pairs(study: Study, tokens: PairTokens | None, max_edges: int) -> dict[str, Any]:
    """Return the same as :func:`attention_of_regulators`, with the ``pairs`` that are tokens."""
    if tokens is None:
        return {}
    groups, members = _groups(study, tokens.effect.size, max_edges)
    if tokens.network is not None:
        members = members.to(tokens.network[1].levels.device)
    share = attention_to_pairs(tokens, members)
    return Attention(groups, share, tokens.effect, tokens.pairs).to_slots()


def _groups(study: Study, n_shares: int, max_edges: int) -> tuple[pd.DataFrame, torch.Tensor]:
    """Return a table of groups of receivers, and (groups, receivers) who belongs to each."""
    groups = [("all", "", np.ones(len(study.time), dtype=bool))]
    stages = np.array(study.stages, dtype=object)[study.stage].astype(str)
    for kind, names in (("stage", stages), ("cell_type", study.receiver_types)):
        groups += [(kind, name, names == name) for name in np.unique(names)]
    groups = [group for group in groups if group[2].sum() >= MIN_CELLS]
    if len(groups) * n_shares > max_edges:
        groups = groups[:1]
    table = pd.DataFrame(
        {
            "kind": [kind for kind, *_ in groups],
            "name": [str(name) for _, name, _ in groups],
            "n_cells": [int(member.sum()) for *_, member in groups],
        }
    )
    return table, torch.as_tensor(np.stack([member for *_, member in groups]))
