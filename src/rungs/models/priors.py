"""Priors of a single stochastic layer: standard Gaussian, learnt mixture of Gaussians, VampPrior.

Each prior is a module whose ``forward`` gives a density over the latents. Noise is explicit: a
draw from a mixture takes one more standard Gaussian number, whose quantile picks the component.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rungs.probability.gaussian import LOG_TWO_PI, DiagonalGaussian

#: Least variance of a learnt component. It bounds how sharp a component can get, and with it the
#: rounding of the expanded square in :meth:`Mixture.log_density`.
MIN_COMPONENT_VARIANCE = 1e-3
#: initial variance of a component, and of the means around 0: together they are the unit Gaussian's
INITIAL_VARIANCE = 0.5
#: initial logits of the VampPrior's pseudo-inputs: dark images, no two alike
PSEUDO_MEAN, PSEUDO_DEVIATION = -2.0, 2.0


def component_of(log_weights: Tensor, noise: Tensor) -> Tensor:
    """The component that a standard Gaussian number picks: int64, of the shape of ``noise``.

    ``Phi(noise)`` is uniform; the component is the one in whose share of the cumulated weights it
    falls.

    Args:
        log_weights: ``[..., K]``, normalised.
        noise: broadcastable to the leading dimensions of ``log_weights``.
    """
    edges = log_weights.exp().cumsum(-1)
    uniform = torch.special.ndtr(noise)
    if edges.dim() == 1:
        found = torch.searchsorted(edges, uniform.contiguous())
    else:
        found = (uniform.unsqueeze(-1) > edges).sum(-1)
    return found.clamp_max(log_weights.shape[-1] - 1)


class _LogSumExpLinear(torch.autograd.Function):
    """``log sum_k exp(features . weight_k + constant_k)`` with few passes over the K terms.

    They are exponentiated in place and kept unnormalised; the gradient's factors go into the small
    sides of its two matrix products. A step with 1,000 components and 2,560 draws has 2.6 million of
    them, and is bound by the memory that they pass through.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        features: Tensor, weight: Tensor, constant: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The logarithm ``[..., 1]`` and, for the gradient, the terms over the largest, ``[..., K]``,
        and their sum ``[..., 1]``."""
        terms = functional.linear(features, weight, constant)
        largest = terms.amax(-1, keepdim=True)
        terms.sub_(largest).exp_()
        total = terms.sum(-1, keepdim=True)
        return largest + total.log(), terms, total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what the gradient needs."""
        features, weight, _ = inputs
        ctx.save_for_backward(features, weight, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a term with share ``p_k`` of the sum: ``gradient * p_k``."""
        features, weight, terms, total = ctx.saved_tensors
        scale = gradient / total
        scaled = torch.cat([features * scale, scale], -1).flatten(0, -2)
        products = terms.flatten(0, -2).T @ scaled
        return terms @ weight * scale, products[:, :-1], products[:, -1]


@dataclass(frozen=True)
class Mixture:
    """``sum_k w_k N(m_k, diag v_k)``, the same for every image.

    Attributes:
        log_weights: ``[K]``, normalised.
        means: ``[K, units]``.
        variances: ``[K, units]``.

    Example:
        >>> one = Mixture(torch.zeros(1), torch.zeros(1, 2), torch.ones(1, 2))
        >>> one.log_density(torch.zeros(2))
        tensor([-1.8379])
    """

    log_weights: Tensor
    means: Tensor
    variances: Tensor

    @property
    def mean(self) -> Tensor:
        """The mixture's mean, ``[units]``."""
        return self.log_weights.exp() @ self.means

    def component_log_densities(self, z: Tensor) -> Tensor:
        """``log N(z; m_k, v_k)`` of every component, ``[..., K]``, nats.

        The square is expanded, so that one matrix product gives all of them: memory is that of
        the result, never ``[..., K, units]``.
        """
        return functional.linear(*self._linear(z))

    def _linear(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features ``[..., 2 units]``, and a weight and a constant for each component."""
        precision = self.variances.reciprocal()
        constant = -0.5 * (
            LOG_TWO_PI * self.means.shape[-1]
            + self.variances.log().sum(-1)
            + (precision * self.means.square()).sum(-1)
        )
        weight = torch.cat([-0.5 * precision, precision * self.means], -1)
        return torch.cat([z.square(), z], -1), weight, constant

    def responsibilities(self, z: Tensor) -> Tensor:
        """``p(k | z)``, ``[..., K]``."""
        return (self.component_log_densities(z) + self.log_weights).softmax(-1)

    def log_density(self, z: Tensor) -> Tensor:
        """``log p(z)`` of all units together, ``[..., 1]``, nats."""
        features, weight, constant = self._linear(z)
        density: Tensor = _LogSumExpLinear.apply(features, weight, constant + self.log_weights)[0]
        return density

    def sample(self, noise: Tensor) -> Tensor:
        """A draw for each ``noise [..., units + 1]``; the last column picks the component."""
        chosen = component_of(self.log_weights, noise[..., -1])
        return torch.addcmul(self.means[chosen], self.variances[chosen].sqrt(), noise[..., :-1])

    def divergence(self, other: Any) -> Tensor:
        """There is no closed form; see :mod:`rungs.probability.divergences`.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "KL of a mixture has no closed form; rungs.probability.divergences has estimators"
        )


class StandardPrior(nn.Module):
    """N(0, I)."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(units), persistent=False)
        self.zeros: Tensor

    def forward(self) -> DiagonalGaussian:
        """The density over ``[units]``."""
        return DiagonalGaussian(self.zeros, torch.ones_like(self.zeros))


class MixturePrior(nn.Module):
    """A mixture of Gaussians with learnt weights, means and variances.

    It starts as a draw of ``components`` from the unit Gaussian: means from ``N(0, 1/2)``, variances
    1/2, equal weights. So it is about N(0, I) as a whole, and no two components are alike; means
    that all start in one point would receive one gradient and stay one component.
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
        pixels: of a pseudo-input.
        encode: gives the (diagonal Gaussian) posterior of images ``[K, pixels]``.
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
        """``[K, pixels]``, between 0 and 1."""
        return self.pseudo_logits.sigmoid()

    def forward(self) -> Mixture:
        """The density."""
        components = self.encode(self.pseudo_inputs)
        count = len(self.pseudo_logits)
        weights = components.mean.new_full((count,), -math.log(count))
        return Mixture(weights, components.mean, components.variance)
