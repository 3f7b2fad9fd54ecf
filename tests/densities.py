"""Random densities for tests, in float64."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import FullGaussian, MixturePosterior


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(components: int, units: int, seed: int = 0, spread: float = 1.5) -> Mixture:
    random = generator(seed)
    draw = lambda *shape: torch.randn(*shape, generator=random, dtype=torch.float64)  # noqa: E731
    return Mixture(
        draw(components).log_softmax(-1),
        spread * draw(components, units),
        (0.7 * draw(components, units)).exp(),
    )


def diagonal(batch: int, units: int, seed: int = 1) -> DiagonalGaussian:
    random = generator(seed)
    mean = torch.randn(batch, units, generator=random, dtype=torch.float64)
    deviation = torch.randn(batch, units, generator=random, dtype=torch.float64)
    return DiagonalGaussian(mean, (0.8 * deviation - 1).exp())


def full(batch: int, units: int, seed: int = 2) -> FullGaussian:
    random = generator(seed)
    scale = 0.4 * torch.randn(batch, units, units, generator=random, dtype=torch.float64).tril(-1)
    own = torch.rand(batch, units, generator=random, dtype=torch.float64) + 0.3
    return FullGaussian(diagonal(batch, units, seed).mean, scale + own.diag_embed())


def mixed(batch: int, units: int, components: int = 3, seed: int = 3) -> MixturePosterior:
    random = generator(seed)
    draw = lambda *shape: torch.randn(*shape, generator=random, dtype=torch.float64)  # noqa: E731
    return MixturePosterior(
        draw(batch, components).log_softmax(-1),
        draw(batch, components, units),
        (0.5 * draw(batch, components, units) - 1).exp(),
    )


def noise_for(q: Any, draws: int, seed: int = 7) -> Tensor:
    batch, units = q.mean.shape
    extra = int(isinstance(q, MixturePosterior))
    return torch.randn(draws, batch, units + extra, generator=generator(seed), dtype=torch.float64)
