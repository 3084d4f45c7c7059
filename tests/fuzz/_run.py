"""One case: run, and judge what came out against a clean control."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from _helpers import tiny_config
from _scenes import Scene
from _scenes import tissue as four_of_each
from scipy import sparse

import spatrace_sc as st

KINDS = ("tf_targets", "lr_targets", "lr_pairs")
#: Relative tolerance between two forms of the same data, whose sums may differ in order.
TOLERANCE = 1e-3
#: Notices of every small tissue, whatever its form.
USUAL = ("no edge has q", "reliable results: 'sender_2 (11)'. Merge", "TFs are too many for")


@lru_cache(maxsize=1)
def _tissue() -> Any:
    adata = four_of_each()
    for role in ("ligand", "receptor", "tf", "target"):
        flagged = adata.var_names[adata.var[role].to_numpy(dtype=bool)]
        adata.var[role] = adata.var_names.isin(flagged[:2])
    del adata.obsp["T_fwd"]
    return adata


def tissue() -> Any:
    """Copy of 200 cells in three slices with two genes of each role."""
    return _tissue().copy()


def inputs(adata: Any) -> dict[str, Any]:
    """Copies of everything that a user has put in."""
    matrix = adata.X.to_memory() if hasattr(adata.X, "to_memory") else adata.X
    found = {
        "X": matrix.copy() if matrix is not None else None,
        "obs": adata.obs.copy(),
        "var": adata.var.copy(),
        "layers": {name: value.copy() for name, value in adata.layers.items()},
        "obsm": {k: np.array(v) for k, v in adata.obsm.items() if not k.startswith("spatrace")},
        "uns": sorted(k for k in adata.uns if not k.startswith("spatrace")),
    }
    return found


def _bytes(matrix: Any) -> list[bytes]:
    if sparse.issparse(matrix):
        return [np.asarray(p).tobytes() for p in (matrix.data, matrix.indices, matrix.indptr)]
    return [np.asarray(matrix).tobytes()]


def assert_inputs_stay(adata: Any, before: dict[str, Any]) -> None:
    """No input has changed: values, types, order."""
    now = inputs(adata)
    for slot in ("obs", "var"):
        added = [c for c in now[slot] if str(c).startswith("spatrace") and c not in before[slot]]
        pd.testing.assert_frame_equal(now[slot].drop(columns=added), before[slot])
    assert _bytes(now["X"]) == _bytes(before["X"])
    assert now["uns"] == before["uns"]
    for slot in ("layers", "obsm"):
        assert list(now[slot]) == list(before[slot])
        for name, value in now[slot].items():
            assert _bytes(value) == _bytes(before[slot][name]), (slot, name)


@contextmanager
def notices() -> Any:
    """Everything that the package warns of, by a warning or in its log."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("spatrace_sc")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield said
    finally:
        logger.removeHandler(handler)
        said += [str(w.message) for w in caught if issubclass(w.category, st.SpatraceWarning)]


def infer(scene: Scene, **changes: Any) -> list[str]:
    """Infer, and return what the package said beyond the usual."""
    keys = {"sample_key": "sample", "stage_key": "stage", "config": tiny_config(), "device": "cpu"}
    with notices() as said:
        st.tl.infer_ccc(scene.data, **keys | scene.reading | changes)
    return [text for text in said if not any(usual in text for usual in USUAL)]


def tables(scene: Scene) -> dict[str, pd.DataFrame]:
    """Tables of all kinds under the names of genes in the clean tissue, sorted by them."""
    found = {}
    for kind in KINDS:
        table = getattr(st.get, kind)(scene.adata)
        names = [c for c in ("tf", "ligand", "receptor", "target") if c in table]
        for column in names:
            labels = table[column].astype(str)
            table[column] = labels.map(lambda n: scene.labels.get(n, n))
        table = table.sort_values(names).reset_index(drop=True)
        if "group" in table:  # groups are named by their genes
            table["group"] = pd.factorize(table["group"])[0]
        found[kind] = table
    return found


@lru_cache(maxsize=1)
def control() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Tables and per-cell activities of the clean tissue."""
    scene = Scene(tissue())
    infer(scene)
    return tables(scene), activities(scene)


def activities(scene: Scene) -> pd.DataFrame:
    """(cells, pairs) activities by name of the cell."""
    return pd.DataFrame(
        np.asarray(scene.adata.obsm["spatrace_activity"]), index=scene.adata.obs_names
    )


def assert_same_tables(scene: Scene) -> None:
    """The tables are those of the clean tissue, within the tolerance."""
    expected, found = control()[0], tables(scene)
    for kind in KINDS:
        assert list(found[kind].columns) == list(expected[kind].columns)
        for column in expected[kind]:
            one, other = found[kind][column], expected[kind][column]
            if pd.api.types.is_numeric_dtype(other) and not pd.api.types.is_bool_dtype(other):
                np.testing.assert_allclose(
                    one.to_numpy(dtype=float), other.to_numpy(dtype=float),
                    rtol=TOLERANCE, atol=1e-5, err_msg=f"{kind}[{column}]",
                )  # fmt: skip
            else:
                assert list(map(str, one)) == list(map(str, other)), f"{kind}[{column}]"


def assert_helpful(error: Exception) -> None:
    """A message of one line that names the argument or slot it is about."""
    assert isinstance(error, st.SpatraceError)
    message = str(error)
    assert len(message) > 30, message
    assert len(message) < 600, message
    assert "`" in message or "adata" in message, message
    assert "Traceback" not in message
