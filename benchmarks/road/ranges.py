"""Range of every ligand: how often it is right when ligands reach differently far.

python -m benchmarks.road.ranges [seeds]

Acting ligands of the simulated tissue (8 300 cells, 5 000 receivers) reach 1.5, 5 or 15 cell
distances, drawn at random. The radius of the inference is the default of 5. Printed are the ranges
of ligands with a significant edge: how often the preferred of five radii is the nearest to the
truth, whether the order of two ligands of different range is right, and whether the interval holds
the radius that is nearest to the truth. Default seeds 673 674 675 were not used in development,
which saw seeds 1 and 670 to 672.
"""

from __future__ import annotations

import sys
from itertools import combinations
from unittest.mock import patch

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks._scores import machine
from scipy import sparse

import spatrace_sc as st
from spatrace_sc.datasets import _expression

#: True ranges, as multiples of the distance between nearest cells.
TRUE = (1.5, 5.0, 15.0)
#: Radii that are compared, as such multiples.
COMPARED = (1.5, 3.0, 5.0, 10.0, 20.0)
N_CELLS = 8300


def tissue(seed: int) -> tuple[AnnData, dict[str, float]]:
    """Return a simulated tissue, and the range of every ligand in cell distances."""
    rng = np.random.default_rng([seed, 5])
    weigh, expose = _expression.neighbour_weights, _expression.ligand_exposure
    chosen: list[float] = []
    kernels: list[sparse.csr_matrix] = []

    def weights(xy, sample, receivers, senders, *, radius, kernel):
        spacing = radius / (5 * _expression.SPREAD)
        for true in TRUE:
            decay = true * spacing / 3.0
            kernels.append(
                weigh(
                    *(xy, sample, receivers, senders),
                    radius=5 * decay,
                    kernel=lambda d, decay=decay: np.exp(-d / decay),
                )
            )
        return kernels[-1]

    def exposure(_, logged):
        chosen.extend(rng.choice(TRUE, logged.shape[1]))
        parts = [expose(kernels[TRUE.index(r)], logged[:, [k]]) for k, r in enumerate(chosen)]
        # all ligands reach their receptors at the same mean level
        reference = expose(kernels[1], logged).mean(axis=0)
        result = np.hstack(parts)
        return result * (reference / np.maximum(result.mean(axis=0), 1e-12))

    with (
        patch.object(_expression, "neighbour_weights", weights),
        patch.object(_expression, "ligand_exposure", exposure),
    ):
        adata = st.datasets.simulated(seed, n_cells=N_CELLS, n_targets=80)
    return adata, names_of(seed, chosen)


def names_of(seed: int, chosen: list[float]) -> dict[str, float]:
    """Return the range of every ligand by name."""
    from spatrace_sc.datasets import _simulated

    drawn: list[dict[str, np.ndarray]] = []
    original = _simulated.draw_names
    with patch.object(_simulated, "draw_names", lambda *a: drawn.append(original(*a)) or drawn[-1]):
        st.datasets.simulated(seed, n_cells=200, n_targets=80)
    return dict(zip(map(str, drawn[0]["ligand"]), chosen, strict=True))


def run(seed: int) -> pd.DataFrame:
    """Return the ranges of ligands beside the truth, in cell distances."""
    adata, truth = tissue(seed)
    acting = set(adata.uns["truth"]["lr_pairs"]["ligand"])
    st.tl.infer_ccc(adata, sample_key="sample", stage_key="stage", rng=seed)
    spacing = float(st.get.params(adata)["radius"]) / 5.0
    st.tl.ranges(adata, [factor * spacing for factor in COMPARED], rng=seed)
    table = st.get.ranges(adata)
    table[["radius", "low", "high"]] /= spacing
    table["true"] = [truth[name] for name in table["ligand"]]
    return table[table["ligand"].isin(acting)].assign(seed=seed)


def summary(table: pd.DataFrame) -> str:
    """Return how often ranges, their order and their intervals are right, as Markdown."""
    logs = np.log(table["true"].to_numpy(dtype=float))
    nearest = np.array([min(COMPARED, key=lambda r: abs(np.log(r) - true)) for true in logs])
    table = table.assign(
        right=np.isclose(table["radius"], nearest),
        near=np.abs(_step(table["radius"]) - _step(nearest)) <= 1,
        held=(table["low"] <= nearest + 1e-6) & (table["high"] >= nearest - 1e-6),
    )
    lines = [
        "| ligands | n | right radius | within one step | right order (pairs of ligands) "
        "| interval holds it |",
        "|---|---|---|---|---|---|",
    ]
    for name, part in (("all", table), ("determined", table[table["determined"]])):
        order = [right for _, of_seed in part.groupby("seed") for right in _order(of_seed)]
        lines.append(
            f"| {name} | {len(part)} | {part['right'].mean():.2f} "
            f"| {part['near'].mean():.2f} | {np.mean(order):.2f} "
            f"({len(order)}) | {part['held'].mean():.2f} |"
        )
    return "\n".join(lines)


def _step(radii: object) -> np.ndarray:
    """Return the positions of radii among those that are compared."""
    values = np.log(np.asarray(radii, dtype=float))
    return np.abs(values[:, None] - np.log(COMPARED)).argmin(axis=1)


def _order(table: pd.DataFrame) -> list[bool]:
    """Return whether the order of every two ligands of different true range is right."""
    return [
        bool(np.sign(a["radius"] - b["radius"]) == np.sign(a["true"] - b["true"]))
        for a, b in combinations(table.to_dict("records"), 2)
        if a["true"] != b["true"]
    ]


if __name__ == "__main__":
    seeds = [int(s) for s in sys.argv[1:]] or [673, 674, 675]
    st.settings.progress = False
    print(machine().rsplit(";", 1)[0], "; seeds", seeds)
    result = pd.concat([run(seed) for seed in seeds], ignore_index=True)
    print(result.round(2).to_string())
    print(summary(result))
