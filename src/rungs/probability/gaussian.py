"""Gaussians: log-densities and divergences per unit, in nats.

Functions return one value a unit and leave the sum to the caller: active units are
counted by each unit's own term.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

LOG_TWO_PI = math.log(2 * math.pi)


class Distribution(Protocol):
    """A density over ``[..., units]``: a prior or a posterior of one layer.

    ``log_density`` and ``divergence`` have one term a unit where the density factorises, else a
    single one for all units together: ``[..., units]`` or ``[..., 1]``.
    """

    @property
    def mean(self) -> Tensor:
        """The mean, ``[..., units]``."""
        ...

    def log_density(self, z: Tensor) -> Tensor:
        """``log p(z)``, nats."""
        ...

    def divergence(self, other: Any) -> Tensor:
        """``KL(self || other)``, nats."""
        ...


@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent Gaussians, one a unit: N(mean, variance).

    Attributes:
        mean: ``[..., units]``.
        variance: ``[..., units]``, positive, broadcastable to ``mean``.

    Example:
        >>> standard = DiagonalGaussian(torch.zeros(2), torch.ones(2))
        >>> standard.log_density(torch.zeros(2))
        tensor([-0.9189, -0.9189])
        >>> DiagonalGaussian(torch.ones(2), torch.ones(2)).divergence(standard)
        tensor([0.5000, 0.5000])
    """

    mean: Tensor
    variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Reparameterised draw ``mean + sqrt(variance) * noise`` (Kingma and Welling 2014).

        Args:
            noise: standard Gaussian, broadcastable with ``mean``, e.g. ``[samples, batch, units]``.
        """
        return torch.addcmul(self.mean, self.variance.sqrt(), noise)

    def log_density(self, z: Tensor) -> Tensor:
        """``log N(z; mean, variance)`` of every unit, ``[..., units]``."""
        return -0.5 * (LOG_TWO_PI + self.variance.log() + (z - self.mean).square() / self.variance)

    def log_ratio(self, other: DiagonalGaussian, z: Tensor) -> Tensor:
        """``log self(z) - log other(z)`` of every unit, ``[..., units]``.

        It takes half as many passes over memory as the two densities.
        """
        own, others = (z - self.mean).square(), (z - other.mean).square()
        ratio = torch.addcdiv((other.variance / self.variance).log(), others, other.variance)
        return 0.5 * torch.addcdiv(ratio, own, self.variance, value=-1)

    def divergence(self, other: DiagonalGaussian) -> Tensor:
        """``KL(self || other)`` of every unit, ``[..., units]``, in closed form:

        ``(log(v2/v1) + (v1 + (m1 - m2)^2)/v2 - 1) / 2``.
        """
        ratio = self.variance / other.variance
        distance = (self.mean - other.mean).square() / other.variance
        return 0.5 * (ratio + distance - 1 - ratio.log())

    @staticmethod
    def concatenate(
        parts: Sequence[DiagonalGaussian], shapes: Sequence[torch.Size]
    ) -> DiagonalGaussian:
        """Gaussians over different units as one, each first expanded to its shape."""
        means, variances = (
            torch.cat([getattr(p, n).expand(s) for p, s in zip(parts, shapes, strict=True)], -1)
            for n in ("mean", "variance")
        )
        return DiagonalGaussian(means, variances)

    def merge(self, other: DiagonalGaussian) -> DiagonalGaussian:
        """The normalised product of two Gaussian densities: precisions add.

        This is the ladder's merge of bottom-up evidence with the top-down prior
        (Sonderby et al. 2016, eq. 17 to 19).
        """
        total = self.variance + other.variance
        mean = (self.mean * other.variance + other.mean * self.variance) / total
        return DiagonalGaussian(mean, self.variance * other.variance / total)


def standard_gaussian_like(tensor: Tensor) -> DiagonalGaussian:
    """N(0, 1) for every unit of ``tensor [..., units]``, on its device."""
    units = tensor.shape[-1]
    # the variance is one row, so that its logarithm is taken of as few numbers as possible
    return DiagonalGaussian(tensor.new_zeros(units).expand_as(tensor), tensor.new_ones(units))
