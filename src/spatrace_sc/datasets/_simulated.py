"""Simulated tissue with known signals."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

from .._check import RandomSource, seed_of
from ._annotated import SimulatedTissue, assemble, draw_names
from ._arguments import check_arguments
from ._counts import draw_counts
from ._expression import express
from ._layout import domain_layout, given_layout
from ._removal import active_genes, check_knockout
from ._wiring import random_wiring

#: Every part of the simulation has a random stream of its own, so that one does not shift another.
STREAMS = (
    *("layout", "wiring", "trends", "time", "ligand", "receptor"),
    *("kinetics", "background", "counts", "order", "removal"),
)
#: Arguments that are not stored with the parameters of the simulation.
NO_PARAMETERS = {"rng", "seed", "layout", "receivers", "knockout"}


def simulated(
    rng: RandomSource | None = None,
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
    seed: int | None = None,
) -> AnnData:
    """Simulate a developing tissue in which ligands change genes, with known truth.

    The tissue is built so that correlation fails. Targets respond to the *product* of a cell's own
    ligand exposure and its own receptor, through saturation and with delay. TFs form chains and
    are driven by signals. A share of ligands and receptors copies the type, stage and location of
    acting ones but does nothing.

    The steps, in order:

    1. *Layout*: cells lie on a jittered grid, 10 units apart. Domains with different mixtures of
       types drift between stages. With ``layout``, its cells are used instead.
    2. *Ligands*: sender j expresses ligand l at ``log a[j, l] = type + course_l(stage) + 0.7 *
       field_l(x_j) + 0.4 * xi``, xi standard normal. Receivers express 2 % of it.
    3. *Exposure*: receiver i is exposed to ``E[i, l] = sum over j of exp(-d(i, j) / (1.6 s)) *
       a[j, l]`` over the other cells of its slice, s the median distance between nearest cells.
    4. *Receptors*: they depend on type and location, a course over time and a fluctuation of the
       cell.
    5. *Kinetics*: each receiver integrates its TFs and targets from latent time 0 to its own
       (``spatrace_sc/datasets/_kinetics.py`` states the equations).
    6. *Counts*: they are negative binomial at the cell's depth. ``n_background`` genes without a
       role take about 70 % of it.

    Parameters
    ----------
    rng
        Seed, or a :class:`numpy.random.Generator` that draws one. None: 0. The same seed and
        arguments give the same data.
    n_cells
        Total number of cells (senders and receivers) over all slices.
    n_stages, n_slices
        Number of stages, and of slices (replicates) of each stage. A slice is a sample.
    n_ligands, n_receptors, n_pairs
        Genes of each role, and number of ligand–receptor pairs that act.
    n_tfs, n_targets, n_background
        Genes of each role.
    n_sender_types, n_receiver_types
        Cell types of each kind.
    receiver_fraction
        Share of cells that are receivers.
    decoy_fraction
        Share of the ligands, and of the receptors, that are decoys: they act in no pair and copy
        the profile of one that does.
    decoy_likeness
        Correlation of a decoy's spatial field, and of a decoy receptor's fluctuation, with those
        of the gene it copies.
    signal_strength
        Factor for every effect of a signal. 0: ligands do nothing (a null tissue).
    noise
        Strength of the kinetic noise.
    depth
        Median counts per cell.
    dispersion
        Size parameter of the negative binomial: the variance is ``mean + mean² / dispersion``.
    dropout
        Share of counts set to zero, at random.
    layout
        Cells of a real tissue: columns ``x``, ``y``, ``cell_type``, ``sample``, ``stage`` and,
        optionally, ``stage_time`` (numeric). Without it, the time is the order of ``stage``: by
        category if it is categorical, else by first appearance. ``layout`` replaces the arguments
        from ``n_cells`` to ``n_slices`` and the type counts.
    receivers
        With ``layout``: cell types that receive. None: the most frequent types that together hold
        ``receiver_fraction`` of the cells.
    knockout
        Ligands, receptors or TFs to remove. A ligand is then expressed in no cell; a receptor or TF
        has level 0 at all times. Everything else equals the tissue with the same arguments: layout,
        network, names, half-saturations and all random numbers, including those of the counts. So
        the difference between the two tissues is the effect of the removal. ``uns["truth"]`` is the
        intact network.
    seed
        Former name of ``rng``.

    Returns
    -------
    AnnData, cells × genes in random order, with

    - ``X`` log1p of counts per 10 000; ``layers["counts"]``.
    - ``obs``: ``cell_type``, ``sample``, ``stage`` (ordered), ``stage_time``, ``latent_time``
      (truth; NaN in senders), ``dpt_pseudotime`` (a stand-in for an estimated pseudotime: latent
      time with noise of standard deviation 0.03, rescaled to 0–1; NaN in senders).
    - ``var``: ``ligand``, ``receptor``, ``tf``, ``target`` as :func:`spatrace_sc.pp.gene_roles`
      writes them, and ``decoy``.
    - ``obsm["spatial"]``; ``obsm["true_signal"]`` (table, cells × pairs named
      ``ligand^receptor``, 0–1, NaN in senders).
    - ``uns["truth"]``: tables ``tf_targets``, ``lr_targets`` (``kind`` is ``direct`` or
      ``indirect``: through TFs), ``lr_tfs``, ``tf_tfs``, ``lr_pairs``, with sign and strength.
    - ``uns["simulation"]``: the arguments.

    Raises
    ------
    InvalidArgumentError
        An argument cannot be used; the message names it.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(rng=0, n_cells=600)
    >>> adata.uns["truth"]["lr_pairs"].shape
    (12, 2)
    """
    parameters = {k: v for k, v in locals().items() if k not in NO_PARAMETERS}
    check_arguments(parameters)
    drawn = seed_of(rng, seed)
    parameters = {"seed": drawn} | parameters
    streams = _streams(drawn)
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
        else given_layout(layout, receivers, receiver_fraction)
    )
    roles = ("ligand", "receptor", "tf", "target", "background")
    numbers = (n_ligands, n_receptors, n_tfs, n_targets, n_background)
    sizes = dict(zip(roles, numbers, strict=True))
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
    names = draw_names(streams["order"], sizes)
    removed = check_knockout(knockout, names)
    simulate = partial(
        express,
        cells=cells,
        wiring=wiring,
        noise=noise,
        likeness=decoy_likeness,
        n_background=n_background,
    )
    level, time, signal = simulate(streams, active=active_genes(names))
    changed = None
    if removed:
        parameters["knockout"] = np.array(removed, dtype=object)
        changed, _, signal = simulate(_streams(drawn), active=active_genes(names, removed))
        changed[:, level.shape[1] - n_background :] = level[:, level.shape[1] - n_background :]
    counts = draw_counts(
        streams["counts"],
        level,
        depth=depth,
        dispersion=dispersion,
        dropout=dropout,
        changed=changed,
        extra=streams["removal"],
    )
    tissue = SimulatedTissue(cells, counts, wiring, sizes, time, signal)
    return assemble(streams["order"], tissue, parameters, names)


def _streams(seed: int) -> dict[str, np.random.Generator]:
    return dict(zip(STREAMS, np.random.default_rng(seed).spawn(len(STREAMS)), strict=True))
