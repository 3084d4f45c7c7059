"""Infer which pairs and transcription factors regulate which targets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from .. import _keys
from .._check import RandomSource, flag, seed_of
from .._data.cell_types import proportions_name
from .._data.complexes import check_level
from .._data.covariates import covariate_names
from .._data.notices import hint_at_symbols, log_limits, review_columns, warn_if_none_significant
from .._data.table import as_table, check_copy
from .._errors import InvalidArgumentError
from .._result import check_key, write_result
from .._settings import resolve_device
from .._study.prior_penalties import Prior
from .._study.read import read_study
from .._study.source import Source

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._model.config import Config


def infer_ccc(
    data: AnnData | SpatialData,
    *,
    ligands: Sequence[str] | None = None,
    receptors: Sequence[str] | None = None,
    tfs: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    cell_type_key: str = _keys.CELL_TYPE,
    sample_key: str | None = None,
    stage_key: str | None = None,
    time_key: str = _keys.TIME,
    spatial_key: str = _keys.SPATIAL,
    layer: str | None = None,
    senders: Sequence[str] | None = None,
    receivers: Sequence[str] | None = None,
    radius: float | str | None = None,
    scale: float | None = None,
    transitions_key: str | None = None,
    gene_symbols: str | None = None,
    homophilic: bool = False,
    complex_level: str = "minimum",
    covariates: Sequence[str] | None = None,
    proportions: str | None = None,
    own: bool | None = None,
    prior: Prior | None = None,
    config: Config | None = None,
    rng: RandomSource | None = None,
    seed: int | None = None,
    device: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    table_key: str = _keys.TABLE,
    key_added: str = _keys.RESULT,
    copy: bool = False,
) -> AnnData | None:
    """Infer the ligand–receptor pairs and transcription factors that regulate each target.

    All TFs and all ligand × receptor pairs compete to explain the expression of each target in
    each receiving cell. They are read from the cell's past and from its surroundings::

        y[i, g]  ~ sum_f  W[f, g]  * (1 + gate_f(z_i))  * x[i, f]
                 + sum_lr W[lr, g] * (1 + gate_lr(z_i)) * s[i, lr]
                 + sum_c  B[c, g]  * c_i
        s[i, lr] = h(sum_k a[i, k] * E_l[i, k]  *  sum_k b[i, k] * R_r[i, k])

    - ``x`` is the level of a TF. It enters twice: at earlier steps of the cell's path, and in
      the cell itself, with the count noise filtered out.
    - ``s`` is the signal of a pair: ligand exposure ``E`` times receptor expression ``R``,
      passed through the saturating function ``h``. ``a`` and ``b`` weigh the steps ``k`` of the
      path. A causal transformer learns the attention ``a``, and that of the TFs; ``b`` is fixed.
    - ``gate`` is a small modulation by the context ``z_i``. Covariates ``c``: type, slice and time.
    - ``W`` is sparse and signed: the change of the target, in its standard deviations, when the
      regulator rises by one of its own. ``x``, ``s`` and ``c`` are standardised.

    The expression of a target in a cell is never used to predict it there. ``docs/method.md``
    derives the model.

    An effect is an association that remains after competition with all measured regulators. It is
    not proof of cause: an unmeasured regulator can act through a measured one.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``.
    ligands, receptors, tfs, targets
        Genes of each role. None: the flags that :func:`spatrace_sc.pp.gene_roles` wrote to ``var``;
        without a flag for targets, at most 300 of the most variable genes. All ligand × receptor
        pairs are candidates, except those of a gene with itself (``homophilic``). A ligand or
        receptor ``"A_B"`` that is not itself a gene is a complex: one regulator, with one level.
    cell_type_key
        Column of ``obs`` with cell types; of spots, a region or cluster. Not with ``proportions``.
    sample_key
        Column of ``obs`` with the slice. Cells of different slices are never neighbours. None:
        all cells are in one slice.
    stage_key
        Column of ``obs`` with the developmental stage, for results by stage. None: the slices
        are the stages.
    time_key
        Numeric column of ``obs`` with the pseudotime or the real stage of the receivers. It may
        be NaN in cells that only send.
    spatial_key
        Slot of ``obsm`` with coordinates.
    layer
        Layer with log1p-normalised expression. None: ``X``. Counts are scaled by size factors from
        genes without a role (``docs/method/exposure.md``; logged). A gene that is NaN in every cell
        of a slice counts as not measured there. Its values there are then means over cells of the
        same type in the other slices, with a warning.
    senders, receivers
        Cell types that send and that receive, one or several; 2 and "2" are the same type. None:
        all types send; all types with time receive.
    radius
        Largest distance that a signal travels, in the units of the coordinates, or in µm with
        ``scale``. A platform stands for a distance in µm (logged): ``"visium"`` 200; 50 for
        ``"visium_hd"``, ``"xenium"``, ``"merfish"``, ``"cosmx"``, ``"slideseq"`` and
        ``"stereoseq"``. None: 5 × the median distance between nearest cells.
    scale
        Size of one unit of the coordinates in µm, e.g. of a pixel. None: ``radius`` is in their
        units; with a platform, µm after ``pp.scale_positions``; else see ``docs/platforms.md``.
    transitions_key
        Slot of ``obsp`` with transition probabilities; rows are the earlier cells. None: forward
        nearest neighbours along time, as :func:`spatrace_sc.pp.transitions` computes them.
    gene_symbols
        Column of ``var`` with the names by which you give genes and results show them, e.g.
        ``"symbol"`` if ``var_names`` are Ensembl ids. None: ``var_names``. A gene without a
        symbol keeps its name; genes that share a symbol show both names.
    homophilic
        Whether a gene that is both a ligand and a receptor may pair with itself. By default such a
        pair is not a candidate: the expression of a gene in a cell and in its neighbours is similar
        for many reasons. True: for genes that do bind themselves, such as cadherins. Complexes with
        a subunit in common count as one gene.
    complex_level
        ``"minimum"``: the level of a complex is that of the subunit with the least (linear)
        expression in the cell. ``"geometric mean"``: the geometric mean of all subunits.
    covariates
        Columns of ``obs`` and slots of ``obsm`` that compete with the regulators: a batch, a
        region, a cell-cycle score. Cell type, slice and time always compete. Numbers are used
        unchanged; categories, text, True and False as one indicator per category. Name confounders
        of regulators and targets, not consequences of regulators.
    proportions
        Slot of ``obsm`` with a table of the proportions of cell types in mixed spots, from any
        deconvolution (``docs/spots.md``). Rows are divided by their sum. Types compete, and get
        signals, by proportion. ``senders`` and ``receivers`` choose spots by their largest type.
    own
        Whether a cell also signals to itself, at distance 0. None: only with ``proportions``.
    prior
        Table with columns ligand, receptor[, weight] or tf, target[, weight], such as
        :func:`spatrace_sc.pp.prior` returns; or a list or dictionary of both. The penalty of a
        listed edge is divided by up to 1 + weight (default weight 1). The limit is the ratio by
        which listed edges exceed others in a fit without the prior (logged). A prior is never a
        filter: every edge stays a candidate. The decoys of an edge carry its penalty, so a prior
        alone cannot lower p or q (``docs/prior.md``).
    config
        :class:`spatrace_sc.Config`. None: defaults.
    rng
        Seed of all random draws, or a :class:`numpy.random.Generator` that draws one. None: 0. The
        same data, seed, machine and number of torch threads give the same tables.
    seed
        Former name of ``rng``.
    device
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ... ``"auto"`` is ``st.settings.device``: by default
        a CUDA GPU if there is one, otherwise the CPU (logged).
    checkpoint
        Folder in which the fit and every refit are stored when they are done. The same call after
        an interruption continues there, to the same tables. None: nothing is stored.
    table_key
        Table of a SpatialData.
    key_added
        Name of the result.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData with the results. Writes

    - ``uns[key_added]``: parameters, genes, compact edge tables, communication tables, training
      history, held-out R². Read them with :mod:`spatrace_sc.get`.
    - ``obsm[key_added + "_activity"]``: cells × strongest pairs, float32. NaN in cells that do
      not receive.
    - ``obsm[key_added + "_activity_se"]``: standard errors of the activity. NaN if the data are
      not counts.
    - ``obsm[key_added + "_tf_activity"]``: cells × TFs, float32. NaN in cells that do not
      receive.
    - ``obsp[key_added + "_communication"]``: sparse cells × cells matrix, row = sender, column =
      receiver, in standard deviations of the targets.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError, DeviceError
        Early, before the fit. The message names the argument, the finding and the remedy.

    Warns
    -----
    SpatraceWarning
        If no edge of any kind has q ≤ 0.1: the tables then rank hypotheses. If ``radius``, slices,
        expression, proportions or names look wrong, or a complex lacks a subunit. If cells are
        empty, in the data twice or copied to another slice, or a gene is NaN or 0 in a whole slice.

    Notes
    -----
    *Pairs and their edges* compete with decoy genes that are refitted together with them. A
    decoy ligand is a ligand permuted among senders of one type and slice; a decoy receptor is
    permuted among receivers of one type, slice and time bin. ``q_value`` is the estimated false
    discovery rate; ``p_value`` is the share of decoys that are at least as strong.

    *A pair must also be distinguishable.* It must explain its targets better than any similar
    pair that is substituted for it, in spatial blocks where neither was fitted. Otherwise it may
    only share the signal of another pair that acts (``docs/method/pairs.md``). ``group``
    lists the regulators that the data cannot distinguish from the one in the row.

    *TF edges* must beat decoy TFs, too. In addition, their effect must exceed a minimum: three
    tenths (``config.evidence.smallest_share``) of the joint effect of all TFs on the target. A
    latent-variable model, with and without what covariates explain, corrects it for count noise.
    Beyond 5000 receivers, more cells do not make this test more powerful.

    *Without known count noise*, that is, if the data are not log1p of normalised counts, TF edges
    are ranked, but all have q = 1 and ``evidence`` "noise unknown". Pairs do not depend on it.

    ``stability`` is the share of refits that select an edge with the same sign. ``effect_se`` is
    the standard error over refits. ``docs/calibration_tables.md`` shows how well q is calibrated.

    *Ranking of TF edges.* ``effect`` also includes the effect of silencing a TF in a transformer of
    TFs, as far as count noise allows (``docs/method/attention.md``). p and q do not use it.

    *Pooled effects and shared credit* (``docs/method/credit.md``; logged). A receptor may change
    the activity of a TF and not its transcription. Where the effects of pairs follow those of
    single TFs, they are pooled over the targets of a TF. Where TFs predict the level of a receptor
    and pairs do no better than decoys, part of the credit goes to the route exposure → receptor →
    target. Edges whose effect comes only from pooling or shared credit rank below those with
    q ≤ 0.1, and have q = 1 and ``evidence`` "co-variation".

    References
    ----------
    Zhou et al., *SpaTRACE*, bioRxiv 2025.11.20.689569.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> list(st.get.lr_pairs(adata).columns[:3])
    ['ligand', 'receptor', 'score']
    """
    from .._model.config import Config as Configuration
    from .._model.runtime.distributed import init_from_environment
    from ._inferred import inferred

    adata = as_table(data, table_key)
    check_copy(adata, copy)
    config = Configuration() if config is None else config
    if not isinstance(config, Configuration):
        raise InvalidArgumentError(
            f"`config` must be a spatrace_sc.Config, found {type(config).__name__}."
        )
    drawn = seed_of(rng, seed)
    flag(homophilic, "homophilic")
    mixed = proportions_name(proportions) is not None
    if own is not None:
        flag(own, "own")
    check_key(adata, key_added)
    chosen_device = init_from_environment(resolve_device(device))
    source = Source(
        *(None if mixed else cell_type_key, sample_key, stage_key, time_key),
        *(spatial_key, layer, transitions_key, gene_symbols),
        *(senders, receivers, radius),
        homophilic=bool(homophilic),
        covariates=covariate_names(covariates),
        complex_level=check_level(complex_level),
        scale=scale,
        proportions=proportions,
        own=mixed if own is None else bool(own),
    )
    roles = {"ligands": ligands, "receptors": receptors, "tfs": tfs, "targets": targets}
    study = read_study(adata, roles, source)
    columns = {k: getattr(source, k) for k in ("cell_type_key", "sample_key", "stage_key")}
    review_columns(adata, columns, np.union1d(study.sender_rows, study.receiver_rows))
    hint_at_symbols(adata, gene_symbols, any(genes is None for genes in roles.values()))
    result, params = inferred(
        *(study, source, config),
        seed=drawn,
        device=chosen_device,
        prior=prior,
        checkpoint=checkpoint,
    )
    n_listed = (result.n_candidates, config.max_edges)
    reasons = log_limits(result.tables, *n_listed, study.genes.n_same_gene)
    adata = adata.copy() if copy else adata
    write_result(adata, key_added, result, params)
    warn_if_none_significant(result.tables, noise_known=study.noise_known, reasons=reasons)
    return adata if copy else None
