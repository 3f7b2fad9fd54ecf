"""Mixtures of Gaussians against scipy."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor
from torch.distributions import (
    Normal,
)

from densities import generator, mixture
from rungs.probability.mixture import Mixture, component_of


def test_mixture_log_density_is_scipys() -> None:
    p = mixture(6, 4)
    z = 3 * torch.randn(50, 4, generator=generator(5), dtype=torch.float64)
    parts = [
        stats.multivariate_normal(m.numpy(), np.diag(v.numpy())).logpdf(z.numpy())
        for m, v in zip(p.means, p.variances, strict=True)
    ]
    expected = special.logsumexp(np.array(parts).T + p.log_weights.numpy(), axis=1)
    np.testing.assert_allclose(p.log_density(z)[:, 0].numpy(), expected, rtol=1e-11)


def test_mixture_log_density_has_the_gradient_of_its_terms() -> None:
    p, z = mixture(5, 2), torch.randn(2, 3, 2, generator=generator(6), dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in (z, p.log_weights, p.means, p.variances)]

    def density(z: Tensor, *parameters: Tensor) -> Tensor:
        return Mixture(*parameters).log_density(z)

    assert torch.autograd.gradcheck(density, leaves)
    far = Mixture(*leaves[1:]).log_density(1e3 * leaves[0])
    assert bool(torch.isfinite(far).all())
    responsibilities = p.responsibilities(z)
    assert float(responsibilities.sum(-1).sub(1).abs().max()) < 1e-12


def test_mixture_samples_are_scipys() -> None:
    """Each unit's marginal by Kolmogorov and Smirnov, and the components' counts by chi squared."""
    p, draws = mixture(5, 2), 20_000
    noise = torch.randn(draws, 3, generator=generator(6), dtype=torch.float64)
    z = p.sample(noise).numpy()
    weights = p.log_weights.exp().numpy()
    for unit in range(2):

        def cdf(x: np.ndarray, unit: int = unit) -> np.ndarray:
            means, variances = p.means[:, unit].numpy(), p.variances[:, unit].numpy()
            return stats.norm.cdf(x[:, None], means, np.sqrt(variances)) @ weights

        assert stats.kstest(z[:, unit], cdf).pvalue > 0.01
    counts = np.bincount(component_of(p.log_weights, noise[:, -1]).numpy(), minlength=5)
    assert stats.chisquare(counts, weights * draws).pvalue > 0.01


def test_a_units_marginals_do_not_hide_the_joint_density() -> None:
    """Samples and density belong together: E_p[f/p] = 1 for a normalised density f."""
    p = mixture(4, 2, spread=0.5)
    z = p.sample(torch.randn(200_000, 3, generator=generator(8), dtype=torch.float64))
    ratio = (Normal(0.0, 0.6).log_prob(z).sum(-1) - p.log_density(z)[:, 0]).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(len(z))


def test_the_expanded_square_in_single_precision() -> None:
    """With variances at their floor and latents far out the matrix product stays near float64."""
    p = mixture(1000, 10)
    p = Mixture(p.log_weights, p.means, torch.full_like(p.variances, 1e-3))
    z = p.sample(torch.randn(300, 11, generator=generator(3), dtype=torch.float64))
    single = Mixture(*(t.float() for t in (p.log_weights, p.means, p.variances)))
    error = (single.log_density(z.float()).double() - p.log_density(z)).abs().max()
    assert float(error) < 0.02, float(error)
