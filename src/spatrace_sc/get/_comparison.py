"""What differs between groups."""

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
    """Differences between groups of receivers.

    Parameters
    ----------
    adata
        After :func:`spatrace_sc.tl.compare`.
    kind
        Responses: ``"tf_targets"``, ``"lr_targets"`` (edges), ``"tfs"``, ``"lr_pairs"`` (a regulator's edges together: its slopes along the effects it has in the whole). Levels: ``"tf_activity"``,
        ``"lr_pair_activity"`` (mean of :func:`spatrace_sc.get.activity`); over consecutive stages these are the transitions of pathways.
    group
        Only this group against its reference. None: all.
    key
        Name of the result.

    Returns
    -------
    Table, smallest p first, a row for every edge, group and reference:

    - the columns that name the edge, TF or pair; ``group, reference``.
    - ``effect, effect_se`` in the group and ``effect_reference, effect_reference_se``: slope in standard deviations of the target per standard deviation of the regulator, both over all compared cells; of levels the
      mean activity, in the units of :func:`spatrace_sc.get.activity`. NaN where a group has none, e.g. because the regulator is silent there.
    - ``difference``: effect less that of the reference; ``se`` its standard error.
    - ``p_value, q_value``: of a difference beyond ``smallest_share``; q is Benjamini–Hochberg over the table.
    - ``change``: of responses "gained" and "lost" (difference with q ≤ ``max_q``; on one side distinguishable from 0 at p ≤ .05, on the other not and less than a third), "changed" (q ≤ ``max_q`` otherwise), "kept" (distinguishable from 0 on both sides, with one sign, and no
      difference *shown*), or "" where nothing can be said. Of levels "appears" and "disappears" (pairs only: less than a third on one side), "strengthens", "weakens" (q ≤ ``max_q``), or "steady": none shown.
    - ``unit``: "replicate" or "block".

    Raises
    ------
    MissingKeyError
        Before :func:`spatrace_sc.tl.compare`.
    InvalidArgumentError

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
