"""The main verb."""

from __future__ import annotations

import logging
import time as clock
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from anndata import AnnData

from .. import _keys
from .._check import whole
from .._data.notices import hint_at_symbols, review_columns, warn_if_none_significant
from .._data.table import as_table, check_copy
from .._errors import InvalidArgumentError
from .._result import check_key, write_result
from .._settings import resolve_device, settings
from .._study.prior_penalties import Prior, describe_prior
from .._study.read import read_study
from .._study.source import Source

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from .._model.config import Config

logger = logging.getLogger("spatrace_sc")


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
    radius: float | None = None,
    transitions_key: str | None = None,
    gene_symbols: str | None = None,
    prior: Prior | None = None,
    config: Config | None = None,
    seed: int = 0,
    device: str = "auto",
    table_key: str = _keys.TABLE,
    key_added: str = _keys.RESULT,
    copy: bool = False,
) -> AnnData | None:
    r"""Infer which ligand–receptor pairs and which transcription factors change which genes.

    Every TF and every ligand × receptor pair competes to explain every target of a cell from the cell's past and its own surroundings:

    .. math::
        \hat y_{ig} = \sum_{f} W_{fg}\,(1 + v_f(z_i))\,\tilde x_{if} + \sum_{lr} W_{lr,g}\,(1 + v_{lr}(z_i))\,\tilde s_{i,lr} + \sum_c B_{cg}\,c_i,
        \qquad s_{i,lr} = h\Big(\sum_k \alpha^E_{ik} E_{l}(k) \cdot \sum_k \alpha^R_{ik} R_{r}(k)\Big)

    where *x* is the level of a TF, read twice: at earlier steps of the cell's path, and now, with the noise of counting filtered out; *E* is ligand exposure, *R* receptor expression, *h* saturates, :math:`\alpha` is the attention of a causal transformer
    over the steps, *v* small gates, *c* covariates (cell type, slice, time), and a tilde means standardised. *W* is sparse and signed: the change of the target, in its standard
    deviations, when the regulator rises by one of its own. No target of the predicted cell enters its prediction. See the page *Method*.

    An effect is an association after competition, not proof of cause: a regulator that was not measured can act through one that was.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``. ``X`` (or ``layer``) holds log-normalised expression.
    ligands, receptors, tfs, targets
        Genes of each role. None: the flags that :func:`spatrace_sc.pp.gene_roles` wrote to ``var``; for targets without a flag, highly variable genes. All ligand × receptor pairs are candidates.
    cell_type_key
        Column of ``obs`` with cell types.
    sample_key
        Column of ``obs`` with the slice; neighbours never cross it. None: one slice.
    stage_key
        Column of ``obs`` with the developmental stage, for results by stage. None: the sample.
    time_key
        Numeric column of ``obs``: pseudotime or real stages of the receivers. Cells that only send may have NaN.
    spatial_key
        Slot of ``obsm`` with coordinates.
    layer
        Layer with expression. None: ``X``.
    senders, receivers
        Cell types. None: all send; all types with time receive.
    radius
        Reach of a signal, in the units of the coordinates. None: 5 × the median distance between nearest cells, logged.
    transitions_key
        Slot of ``obsp`` with transition probabilities, row = earlier cell. None: forward nearest neighbours along time, as :func:`spatrace_sc.pp.transitions` computes them by default.
    gene_symbols
        Column of ``var`` with the names under which genes are given and shown, e.g. ``"symbol"`` where ``var_names`` are Ensembl ids. None: ``var_names``. A gene without a symbol keeps
        its name; one that shares it shows both.
    prior
        Table with columns ligand, receptor[, weight] or tf, target[, weight], such as :func:`spatrace_sc.pp.prior` makes; or a list or dictionary of both. Divides the penalty of the named edges by up to 1 + weight (default 1), never more
        than by how much stronger they are than others when the model is fitted without it (logged, and in ``uns[key_added]["fit"]``). Never a filter: every edge stays a candidate. The decoys of an edge carry its penalty, so a prior cannot lower p or q by itself
        (``docs/prior.md``).
    config
        :class:`spatrace_sc.Config`. None: defaults. Bars are shown if it and ``st.settings.progress`` say so.
    seed
        Same data, seed, machine and number of threads of torch: same tables, whatever the order of genes. With another number of threads effects differ in the last digits of single precision.
    device
        ``"auto"`` (``st.settings.device``, by default a CUDA GPU if there is one, otherwise CPU; logged), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ...
    table_key
        Table of a SpatialData.
    key_added
        Name of the result.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData with the results. Writes

    - ``uns[key_added]``: parameters, genes, compact edge tables, communication tables, training history, held-out R². Read them with :mod:`spatrace_sc.get`.
    - ``obsm[key_added + "_activity"]``: cells × strongest pairs, float32, NaN in cells that do not receive.
    - ``obsm[key_added + "_activity_se"]``: their standard errors; NaN where the data are not counts.
    - ``obsm[key_added + "_tf_activity"]``: cells × TFs, float32, NaN in cells that do not receive.
    - ``obsp[key_added + "_communication"]``: sparse cells × cells, row = sender, column = receiver, in standard deviations of the targets.

    Raises
    ------
    MissingKeyError, DataError, InvalidArgumentError, DeviceError
        Early, naming the argument, what was found and what to call.

    Warns
    -----
    SpatraceWarning
        If no edge of any kind has q ≤ 0.1: the tables then rank hypotheses. If ``radius``, slices, expression, or names of types, slices and stages deserve a second look.

    Notes
    -----
    *LR edges and pairs* are held against decoy genes (ligands shuffled among senders of a type and slice, receptors among receivers of a type, slice and time bin) that were refitted together with them:
    ``q_value`` is the share of decoys among what is at least as strong, ``p_value`` the share of decoys that are. *TF edges* must beat decoy TFs too, and be larger, once the noise of counting is
    taken out of the TFs, than a fifth (``config.evidence.smallest_share``) of what TFs do to the target together. With more than 5 000 receivers that test is no surer than with 5 000. ``stability`` is the share of refits that keep an edge with its sign, ``effect_se``
    the standard error over refits. A pair must also explain its targets better, in blocks of space where it was not fitted, than any pair that resembles it would in its place: otherwise what it explains may be what it shares with one that acts (``docs/method.md``, section 6).
    ``group`` names regulators that the data cannot tell from the one listed. What the q-values are worth was measured: ``docs/calibration.md``.

    Where TFs predict a receptor's level and pairs do no better than decoys, part of the credit goes to the route exposure → receptor → target (``docs/method.md``, section 5; logged). Such
    edges rank below those with q ≤ 0.1. If they have nothing else, q is 1, p is that of their strength against decoys, and ``evidence`` is "co-variation".

    References
    ----------
    Zhou et al., *SpaTRACE*, bioRxiv 2025.11.20.689569.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> list(st.get.lr_pairs(adata).columns)
    ['ligand', 'receptor', 'score', 'p_value', 'score_se', 'group_q_value', 'group', 'q_value', 'stability', 'evidence']
    """
    from .._inference.run import run
    from .._model.config import Config as Configuration
    from .._model.runtime.distributed import init_from_environment, shows

    adata = as_table(data, table_key)
    check_copy(adata, copy)
    config = Configuration() if config is None else config
    if not isinstance(config, Configuration):
        raise InvalidArgumentError(
            f"`config` must be a spatrace_sc.Config, found {type(config).__name__}."
        )
    whole(seed, "seed", low=0)
    check_key(adata, key_added)
    chosen_device = init_from_environment(resolve_device(device))
    source = Source(
        *(cell_type_key, sample_key, stage_key, time_key),
        *(spatial_key, layer, transitions_key, gene_symbols),
        *(senders, receivers, radius),
    )
    roles = {"ligands": ligands, "receptors": receptors, "tfs": tfs, "targets": targets}
    study = read_study(adata, roles, source)
    columns = {k: getattr(source, k) for k in ("cell_type_key", "sample_key", "stage_key")}
    review_columns(adata, columns, study.senders | study.receivers)
    hint_at_symbols(adata, gene_symbols, any(genes is None for genes in roles.values()))
    started = clock.perf_counter()
    shown = replace(config, progress=shows(config.progress and settings.progress))
    result = run(study, shown, int(seed), chosen_device, prior)
    logger.info("Inference took %.1f s on %s.", clock.perf_counter() - started, chosen_device)
    used = source.resolved(
        np.unique(study.sender_types).tolist(),
        np.unique(study.receiver_types).tolist(),
        study.radius,
    )
    params = used.to_params() | {
        "prior": describe_prior(prior),
        "seed": int(seed),
        "device": str(chosen_device),
        "config": config.to_dict(),
    }
    if copy:
        adata = adata.copy()
    write_result(adata, key_added, result, params)
    warn_if_none_significant(result.tables)
    return adata if copy else None
