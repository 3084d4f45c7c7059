"""A small planted problem for the model, its decoys and its configuration."""

from __future__ import annotations

import torch

from spatrace_sc._model.config import Config, EvidenceConfig, ModelConfig, TrainingConfig
from spatrace_sc._model.records import History, Problem

N, K, F, L, R, G = 600, 2, 4, 3, 3, 5
C = 2 * F  # columns of TFs: in earlier cells, now
CONFIG = Config(
    model=ModelConfig(n_lags=K),
    training=TrainingConfig(max_epochs=4),
    evidence=EvidenceConfig(n_resamples=4),
    progress=False,
)


def planted(seed=0):
    """Problem in which target 0 follows TF 1 in earlier cells, and target 1 pair (2, 0).

    The effect of the pair is negative. The other targets follow nothing.
    """
    g = torch.Generator().manual_seed(seed)
    tf = torch.randn(N, K, F, generator=g).abs()
    tf_now = torch.randn(N, F, generator=g)
    receptor = torch.rand(N, K + 1, R, generator=g) * 4
    exposure = torch.rand(N, K + 1, L, generator=g) * 4
    exists = torch.ones(N, K + 1, dtype=torch.bool)
    exists[:5, :-1] = False
    dose = exposure[:, -1, 2] * (0.5 * receptor[:, -1, 0] + 0.5 * receptor[:, -2, 0])
    y = torch.randn(N, G, generator=g)
    y[:, 0] += 2 * tf[:, -1, 1]
    y[:, 1] -= 4 * dose / (2 + dose)
    return Problem(
        history=History(tf, tf_now, receptor, exposure, exists),
        pair_ligand=torch.arange(L).repeat_interleave(R),
        pair_receptor=torch.arange(R).repeat(L),
        tf_gene=torch.arange(F).repeat(2),
        tf_count=torch.randn(N, F, generator=g),
        tf_noise=torch.zeros(F),
        tf_state=tf.mean(1),
        receptor_level=torch.log1p(receptor.mean(1)),
        target_past=torch.randn(N, G, generator=g),
        covariates=torch.randn(N, 2, generator=g),
        targets=y,
        usable=exists[:, -2],
        block=torch.arange(N) // 20,
        penalty=torch.ones(C + L * R + 2),
        tf_penalty=None,
        forbidden=torch.empty((2, 0), dtype=torch.long),
        forbidden_on_tfs=torch.empty((2, 0), dtype=torch.long),
    )


def draw_decoys(problem):
    def draw(rng):
        def shuffled(x):
            return x[torch.from_numpy(rng.permutation(N))]

        h = problem.history
        return History(*(shuffled(x) for x in (h.tf, h.tf_now, h.receptor, h.exposure)), h.exists)

    return draw
