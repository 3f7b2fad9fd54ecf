"""The mixture that is fitted to codes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rungs.evaluation.fitted_density import fit, sample

WEIGHTS = np.array([0.3, 0.7])
MEANS = np.array([[-2.0, 0.0], [2.0, 1.0]])
COVARIANCES = np.array([[[1.0, 0.6], [0.6, 1.0]], [[0.3, 0.0], [0.0, 0.5]]])


def draws(count: int, seed: int) -> np.ndarray:
    """Of the mixture above, drawn without the code under test."""
    random = np.random.default_rng(seed)
    chosen = random.choice(2, count, p=WEIGHTS)
    parts = [
        random.multivariate_normal(m, c, count) for m, c in zip(MEANS, COVARIANCES, strict=True)
    ]
    return np.where(chosen[:, None] == 0, *parts)


def log_density(x: np.ndarray) -> np.ndarray:
    parts = [
        stats.multivariate_normal(m, c).pdf(x) for m, c in zip(MEANS, COVARIANCES, strict=True)
    ]
    return np.log(WEIGHTS @ np.array(parts))


def test_fitting_finds_what_was_drawn() -> None:
    x = draws(5000, 2)
    found = fit(x, 2, np.random.RandomState(0))
    order = found.means_[:, 0].argsort()
    np.testing.assert_allclose(found.weights_[order], WEIGHTS, atol=0.03)
    np.testing.assert_allclose(found.means_[order], MEANS, atol=0.08)
    np.testing.assert_allclose(found.covariances_[order], COVARIANCES, atol=0.1)
    assert found.score(x) >= log_density(x).mean() - 1e-3


def test_one_component_is_the_gaussian_of_the_moments() -> None:
    x = draws(300, 0)
    found = fit(x, 1, np.random.RandomState(0))
    np.testing.assert_allclose(found.means_[0], x.mean(0), atol=1e-9)
    np.testing.assert_allclose(found.covariances_[0], np.cov(x.T, bias=True), atol=1e-5)


def test_samples_are_of_the_mixture_in_random_order() -> None:
    random = np.random.RandomState(1)
    mixture = fit(draws(5000, 3), 2, random)
    z = sample(mixture, 20_000, random)
    nearer = np.square(z[:, None] - MEANS).sum(-1).argmin(1)
    assert nearer[:200].mean() == pytest.approx(0.7, abs=0.12)
    for unit in range(2):
        assert stats.ks_2samp(z[:, unit], draws(20_000, 4)[:, unit]).pvalue > 1e-3


def test_the_same_seed_gives_the_same_bytes() -> None:
    x = draws(2000, 5)
    first, second = (
        sample(fit(x, 10, random), 50, random)
        for random in (np.random.RandomState(6), np.random.RandomState(6))
    )
    assert first.tobytes() == second.tobytes()


@pytest.mark.parametrize("x", [np.ones((40, 3)), np.repeat(np.eye(3), 2, 0), np.zeros((2, 2))])
def test_codes_that_hardly_vary(x: np.ndarray) -> None:
    """A unit out of use, or fewer codes than components, must not stop an evaluation."""
    random = np.random.RandomState(0)
    assert np.isfinite(sample(fit(x, 10, random), 30, random)).all()
