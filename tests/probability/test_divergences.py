"""Estimates of a KL divergence against quadrature, Monte Carlo and one another."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from densities import diagonal, full, mixed, mixture, noise_for
from rungs.models.protocol import Layer
from rungs.probability.divergences import (
    component_divergences,
    entropy,
    has_closed_form,
    lower,
    upper,
)
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import MixturePosterior


def exact_1d(log_q: Any, p: Mixture, low: float, high: float) -> float:
    """KL by quadrature, from a vectorised log-density of q."""
    z = np.linspace(low, high, 20_001)
    q = log_q(torch.from_numpy(z)[:, None])
    values = np.exp(q) * (q - p.log_density(torch.from_numpy(z)[:, None])[:, 0].numpy())
    return float(integrate.simpson(values, x=z))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_every_estimate_against_quadrature(seed: int, components: int) -> None:
    p, q = mixture(components, 1, seed), diagonal(1, 1, seed + 1)
    width = 14 * float(q.variance.sqrt())
    centre = float(q.mean)
    truth = exact_1d(lambda z: q.log_density(z)[:, 0].numpy(), p, centre - width, centre + width)
    z = q.sample(noise_for(q, 20_000, seed))
    ratio = -Layer(z, q, p, analytic=False).log_ratio().squeeze()
    error = 4.5 * float(ratio.std()) / math.sqrt(len(ratio))
    assert float(ratio.mean()) == pytest.approx(truth, abs=error + 1e-6)
    assert float(upper(q, p)) >= truth - 1e-7
    assert float(lower(q, p)) <= truth + 1e-7
    # the parts: the divergence to a component, and the overlap with it
    one = Mixture(p.log_weights[:1] * 0, p.means[:1], p.variances[:1])
    first = exact_1d(lambda z: q.log_density(z)[:, 0].numpy(), one, centre - width, centre + width)
    assert float(component_divergences(q, p)[0, 0]) == pytest.approx(first, abs=1e-6)
    grid = torch.linspace(centre - width, centre + width, 20_001, dtype=torch.float64)[:, None]
    product = (q.log_density(grid) + p.log_density(grid)).exp().squeeze().numpy()
    overlap = math.log(integrate.simpson(product, x=grid.squeeze().numpy()))
    assert float(lower(q, p)) == pytest.approx(-float(entropy(q)) - overlap, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_bounds_of_a_mixture_posterior_against_quadrature(seed: int) -> None:
    p, q = mixture(3, 1, seed), mixed(1, 1, 3, seed + 1)
    truth = exact_1d(lambda z: q.log_density(z)[:, 0].numpy(), p, -25, 25)
    assert float(lower(q, p)) - 1e-7 <= truth <= float(upper(q, p)) + 1e-7


@pytest.mark.parametrize("family", [diagonal, full, mixed])
def test_every_estimate_against_a_million_samples(family: Any) -> None:
    p, q, million = mixture(8, 5), family(2, 5), 1_000_000
    z = q.sample(noise_for(q, million))
    ratio = -Layer(z, q, p, analytic=False).log_ratio().squeeze(-1)
    truth, error = ratio.mean(0), 4 * ratio.std(0) / million**0.5
    few = -Layer(z[:10_000], q, p, analytic=False).log_ratio().squeeze(-1)
    assert bool(((few.mean(0) - truth).abs() < 5 * few.std(0) / 100).all())
    assert bool((upper(q, p) >= truth - error).all())
    if family is not full:
        assert bool((lower(q, p) <= truth + error).all())
    # the bounds are not vacuous here
    assert bool((upper(q, p) - truth < 3).all())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 6), st.floats(0.1, 4))
def test_the_bounds_keep_their_order(seed: int, components: int, units: int, spread: float) -> None:
    p = mixture(components, units, seed, spread)
    for q in (diagonal(3, units, seed), mixed(3, units, 3, seed)):
        assert bool((lower(q, p) <= upper(q, p) + 1e-9).all())
    q = diagonal(3, units, seed)
    # the upper bound is below the divergence of every component taken alone, and at least 0 less log w
    alone = component_divergences(q, p) - p.log_weights
    assert bool((upper(q, p) <= alone.amin(-1) + 1e-9).all())


@pytest.mark.parametrize("family", [diagonal, full])
def test_one_component_makes_the_upper_bound_exact(family: Any) -> None:
    q = family(4, 3)
    one = DiagonalGaussian(torch.full((3,), 0.2).double(), torch.full((3,), 1.7).double())
    torch.testing.assert_close(upper(q, one), q.divergence(one).sum(-1))
    assert has_closed_form(q, one)
    assert not has_closed_form(q, mixture(2, 3))


def test_a_posterior_of_equal_components_is_its_gaussian() -> None:
    q = diagonal(4, 3)
    same = MixturePosterior(
        torch.full((4, 5), -math.log(5.0)).double(),
        q.mean.unsqueeze(1).expand(4, 5, 3),
        q.variance.unsqueeze(1).expand(4, 5, 3),
    )
    p = mixture(6, 3)
    torch.testing.assert_close(upper(same, p), upper(q, p))
    torch.testing.assert_close(lower(same, p), lower(q, p) - math.log(5))
