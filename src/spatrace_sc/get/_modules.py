"""Signaling modules."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .. import _keys
from .._edges import public_word
from .._result import Result


def modules(adata: AnnData, kind: str = "lr_pairs", *, key: str = _keys.RESULT) -> pd.DataFrame:
    """Return a table of the modules: pairs, targets, stages, summary, stability or enrichment.

    A module has a name such as ``M1 CXCL12^PTPRZ1 ELN``: its rank (``M1`` is the strongest), its
    strongest pair (ligand CXCL12 with receptor PTPRZ1), and the target that it changes most. It
    has other pairs and targets, too.

    Parameters
    ----------
    adata
        With the modules of :func:`spatrace_sc.tl.modules`.
    kind
        ``"lr_pairs"``, ``"targets"``, ``"stages"``, ``"summary"``, ``"stability"`` or
        ``"enrichment"``.
    key
        Name of the result.

    Returns
    -------
    Table by ``kind``.

    ``"lr_pairs"``: pairs of every module, strongest first within a module.

    - ``module``, ``ligand``, ``receptor``: names.
    - ``weight``: share of the pair that belongs to the module; the shares of a pair add up to 1.
    - ``score``: ``weight`` times the score of the pair.
    - ``main``: whether this module has the largest share of the pair.

    ``"targets"``: targets of every module, strongest first within a module.

    - ``module``, ``target``: names.
    - ``effect``: change of the target, in its standard deviations, if the signals of all pairs
      rise by one standard deviation, each pair counted by its weight. Direct and through TFs,
      signed.
    - ``score``: absolute value of ``effect``.
    - ``n_pairs``: number of main pairs that change the target.
    - ``agreement``: absolute value of the summed effects over the sum of their absolute values.
      1: all pairs act in the same direction. 0: they cancel.

    ``"stages"``: scores of every module in order of time. Without a ``stage_key`` the slices are
    the stages.

    - ``module``, ``stage``: names.
    - ``score``: mean over receiving cells; with several slices, the mean of the slice means.
    - ``score_se``: its standard error between slices. NaN with one slice.
    - ``n_cells``, ``n_slices``: numbers of receiving cells and of slices.

    ``"summary"``: one row per module, strongest first.

    - ``module``: name. ``ligand``, ``receptor``, ``target``: its strongest pair and target.
    - ``n_pairs``: number of main pairs.
    - ``score``: mean score of receiving cells. ``share``: its share of all modules.

    ``"stability"``: one row per number of modules that was tried. Empty if the number was given
    or there were fewer than four pairs.

    - ``rank``: number of modules.
    - ``stability``: similarity of the modules of two halves of the data (1: identical).
    - ``shuffled``: the same for pairs that share nothing.
    - ``smallest``: number of main pairs of the smallest module.
    - ``chosen``: whether this number was chosen.

    ``"enrichment"``: gene sets by module, smallest q first. Empty without ``enrichment=``.

    - ``module``, ``source``: names of the module and of the gene set.
    - ``score``: *t* (``method`` "ulm") or odds ratio (``method`` "ora").
    - ``q_value``: estimated false discovery rate of the enrichment.

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.modules` has not been called.
    InvalidArgumentError
        If ``kind`` is unknown.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.modules(adata, max_q=1.0, n_modules=2)
    >>> list(st.get.modules(adata, "stages").columns)
    ['module', 'stage', 'score', 'score_se', 'n_cells', 'n_slices']
    """
    tables = Result.read(adata, key).modules
    kind = public_word(kind, _keys.MODULES)
    table: pd.DataFrame = tables[kind]
    return table[_keys.MODULES[kind]].copy()


def module_scores(result: Result) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Return (cells, K) scores, and the summary table of the modules indexed by name."""
    summary = result.modules["summary"][_keys.MODULES["summary"]]
    by_name = summary.set_index(summary["module"].astype(str).to_numpy()).drop(columns="module")
    return result.module_scores, by_name
