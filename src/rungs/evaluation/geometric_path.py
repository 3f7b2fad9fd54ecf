"""The geometric path of densities that annealed importance sampling follows.

``log f_b(z) = log r(z) + b (log p(x, z) - log r(z))``, r being the prior or q(z|x), b from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rungs.models.protocol import LatentVariableModel, draw_noise, noise_sizes
from rungs.probability.gaussian import Distribution

#: the path's b is a logistic function of a variable that runs evenly from minus this to this
STEEPNESS = 4.0


def path(steps: int) -> list[float]:
    """Return ``steps + 1`` values of a logistic function from 0 to 1, close together at both ends.

    >>> [round(b, 3) for b in path(4)]
    [0.0, 0.105, 0.5, 0.895, 1.0]
    """
    raw = [1 / (1 + math.exp(-STEEPNESS * (2 * t / steps - 1))) for t in range(steps + 1)]
    return [(b - raw[0]) / (raw[-1] - raw[0]) for b in raw]


class Densities:
    """The two ends of the path for a block of images, and draws from its beginning."""

    def __init__(self, model: LatentVariableModel, x: Tensor, start: str) -> None:
        self.model, self.x, self.begins_at_prior = model, x, start == "prior"
        with torch.no_grad():
            self.context = model.encode(x)
            # prior and posterior do not depend on the draw: there is one layer
            noise = [x.new_zeros(len(x), size) for size in noise_sizes(model)]
            layer = model.draw(self.context, noise)[0]
        self.prior: Distribution = layer.prior
        self.posterior: Distribution = layer.posterior

    @torch.no_grad()
    def draw(self, chains: int, random: torch.Generator) -> Tensor:
        """Draw from the path's beginning, ``[chains, images, units]``."""
        noise = draw_noise(noise_sizes(self.model), chains, len(self.x), generator=random)
        noise = [n.to(self.x.dtype) for n in noise]
        if self.begins_at_prior:
            return self.model.generate(noise)[0]
        return self.model.draw(self.context, noise)[0].sample

    def beginning(self, z: Tensor) -> Tensor:
        """Return ``log r(z)``, ``[chains, images]``."""
        density = self.prior if self.begins_at_prior else self.posterior
        return density.log_density(z).sum(-1)

    def ratio(self, z: Tensor) -> Tensor:
        """Return ``log p(x, z) - log r(z)``, ``[chains, images]``."""
        likelihood = self.model.log_likelihood(self.x, z)
        if self.begins_at_prior:
            return likelihood
        prior, posterior = self.prior.log_density(z), self.posterior.log_density(z)
        return likelihood + prior.sum(-1) - posterior.sum(-1)


@dataclass(frozen=True)
class State:
    """The positions of the chains, with densities and gradients.

    Attributes:
        z: ``[chains, images, units]``.
        beginning, ratio: ``log f_b = beginning + b * ratio``, both ``[chains, images]``.
        beginning_gradient, ratio_gradient: ``[chains, images, units]``.
    """

    z: Tensor
    beginning: Tensor
    ratio: Tensor
    beginning_gradient: Tensor
    ratio_gradient: Tensor

    @classmethod
    def at(cls, densities: Densities, z: Tensor) -> State:
        """Compute the densities and their gradients at ``z [chains, images, units]``."""
        beginning, first = _with_gradient(densities.beginning, z)
        ratio, second = _with_gradient(densities.ratio, z)
        return cls(z, beginning, ratio, first, second)

    def log_density(self, b: float) -> Tensor:
        """Return ``log f_b``, ``[chains, images]``."""
        return self.beginning + b * self.ratio

    def gradient(self, b: float) -> Tensor:
        """Return the gradient of ``log f_b``, ``[chains, images, units]``."""
        return self.beginning_gradient + b * self.ratio_gradient

    def where(self, chosen: Tensor, other: State) -> State:
        """Return this state where ``chosen [chains, images]`` is true, elsewhere the other."""
        parts = {}
        for name, mine in vars(self).items():
            mask = chosen if mine.dim() == chosen.dim() else chosen.unsqueeze(-1)
            parts[name] = torch.where(mask, mine, getattr(other, name))
        return State(**parts)


def _with_gradient(function: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_(True)
        value = function(z)
        (gradient,) = torch.autograd.grad(value.sum(), z)
    return value.detach(), gradient
