"""Boolean networks as stochastic differential equations, as BoolODE simulates them, own code.

A gene is transcribed at the probability that its rule is true, if every regulator is bound with
probability ``(p / k)^n / (1 + (p / k)^n)`` of its protein level p::

    dx = (20 f(p) - 10 x) dt + noise      mRNA
    dp = (10 x - p) dt + noise            protein

BoolODE is part of BEELINE (Pratapa et al., Nature Methods 2020); the rates are its defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from benchmarks.worlds.tissues_shared import (
    N_BACKGROUND,
    World,
    from_counts,
    from_levels,
    with_inert_genes,
)
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

N_CELLS, N_GENES, MAX_REGULATORS = 1500, 20, 4
TRANSCRIPTION, MRNA_DECAY, TRANSLATION, PROTEIN_DECAY = 20.0, 10.0, 10.0, 1.0
THRESHOLD, HILL, DURATION, DT = 10.0, 10, 9.0, 0.02
#: Molecules per unit of level, which sets the intrinsic noise.
MOLECULES = 10.0
#: Molecules that are counted per unit of level, and the log standard deviation of library sizes.
CAPTURE, LIBRARY = 4.0, 0.35
#: A gene must vary at least this much, and each fate must be taken by this share of cells.
MIN_SD, MIN_FATE, N_TRIAL = 0.25, 0.1, 150
#: Pairs of genes that exclude each other: the first fork, and the second within one branch.
FORKS = ((1, 2), (3, 4))


@dataclass(frozen=True)
class Rules:
    """One Boolean function per gene.

    - ``regulators`` (genes, MAX_REGULATORS): index of each regulator, ``N_GENES`` for none.
    - ``table`` (genes, 2, …, 2): value of the rule for each state of its regulators.
    - ``edges``: one row per regulator, with ``tf``, ``target`` and ``sign`` (indices).
    """

    regulators: np.ndarray
    table: np.ndarray
    edges: np.ndarray


def make_rules(
    logic: list[tuple[list[int], list[int], bool]],
) -> Rules:
    """Return rules from the activators and repressors of each gene.

    A rule is ``(a1 or a2 …) and not (r1 or r2 …)``, with ``and`` between activators where the
    third entry is true. A gene without activators is on unless it is repressed.
    """
    regulators = np.full((len(logic), MAX_REGULATORS), len(logic))
    table = np.zeros((len(logic), *[2] * MAX_REGULATORS))
    edges = []
    for gene, (activators, repressors, all_needed) in enumerate(logic):
        both = [*activators, *repressors]
        regulators[gene, : len(both)] = both
        for state in np.ndindex(*[2] * MAX_REGULATORS):
            on = state[: len(activators)]
            active = not on or (all(on) if all_needed else any(on))
            table[(gene, *state)] = active and not any(state[len(activators) : len(both)])
        edges += [(a, gene, 1) for a in activators] + [(r, gene, -1) for r in repressors]
    return Rules(regulators, table, np.array(edges))


def random_rules(rng: np.random.Generator) -> Rules:
    """Draw a network: a start, two forks, and a cascade with random rules and few feedbacks."""
    (a, b), (c, d) = FORKS
    logic: list[tuple[list[int], list[int], bool]] = [
        ([], [int(rng.integers(N_GENES - 3, N_GENES))], False),
        ([0, a], [b], False),
        ([0, b], [a], False),
        ([a], [d], False),
        ([a], [c], False),
    ]
    for gene in range(len(logic), N_GENES):
        size = int(rng.integers(1, MAX_REGULATORS))
        earlier = rng.choice(np.arange(1, gene), min(size, gene - 1), replace=False)
        late = rng.random(len(earlier)) < 0.1
        chosen = np.where(late, rng.integers(gene, N_GENES, len(earlier)), earlier)
        chosen = np.unique(chosen[chosen != gene])
        chosen = chosen if len(chosen) else earlier[:1]
        positive = rng.random(len(chosen)) < 0.65
        logic.append(
            (chosen[positive].tolist(), chosen[~positive].tolist(), bool(rng.random() < 0.5))
        )
    return make_rules(logic)


def transcription(rules: Rules, protein: np.ndarray) -> np.ndarray:
    """Return (cells, genes) the probability that each rule is true."""
    power = (protein / THRESHOLD) ** HILL
    bound = np.column_stack([power / (1 + power), np.zeros(len(power))])[:, rules.regulators]
    true = np.broadcast_to(rules.table, (len(protein), *rules.table.shape))
    for k in range(MAX_REGULATORS):
        p = bound[:, :, k].reshape(*bound.shape[:2], *[1] * (MAX_REGULATORS - 1 - k))
        true = true[:, :, 0] * (1 - p) + true[:, :, 1] * p
    return np.asarray(true)


def simulate(rng: np.random.Generator, rules: Rules, time: np.ndarray) -> np.ndarray:
    """Return (cells, genes) mRNA of cells that started with the first gene on, at their times."""
    shape = (len(time), len(rules.regulators))
    x, protein = np.zeros(shape), np.zeros(shape)
    x[:, 0], protein[:, 0] = TRANSCRIPTION / MRNA_DECAY, 2 * THRESHOLD
    sampled = np.zeros(shape)
    for step in range(round(time.max() / DT) + 1):
        now = np.rint(time / DT) == step
        sampled[now] = x[now]
        rates = (
            (TRANSCRIPTION * transcription(rules, protein), MRNA_DECAY * x),
            (TRANSLATION * x, PROTEIN_DECAY * protein),
        )
        x, protein = (
            np.maximum(
                level
                + (made - lost) * DT
                + np.sqrt((made + lost) * DT / MOLECULES) * rng.normal(size=shape),
                0.0,
            )
            for level, (made, lost) in zip((x, protein), rates, strict=True)
        )
    return sampled


def branching_rules(rng: np.random.Generator) -> Rules:
    """Draw rules until all genes vary and cells take all three fates."""
    while True:
        rules = random_rules(rng)
        x = simulate(rng, rules, np.linspace(0, DURATION, N_TRIAL))
        late = x[N_TRIAL // 2 :] > 0.5 * TRANSCRIPTION / MRNA_DECAY
        fates = [(late[:, a] != late[:, b]) & late[:, gene] for a, b in FORKS for gene in (a, b)]
        if x.std(axis=0).min() > MIN_SD and min(f.mean() for f in fates) > MIN_FATE:
            return rules


def boolean_world(seed: int) -> tuple[np.random.Generator, World]:
    """Return cells of a branching Boolean network at random times; types are clusters."""
    rng = np.random.default_rng(seed)
    rules = branching_rules(rng)
    time = rng.uniform(0, DURATION, N_CELLS)
    x = simulate(rng, rules, time)
    genes = [f"G{k:02d}" for k in rng.permutation(N_GENES)]
    edges = pd.DataFrame(rules.edges, columns=["tf", "target", "sign"])
    edges = edges.assign(**{c: np.take(genes, edges[c]) for c in ("tf", "target")})
    return rng, World(
        values=x,
        genes=genes,
        types=clusters(x, time),
        tfs=sorted(genes),
        targets=sorted(genes),
        edges=edges,
        time=time,
    )


def clusters(x: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return (cells,) one of four clusters, numbered by their mean time."""
    space = PCA(6, random_state=0).fit_transform(np.log1p(x))
    found = KMeans(4, n_init=5, random_state=0).fit_predict(space)
    order = np.argsort([time[found == k].mean() for k in range(4)])
    return np.char.add("cluster", np.argsort(order)[found].astype(str))


def boolean_clean(seed: int) -> AnnData:
    """Return mRNA levels without technical noise."""
    return from_levels(*boolean_world(seed))


def boolean(seed: int) -> AnnData:
    """Return Poisson counts of mRNA beside background genes."""
    rng, world = boolean_world(seed)
    level = with_inert_genes(rng, world, background=N_BACKGROUND)
    library = rng.lognormal(0, LIBRARY, (len(level), 1))
    return from_counts(rng, world, rng.poisson(CAPTURE * level * library))
