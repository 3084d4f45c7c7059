"""Differences between groups of receivers."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import closest, shorten
from .._edges import COMPARED_COLUMNS, public_word
from .._errors import InvalidArgumentError
from .._result import Result


def comparison(
    adata: AnnData, kind: str = "tf_targets", *, group: str | None = None, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return the differences between groups of receivers, smallest p first.

    Parameters
    ----------
    adata
        With the comparison of :func:`spatrace_sc.tl.compare`.
    kind
        Responses of single edges: ``"tf_targets"``, ``"lr_targets"``. Responses of all edges of
        a regulator together, along its effects in the full data set: ``"tfs"``, ``"lr_pairs"``.
        Levels, i.e. mean activities (:func:`spatrace_sc.get.activity`): ``"tf_activity"``,
        ``"lr_pair_activity"``. Over consecutive stages, levels show how pathways change.
    group
        Only this group against its reference. None: all.
    key
        Name of the result.

    Returns
    -------
    Table with one row per edge, TF or pair, and per group with its reference:

    - ``tf``, ``ligand``, ``receptor``, ``target``: names of the genes, as far as ``kind`` has
      them.
    - ``group``, ``reference``: the two groups that are compared.
    - ``effect``, ``effect_se``: estimate in the group and its standard error. Responses are
      slopes, in standard deviations of the target per standard deviation of the regulator, both
      over all compared cells. Levels are mean activities, in the units of
      :func:`spatrace_sc.get.activity`. NaN without an estimate, e.g. where the regulator is
      silent.
    - ``effect_reference``, ``effect_reference_se``: the same in the reference.
    - ``difference``, ``se``: ``effect`` minus ``effect_reference``, and its standard error.
    - ``p_value``: p of a difference beyond ``smallest_share``.
    - ``q_value``: its Benjamini–Hochberg adjustment over the table, an estimated false discovery
      rate.
    - ``change``: the difference in one word, see below.
    - ``unit``: unit of replication, "replicate" or "block".

    ``change`` of a response. An effect is present if it is distinguishable from 0 at p ≤ 0.05.

    - "gained", "lost": q ≤ ``max_q``; the effect is present in one group only and less than a
      third in the other.
    - "changed": q ≤ ``max_q`` otherwise.
    - "kept": present with the same sign in both groups, and no difference *shown*.
    - "": the data do not say.

    ``change`` of a level:

    - "appears", "disappears" (pairs only): q ≤ ``max_q``, and less than a third in one group.
    - "strengthens", "weakens": q ≤ ``max_q`` otherwise.
    - "steady": no difference shown.

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.compare` has not been called.
    InvalidArgumentError
        If ``kind`` or ``group`` is unknown; the message lists the known ones.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.compare(adata, "stage", top_n=20)
    >>> list(st.get.comparison(adata, "lr_pair_activity", group="E2")["reference"].unique())
    ['E1']
    """
    comparison = Result.read(adata, key).comparison
    kind = public_word(kind, COMPARED_COLUMNS)
    table = comparison.tables[kind][[*COMPARED_COLUMNS[kind], *_keys.COMPARISON]]
    if group is not None:
        if str(group) not in comparison.names:
            raise InvalidArgumentError(
                f"`group={group!r}` was not compared; the groups are "
                f"{shorten(comparison.names, 20)}.{closest(str(group), comparison.names)}"
            )
        table = table[table["group"].astype(str) == str(group)]
    return table.reset_index(drop=True).copy()
