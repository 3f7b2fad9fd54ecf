"""A linear Gaussian model with a known log-likelihood, to calibrate estimators.

``z ~ N(0, I)``, ``x = A z + b + noise``, ``noise ~ N(0, s^2 I)``, hence
``x ~ N(b, A A' + s^2 I)`` and ``z | x ~ N(M^-1 A'(x - b)/s^2, M^-1)`` with
``M = I + A'A/s^2``. A has orthogonal columns, so that the posterior is diagonal and the proposal can
be exact: then every importance weight is p(x).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from rungs.models.protocol import Layer
from rungs.probability.gaussian import LOG_TWO_PI, DiagonalGaussian


class LinearGaussian:
    """Probabilistic PCA with a diagonal posterior, in float64.

    Args:
        pixels: the size of x.
        units: the size of z.
        generator: the source of A and b.
        spread: the standard deviation of the proposal relative to the posterior's, at least 1: a
            proposal narrower than the posterior has weights of infinite variance once
            ``spread^2 <= 1/2``. With 1 and ``shift`` 0 the proposal is the exact posterior.
        shift: the offset of the proposal's mean, in posterior standard deviations.
        miss: a further offset ``miss * exp(uneven * h) * e`` that differs from image to image, as that
            of an amortised encoder does: e has an independent N(0, 1) entry a unit, h is N(0, 1), and
            both are functions of what of x no z explains. It needs ``pixels > 2 * units``.
        uneven: how unequal the images are in this.
    """

    def __init__(
        self,
        pixels: int,
        units: int,
        generator: torch.Generator,
        spread: float = 1.0,
        shift: float = 0.0,
        miss: float = 0.0,
        uneven: float = 0.0,
    ) -> None:
        self.latent_sizes = [units]
        columns = torch.randn(pixels, units, generator=generator, dtype=torch.float64)
        lengths = torch.linspace(0.5, 2.0, units, dtype=torch.float64)
        self.weight = torch.linalg.qr(columns).Q * lengths
        self.offset = torch.randn(pixels, generator=generator, dtype=torch.float64)
        self.noise_variance = 0.25
        self.spread, self.shift = spread, shift
        self.miss, self.uneven = miss, uneven
        if miss:
            rest = torch.randn(pixels, units + 1, generator=generator, dtype=torch.float64)
            #: orthonormal directions of x that z does not reach
            self.unexplained = torch.linalg.qr(torch.cat([columns, rest], 1)).Q[:, units:]

    def exact_log_likelihood(self, x: Tensor) -> Tensor:
        """``log p(x)``, ``[batch]``, nats, in closed form."""
        pixels = x.shape[-1]
        covariance = self.weight @ self.weight.T + self.noise_variance * torch.eye(
            pixels, dtype=torch.float64
        )
        factor = torch.linalg.cholesky(covariance)
        whitened = torch.linalg.solve_triangular(factor, (x - self.offset).T, upper=False)
        log_determinant = 2 * factor.diagonal().log().sum()
        return -0.5 * (pixels * LOG_TWO_PI + log_determinant + whitened.square().sum(0))

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """The proposal for ``x [batch, pixels]``: the exact posterior, widened and shifted."""
        precision = 1 + self.weight.square().sum(0) / self.noise_variance
        mean = (x - self.offset) @ self.weight / self.noise_variance / precision
        deviation = precision.rsqrt()
        offset = self.shift + self.misses(x) if self.miss else self.shift
        return DiagonalGaussian(
            mean + offset * deviation, (self.spread * deviation).square().expand_as(mean)
        )

    def misses(self, x: Tensor) -> Tensor:
        """The offsets of the proposal's means by ``miss``, ``[batch, units]``, posterior deviations."""
        noise = (x - self.offset) @ self.unexplained / math.sqrt(self.noise_variance)
        scale: Tensor = self.miss * (self.uneven * noise[:, -1:]).exp()
        return scale * noise[:, :-1]

    def draw(self, context: DiagonalGaussian, noise: list[Tensor]) -> list[Layer]:
        """Draw from the proposal."""
        z = context.sample(noise[0].double())
        prior = DiagonalGaussian(torch.zeros_like(z), torch.ones_like(z))
        return [Layer(z, context, prior, analytic=True)]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """``log p(x | z)``, ``[..., batch]``, nats."""
        residual = x - self.decode(z)
        return -0.5 * (
            x.shape[-1] * (LOG_TWO_PI + math.log(self.noise_variance))
            + residual.square().sum(-1) / self.noise_variance
        )

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z), ``[..., pixels]``."""
        return z @ self.weight.T + self.offset

    def generate(self, noise: list[Tensor]) -> list[Tensor]:
        """A draw from the prior."""
        return [noise[0].double()]

    def simulate(self, images: int, generator: torch.Generator) -> Tensor:
        """Draw ``images`` from p(x), ``[images, pixels]``."""
        z = torch.randn(images, *self.latent_sizes, generator=generator, dtype=torch.float64)
        noise = torch.randn(images, len(self.offset), generator=generator, dtype=torch.float64)
        return self.decode(z) + math.sqrt(self.noise_variance) * noise
