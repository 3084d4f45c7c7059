"""A simulator of branching lineages, unlike :func:`spatrace_sc.datasets.simulated`.

The regulatory network, its noise and the technical noise follow SERGIO (Dibaeinia & Sinha, Cell
Systems 2020); signals between cells are added.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse
from scipy.spatial import cKDTree
from scipy.special import expit

from spatrace_sc._core.exposure import nearest_neighbour_distance, neighbour_weights
from spatrace_sc.datasets._annotated import SimulatedTissue, assemble
from spatrace_sc.datasets._fields import smooth_field
from spatrace_sc.datasets._wiring import Wiring

SIZES = {"ligand": 10, "receptor": 10, "tf": 15, "target": 80, "background": 150}
STAGES, SENDERS, LINEAGES, MASTERS, PAIRS = 3, 3, ("A1", "A2", "B"), 4, 10
#: Progress at the start of the root, at the two forks and at the ends. Production rates of master
#: regulators are drawn there.
KNOTS = np.array([0.0, 0.3, 0.65, 1.0])
#: Time from the root to an end, time between stages, time that is integrated and its step, in units
#: of about one mRNA lifetime.
TREE, STAGE_GAP, PAST, DT = 12.0, 4.0, 16.0, 0.04
SIGNALLING_RATE, RECEPTOR_RELAXATION, SENDER_RELAXATION = 1.0, 3.0, 6.0
#: Length of the ligands' Gaussian kernel, in median distances between nearest cells.
REACH = 1.5


@dataclass(frozen=True)
class Network:
    """The regulatory network and its rates.

    TF edges are in units of a production rate of 3, pair edges are log2 fold changes. ``basal``
    production and first-order ``decay`` are those of TFs, receptors and targets, in this order here
    and below. ``master`` (lineages, knots, masters) is production.
    """

    wiring: Wiring
    tf_receptor: np.ndarray
    basal: np.ndarray
    decay: np.ndarray
    master: np.ndarray


def lineage_tissue(
    seed: int = 0,
    *,
    n_cells: int = 3000,
    n_slices: int = 2,
    receiver_fraction: float = 0.6,
    signal_strength: float = 1.0,
    noise: float = 1.0,
    depth: float = 1800.0,
) -> AnnData:
    """Simulate differentiating cells whose gene network responds to signals from the tissue.

    1. *Network*: a random acyclic graph with hubs. Four TFs are masters; other TFs, receptors and
       targets have 1–3 TFs. Production is
       ``P_g = (b_g + sum_f 3 |w_fg| H±(x_f)) · prod_p M_pg(a_p)`` with ``H+ = x² / (h² + x²)``,
       ``H- = 1 - H+`` and *h* the mean level of the TF.
    2. *Noise*: ``dx_g = (P_g - λ_g x_g) dt + noise · sqrt(P_g + λ_g x_g) dW`` (chemical Langevin),
       for all cells at once over the last 16 time units before collection.
    3. *Lineages*: root, then A or B, then A1 or A2. The production of masters is piecewise linear
       in the progress along the tree. Stages differ in mean progress and overlap.
    4. *Ligands*: log-normal, with programmes of three sender types, a course over stages, a spatial
       gradient and a Gaussian kernel of 1.5 cell distances. The further back in time, the more the
       neighbours of a cell differ from the present ones.
    5. *Signals*: mass action ``D = E_l R_r``, occupancy ``D / (D + K)``, ``da/dt = occupancy - a``.
       A signal multiplies production by ``M = (1 + (F - 1) a)^±1``, with *F* of 2–4 (activation) or
       2–3 (repression), for 4–8 targets of each pair and for one TF of every third pair. Receptors
       are regulated by TFs and fluctuate (Ornstein–Uhlenbeck). A fifth of the ligands and three
       tenths of the receptors act in no pair.
    6. *Counts*: outlier genes, library size, dropout that is logistic in log expression, Poisson.

    Parameters
    ----------
    seed
        The same seed and arguments give the same data.
    n_cells, n_slices, receiver_fraction
        Number of cells over three stages, slices per stage, and the share of receivers.
    signal_strength, noise
        Factors of the log fold changes by signals (0: ligands have no effect) and of the intrinsic
        noise.
    depth
        Median library size before dropout, which removes about 30 % of it.

    Returns
    -------
    AnnData as :func:`spatrace_sc.datasets.simulated` returns it. Indirect edges are chains
    pair → TF (→ TF …) → target; chains over receptors are not listed.
    """
    parameters = dict(locals())
    names = ("layout", "network", "ligand", "kinetics", "background", "counts", "order")
    streams = dict(zip(names, np.random.default_rng(seed).spawn(len(names)), strict=True))
    cells = _layout(streams["layout"], n_cells, n_slices, receiver_fraction)
    network = _network(streams["network"], signal_strength)
    ligand, course = _ligands(streams["ligand"], cells)
    levels, signal = _receivers(
        streams["kinetics"], cells, network, _exposure(cells, ligand), course, noise
    )
    counts = _technical(
        streams["counts"], _all_genes(streams["background"], cells, ligand, levels), depth
    )
    time = cells["progress"].to_numpy()
    tissue = SimulatedTissue(cells, counts, network.wiring, SIZES, time, signal)
    adata = assemble(streams["order"], tissue, parameters)
    estimate = time + 0.05 * streams["order"].normal(size=len(time))
    adata.obs["dpt_pseudotime"] = (estimate - np.nanmin(estimate)) / (
        np.nanmax(estimate) - np.nanmin(estimate)
    )
    return adata


def _layout(
    rng: np.random.Generator, n_cells: int, n_slices: int, receiver_fraction: float
) -> pd.DataFrame:
    """Return one row per cell: irregular positions, sender types in patches, mixed lineages."""
    frames = []
    for number, part in enumerate(np.array_split(np.arange(n_cells), STAGES * n_slices)):
        stage, replicate = divmod(number, n_slices)
        xy = _positions(rng, len(part))
        receiver = rng.random(len(xy)) < receiver_fraction
        lineage, sender = (
            _patches(rng, xy, n, s) for n, s in ((len(LINEAGES), 0.5), (SENDERS, 1.5))
        )
        mean = 0.5 + 0.25 * (stage - 1)
        progress = rng.beta(7 * mean, 7 * (1 - mean), len(xy))
        state = np.where(
            lineage == 2, "B", np.where(progress < KNOTS[2], "A", np.array(LINEAGES)[lineage])
        )
        state = np.where(progress < KNOTS[1], "root", state)
        frame = pd.DataFrame(xy, columns=["x", "y"]).assign(is_receiver=receiver, lineage=lineage)
        frame["cell_type"] = np.where(receiver, state, np.char.add("sender_", sender.astype(str)))
        frame["stage"], frame["sample"] = f"day{stage + 1}", f"day{stage + 1}_slice{replicate + 1}"
        frame["stage_time"], frame["progress"] = stage + 1.0, np.where(receiver, progress, np.nan)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _positions(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return points of varying density, moved apart where they are closer than 7 units."""
    side = 10.0 * np.sqrt(size)
    proposed = rng.uniform(0, side, (6 * size, 2))
    density = np.exp(0.6 * smooth_field(rng, proposed, 80.0))
    xy = proposed[rng.choice(len(proposed), size, replace=False, p=density / density.sum())]
    for _ in range(20):
        distance, index = cKDTree(xy).query(xy, k=2)
        apart = (xy - xy[index[:, 1]]) / (distance[:, [1]] + 1e-9)
        xy = xy + apart * np.maximum(0.0, 7.0 - distance[:, [1]]) / 2
    return xy


def _patches(rng: np.random.Generator, xy: np.ndarray, n_kinds: int, contrast: float) -> np.ndarray:
    """Draw a kind for every cell, its log odds smooth fields with sd ``contrast``."""
    fields = np.stack([smooth_field(rng, xy, 60.0) for _ in range(n_kinds)], axis=1)
    return (contrast * fields + rng.gumbel(size=fields.shape)).argmax(1)


def _network(rng: np.random.Generator, signal_strength: float) -> Network:
    n_l, n_r, n_f, n_g, _ = SIZES.values()
    hub = rng.lognormal(0.0, 0.8, n_f)
    tf_tf, tf_receptor, tf_target = (np.zeros((n_f, n)) for n in (n_f, n_r, n_g))
    for matrix, first in ((tf_tf, MASTERS), (tf_receptor, 0), (tf_target, 0)):
        for gene in range(first, matrix.shape[1]):
            known = gene if matrix is tf_tf else n_f
            parents = rng.choice(
                known, rng.integers(1, 4), replace=False, p=hub[:known] / hub[:known].sum()
            )
            sign = np.where(rng.random(len(parents)) < 0.7, 1.0, -1.0)
            matrix[parents, gene] = sign * rng.uniform(0.5, 1.5, len(parents))
    pairs = _pairs(rng, n_l - round(0.2 * n_l), n_r - round(0.3 * n_r))
    pair_tf, pair_target = (np.zeros((len(pairs), n)) for n in (n_f, n_g))
    driven = rng.permutation(np.arange(MASTERS, n_f))
    for p in range(len(pairs)):
        targets = rng.choice(
            np.flatnonzero((pair_target != 0).sum(0) < 2), rng.integers(4, 9), replace=False
        )
        pair_target[p, targets] = _log_folds(rng, len(targets))
        if p % 3 == 0:
            pair_tf[p, driven[p // 3]] = _log_folds(rng, 1)[0]
    alone = (pair_target != 0).any(0) & (rng.random(n_g) < 0.1)
    tf_target[:, alone] = 0.0
    basal = np.concatenate(
        [rng.uniform(*span, n) for span, n in (((0.1, 0.5), n_f), ((0.3, 1.0), n_r + n_g))]
    )
    basal[n_f + n_r :][alone] += 2.0
    idle_l, idle_r = (
        -np.isin(np.arange(n), pairs[:, k]).astype(int) for k, n in enumerate((n_l, n_r))
    )
    wiring = Wiring(
        pairs,
        idle_l,
        idle_r,
        tf_tf,
        pair_tf * signal_strength,
        tf_target,
        pair_target * signal_strength,
    )
    return Network(
        wiring, tf_receptor, basal, rng.uniform(0.5, 1.2, len(basal)), _master_rates(rng)
    )


def _master_rates(rng: np.random.Generator) -> np.ndarray:
    """Draw rates that are low (0.2–1) or high (2–4) at every node of the tree.

    They are drawn again until the three ends and the two branches differ.
    """
    while True:
        high = rng.random((len(LINEAGES), len(KNOTS), MASTERS)) < 0.5
        rate = np.where(high, rng.uniform(2, 4, high.shape), rng.uniform(0.2, 1, high.shape))
        for shared, knots in ((slice(None), slice(0, 2)), (slice(0, 2), slice(0, 3))):
            high[shared, knots], rate[shared, knots] = high[0, knots], rate[0, knots]
        if (
            len({tuple(end) for end in high[:, 3]}) == len(LINEAGES)
            and (high[0, 2] != high[2, 2]).any()
        ):
            return rate


def _pairs(rng: np.random.Generator, n_l: int, n_r: int) -> np.ndarray:
    """Draw pairs so that every acting ligand and receptor is in at least one."""
    size = max(n_l, n_r)
    chosen = list(
        zip(
            np.resize(rng.permutation(n_l), size),
            np.resize(rng.permutation(n_r), size),
            strict=True,
        )
    )
    unused = [(i, j) for i in range(n_l) for j in range(n_r) if (i, j) not in set(chosen)]
    more = rng.choice(len(unused), PAIRS - size, replace=False)
    return np.array(sorted(chosen + [unused[k] for k in more]), dtype=np.intp)


def _log_folds(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.where(
        rng.random(size) < 0.7, np.log2(rng.uniform(2, 4, size)), -np.log2(rng.uniform(2, 3, size))
    )


def _ligands(rng: np.random.Generator, cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return (cells, L) expression and (stages, L) the logarithm of its course.

    Receivers express 3 % of the level of a sender.
    """
    n_l = SIZES["ligand"]
    made = rng.random((SENDERS, n_l)) < 0.2
    made[rng.integers(0, SENDERS, n_l), np.arange(n_l)] = True
    programme = np.where(made, rng.normal(1.3, 0.4, made.shape), rng.normal(-1.5, 0.5, made.shape))
    course = rng.normal(0, 0.4, (STAGES, n_l))
    gradient = np.empty((len(cells), n_l))
    for rows in cells.groupby("sample").indices.values():
        xy = cells[["x", "y"]].to_numpy()[rows]
        gradient[rows] = np.stack([smooth_field(rng, xy, 150.0) for _ in range(n_l)], axis=1)
    stage = cells["stage_time"].to_numpy(int) - 1
    kind = cells["cell_type"].map({f"sender_{k}": k for k in range(SENDERS)})
    base = np.where(
        kind.isna().to_numpy()[:, None], np.log(0.03) + 1.3, programme[kind.fillna(0).to_numpy(int)]
    )
    return np.exp(
        base + course[stage] + 0.4 * gradient + 0.6 * rng.normal(size=gradient.shape)
    ), course


def _exposure(cells: pd.DataFrame, ligand: np.ndarray) -> np.ndarray:
    """Return (receivers, L) sums over senders of the slice, weighted by a Gaussian kernel."""
    xy, sample = cells[["x", "y"]].to_numpy(), pd.factorize(cells["sample"])[0]
    receiver, reach = (
        cells["is_receiver"].to_numpy(),
        REACH * nearest_neighbour_distance(xy, sample),
    )
    kernel = lambda d: np.exp(-0.5 * (d / reach) ** 2)
    weights = neighbour_weights(xy, sample, receiver, ~receiver, radius=4 * reach, kernel=kernel)
    return np.asarray(weights @ ligand)[receiver] + 1e-3


class _Genes:
    """Production of TFs, receptors and targets, in this order, for all cells at once."""

    def __init__(self, network: Network, progress: np.ndarray, lineage: np.ndarray) -> None:
        w = network.wiring
        self._network, self._lineage = network, lineage
        self._edges = 3.0 * np.hstack([w.tf_tf, network.tf_receptor, w.tf_target])
        self._constant = network.basal + np.maximum(-self._edges, 0).sum(0)
        fold = np.hstack(
            [w.pair_tf, np.zeros((len(w.pairs), network.tf_receptor.shape[1])), w.pair_target]
        )
        self._pair, gene = np.nonzero(fold)
        self._gain = 2.0 ** np.abs(fold[self._pair, gene]) - 1.0
        self._sign = np.zeros((len(gene), fold.shape[1]))
        self._sign[np.arange(len(gene)), gene] = np.sign(fold[self._pair, gene])
        self.half = np.ones(len(w.tf_tf))
        self.steady = np.ones((len(progress), fold.shape[1]))
        middle = np.full((len(progress), len(w.pairs)), 0.5)
        # in the order of the graph, so that parents are known before their children
        for f in range(len(self.half)):
            self.steady[:, f] = (
                self.production(self.steady, middle, progress)[:, f] / network.decay[f]
            )
            self.half[f] = self.steady[:, f].mean()
        self.steady = self.production(self.steady, middle, progress) / network.decay

    def production(self, x: np.ndarray, active: np.ndarray, progress: np.ndarray) -> np.ndarray:
        square = x[:, : len(self.half)] ** 2
        rate = self._constant + square / (square + self.half**2) @ self._edges
        knot = np.clip(np.searchsorted(KNOTS, progress, side="right") - 1, 0, len(KNOTS) - 2)
        fraction = ((progress - KNOTS[knot]) / np.diff(KNOTS)[knot])[:, None]
        knots = self._network.master
        rate[:, :MASTERS] = (1 - fraction) * knots[self._lineage, knot] + fraction * knots[
            self._lineage, knot + 1
        ]
        return rate * np.exp(np.log1p(self._gain * active[:, self._pair]) @ self._sign)


def _receivers(
    rng: np.random.Generator,
    cells: pd.DataFrame,
    net: Network,
    exposure: np.ndarray,
    course: np.ndarray,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Integrate all receivers up to their collection.

    Returns (receivers, F + R + G) levels, receptors with their fluctuation, and (cells, P) signals.
    """
    receivers = cells[cells["is_receiver"]]
    progress, stage = receivers["progress"].to_numpy(), receivers["stage_time"].to_numpy(int) - 1
    genes = _Genes(net, progress, receivers["lineage"].to_numpy())
    left, right = net.wiring.pairs.T
    n_f, n_r = net.tf_receptor.shape
    receptors = slice(n_f, n_f + n_r)
    constant = np.median(exposure[:, left] * genes.steady[:, receptors][:, right], axis=0)
    x, active = genes.steady.copy(), np.full((len(progress), len(left)), 0.5)
    fluctuation, neighbourhood = rng.normal(size=(len(x), n_r)), rng.normal(size=exposure.shape)
    for lag in np.arange(round(PAST / DT))[::-1] * DT:
        then = np.array(
            [
                [np.interp(s - lag / STAGE_GAP, range(STAGES), c) for c in course.T]
                for s in range(STAGES)
            ]
        )
        new = np.sqrt(1 - np.exp(-2 * lag / SENDER_RELAXATION))
        dose = exposure * np.exp((then - course)[stage] + 0.5 * new * neighbourhood)
        bound = dose[:, left] * (x[:, receptors] * np.exp(0.6 * fluctuation))[:, right]
        active += SIGNALLING_RATE * DT * (bound / (bound + constant) - active)
        rate = genes.production(x, active, np.maximum(progress - lag / TREE, 0.0))
        kick = noise * np.sqrt((rate + net.decay * x) * DT) * rng.normal(size=x.shape)
        x = np.maximum(x + (rate - net.decay * x) * DT + kick, 0.0)
        for value, relaxation in (
            (fluctuation, RECEPTOR_RELAXATION),
            (neighbourhood, SENDER_RELAXATION),
        ):
            value *= np.exp(-DT / relaxation)
            value += np.sqrt(1 - np.exp(-2 * DT / relaxation)) * rng.normal(size=value.shape)
    x[:, receptors] *= np.exp(0.6 * fluctuation)
    signal = np.full((len(cells), len(left)), np.nan, dtype=np.float32)
    signal[cells["is_receiver"].to_numpy()] = active
    return x, signal


def _all_genes(
    rng: np.random.Generator, cells: pd.DataFrame, ligand: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Return (cells, genes in role order) molecules, each gene at a scale of its own.

    Senders express little of the receivers' genes.
    """
    _, n_r, n_f, _, n_b = SIZES.values()
    receiver, kind = cells["is_receiver"].to_numpy(), pd.factorize(cells["cell_type"])[0]
    ordered = np.hstack([levels[:, n_f : n_f + n_r], levels[:, :n_f], levels[:, n_f + n_r :]])
    quiet = 0.1 * ordered.mean(0) * rng.lognormal(0, 0.5, (kind.max() + 1, ordered.shape[1]))
    expressed = quiet[kind] * rng.lognormal(0, 0.4, (len(cells), ordered.shape[1]))
    expressed[receiver] = ordered
    background = rng.lognormal(1.3, 1.0, n_b) * rng.lognormal(0, 0.4, (kind.max() + 1, n_b))[kind]
    background = background * rng.lognormal(0, 0.4, background.shape)
    modelled = np.hstack([ligand, expressed])
    return np.hstack([modelled * rng.lognormal(0, 0.4, modelled.shape[1]), background])


def _technical(rng: np.random.Generator, level: np.ndarray, depth: float) -> sparse.csr_matrix:
    """Return counts after SERGIO's steps: outlier genes, library sizes, dropout, Poisson."""
    outlier = rng.random(level.shape[1]) < 0.01
    level = level * np.where(outlier, rng.lognormal(0.8, 0.8, level.shape[1]), 1.0)
    level = level * (
        rng.lognormal(np.log(depth), 0.35, (len(level), 1)) / level.sum(1, keepdims=True)
    )
    logged = np.log1p(level)
    captured = rng.random(level.shape) < expit(2.0 * (logged - np.percentile(logged, 70)))
    return sparse.csr_matrix(rng.poisson(level * captured).astype(np.float32))
