"""Write every table of four tissues to a folder, or compare two such folders.

This shows that a rewrite changes no number.

python -m benchmarks.snapshot write FOLDER [tissue ...]
python -m benchmarks.snapshot compare FOLDER_BEFORE FOLDER_AFTER

Run both with one thread (``OMP_NUM_THREADS=1``) on the same machine. Numbers must agree to 1e-6,
and rows must keep their order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

import spatrace_sc as st

#: Largest absolute or relative difference of two numbers that count as the same.
TOLERANCE = 1e-6
KEYS = {"sample_key": "sample", "stage_key": "stage", "time_key": "dpt_pseudotime"}


def small(seed: int) -> tuple[AnnData, dict]:
    """Return a small tissue with the default arguments."""
    return st.datasets.simulated(seed, n_cells=900, n_targets=25), dict(KEYS)


def deep(seed: int) -> tuple[AnnData, dict]:
    """Return a deeply sequenced tissue and a prior of both kinds."""
    adata = st.datasets.simulated(
        seed, n_cells=1500, depth=4000, decoy_fraction=0.1, noise=0.1, n_slices=2, n_targets=30
    )
    truth = adata.uns["truth"]
    prior = [
        truth["lr_pairs"][["ligand", "receptor"]],
        truth["tf_targets"][["tf", "target"]].head(10),
    ]
    return adata, KEYS | {"prior": prior}


def overlapping(seed: int) -> tuple[AnnData, dict]:
    """Return shallow counts with genes in two roles, given transitions, symbols and a radius."""
    size = {"n_ligands": 8, "n_receptors": 8, "n_pairs": 8, "n_tfs": 10, "n_targets": 20}
    adata = st.datasets.simulated(seed, n_cells=1200, depth=1500, **size)
    names = {role: list(adata.var_names[adata.var[flag]]) for role, flag in ROLES.items()}
    names["targets"] += names["tfs"][:3] + names["receptors"][:2] + names["ligands"][:1]
    adata.var["symbol"] = [f"S{name}" for name in adata.var_names]
    adata.var_names = [f"ENS{k:05d}" for k in range(adata.n_vars)]
    chosen = {role: [f"S{g}" for g in genes] for role, genes in names.items()}
    st.pp.transitions(adata, time_key="dpt_pseudotime", cell_type_key="cell_type")
    arguments = (
        KEYS | chosen | {"gene_symbols": "symbol", "radius": 45.0, "transitions_key": "transitions"}
    )
    return adata, arguments


def authors(seed: int) -> tuple[AnnData, dict]:
    """Return the simulation of the SpaTRACE authors."""
    from benchmarks.recovery.datasets import bundle

    tissue = bundle(seed)
    return tissue.adata, dict(tissue.arguments)


ROLES = {"ligands": "ligand", "receptors": "receptor", "tfs": "tf", "targets": "target"}
TISSUES: dict[str, Callable[[int], tuple[AnnData, dict]]] = {
    "small": small,
    "deep": deep,
    "overlapping": overlapping,
    "authors": authors,
}


def tables_of(name: str, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield every table of the readers, after every verb has run."""
    adata, arguments = TISSUES[name](seed)
    st.tl.infer_ccc(adata, **arguments, rng=seed, device="cpu")
    yield from _of_inference(adata, "inference")
    ligand, tf = st.get.lr_targets(adata)["ligand"][0], st.get.tf_targets(adata)["tf"][0]
    st.tl.cascades(adata, max_q=1.0)
    yield "cascades", st.get.cascades(adata)
    st.tl.communication(adata, n_permutations=49, progress=False)
    yield "communication_labels", st.get.communication(adata)
    st.tl.communication(adata, null="positions", n_permutations=19, progress=False)
    yield "communication_positions", st.get.communication(adata)
    yield "sent_received", st.get.sent_received(adata)
    st.tl.modules(adata, max_q=1.0, n_modules=2, n_draws=3, progress=False)
    for kind in ("lr_pairs", "targets", "stages", "summary"):
        yield f"modules_{kind}", st.get.modules(adata, kind)
    groups = "stage" if "stage" in adata.obs else arguments.get("time_key", "dpt_pseudotime")
    st.tl.compare(adata, groups, max_q=1.0, top_n=10)
    for kind in ("tf_targets", "lr_targets", "tfs", "lr_pairs", "tf_activity", "lr_pair_activity"):
        yield f"comparison_{kind}", st.get.comparison(adata, kind)
    st.tl.knockout(adata, ligand=ligand)
    yield "knockout_ligand", st.get.knockout(adata)
    yield "knockout_cells", _frame(st.get.knockout_cells(adata))
    st.tl.knockout(adata, tf=tf)
    yield "knockout_tf", st.get.knockout(adata, f"tf:{tf}")
    yield "liana", st.get.to_liana(adata)


def _of_inference(adata: AnnData, prefix: str) -> Iterator[tuple[str, pd.DataFrame]]:
    for kind in ("tf_targets", "lr_targets", "lr_pairs", "lr_tfs", "communication"):
        reader = getattr(st.get, kind)
        yield f"{prefix}_{kind}", reader(adata)
        if kind != "lr_tfs":
            for stage in st.get.stages(adata):
                yield f"{prefix}_{kind}_{stage}", reader(adata, stage)
    yield f"{prefix}_history", st.get.training_history(adata)
    yield f"{prefix}_activity", _frame(st.get.activity(adata))
    yield f"{prefix}_sent_received", st.get.sent_received(adata)
    yield f"{prefix}_tf_activity", _frame(st.get.activity(adata, "tfs"))
    fit = adata.uns["spatrace"]["fit"]
    yield f"{prefix}_fit", pd.DataFrame({k: [v] for k, v in fit.items() if np.isscalar(v)})


def _frame(adata: AnnData | pd.DataFrame) -> pd.DataFrame:
    if isinstance(adata, pd.DataFrame):
        return adata
    return pd.DataFrame(np.asarray(adata.X), index=adata.obs_names, columns=adata.var_names)


def write(folder: Path, names: list[str]) -> None:
    """Write one file per table."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(TISSUES):
        if names and name not in names:
            continue
        for table, frame in tables_of(name, seed):
            frame.to_pickle(folder / f"{name}.{table}.pkl")
        print(f"{name}: written", flush=True)


def compare(before: Path, after: Path) -> int:
    """Print the tables that differ and return their number."""
    differing, files = 0, sorted(p.name for p in before.glob("*.pkl"))
    largest = 0.0
    for file in files:
        if not (after / file).exists():
            print(f"{file}: missing")
            differing += 1
            continue
        text, size = _difference(pd.read_pickle(before / file), pd.read_pickle(after / file))
        largest = max(largest, size)
        differing += bool(text)
        if text:
            print(f"{file}: {text}")
    print(
        f"{len(files)} tables, {differing} differ; the largest difference of two numbers is "
        f"{largest:.2g}"
    )
    return differing


def _difference(a: pd.DataFrame, b: pd.DataFrame) -> tuple[str, float]:
    if list(map(str, a.columns)) != list(map(str, b.columns)) or len(a) != len(b):
        return f"{a.shape} {list(a.columns)[:4]} against {b.shape} {list(b.columns)[:4]}", 0.0
    largest, differences = 0.0, []
    for k, column in enumerate(a.columns):
        x, y = a.iloc[:, k], b.iloc[:, k]
        if pd.api.types.is_numeric_dtype(x) and not pd.api.types.is_bool_dtype(x):
            u, v = x.to_numpy(dtype=float), y.to_numpy(dtype=float)
            if (np.isnan(u) != np.isnan(v)).any():
                differences.append(f"{column}: NaN in other rows")
            distance = np.abs(u - v)[np.isfinite(u) & np.isfinite(v)]
            size = float(distance.max(initial=0.0))
            largest = max(largest, size)
            if not np.allclose(u, v, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                differences.append(f"{column}: {size:.2g}")
        elif not (x.astype(str).to_numpy() == y.astype(str).to_numpy()).all():
            n_other = int((x.astype(str).to_numpy() != y.astype(str).to_numpy()).sum())
            differences.append(f"{column}: {n_other} other entries")
    return "; ".join(differences), largest


if __name__ == "__main__":
    if len(sys.argv) >= 3 and sys.argv[1] == "write":
        write(Path(sys.argv[2]), sys.argv[3:])
    elif len(sys.argv) == 4 and sys.argv[1] == "compare":
        raise SystemExit(compare(Path(sys.argv[2]), Path(sys.argv[3])) > 0)
    else:
        print(__doc__)
        raise SystemExit(2)
