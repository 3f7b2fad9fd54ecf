"""The Kolmogorov-Smirnov distance against brute force in float64 and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from rungs.evaluation.kolmogorov_smirnov import kolmogorov_smirnov
from rungs.evaluation.moments import cdf


def brute_force(mean: np.ndarray, variance: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The distance of one latent's cdf from N(0, 1) on a lattice of 60,001 points."""
    z = np.linspace(-8, 8, 60_001)
    return float(np.abs(cdf(z, mean, variance, weights) - special.ndtr(z)).max())


@given(
    seed=st.integers(0, 10_000),
    spread=st.floats(0, 2),
    narrow=st.floats(-4, 0),
    shift=st.floats(-1, 1),
)
def test_the_distance_is_that_of_brute_force(
    seed: int, spread: float, narrow: float, shift: float
) -> None:
    """Inactive latents, narrow posteriors, shifted ones: within the stated bound."""
    random = np.random.default_rng(seed)
    mean = (shift + spread * random.normal(size=(40, 2))).astype(np.float32)
    variance = np.exp(narrow + 0.5 * random.normal(size=(40, 2))).astype(np.float32)
    weights = random.dirichlet(np.ones(40))
    found, error = kolmogorov_smirnov(mean, variance, weights)
    assert error.max() < 5e-4
    for u in range(2):
        assert abs(found[u] - brute_force(mean[:, u], variance[:, u], weights)) <= error[u] + 1e-7


def test_the_distance_of_points_is_scipys() -> None:
    points = np.random.default_rng(3).normal(0.1, 1.2, (500, 2))
    found, error = kolmogorov_smirnov(points, np.zeros((500, 2)))
    for u in range(2):
        assert found[u] == pytest.approx(stats.kstest(points[:, u], "norm").statistic, abs=1e-12)
    assert not error.any()
    assert kolmogorov_smirnov(np.zeros((5, 0)), np.zeros((5, 0)))[0].shape == (0,)


def test_a_standard_gaussian_has_no_distance() -> None:
    found, error = kolmogorov_smirnov(np.zeros((100, 1)), np.ones((100, 1)))
    assert found[0] <= error[0] < 2e-4
