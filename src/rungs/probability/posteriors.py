"""Posteriors of a single stochastic layer that do not factorise over units: a Gaussian with full
covariance, and a mixture of Gaussians. (The diagonal Gaussian is in :mod:`rungs.probability.gaussian`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rungs.probability.gaussian import LOG_TWO_PI, DiagonalGaussian
from rungs.probability.mixture import component_of


@dataclass(frozen=True)
class FullGaussian:
    """``N(mean, L L')`` with a lower triangular L whose diagonal is positive.

    Attributes:
        mean: ``[batch, units]``.
        scale: L, ``[batch, units, units]``.
    """

    mean: Tensor
    scale: Tensor

    @property
    def variance(self) -> Tensor:
        """The units' variances, the diagonal of ``L L'``, ``[batch, units]``."""
        return self.scale.square().sum(-1)

    @property
    def log_determinant(self) -> Tensor:
        """``log det L L'``, ``[batch]``."""
        return 2 * self.scale.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def sample(self, noise: Tensor) -> Tensor:
        """``mean + L noise`` for ``noise [..., batch, units]``."""
        return self.mean + torch.einsum("...ij,...j->...i", self.scale, noise)

    def log_density(self, z: Tensor) -> Tensor:
        """``log q(z)`` of all units together, ``[..., batch, 1]``, nats."""
        residual = z - self.mean
        batch, units = self.mean.shape[-2:]
        columns = residual.reshape(-1, batch, units).permute(1, 2, 0)
        white = torch.linalg.solve_triangular(self.scale, columns, upper=False)
        squares = white.square().sum(1).T.reshape(residual.shape[:-1])
        return -0.5 * (squares + units * LOG_TWO_PI + self.log_determinant).unsqueeze(-1)

    def divergence(self, other: DiagonalGaussian) -> Tensor:
        """``KL(self || other)`` to a diagonal Gaussian, all units together, ``[batch, 1]``, in closed
        form: ``(sum((S_ii + (m - m2)^2)/v2) + log det diag(v2) - log det S - units) / 2``."""
        distance = (self.mean - other.mean).square() + self.variance
        terms = (distance / other.variance + other.variance.log() - 1).sum(-1)
        return 0.5 * (terms - self.log_determinant).unsqueeze(-1)


@dataclass(frozen=True)
class MixturePosterior:
    """``q(z|x) = sum_c w_c N(m_c, diag v_c)``, all of them depending on x.

    Attributes:
        log_weights: ``[batch, C]``, normalised.
        means: ``[batch, C, units]``.
        variances: ``[batch, C, units]``.
    """

    log_weights: Tensor
    means: Tensor
    variances: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean, ``[batch, units]``."""
        return (self.log_weights.exp().unsqueeze(-1) * self.means).sum(-2)

    @property
    def components(self) -> DiagonalGaussian:
        """The components, ``[batch, C, units]``."""
        return DiagonalGaussian(self.means, self.variances)

    def stratified(self, noise: Tensor) -> Tensor:
        """One reparameterised draw of *each* component, ``[..., C, batch, units]``.

        Weighted by the components' weights, they give an unbiased and differentiable estimate of an
        expectation under the mixture: the sum over components is exact, and a draw from a given
        component is a differentiable function of its parameters (Morningstar, Vikram, Ham, Gallagher
        and Dillon 2020, eq. 7).

        Args:
            noise: ``[..., batch, C * units]``.
        """
        shaped = noise.unflatten(-1, self.means.shape[-2:])
        return self.components.sample(shaped).movedim(-2, -3)

    def sample(self, noise: Tensor) -> Tensor:
        """An ordinary draw for each ``noise [..., batch, units + 1]``, for evaluation only.

        The last column picks the component, so that the draw is not differentiable in the weights.
        """
        chosen = component_of(self.log_weights, noise[..., -1])
        one_hot = functional.one_hot(chosen, self.log_weights.shape[-1]).to(self.means.dtype)
        mean, variance = (
            torch.einsum("...bc,bcu->...bu", one_hot, values)
            for values in (self.means, self.variances)
        )
        return torch.addcmul(mean, variance.sqrt(), noise[..., :-1])

    def log_density(self, z: Tensor) -> Tensor:
        """``log q(z)`` of all units together, ``[..., batch, 1]``, nats."""
        terms = self.components.log_density(z.unsqueeze(-2)).sum(-1)
        return (terms + self.log_weights).logsumexp(-1, keepdim=True)

    def divergence(self, other: Any) -> Tensor:
        """Refuse: there is no closed form; see :mod:`rungs.probability.divergences`.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "KL of a mixture has no closed form; rungs.probability.divergences has estimators"
        )
