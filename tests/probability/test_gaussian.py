"""The diagonal Gaussian against scipy, torch.distributions and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Normal, kl_divergence

from rungs.probability.gaussian import (
    DiagonalGaussian,
    standard_gaussian_like,
)

means = st.floats(-5, 5)
variances = st.floats(1e-3, 20)


def gaussian(mean: float, variance: float) -> DiagonalGaussian:
    as_tensor = lambda value: torch.tensor([value], dtype=torch.float64)  # noqa: E731
    return DiagonalGaussian(as_tensor(mean), as_tensor(variance))


@given(means, variances, st.floats(-10, 10))
def test_log_density_is_scipys(mean: float, variance: float, z: float) -> None:
    found = gaussian(mean, variance).log_density(torch.tensor([z], dtype=torch.float64))
    assert float(found) == pytest.approx(stats.norm.logpdf(z, mean, np.sqrt(variance)), rel=1e-12)


@given(means, variances, means, variances, st.floats(-10, 10))
def test_log_ratio_is_the_densities(m1: float, v1: float, m2: float, v2: float, z: float) -> None:
    p, q = gaussian(m1, v1), gaussian(m2, v2)
    at = torch.tensor([z], dtype=torch.float64)
    expected = p.log_density(at) - q.log_density(at)
    torch.testing.assert_close(p.log_ratio(q, at), expected, rtol=1e-9, atol=1e-9)


@given(means, variances, means, variances)
def test_divergence_is_torchs(m1: float, v1: float, m2: float, v2: float) -> None:
    p, q = gaussian(m1, v1), gaussian(m2, v2)
    expected = kl_divergence(Normal(p.mean, p.variance.sqrt()), Normal(q.mean, q.variance.sqrt()))
    torch.testing.assert_close(p.divergence(q), expected, rtol=1e-8, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(means, st.floats(0.05, 5), means, st.floats(0.05, 5))
def test_divergence_by_quadrature(m1: float, v1: float, m2: float, v2: float) -> None:
    p, q = stats.norm(m1, np.sqrt(v1)), stats.norm(m2, np.sqrt(v2))
    width = 12 * np.sqrt(v1)
    expected, _ = integrate.quad(
        lambda z: p.pdf(z) * (p.logpdf(z) - q.logpdf(z)), m1 - width, m1 + width, limit=200
    )
    found = float(gaussian(m1, v1).divergence(gaussian(m2, v2)))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)


@settings(deadline=None)
@given(means, variances, means, variances)
def test_merge_is_the_product_of_densities(m1: float, v1: float, m2: float, v2: float) -> None:
    """log p1 + log p2 - log merged does not depend on z, and the merged density is normalised."""
    p, q = gaussian(m1, v1), gaussian(m2, v2)
    merged = p.merge(q)
    z = merged.mean + merged.variance.sqrt() * torch.linspace(-3, 3, 13, dtype=torch.float64)
    constant = p.log_density(z) + q.log_density(z) - merged.log_density(z)
    scale = (p.log_density(z).abs() + q.log_density(z).abs()).max()
    assert float(constant.max() - constant.min()) <= 1e-11 * float(1 + scale)
    assert float(merged.variance) == pytest.approx(1 / (1 / v1 + 1 / v2), rel=1e-12)


def test_sample_has_mean_and_variance() -> None:
    noise = torch.randn(200_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    z = gaussian(1.5, 0.3).sample(noise)
    assert float(z.mean()) == pytest.approx(1.5, abs=4 * np.sqrt(0.3 / 200_000))
    assert float(z.var()) == pytest.approx(0.3, rel=0.02)


def test_gradient_of_the_divergence() -> None:
    inputs = [torch.rand(3, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    assert torch.autograd.gradcheck(
        lambda m1, v1, m2, v2: DiagonalGaussian(m1, v1 + 0.1).divergence(
            DiagonalGaussian(m2, v2 + 0.1)
        ),
        inputs,
    )


def test_standard_gaussian_like() -> None:
    z = torch.randn(3, 2)
    expected = Normal(0.0, 1.0).log_prob(z)
    torch.testing.assert_close(standard_gaussian_like(z).log_density(z), expected)
