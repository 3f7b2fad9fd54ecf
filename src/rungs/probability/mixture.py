"""A mixture of diagonal Gaussians over the latents, and how a draw picks its component.

Noise is explicit: a draw from a mixture takes one standard Gaussian number more than a draw from a
Gaussian; its quantile picks the component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from rungs.probability.gaussian import LOG_TWO_PI


def component_of(log_weights: Tensor, noise: Tensor) -> Tensor:
    """The component that a standard Gaussian number picks, int64, in the shape of ``noise``.

    ``Phi(noise)`` is uniform on (0, 1); it picks the component into whose interval of the cumulative
    weights it falls.

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

    The terms are exponentiated in place and kept unnormalised; the factors of the gradient are applied
    to the small operands of its two matrix products. A step with 1,000 components and 2,560 draws has
    2.6 million terms, and memory bandwidth limits its speed.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        features: Tensor, weight: Tensor, constant: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The logarithm ``[..., 1]`` and, for the gradient, the terms divided by the largest,
        ``[..., K]``, and their sum ``[..., 1]``."""
        terms = functional.linear(features, weight, constant)
        largest = terms.amax(-1, keepdim=True)
        terms.sub_(largest).exp_()
        total = terms.sum(-1, keepdim=True)
        return largest + total.log(), terms, total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save features, weight and terms for the gradient."""
        features, weight, _ = inputs
        ctx.save_for_backward(features, weight, *output[1:])
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give each term its share ``p_k`` of the sum times the gradient."""
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

        The square is expanded, so that one matrix product gives all of them. It needs no more memory
        than the result, never ``[..., K, units]``.
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
        """Refuse: there is no closed form; see :mod:`rungs.probability.divergences`.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "KL of a mixture has no closed form; rungs.probability.divergences has estimators"
        )
