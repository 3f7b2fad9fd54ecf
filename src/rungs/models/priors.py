"""Priors of a single stochastic layer: standard Gaussian, learnt mixture of Gaussians, VampPrior.

Each prior is a module whose ``forward`` returns a density over the latents.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.mixture import Mixture

#: the least variance of a learnt component; it bounds how narrow a component can get, and with it the
#: rounding error of the expanded square in :meth:`rungs.probability.mixture.Mixture.log_density`
MIN_COMPONENT_VARIANCE = 1e-3
#: the initial variance of a component and of the means around 0, which add up to the unit Gaussian's
INITIAL_VARIANCE = 0.5
#: of the initial logits of the VampPrior's pseudo-inputs: dark images that differ from each other
PSEUDO_MEAN, PSEUDO_DEVIATION = -2.0, 2.0


class StandardPrior(nn.Module):
    """The standard Gaussian N(0, I)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(units), persistent=False)
        self.zeros: Tensor

    def forward(self) -> DiagonalGaussian:
        """The density over ``[units]``."""
        return DiagonalGaussian(self.zeros, torch.ones_like(self.zeros))


class MixturePrior(nn.Module):
    """A mixture of Gaussians with learnt weights, means and variances.

    Means start as draws from ``N(0, 1/2)``, variances at 1/2, weights equal: the mixture is about
    N(0, I), and no two components are alike. Means that started at one point would all receive the same
    gradient and stay one component.
    """

    def __init__(self, components: int, units: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.means = nn.Parameter(torch.zeros(components, units))
        raw = math.log(math.expm1(INITIAL_VARIANCE - MIN_COMPONENT_VARIANCE))
        self.raw_variances = nn.Parameter(torch.full((components, units), raw))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the components' means."""
        with torch.no_grad():
            self.means.normal_(0, math.sqrt(1 - INITIAL_VARIANCE), generator=generator)

    def forward(self) -> Mixture:
        """The density."""
        variances = functional.softplus(self.raw_variances) + MIN_COMPONENT_VARIANCE
        return Mixture(self.logits.log_softmax(-1), self.means, variances)


class VampPrior(nn.Module):
    """``(1/K) sum_k q(z | u_k)`` with learnt pseudo-inputs u_k (Tomczak and Welling 2018, eq. 9).

    Args:
        components: K.
        pixels: the size of a pseudo-input.
        encode: returns the (diagonal Gaussian) posterior of images ``[K, pixels]``.
    """

    def __init__(
        self, components: int, pixels: int, encode: Callable[[Tensor], DiagonalGaussian]
    ) -> None:
        super().__init__()
        self.pseudo_logits = nn.Parameter(torch.zeros(components, pixels))
        self.encode = encode

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the pseudo-inputs."""
        with torch.no_grad():
            self.pseudo_logits.normal_(PSEUDO_MEAN, PSEUDO_DEVIATION, generator=generator)

    @property
    def pseudo_inputs(self) -> Tensor:
        """The pseudo-inputs ``[K, pixels]``, between 0 and 1."""
        return self.pseudo_logits.sigmoid()

    def forward(self) -> Mixture:
        """The density."""
        components = self.encode(self.pseudo_inputs)
        count = len(self.pseudo_logits)
        weights = components.mean.new_full((count,), -math.log(count))
        return Mixture(weights, components.mean, components.variance)
