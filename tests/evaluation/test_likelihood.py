"""L_k where the truth is known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rungs.evaluation.likelihood import (
    effective_sample_size,
    estimate,
    importance_bound,
    nested_bounds,
    sample_log_weights,
    standard_error,
)
from rungs.models.linear_gaussian import LinearGaussian


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(spread: float = 1.0, shift: float = 0.0) -> LinearGaussian:
    return LinearGaussian(12, 4, generator(), spread, shift)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return linear().simulate(60, generator(1))


def test_exact_log_likelihood_is_scipys(x: torch.Tensor) -> None:
    model = linear()
    covariance = model.weight @ model.weight.T + model.noise_variance * torch.eye(12)
    expected = stats.multivariate_normal(model.offset.numpy(), covariance.numpy()).logpdf(x.numpy())
    np.testing.assert_allclose(model.exact_log_likelihood(x).numpy(), expected)


@pytest.mark.parametrize("k", [1, 2, 30])
def test_with_the_exact_posterior_every_bound_is_the_log_likelihood(
    k: int, x: torch.Tensor
) -> None:
    model = linear()
    found = estimate(model, x, k, seed=0, chunk_rows=64)
    exact = model.exact_log_likelihood(x)
    torch.testing.assert_close(found.lk, exact, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(found.elbo, exact, rtol=1e-12, atol=1e-10)
    torch.testing.assert_close(found.ess, torch.full_like(exact, k), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("k", [1, 5])
def test_the_weights_are_unbiased(k: int, x: torch.Tensor) -> None:
    """The mean of exp(L_k - log p(x)) over replications is 1 within its error."""
    model = linear(spread=1.3, shift=0.6)
    replications = 40_000
    one = x[:1]
    weights = sample_log_weights(model, one, k * replications, generator(2), 10_000)
    bounds = weights.reshape(k, replications).logsumexp(0) - np.log(k)
    ratio = (bounds - model.exact_log_likelihood(one)).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / replications**0.5
    assert float(ratio.std()) > 0.1, "the proposal is too good to test anything"


def test_a_wrong_density_is_noticed(x: torch.Tensor) -> None:
    """The same check fails for weights off by a tenth of a nat: it can fail."""
    model = linear(spread=1.3, shift=0.6)
    weights = sample_log_weights(model, x[:1], 40_000, generator(2), 10_000) + 0.1
    ratio = (weights[:, 0] - model.exact_log_likelihood(x[:1])).exp()
    assert abs(float(ratio.mean()) - 1) > 4 * float(ratio.std()) / 200


def test_nested_bounds_do_not_decrease(x: torch.Tensor) -> None:
    found = estimate(linear(1.5, 1.0), x, 1000, seed=3, chunk_rows=512)
    assert found.nested_k == [1, 10, 100, 1000]
    assert bool((found.nested_lk.diff(dim=0) >= -1e-12).all())
    torch.testing.assert_close(found.nested_lk[0], found.elbo)
    torch.testing.assert_close(found.nested_lk[-1], found.lk)
    exact = linear().exact_log_likelihood(x)
    gap = (found.nested_lk - exact).mean(1)
    assert float(gap[0]) < -0.5
    assert abs(float(gap[-1])) < 0.05


def test_chunks_do_not_change_the_model(x: torch.Tensor) -> None:
    """Chunk sizes change the order of the noise only: both are estimates of the same bound."""
    small = estimate(linear(1.2, 0.3), x, 400, seed=0, chunk_rows=7)
    large = estimate(linear(1.2, 0.3), x, 400, seed=0, chunk_rows=100_000)
    assert float((small.lk - large.lk).abs().max()) < 0.3


def test_an_images_estimate_does_not_depend_on_how_blocks_are_shared(x: torch.Tensor) -> None:
    whole = estimate(linear(1.2, 0.3), x, 20, seed=0, chunk_rows=100)
    first = estimate(linear(1.2, 0.3), x[:50], 20, seed=0, chunk_rows=100)
    assert torch.equal(whole.lk[:50], first.lk)


def test_bounds_of_extreme_weights_are_finite() -> None:
    weights = torch.tensor([[-1e6, 700.0], [-1e6 - 3, -800.0]], dtype=torch.float64)
    expected = torch.tensor([-1e6 + np.log1p(np.exp(-3)) - np.log(2), 700 - np.log(2)])
    torch.testing.assert_close(importance_bound(weights), expected.double())
    ess = effective_sample_size(weights)
    assert float(ess[1]) == pytest.approx(1.0)


def test_nested_bounds_by_hand() -> None:
    weights = torch.tensor([0.0, 2.0, 1.0, -1.0], dtype=torch.float64)[:, None]
    pairs = np.mean([np.log((1 + np.exp(2)) / 2), np.log((np.exp(1) + np.exp(-1)) / 2)])
    found = nested_bounds(weights, [1, 2, 4])[:, 0]
    expected = [0.5, pairs, np.log(np.mean(np.exp([0, 2, 1, -1])))]
    np.testing.assert_allclose(found.numpy(), expected)


def test_standard_error() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert standard_error(values) == pytest.approx(stats.sem(values.numpy()))
