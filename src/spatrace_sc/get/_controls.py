"""Negative and positive controls of a result."""

from __future__ import annotations

import pandas as pd
from anndata import AnnData

from .. import _keys
from .._check import one_of
from .._errors import MissingKeyError
from .._result import Result

#: Tables of controls, by the word that names them.
TABLES = (
    *("false_discoveries", "power", "limits", "with_more", "implants", "sham_genes"),
    *("balance", "draws", "settings"),
)


def controls(
    adata: AnnData, table: str = "false_discoveries", *, key: str = _keys.RESULT
) -> pd.DataFrame:
    """Return a table of the controls of a result.

    Parameters
    ----------
    adata
        With the controls of :func:`spatrace_sc.tl.controls`.
    table
        - ``"false_discoveries"``: expected false share by table, control and threshold of q.
        - ``"power"``: share of implanted signals found, by size.
        - ``"limits"``: size that is found with probability .8.
        - ``"with_more"``: that size with twice the receivers, or twice the molecules.
        - ``"implants"``: every implanted signal and its result.
        - ``"sham_genes"``: every sham gene and the real gene to which it is matched.
        - ``"balance"``: how well sham genes match their real genes.
        - ``"draws"``: every inference, its time and its calls; ``method`` names the kind of sham
          genes or the source of senders.
        - ``"settings"``: power of the settings that were compared with ``over``.
    key
        Name of the result.

    Returns
    -------
    ``"false_discoveries"``: one row per ``table`` ("tf_targets", "lr_targets", "lr_pairs"),
    ``control`` and ``threshold`` of q.

    - ``control``: "sham TFs", "sham ligands", "sham receptors"; "sham pairs" (of two sham genes);
      "sham genes" (all of these together); "sham genes alone" (instead of the real genes: an upper
      bound); "misplaced senders", "senders of another slice".
    - ``calls``: edges of real genes with q at most the threshold: the mean over the inferences
      with sham genes, or those of the result.
    - ``control_calls``, ``n_draws``: calls that are false by design, over all inferences.
    - ``expected_false``: how many of the ``calls`` are expected to be false.
    - ``false_share``, ``low``, ``high``: their share, the false discovery rate on this tissue, and
      its 95 % interval. NaN where nothing is called.

    ``"power"``: one row per ``tissue`` ("whole" or a half), ``table`` and ``size``.

    - ``size``: share of the variance of the target that the implant explains.
    - ``n``: number of implants; ``power``: share with q ≤ 0.1; ``low``, ``high``: its 95 %
      interval.
    - ``right_sign``: share of found implants whose effect has the right sign.
    - ``rival_share``: share of missed implants for which another regulator is called instead.

    ``"settings"``: one row per ``setting`` and ``table``: held-out ``r2``; ``max_q``, the largest q
    at which negative controls expect a tenth of the calls to be false; ``power``, the share of the
    ``n`` implants with at most this q, and its 95 % interval ``low`` to ``high``.

    ``"limits"``: ``share`` of the variance found with probability .8, and its interval
    ``share_low`` to ``share_high``. ``effect`` is the square root of the share, in standard
    deviations of the target per standard deviation of the signal. NaN where there is no limit.

    Raises
    ------
    MissingKeyError
        If :func:`spatrace_sc.tl.controls` has not been called, or not for this table.
    InvalidArgumentError
        If ``table`` is not one of those above.

    Examples
    --------
    >>> import spatrace_sc as st
    >>> adata = st.datasets.simulated(n_cells=600, n_targets=20)
    >>> st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage")
    >>> st.tl.controls(adata, n_sham=0, n_misplaced=1, n_implants=0, n_halves=0)
    >>> list(st.get.controls(adata)["control"].unique())
    ['misplaced senders']
    """
    one_of(table, "table", TABLES)
    tables = Result.read(adata, key).controls.tables
    if table not in tables:
        call = "over={'radius': [...]}" if table == "settings" else "n_implants=3"
        raise MissingKeyError(
            f"`adata.uns[{key!r}]` has no table {table!r} of controls; call "
            f"`st.tl.controls(adata, {call}, key={key!r})` first."
        )
    return tables[table]
