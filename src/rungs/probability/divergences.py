"""Estimates of KL(q || p) where p is a mixture of Gaussians; docs/mixture.md derives them.

With Gaussian q and ``p = sum_k w_k p_k``:

- ``sampled``: ``log q(z) - log p(z)`` at draws of q, which is unbiased; every reported number uses it.
- ``upper``: ``-log sum_k w_k exp(-KL(q || p_k))``, an upper bound. For a Gaussian q it is also the
  variational approximation of Hershey and Olsen 2007 (eq. 18).
- ``lower``: ``-H(q) - log sum_k w_k integral q p_k``, a lower bound: the product-of-Gaussians
  form of Hershey and Olsen 2007 (section 4), but with the exact entropy of q.

With a mixture ``q = sum_c u_c q_c``, ``sum_c u_c upper(q_c)`` is still an upper bound (KL is
convex), and ``sum_c u_c lower(q_c) - H(u)`` a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rungs.errors import ConfigError
from rungs.probability.gaussian import LOG_TWO_PI, DiagonalGaussian
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import FullGaussian, MixturePosterior

Gaussian = DiagonalGaussian | FullGaussian
Posterior = Gaussian | MixturePosterior


def as_mixture(prior: DiagonalGaussian | Mixture) -> Mixture:
    """View a single Gaussian over ``[units]`` as a mixture of one component."""
    if isinstance(prior, Mixture):
        return prior
    return Mixture(prior.mean.new_zeros(1), prior.mean[None], prior.variance[None])


def has_closed_form(posterior: Posterior, prior: DiagonalGaussian | Mixture) -> bool:
    """Return whether ``posterior.divergence(prior)`` is the KL in closed form."""
    return isinstance(prior, DiagonalGaussian) and not isinstance(posterior, MixturePosterior)


def log_determinant(q: Gaussian) -> Tensor:
    """``log det`` of the covariance, ``[...]``."""
    return q.log_determinant if isinstance(q, FullGaussian) else q.variance.log().sum(-1)


def entropy(q: Gaussian) -> Tensor:
    """``H(q)``, ``[...]``, nats."""
    return 0.5 * (q.mean.shape[-1] * (LOG_TWO_PI + 1) + log_determinant(q))


def component_divergences(q: Gaussian, p: Mixture) -> Tensor:
    """``KL(q || p_k)`` for every component, ``[..., K]``, by one matrix product.

    The components are diagonal, so a full covariance of q enters by its diagonal and determinant.
    """
    precision = p.variances.reciprocal()
    constant = p.variances.log().sum(-1) + (precision * p.means.square()).sum(-1)
    features = torch.cat([q.variance + q.mean.square(), q.mean], -1)
    matrix = torch.cat([precision, -2 * precision * p.means], -1)
    own = log_determinant(q) + q.mean.shape[-1]
    return 0.5 * (torch.nn.functional.linear(features, matrix, constant) - own.unsqueeze(-1))


def upper(q: Posterior, p: DiagonalGaussian | Mixture) -> Tensor:
    """An upper bound of ``KL(q || p)``, ``[batch]``, nats."""
    if isinstance(q, MixturePosterior):
        return (q.log_weights.exp() * upper(q.components, p)).sum(-1)
    mixture = as_mixture(p)
    return -(mixture.log_weights - component_divergences(q, mixture)).logsumexp(-1)


def lower(q: Posterior, p: DiagonalGaussian | Mixture) -> Tensor:
    """A lower bound of ``KL(q || p)``, ``[batch]``, nats.

    Raises:
        ConfigError: for a posterior with full covariance: each pair of an image and a component
            would need a factorisation of its own.
    """
    if isinstance(q, FullGaussian):
        raise ConfigError(
            "network.divergence lower is not available with network.posterior full; "
            "use sampled or upper."
        )
    if isinstance(q, MixturePosterior):
        weights = q.log_weights.exp()
        return (weights * (lower(q.components, p) + q.log_weights)).sum(-1)
    mixture = as_mixture(p)
    return -entropy(q) - (mixture.log_weights + overlaps(q, mixture)).logsumexp(-1)


def overlaps(q: DiagonalGaussian, p: Mixture) -> Tensor:
    """``log integral q p_k = log N(m_q; m_k, v_q + v_k)``, ``[..., K]``.

    The variances of a pair do not separate, so that it cannot be written as a matrix product. The sum
    runs over units one by one, and its gradient computes each unit's term again: it needs no more
    memory than the result.
    """

    def term(mean: Tensor, variance: Tensor, means: Tensor, variances: Tensor) -> Tensor:
        total = variance.unsqueeze(-1) + variances
        square = (mean.unsqueeze(-1) - means).square()
        return -0.5 * (LOG_TWO_PI + total.log() + square / total)

    log_overlap = q.mean.new_zeros(*q.mean.shape[:-1], len(p.log_weights))
    for unit in range(q.mean.shape[-1]):
        arguments = (
            q.mean[..., unit],
            q.variance[..., unit],
            p.means[:, unit],
            p.variances[:, unit],
        )
        log_overlap = log_overlap + checkpoint(term, *arguments, use_reentrant=False)
    return log_overlap


#: the bounds by their names in the configuration
BOUNDS: dict[str, Callable[[Any, Any], Tensor]] = {"upper": upper, "lower": lower}
