"""Statistics of units where they are known exactly."""

from __future__ import annotations

import pytest
import torch

from rungs.evaluation.activity import unit_statistics
from rungs.models.protocol import Layer
from rungs.probability.gaussian import DiagonalGaussian


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TwoLayers:
    """Posterior means known exactly: unit 0 copies a standard pixel, unit 1 is constant, and the
    second layer's mean is a noisy sample of the first, as in a bottom-up model."""

    latent_sizes = [2, 1]  # noqa: RUF012

    def encode(self, x: torch.Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(torch.stack([x[:, 0], 0 * x[:, 0]], -1), torch.ones(2))

    def draw(self, context: DiagonalGaussian, noise: list[torch.Tensor]) -> list[Layer]:
        z = context.sample(noise[0])
        prior = DiagonalGaussian(torch.zeros_like(z), torch.ones_like(z))
        above = DiagonalGaussian(z[..., :1], torch.ones_like(z[..., :1]))
        top = DiagonalGaussian(torch.zeros_like(z[..., :1]), torch.ones_like(z[..., :1]))
        return [
            Layer(z, context, prior, analytic=True),
            Layer(above.sample(noise[1]), above, top, analytic=True),
        ]


def test_unit_statistics_are_unbiased() -> None:
    """With 3 draws an image, the naive variance of the second layer's mean would be 1 + 1/3."""
    x = torch.randn(20_000, 1, dtype=torch.float64, generator=generator(4))
    found = unit_statistics(TwoLayers(), x, 3, generator(5), 1000)  # type: ignore[arg-type]
    variance = float(x.var())
    assert float(found.active_variance[0][0]) == pytest.approx(variance, rel=1e-6)
    assert float(found.active_variance[0][1]) == pytest.approx(0, abs=1e-9)
    assert float(found.active_variance[1][0]) == pytest.approx(variance, abs=0.05)
    assert float(found.kl[0][0]) == pytest.approx(float(x.square().mean()) / 2, rel=1e-6)
    assert float(found.kl[0][1]) == pytest.approx(0, abs=1e-9)
