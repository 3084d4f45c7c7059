"""Which cells send to which, by cell type and by cell, from the activity of pairs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import false_discovery_control
from tqdm.auto import tqdm

from .. import _keys
from .._core.communication import (
    PermutationTest,
    cell_matrix,
    permutation_test,
    permute_labels,
    permute_positions,
    square_blocks,
)
from .._core.type_sums import Scene
from .._regulators import Regulators
from .._study.records import Cells

logger = logging.getLogger("spatrace_sc")

#: Side of the squares within which labels are permuted, in radii.
BLOCK_SIDE_IN_RADII = 2.0
#: (receivers, L) exposure → (receivers, P) activity.
ActivityAtExposure = Callable[[NDArray[np.float32]], NDArray[np.float32]]
#: Positions of receivers in the file → activity at an exposure of these receivers.
ActivityOfReceivers = Callable[[NDArray[np.intp]], ActivityAtExposure]


@dataclass(frozen=True)
class CommunicationInput:
    """The data behind :func:`communication_tables`.

    ``cells`` and the names of the ``stages`` in order of time; ``pairs`` table ligand,
    receptor (names), p_value, q_value; ``activity`` (receivers, P); ``ligand`` (P,) column of each
    pair's ligand in ``sender_ligand`` (senders, L), which is linear; ``weights`` (receivers,
    senders). ``rows`` (cells,) are the positions of the cells in the file. ``receptor`` (P,) column
    of each pair's receptor in ``receiver_receptor`` (receivers, R), linear; None unless cells are
    mixed spots.
    """

    cells: Cells
    stages: list[str]
    pairs: pd.DataFrame
    activity: NDArray[np.float32]
    ligand: NDArray[np.int64]
    sender_ligand: NDArray[np.float32]
    weights: sparse.csr_matrix
    rows: NDArray[np.intp]
    receptor: NDArray[np.int64]
    receiver_receptor: NDArray[np.float32] | None = None

    @property
    def sender_rows(self) -> NDArray[np.intp]:
        """(senders,) positions in the file."""
        return self.rows[self.cells.senders]

    @property
    def receiver_rows(self) -> NDArray[np.intp]:
        """(receivers,) positions in the file."""
        return self.rows[self.cells.receivers]

    @property
    def stage(self) -> NDArray[np.intp]:
        """(receivers,) index into ``stages``."""
        names = pd.Index(self.cells.stage[self.cells.receivers])
        return pd.Index(self.stages).get_indexer(names)


def communication_input(
    cells: Cells,
    stages: list[str],
    genes: Regulators,
    *,
    pairs: pd.DataFrame,
    activity: NDArray[np.float32],
    sender_ligand: NDArray[np.float32],
    weights: sparse.csr_matrix,
    rows: NDArray[np.intp] | None = None,
    receiver_receptor: NDArray[np.float32] | None = None,
) -> CommunicationInput:
    """Return the input of :func:`communication_tables`, genes of the pairs looked up by name.

    Without ``rows`` cells are in the order of the file.
    """
    return CommunicationInput(
        *(cells, stages, pairs, activity),
        ligand=genes.index("ligands", pairs["ligand"]),
        sender_ligand=sender_ligand,
        weights=weights,
        rows=np.arange(len(cells.sample)) if rows is None else rows,
        receptor=genes.index("receptors", pairs["receptor"]),
        receiver_receptor=None if cells.mixture is None else receiver_receptor,
    )


def communication_tables(
    data: CommunicationInput,
    *,
    block_size: float,
    n_permutations: int,
    rng: np.random.Generator,
    progress: bool,
    moved_activity: ActivityOfReceivers | None = None,
) -> dict[str, pd.DataFrame]:
    """Return tables of sender type × receiver type × pair, of all stages together and by stage.

    Labels, or proportions in mixed spots, are permuted or, with ``moved_activity``, the positions
    of senders.
    """
    cells = data.cells
    senders, receivers = (cells.mixture_of(mask) for mask in (cells.senders, cells.receivers))
    replicates = np.stack([cells.sample[cells.receivers], data.stage], axis=1)
    units, unit = np.unique(replicates, axis=0, return_inverse=True)
    sender_block, receiver_block = _blocks(data, block_size)
    scene = Scene(
        weights=data.weights,
        expression=data.sender_ligand,
        activity=data.activity,
        pair_ligand=data.ligand,
        sender_types=senders.values.astype(np.float32),
        receiver_types=receivers.values.astype(np.float32),
        sender_block=sender_block,
        receiver_block=receiver_block,
        unit=unit.reshape(-1),
        unit_stage=units[:, 1],
        pair_receptor=data.receptor,
        receptor=data.receiver_receptor,
    )
    _log_blocks(scene, block_size)
    if moved_activity is None:
        name, draws = "permuting labels", permute_labels(scene, n_permutations, rng)
    else:
        # receivers of one group side by side, so that no draw has to sort them
        order = np.argsort(scene.group, kind="stable")
        name, scene = "permuting positions", scene.of_receivers(order)
        activity = moved_activity(data.receiver_rows[order])
        draws = permute_positions(scene, n_permutations, rng, activity)
    with tqdm(total=n_permutations, desc=name, disable=not progress, leave=False) as bar:
        test = permutation_test(scene, draws, tick=lambda: bar.update())
    rows = _rows(data, test, senders.names, receivers.names)
    together = rows["stage"] == ""
    by_stage = _with_significance(rows[~together])
    return {
        "communication": _with_significance(rows[together])[_keys.COMMUNICATION],
        "communication_by_stage": by_stage[["stage", *_keys.COMMUNICATION]],
    }


def cells_matrix(
    data: CommunicationInput, pairs: NDArray[np.integer] | None = None
) -> sparse.csr_matrix:
    """(senders, receivers) signal of the given pairs together, of all where None."""
    index = np.arange(len(data.pairs)) if pairs is None else pairs
    by_ligand = np.zeros((len(data.activity), data.sender_ligand.shape[1]), dtype=np.float32)
    np.add.at(by_ligand.T, data.ligand[index], data.activity.T[index])
    exposure = np.asarray(data.weights @ data.sender_ligand)
    return cell_matrix(data.weights, data.sender_ligand, by_ligand, exposure)


def _blocks(
    data: CommunicationInput, side: float
) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Codes of the squares of senders, and of receivers by square and stage."""
    cells, senders, receivers = data.cells, data.cells.senders, data.cells.receivers
    coords = np.vstack([cells.coords[senders], cells.coords[receivers]])
    sample = np.concatenate([cells.sample[senders], cells.sample[receivers]])
    block = square_blocks(coords, sample, side)
    n_senders = int(senders.sum())
    by_stage = np.stack([block[n_senders:], data.stage])
    receiver_block = np.unique(by_stage, axis=1, return_inverse=True)[1].reshape(-1)
    return block[:n_senders], receiver_block


def _log_blocks(scene: Scene, side: float) -> None:
    """Log the number of squares and the share of senders in single-type squares."""
    code = np.unique(scene.sender_types, axis=0, return_inverse=True)[1].ravel()
    n_types = pd.Series(code).groupby(scene.sender_block).transform("nunique")
    alone = 100 * float((n_types == 1).mean()) if len(n_types) else 0.0
    logger.info(
        "Communication: labels or positions are permuted within %d squares of side %.4g; %.0f %% "
        "of senders are in single-type squares, where type and location are confounded.",
        *(len(np.unique(scene.sender_block)), side, alone),
    )


def _rows(
    data: CommunicationInput,
    test: PermutationTest,
    senders: NDArray[np.str_],
    receivers: NDArray[np.str_],
) -> pd.DataFrame:
    """Return a row for every stage ("" for all), sender type, receiver type and pair."""
    stage, sender, receiver, pair = np.indices(test.score.shape).reshape(4, -1)
    pairs = data.pairs.iloc[pair].reset_index(drop=True)
    return pd.DataFrame(
        {
            "stage": np.array(["", *data.stages], dtype=object)[stage],
            "sender": senders.astype(object)[sender],
            "receiver": receivers.astype(object)[receiver],
            "ligand": pairs["ligand"].to_numpy(dtype=object),
            "receptor": pairs["receptor"].to_numpy(dtype=object),
            "score": test.score.ravel(),
            "score_se": test.se.ravel(),
            "n_slices": test.n_units.ravel(),
            "slices_above": test.above.ravel(),
            "type_p_value": test.p_value.ravel(),
            "pair_p_value": pairs["p_value"].to_numpy(dtype=float),
            "pair_q_value": pairs["q_value"].to_numpy(dtype=float),
        }
    )


def _with_significance(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows, strongest first, with p and q of "the pair acts between these types".

    Both are the larger of the pair's and the types'. The q of the types is adjusted by Benjamini
    and Hochberg among the rows of significant pairs.
    """
    rows = rows.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    q_types = np.ones(len(rows))
    significant = (rows["pair_q_value"] <= _keys.MAX_SIGNIFICANT_Q).to_numpy()
    q_types[significant] = false_discovery_control(rows["type_p_value"].to_numpy()[significant])
    return rows.assign(
        p_value=np.maximum(rows["type_p_value"], rows["pair_p_value"]),
        q_value=np.maximum(q_types, rows["pair_q_value"]),
    )
