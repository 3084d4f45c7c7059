"""Simulated tissue with known signals."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

from .._core.exposure import ligand_exposure, nearest_neighbour_distance, neighbour_weights
from .._errors import InvalidArgumentError
from . import _kinetics
from ._annotated import _assemble, draw_names
from ._arguments import check_arguments
from ._layout import domain_layout
from ._removal import Left, check_knockout, what_is_left
from ._wiring import Wiring, random_wiring


def simulated(
    seed: int = 0,
    *,
    n_cells: int = 4000,
    n_stages: int = 3,
    n_slices: int = 1,
    n_ligands: int = 12,
    n_receptors: int = 12,
    n_pairs: int = 12,
    n_tfs: int = 12,
    n_targets: int = 60,
    n_background: int = 120,
    n_sender_types: int = 3,
    n_receiver_types: int = 2,
    receiver_fraction: float = 0.6,
    decoy_fraction: float = 0.25,
    decoy_likeness: float = 0.8,
    signal_strength: float = 1.0,
    noise: float = 0.2,
    depth: float = 1000.0,
    dispersion: float = 8.0,
    dropout: float = 0.0,
    layout: pd.DataFrame | None = None,
    receivers: list[str] | None = None,
    knockout: str | list[str] | None = None,
) -> AnnData:
    r"""Simulate a developing tissue in which ligands change genes, with the truth beside it.

    Built so that correlation fails: targets answer to the *product* of a cell's own ligand exposure and its own receptor, through saturation and with delay, TFs
    form chains and are driven by signals, and a share of ligands and receptors copies the type, stage and place of acting ones but does nothing.

    The equations, in order:

    1. *Layout*: cells on a jittered grid, 10 units apart; domains with different mixtures of types drift between stages (or ``layout``).
    2. *Ligands* of sender *j*: :math:`\log a_{jl} = type + course_l(stage) + 0.7\,field_l(x_j) + 0.4\,\xi`; receivers express 2 % of it.
    3. *Exposure* of receiver *i*: :math:`E_{il} = \sum_{j \neq i} e^{-d_{ij} / (1.6\,s)} a_{jl}` within its slice, *s* the median distance between nearest cells.
    4. *Receptors*: type, place, a course over time and a fluctuation of the cell's own.
    5. *Kinetics*: each receiver integrates its own TFs and targets from latent time 0 to its own (``spatrace_sc/datasets/_kinetics.py`` states the equations).
    6. *Counts*: negative binomial at the cell's depth. ``n_background`` genes without a role take about 70 % of it.

    Parameters
    ----------
    seed
        Same seed and arguments, same data.
    n_cells
        All cells, senders and receivers, over all slices.
    n_stages, n_slices
        Stages, and slices (replicates) of each stage. A slice is a sample.
    n_ligands, n_receptors, n_pairs
        Genes of each role, and how many ligand–receptor pairs act.
    n_tfs, n_targets, n_background
        Genes of each role.
    n_sender_types, n_receiver_types
        Cell types of each kind.
    receiver_fraction
        Share of cells that are receivers.
    decoy_fraction
        Share of the ligands, and of the receptors, that act in no pair and copy the profile of one that does.
    decoy_likeness
        Correlation of a decoy's spatial field, and of a decoy receptor's fluctuation, with those of the gene it copies.
    signal_strength
        Multiplies every effect of a signal. 0 gives a tissue in which ligands do nothing (a null).
    noise
        Strength of the kinetic noise.
    depth
        Median counts per cell.
    dispersion
        Size parameter of the negative binomial: variance :math:`\mu + \mu^2 / dispersion`.
    dropout
        Share of counts set to zero, at random.
    layout
        Cells of a real tissue: columns ``x``, ``y``, ``cell_type``, ``sample``, ``stage`` and, optionally, ``stage_time`` (numeric; otherwise the order of ``stage``,
        by category if it is categorical and by first appearance if not). Replaces the arguments from ``n_cells`` to ``n_slices`` and the type counts.
    receivers
        With ``layout``: its cell types that receive. Default: types, from the most frequent, until they hold ``receiver_fraction`` of the cells.
    knockout
        Ligands, receptors or TFs to remove: a ligand is expressed in no cell, a receptor or TF has level 0 at all times. Everything else is that of the tissue with the same arguments: layout, network,
        names, half-saturations and every random number, also those of the counts, so that the difference between the two is the effect of the removal. ``uns["truth"]`` is the intact network.

    Returns
    -------
    AnnData, cells × genes in random order, with

    - ``X`` log1p of counts per 10 000; ``layers["counts"]``.
    - ``obs``: ``cell_type``, ``sample``, ``stage`` (ordered), ``stage_time``, ``latent_time`` (truth; NaN in senders), ``dpt_pseudotime`` (a stand-in for an estimated pseudotime:
      latent time with noise of sd 0.03, rescaled to 0–1; NaN in senders).
    - ``var``: ``ligand``, ``receptor``, ``tf``, ``target`` as :func:`spatrace_sc.pp.gene_roles` writes them, and ``decoy``.
    - ``obsm["spatial"]``; ``obsm["true_signal"]`` (table, cells × pairs named ``ligand^receptor``, 0–1, NaN in senders).
    - ``uns["truth"]``: tables ``tf_targets``, ``lr_targets`` (``kind`` is ``direct`` or ``indirect``: through TFs), ``lr_tfs``, ``tf_tfs``, ``lr_pairs``, with sign and strength.
    - ``uns["simulation"]``: the arguments.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(seed=0, n_cells=600)
    >>> adata.uns["truth"]["lr_pairs"].shape
    (12, 2)
    """
    parameters = {k: v for k, v in locals().items() if k not in {"layout", "receivers", "knockout"}}
    check_arguments(parameters)
    streams = _streams(seed)
    cells = (
        domain_layout(
            streams["layout"],
            n_cells=n_cells,
            n_stages=n_stages,
            n_slices=n_slices,
            n_sender_types=n_sender_types,
            n_receiver_types=n_receiver_types,
            receiver_fraction=receiver_fraction,
        )
        if layout is None
        else _given_layout(layout, receivers, receiver_fraction)
    )
    wiring = random_wiring(
        streams["wiring"],
        n_ligands=n_ligands,
        n_receptors=n_receptors,
        n_pairs=n_pairs,
        n_tfs=n_tfs,
        n_targets=n_targets,
        decoy_fraction=decoy_fraction,
        signal_strength=signal_strength,
    )
    sizes = {
        "ligand": n_ligands,
        "receptor": n_receptors,
        "tf": n_tfs,
        "target": n_targets,
        "background": n_background,
    }
    names = draw_names(streams["order"], sizes)
    removed = check_knockout(knockout, names)
    express = partial(
        _express,
        cells=cells,
        wiring=wiring,
        noise=noise,
        likeness=decoy_likeness,
        n_background=n_background,
    )
    level, time, signal = express(streams, left=what_is_left(names))
    changed = None
    if removed:
        parameters["knockout"] = np.array(removed, dtype=object)
        changed, _, signal = express(_streams(seed), left=what_is_left(names, removed))
        changed[:, level.shape[1] - n_background :] = level[:, level.shape[1] - n_background :]
    counts = _kinetics.draw_counts(
        streams["counts"],
        level,
        depth=depth,
        dispersion=dispersion,
        dropout=dropout,
        changed=changed,
        extra=streams["removal"],
    )
    return _assemble(
        streams["order"], cells, counts, wiring, sizes, time, signal, parameters, names
    )


#: Every part of the tissue has random numbers of its own.
STREAMS = (
    *("layout", "wiring", "trends", "time", "ligand", "receptor"),
    *("kinetics", "background", "counts", "order", "removal"),
)


def _streams(seed: int) -> dict[str, np.random.Generator]:
    return dict(zip(STREAMS, np.random.default_rng(seed).spawn(len(STREAMS)), strict=True))


def _given_layout(
    layout: pd.DataFrame, receivers: list[str] | None, receiver_fraction: float
) -> pd.DataFrame:
    missing = [c for c in ("x", "y", "cell_type", "sample", "stage") if c not in layout]
    if missing:
        raise InvalidArgumentError(
            f"`layout` lacks the columns {missing}; it has {list(layout.columns)}."
        )
    cells = layout.reset_index(drop=True).copy()
    if "stage_time" not in cells:
        stage = cells["stage"]
        order = (
            list(stage.cat.categories)
            if isinstance(stage.dtype, pd.CategoricalDtype)
            else list(stage.unique())
        )
        cells["stage_time"] = stage.map({s: k + 1.0 for k, s in enumerate(order)}).astype(float)
    kinds = cells["cell_type"].astype(str)
    frequent = kinds.value_counts(normalize=True)
    if receivers is None:
        receivers = list(frequent.index[: int((frequent.cumsum() < receiver_fraction).sum()) + 1])
    unknown = sorted(set(receivers) - set(frequent.index))
    if unknown:
        raise InvalidArgumentError(
            f"`receivers` names {unknown}, which are not in `layout`; its types are {sorted(frequent.index)}."
        )
    cells["is_receiver"] = kinds.isin(receivers)
    if cells["is_receiver"].all() or not cells["is_receiver"].any():
        raise InvalidArgumentError(
            "`layout` needs cells of both kinds: some types that receive and some that only send."
        )
    for column in ("cell_type", "sample", "stage"):
        cells[column] = cells[column].astype(str)
    return cells


def _express(
    streams: dict[str, np.random.Generator],
    cells: pd.DataFrame,
    wiring: Wiring,
    *,
    noise: float,
    likeness: float,
    n_background: int,
    left: Left,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linear expression (cells × all genes in role order), latent time, and the true signal."""
    receiver = cells["is_receiver"].to_numpy()
    xy = cells[["x", "y"]].to_numpy(dtype=np.float64)
    sample = pd.factorize(cells["sample"])[0]
    spacing = nearest_neighbour_distance(xy, sample)
    spread = _kinetics.SPREAD * spacing
    trends = _kinetics.draw_trends(streams["trends"], wiring)
    time = _kinetics.latent_time(streams["time"], cells, spacing)
    ligand = _kinetics.ligand_expression(
        streams["ligand"], cells, wiring, trends, spacing, likeness
    )
    weights = neighbour_weights(
        xy, sample, receiver, ~receiver, radius=5 * spread, kernel=lambda d: np.exp(-d / spread)
    )
    base = _kinetics.receptor_base(streams["receptor"], cells, wiring, spacing, likeness)
    state = _kinetics.integrate(
        streams["kinetics"],
        wiring=wiring,
        trends=trends,
        exposure=ligand_exposure(weights, np.log1p(ligand))[receiver].astype(np.float64),
        receptor=base[receiver],
        time=time[receiver],
        lineage=pd.factorize(cells["cell_type"][receiver])[0],
        noise=noise,
        likeness=likeness,
        left=left,
    )
    n = len(cells)
    quiet = streams["background"]
    tf, target = (0.05 * quiet.random((n, m)) for m in wiring.tf_target.shape)
    receptor = np.exp(base)
    tf[receiver], target[receiver], receptor[receiver] = state.tf, state.target, state.receptor
    signal = np.full((n, len(wiring.pairs)), np.nan, dtype=np.float32)
    signal[receiver] = state.signal
    modelled = np.hstack(
        [0.3 * ligand * left.ligand, 0.15 * receptor * left.receptor, 0.5 * tf * left.tf, target]
    )
    kind = pd.factorize(cells["cell_type"])[0]
    mean = np.exp(
        quiet.normal(0, 1.0, n_background) + 0.3 * quiet.normal(size=(kind.max() + 1, n_background))
    )
    background = mean[kind] * np.exp(0.2 * quiet.normal(size=(n, n_background)))
    if n_background:
        background *= 7 / 3 * modelled.sum(1).mean() / background.sum(1).mean()
    return np.hstack([modelled, background]), time, signal
