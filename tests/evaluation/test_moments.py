"""Closed forms of the aggregate posterior against quadrature, sampling and brute force in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from rungs.evaluation.moments import (
    cdf,
    density,
    fixed_ratio_kl,
    moments,
    quantile,
    resampled_moments,
    scaling_rise,
)
from rungs.probability.gaussian import DiagonalGaussian, standard_gaussian_like


def mixture(n: int, latents: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, variances and weights of skewed mixtures."""
    random = np.random.default_rng(seed)
    mean = random.exponential(1.0, (n, latents)) * random.choice([-1, 0.5], (n, latents))
    variance = np.exp(random.normal(-1.5, 0.8, (n, latents)))
    weights = random.random(n) + 0.1
    return mean, variance, weights / weights.sum()


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_those_of_quadrature(weighted: bool) -> None:
    mean, variance, weights = mixture(7, 3)
    share = weights if weighted else None
    found = moments(mean, variance, share)
    for u in range(3):
        components_ = mean[:, u], variance[:, u], share
        low, high = mean[:, u].min() - 9 * 3, mean[:, u].max() + 9 * 3

        def integral(f: Callable[[float], float], own: Any = components_) -> float:
            value: float = integrate.quad(
                lambda z: f(z) * density(np.array([z]), *own)[0],
                low,  # noqa: B023
                high,  # noqa: B023
                limit=500,
                points=[-1, 0, 1],
            )[0]
            return value

        assert integral(lambda z: 1.0) == pytest.approx(1, abs=1e-7)
        centre = integral(lambda z: z)
        central = [integral(lambda z, k=k, c=centre: (z - c) ** k) for k in (2, 3, 4)]
        assert found.mean[u] == pytest.approx(centre, abs=1e-7)
        assert found.variance[u] == pytest.approx(central[0], rel=1e-6)
        assert found.skewness[u] == pytest.approx(central[1] / central[0] ** 1.5, rel=1e-5)
        assert found.kurtosis[u] == pytest.approx(central[2] / central[0] ** 2, rel=1e-5)


def test_moments_are_those_of_samples_within_their_error() -> None:
    """40 batches of samples give the error; and a wrong formula (without 6 d^2 s) is seen."""
    mean, variance, weights = mixture(50, 2)
    found = moments(mean, variance, weights)
    random = np.random.default_rng(1)
    batches: list[list[np.ndarray]] = [[], [], [], []]
    for _ in range(40):
        chosen = random.choice(50, 20_000, p=weights)
        z = random.normal(mean[chosen], np.sqrt(variance[chosen]))
        for kept, value in zip(
            batches,
            (z.mean(0), z.var(0), stats.skew(z), stats.kurtosis(z, fisher=False)),
            strict=True,
        ):
            kept.append(value)
    for kept, exact in zip(
        batches, (found.mean, found.variance, found.skewness, found.kurtosis), strict=True
    ):
        average, error = np.mean(kept, 0), stats.sem(kept)
        assert np.all(np.abs(average - exact) < 4.5 * error + 2e-4), (average, exact, error)
    d = mean - found.mean
    wrong = weights @ (d**4 + 3 * variance**2) / found.variance**2
    assert np.all(np.abs(np.mean(batches[3], 0) - wrong) > 10 * stats.sem(batches[3]))


def test_float32_input_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against brute force in float64, from the stored float32, whatever the chunk."""
    from rungs.evaluation import moments as module

    mean, variance, _ = (array.astype(np.float32) for array in mixture(1000, 4))
    m, v = mean.astype(np.float64), variance.astype(np.float64)
    d = m - m.mean(0)
    second = (d**2 + v).mean(0)
    kurtosis = (d**4 + 6 * d**2 * v + 3 * v**2).mean(0) / second**2
    for chunk in (7, 1000, 8192):
        monkeypatch.setattr(module, "CHUNK", chunk)
        found = moments(mean, variance)
        np.testing.assert_allclose(found.mean, m.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.variance, second, rtol=1e-12)
        np.testing.assert_allclose(found.kurtosis, kurtosis, rtol=1e-12)


def test_resampling_is_weighting() -> None:
    mean, variance, weights = mixture(60, 3)
    rows = np.stack([weights, np.full(60, 1 / 60), np.random.default_rng(2).dirichlet(np.ones(60))])
    found = resampled_moments(mean, variance, rows)
    for i, row in enumerate(rows):
        expected = moments(mean, variance, row)
        for name in ("mean", "variance_of_mean", "mean_variance", "skewness", "kurtosis"):
            np.testing.assert_allclose(
                getattr(found, name)[i], getattr(expected, name), rtol=1e-9, atol=1e-12
            )


def test_cdf_and_quantiles_invert_each_other() -> None:
    mean, variance, weights = mixture(200, 1)
    own = mean[:, 0], variance[:, 0], weights
    probabilities = np.array([1e-4, 0.02, 0.5, 0.9, 0.999])
    found = quantile(probabilities, *own)
    np.testing.assert_allclose(cdf(found, *own), probabilities, atol=1e-6)
    for z, probability in zip(found, probabilities, strict=True):
        reference = optimize.brentq(
            lambda t, p=probability: (
                float(weights @ stats.norm.cdf((t - own[0]) / own[1] ** 0.5)) - p
            ),
            -60,
            60,
        )
        assert z == pytest.approx(reference, abs=2e-6)
    slope = (cdf(found + 1e-4, *own) - cdf(found - 1e-4, *own)) / 2e-4
    np.testing.assert_allclose(density(found, *own), slope, rtol=1e-3)


@pytest.mark.parametrize("ratio", [0.05, 0.3, 1.0, 4.0])
def test_the_minimum_at_a_fixed_ratio_is_scipys(ratio: float) -> None:
    def kl(variance: float) -> float:
        gaussian = DiagonalGaussian(
            torch.tensor([variance**0.5 / ratio], dtype=torch.float64),
            torch.tensor([variance], dtype=torch.float64),
        )
        value = float(gaussian.divergence(standard_gaussian_like(gaussian.mean)))
        assert float(fixed_ratio_kl(np.array(variance), ratio)) == pytest.approx(value, abs=1e-12)
        return value

    found = optimize.minimize_scalar(
        kl, bounds=(1e-6, 3), method="bounded", options={"xatol": 1e-9}
    )
    assert found.x == pytest.approx(ratio**2 / (1 + ratio**2), rel=1e-4)
    assert found.x + found.x / ratio**2 == pytest.approx(1, rel=1e-4)


def test_the_rise_by_scaling_is_the_measured_one() -> None:
    mean, variance, _ = mixture(300, 4)
    before = DiagonalGaussian(torch.from_numpy(mean), torch.from_numpy(variance))
    for factor in (0.5, 0.8, 1.25, 2.0):
        after = DiagonalGaussian(factor * before.mean, factor**2 * before.variance)
        standard = standard_gaussian_like(before.mean)
        rise = (after.divergence(standard) - before.divergence(standard)).mean(0).numpy()
        np.testing.assert_allclose(scaling_rise((mean**2 + variance).mean(0), factor), rise)
