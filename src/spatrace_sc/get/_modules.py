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
    r"""Signaling modules: their pairs, targets and stages, and how their number was chosen.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.modules`.
    kind
        Which table, see below.
    key
        Name of the result.

    Returns
    -------
    Table. Modules are named by number, ``M1`` the strongest, strongest pair and target: ``M1 CXCL12^PTPRZ1 ELN`` has the ligand CXCL12 with the receptor PTPRZ1 as its strongest pair, and changes ELN most. It has other pairs and
    targets too.

    - ``"lr_pairs"``: ``module, ligand, receptor, weight, score, main``, strongest first within a module. ``weight`` is the share of the pair that belongs to the module, over all modules 1; ``score`` is
      ``weight`` times the score of the pair; ``main`` marks the module that has most of the pair.
    - ``"targets"``: ``module, target, effect, score, n_pairs, agreement``, strongest first within a module. ``effect`` is signed: by how many standard deviations the target changes when the signals of all pairs rise by one standard
      deviation, each pair counted by its weight; direct and through TFs. ``score`` is its size, ``n_pairs`` the number of main pairs that change the target, ``agreement`` the size of the sum over the sum of sizes: 1 where all pairs pull the same way, 0 where they cancel.
    - ``"stages"``: ``module, stage, score, score_se, n_cells, n_slices``, in order of time; stages are the slices where the inference was told no ``stage_key``. ``score`` is the mean over receiving cells, where there are several slices the mean of their means, and ``score_se`` its standard error between slices (NaN with one slice).
    - ``"summary"``: ``module, ligand, receptor, target, n_pairs, score, share``, strongest first: its strongest pair and target, the number of main pairs, the mean score of receiving cells and its share of all modules.
    - ``"stability"``: ``rank, stability, shuffled, smallest, chosen``. ``stability`` is how alike the modules of two halves of the data are (1: the same), ``shuffled`` the same for pairs that share nothing, ``smallest`` the number of main pairs of the smallest module. Empty where the number was given or there were fewer than four pairs.
    - ``"enrichment"``: ``module, source, score, q_value, method``, smallest q first within a module. Empty without ``enrichment=``.

    Raises
    ------
    MissingKeyError, InvalidArgumentError

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
    """Return (cells, K) scores and the table of the modules, by name."""
    summary = result.modules["summary"][_keys.MODULES["summary"]]
    by_name = summary.set_index(summary["module"].astype(str).to_numpy()).drop(columns="module")
    return result.module_scores, by_name
