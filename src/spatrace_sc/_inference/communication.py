"""Who talks to whom, by cell type and by cell, from the activity of pairs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from tqdm.auto import tqdm

from .. import _keys
from .._core.communication import (
    Scene,
    Tested,
    cell_matrix,
    exchanged_labels,
    exchanged_positions,
    judge_types,
    square_blocks,
)
from .._core.statistics import benjamini_hochberg

logger = logging.getLogger("spatrace_sc")

#: Side of the blocks within which labels are exchanged, in radii.
BLOCK_RADII = 2.0


@dataclass(frozen=True)
class Talk:
    """What :func:`talk` needs to know of the data.

    ``pairs`` table ligand, receptor (names), p_value, q_value; ``activity`` (receivers, P); ``ligand`` (P,) column of each pair's ligand in ``sender_ligand`` (senders, L), which is linear; ``weights`` (receivers, senders);
    ``sender_type``, ``receiver_type`` names; ``sender_sample``, ``receiver_sample`` and ``stage`` codes, ``stages`` their names; ``sender_coords``, ``receiver_coords``.
    """

    pairs: pd.DataFrame
    activity: NDArray[np.float32]
    ligand: NDArray[np.intp]
    sender_ligand: NDArray[np.float32]
    weights: sparse.csr_matrix
    sender_type: NDArray[np.str_]
    receiver_type: NDArray[np.str_]
    sender_sample: NDArray[np.integer]
    receiver_sample: NDArray[np.integer]
    stage: NDArray[np.integer]
    stages: list[str]
    sender_coords: NDArray[np.float64]
    receiver_coords: NDArray[np.float64]


def talk(
    what: Talk,
    *,
    block_size: float,
    n_permutations: int,
    rng: np.random.Generator,
    progress: bool,
    moved: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
) -> dict[str, pd.DataFrame]:
    """Tables sender type × receiver type × pair, all stages together and by stage. Labels are exchanged, or, with ``moved`` (exposure → activity), positions."""
    sender_names, sender_code = np.unique(what.sender_type, return_inverse=True)
    receiver_names, receiver_code = np.unique(what.receiver_type, return_inverse=True)
    units, unit = np.unique(
        np.stack([what.receiver_sample, what.stage], axis=1), axis=0, return_inverse=True
    )
    place = np.vstack([what.sender_coords, what.receiver_coords])
    block = square_blocks(
        place, np.concatenate([what.sender_sample, what.receiver_sample]), block_size
    )
    n_sender = len(sender_code)
    scene = Scene(
        weights=what.weights,
        expression=what.sender_ligand,
        activity=what.activity,
        pair_ligand=what.ligand,
        sender_type=sender_code,
        receiver_type=receiver_code,
        sender_block=block[:n_sender],
        receiver_block=np.unique(
            np.stack([block[n_sender:], what.stage]), axis=1, return_inverse=True
        )[1].reshape(-1),
        unit=unit.reshape(-1),
        unit_stage=units[:, 1],
    )
    _report_blocks(scene, block_size)
    draws = (
        exchanged_labels(scene, n_permutations, rng)
        if moved is None
        else exchanged_positions(scene, n_permutations, rng, moved)
    )
    name = "exchanging labels" if moved is None else "exchanging positions"
    with tqdm(total=n_permutations, desc=name, disable=not progress, leave=False) as bar:
        found = judge_types(scene, draws, tick=lambda: bar.update())
    frame = _frame(what, found, sender_names, receiver_names)
    out = {}
    for table, part in (
        ("communication", frame[frame["stage"] == ""]),
        ("communication_by_stage", frame[frame["stage"] != ""]),
    ):
        part = part.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)
        out[table] = _judged(part)[["stage", *_keys.COMMUNICATION]]
    out["communication"] = out["communication"].drop(columns="stage")
    return out


def cells_matrix(what: Talk, chosen: NDArray[np.integer] | None = None) -> sparse.csr_matrix:
    """(senders, receivers) signal of the chosen pairs together, of all where None."""
    pairs = np.arange(len(what.pairs)) if chosen is None else chosen
    by_ligand = np.zeros((len(what.activity), what.sender_ligand.shape[1]), dtype=np.float32)
    np.add.at(by_ligand.T, what.ligand[pairs], what.activity.T[pairs])
    exposure = np.asarray(what.weights @ what.sender_ligand)
    return cell_matrix(what.weights, what.sender_ligand, by_ligand, exposure)


def _report_blocks(scene: Scene, side: float) -> None:
    kinds = pd.Series(scene.sender_type).groupby(scene.sender_block).transform("nunique").to_numpy()
    logger.info(
        "Communication: labels or positions are exchanged within %d squares of side %.4g; %.0f %% of senders stand in one with a single type, where nothing can be told from the place.",
        len(np.unique(scene.sender_block)),
        side,
        100 * float((kinds == 1).mean()) if len(kinds) else 0.0,
    )


def _frame(
    what: Talk, found: Tested, senders: NDArray[np.str_], receivers: NDArray[np.str_]
) -> pd.DataFrame:
    """Every stage ("" for all), sender type, receiver type and pair as a row."""
    grid = np.indices(found.score.shape).reshape(4, -1)
    stage, sender, receiver, pair = grid
    pairs = what.pairs.iloc[pair].reset_index(drop=True)
    return pd.DataFrame(
        {
            "stage": np.array(["", *what.stages], dtype=object)[stage],
            "sender": senders.astype(object)[sender],
            "receiver": receivers.astype(object)[receiver],
            "ligand": pairs["ligand"].to_numpy(dtype=object),
            "receptor": pairs["receptor"].to_numpy(dtype=object),
            "score": found.score.ravel(),
            "score_se": found.se.ravel(),
            "n_slices": found.n_units.ravel(),
            "slices_above": found.above.ravel(),
            "type_p_value": found.p_value.ravel(),
            "pair_p_value": pairs["p_value"].to_numpy(dtype=float),
            "pair_q_value": pairs["q_value"].to_numpy(dtype=float),
        }
    )


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """With p and q of "the pair acts, and these types have it": the larger of the two p, and of the two q, where q of the types is Benjamini–Hochberg among the rows of supported pairs."""
    of_types = np.ones(len(table))
    supported = (table["pair_q_value"] <= _keys.SUPPORTED).to_numpy()
    of_types[supported] = benjamini_hochberg(table["type_p_value"].to_numpy()[supported])
    return table.assign(
        p_value=np.maximum(table["type_p_value"], table["pair_p_value"]),
        q_value=np.maximum(of_types, table["pair_q_value"]),
    )
