"""Negative and positive controls on the tissue of a result."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from .. import _keys
from .._check import RandomSource, flag, labels, number_in, one_of, seed_of, whole
from .._data.checkpoint_folder import check_folder
from .._data.table import as_table, check_copy
from .._errors import InvalidArgumentError
from .._result import Controls, Result, add_controls
from .._settings import resolve_device
from .._settings import settings as show_settings
from .._study.prior_penalties import Prior

if TYPE_CHECKING:
    from spatialdata import SpatialData

logger = logging.getLogger("spatrace_sc")

#: Where sham genes stand.
SHAM = ("beside", "alone", "both")
#: Shares of the variance of a target that implants explain.
SIZES = (0.02, 0.05, 0.1, 0.2, 0.3)


def controls(
    data: AnnData | SpatialData,
    *,
    n_sham: int = 3,
    sham: str = "beside",
    n_misplaced: int = 2,
    n_implants: int = 3,
    n_halves: int = 1,
    sizes: Sequence[float] = SIZES,
    known: Collection[str] | None = None,
    prior: Prior | None = None,
    over: Mapping[str, Sequence[Any]] | None = None,
    n_jobs: int = 1,
    checkpoint: str | os.PathLike[str] | None = None,
    rng: RandomSource | None = None,
    seed: int | None = None,
    device: str = "auto",
    key: str = _keys.RESULT,
    table_key: str = _keys.TABLE,
    copy: bool = False,
) -> AnnData | None:
    """Estimate the false discoveries and the power of the inference on your own tissue.

    The inference is repeated, with the settings of the result, on copies of your tissue with one
    change whose effect is known. *Negative controls* estimate the false discovery rate on this
    tissue:

    - **Sham genes** cannot signal: they are in no list of ligands, receptors or TFs. They compete
      with the real genes in these roles, each matched to a real gene for level, cell-type
      specificity, spatial autocorrelation and course in time. They share the geography, leakage,
      batches and depth of the tissue, so their calls measure confounding by hidden fields as well
      as chance.
    - **Misplaced senders**: every receiver gets the senders of a location more than three radii
      away. No signal can act there. This measures chance and smoothness, *not* hidden fields. If
      every slice has a replicate of its stage, every other draw uses the senders of the same
      location in the replicate. This preserves the geography that replicates share.

    *Positive controls* measure power. Signals of ligand–receptor pairs and TFs without effect are
    **implanted** into the counts of targets. Molecules are removed or added so that the signal
    explains a given share of the target's variance. Expression, depth, neighbours and types are
    unchanged. An implant is an additional regulator of a target that keeps its own, and on
    simulated tissue such regulators are found less often. Implants are repeated on half of the
    receivers and with half of the molecules, to estimate what more data would gain.

    Parameters
    ----------
    data
        AnnData, or SpatialData with ``table_key``, with a result of
        :func:`spatrace_sc.tl.infer_ccc`.
    n_sham, n_misplaced, n_implants
        Number of inferences with sham genes, misplaced senders and implants. 0: none.
    sham
        ``"beside"``: sham genes compete with the real ligands, receptors and TFs. ``"alone"``: they
        replace all of them. ``"both"``: ``n_sham`` inferences each. Alone, every call is false and
        no real gene competes, so this is an upper bound of the false calls. It ignores the prior,
        which does not name sham genes.
    n_halves
        Number of inferences with implants on half of the receivers, and as many with half of the
        molecules (only if the data are counts). 0: none.
    sizes
        Shares of the variance of a target that implants explain, between 0 and 1.
    known
        Further genes that can signal, and so must not become sham genes: names as in ``var_names``,
        in any case. The genes of the result, and those that ``var`` flags, are always excluded. If
        liana is installed, so are the ligands and receptors of its consensus.
    prior
        The prior of the inference, if it had one: it is not stored with the result.
    over
        Values of one argument of the inference to compare, for instance
        ``{"radius": [30.0, 60.0, 120.0]}``: ``"radius"``, ``"transitions_key"``, ``"covariates"``
        (a list of lists) or ``"neighbourhood_covariates"`` ([True, False]). Every value is run on
        the same implants and on misplaced senders, ``n_implants`` and ``n_misplaced`` times. Values
        are compared by power at an equal false discovery rate, never by the number of edges.
        Neighbourhood covariates guard against hidden fields, which misplaced senders do not detect,
        so ``n_sham`` tissues with sham genes judge them instead. Halves are left out. The ranges of
        implanted pairs are drawn from all radii. Other stored controls remain.
    n_jobs
        Number of parallel inferences, each in its own process. −1: one per core.
    checkpoint
        Folder in which every inference is stored when it is done. A call with the same result
        and settings continues there. None: nothing is stored.
    rng
        Seed of all random draws, or a :class:`numpy.random.Generator` that draws one. None: 0.
    seed
        Former name of ``rng``.
    device
        As in :func:`spatrace_sc.tl.infer_ccc`.
    key
        Name of the result.
    table_key
        Table of a SpatialData.
    copy
        Return an annotated copy instead of changing the data.

    Returns
    -------
    None, or with ``copy=True`` an AnnData with the controls. Writes ``uns[key]["controls"]``,
    which :func:`spatrace_sc.get.controls` reads and :func:`spatrace_sc.pl.controls` draws.

    Raises
    ------
    MissingKeyError
        If there is no result.
    DataError
        If the cells or genes are not those of the result; if no slice is large enough for misplaced
        senders; if no gene of the tissue can be a sham gene; or if too few targets have enough
        molecules for implants. The message names the argument that skips the control.
    InvalidArgumentError
        If an argument is out of range, the result had a prior and none is passed, or ``checkpoint``
        belongs to another run.

    Notes
    -----
    Each inference takes about as long as :func:`spatrace_sc.tl.infer_ccc`, or less; by default
    there are ten. ``docs/controls.md`` compares the estimates with the truth on simulated tissues,
    and shows where they are wrong.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.controls(adata, n_sham=1, n_misplaced=0, n_implants=1, n_halves=0)
    >>> list(st.get.controls(adata, "power")["table"].unique())
    ['lr_pairs', 'lr_targets', 'tf_targets']
    """
    from .._inference.controls.draws import Design, draws_by_kind
    from .._inference.controls.run_controls import run_controls, run_settings
    from .._inference.controls.settings import settings_to_compare
    from .._inference.restore import restore
    from .._model.runtime.distributed import shows

    adata = as_table(data, table_key)
    check_copy(adata, copy)
    n_draws = _numbers(n_sham, n_misplaced, n_implants, n_halves)
    one_of(sham, "sham", SHAM)
    shares = _sizes(sizes)
    _check_jobs(n_jobs)
    drawn = seed_of(rng, seed)
    flag(copy, "copy")
    settings = None if over is None else settings_to_compare(over, n_draws)
    check_folder(checkpoint)
    _check_prior(Result.read(adata, key, of_cells=True), prior)
    restored = restore(adata, key)
    if copy:
        adata = adata.copy()
    design = Design(
        n_draws=draws_by_kind(restored.study, n_draws, sham if over is None else "beside"),
        sizes=shares,
        known=_known(known) if n_sham and (settings is None or settings.is_option) else frozenset(),
        seed=drawn,
    )
    execution: dict[str, Any] = {
        "device": str(resolve_device(device)),
        "checkpoint": checkpoint,
        "n_jobs": (os.cpu_count() or 1) if n_jobs == -1 else int(n_jobs),
        "progress": shows(restored.config.progress and show_settings.progress),
    }
    if settings is not None:
        table = run_settings(adata, restored, design, settings, prior, **execution)
        add_controls(adata, key, Controls({"settings": table}, [], {}))
    else:
        done = run_controls(adata, restored, design, prior, **execution)
        add_controls(adata, key, done)
        for sentence in done.sentences:
            logger.info("%s", sentence)
    return adata if copy else None


def _numbers(n_sham: int, n_misplaced: int, n_implants: int, n_halves: int) -> dict[str, int]:
    """Return the checked numbers of draws, by argument."""
    given = {
        "n_sham": n_sham,
        "n_misplaced": n_misplaced,
        "n_implants": n_implants,
        "n_halves": n_halves,
    }
    for name, value in given.items():
        whole(value, name, low=0)
    if not any(given.values()):
        raise InvalidArgumentError(
            "`n_sham`, `n_misplaced`, `n_implants` and `n_halves` are all 0: nothing to do."
        )
    if n_halves and not n_implants:
        raise InvalidArgumentError(
            "`n_halves` compares halves with the whole tissue, so it needs `n_implants` of at "
            "least 1. Set `n_halves=0`."
        )
    return {name: int(n) for name, n in given.items()}


def _sizes(sizes: Sequence[float]) -> tuple[float, ...]:
    """Return the sizes in ascending order."""
    try:
        listed = sorted({float(size) for size in sizes})
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"`sizes` must be a list of numbers between 0 and 1, found {sizes!r}."
        ) from None
    if not listed:
        raise InvalidArgumentError("`sizes` is empty; give shares such as [0.05, 0.2].")
    for size in listed:
        number_in(size, "sizes", 1e-4, 0.9)
    return tuple(listed)


def _check_jobs(n_jobs: object) -> None:
    if n_jobs != -1:
        whole(n_jobs, "n_jobs", low=1, note=", or -1 for all cores")


def _check_prior(result: Result, prior: Prior | None) -> None:
    """Require the prior of the inference if it had one."""
    described = result.params.get("prior")
    if described and prior is None:
        raise InvalidArgumentError(
            f"the inference had a prior ({described}), which is not stored: pass it again as "
            "`prior`, so that the controls are run with it."
        )


def _known(known: Collection[str] | None) -> frozenset[str]:
    """Return the genes that can signal: those given, and those of liana where it is installed."""
    from .._data.known_signaling import listed_by_liana

    given = set() if known is None else set(labels(known, "known"))
    return frozenset(given | listed_by_liana())
