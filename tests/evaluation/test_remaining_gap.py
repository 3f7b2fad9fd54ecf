"""The estimate of what L_k lacks: series by hand, and linear Gaussian models whose log p(x) is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rungs.evaluation.likelihood import estimate
from rungs.evaluation.remaining_gap import LARGEST_RATIO, remaining_gap
from rungs.models.linear_gaussian import LinearGaussian

TENS = np.array([1, 10, 100, 1000])


@pytest.mark.parametrize(("count", "factor"), [(3, 2.0), (4, 1.5)])
@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.85])
def test_a_geometric_series(count: int, factor: float, ratio: float) -> None:
    """Steps that shrink by a constant: the rest is summed, term by term."""
    bounds = np.cumsum([-120.0, *(4 * ratio**i for i in range(count - 1))])
    rest = sum(4 * ratio**i for i in range(count - 1, 400))
    assert remaining_gap(TENS[:count], bounds) == pytest.approx(factor * rest)


def test_a_last_k_that_is_no_power_of_ten() -> None:
    """The limit is that of the largest k with a tenth and a hundredth, the rest of the way is taken off."""
    bounds = np.array([-120.0, -116, -114, -113, -112.4])
    series = 1 * 0.5 / (1 - 0.5)
    expected = 1.5 * series - 0.6
    assert remaining_gap(np.array([1, 10, 100, 1000, 5000]), bounds) == pytest.approx(expected)
    bounds[-1] = -110
    assert remaining_gap(np.array([1, 10, 100, 1000, 5000]), bounds) == 0


@pytest.mark.parametrize("ks", [[1], [1, 10], [1, 10, 20], [1, 7]])
def test_too_few_bounds_give_none(ks: list[int]) -> None:
    assert remaining_gap(np.array(ks), np.arange(len(ks), dtype=float)) is None


def test_ratios_without_a_limit() -> None:
    most = 2 * LARGEST_RATIO / (1 - LARGEST_RATIO)
    assert remaining_gap(TENS[:3], np.array([0.0, 1, 3])) == pytest.approx(2 * most)
    assert remaining_gap(TENS[:3], np.array([0.0, 0, 3])) == pytest.approx(3 * most)
    assert remaining_gap(TENS[:3], np.array([0.0, 1, 1])) == 0
    assert remaining_gap(TENS[:3], np.array([0.0, 1, 1 - 1e-15])) == 0


def gaps(seed: int, samples: int, *proposal: float) -> tuple[float, float]:
    """The estimated gap and the true one, over 1,000 images."""
    model = LinearGaussian(40, 8, torch.Generator().manual_seed(0), *proposal)
    x = model.simulate(1000, torch.Generator().manual_seed(seed))
    found = estimate(model, x, samples, seed, chunk_rows=50_000)
    gap = remaining_gap(np.array(found.nested_k), found.nested_lk.mean(1).numpy())
    assert gap is not None
    return gap, float((model.exact_log_likelihood(x) - found.lk).mean())


@pytest.mark.parametrize("samples", [100, 1000])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_proposal_that_misses_each_image_differently(samples: int, seed: int) -> None:
    """As trained encoders do: within 35 %."""
    gap, truth = gaps(seed, samples, 1.0, 0.0, 1.0, 0.5)
    assert truth > 1
    assert 0.65 < gap / truth < 1.35


@pytest.mark.parametrize("shift", [1.0, 1.25])
def test_a_proposal_that_misses_all_images_alike(shift: float) -> None:
    """Here the steps shrink faster: the estimate is too large, up to three times."""
    gap, truth = gaps(1, 100, 1.0, shift)
    assert 1 < gap / truth < 3


def test_the_exact_posterior_leaves_nothing() -> None:
    gap, truth = gaps(1, 100)
    assert abs(truth) < 1e-9
    assert gap < 1e-9


def test_the_misses_are_standard_gaussian() -> None:
    """The bound of one sample is below log p(x) by the KL in closed form, miss^2 units/2 exp(2 uneven^2)."""
    model = LinearGaussian(40, 8, torch.Generator().manual_seed(0), 1.0, 0.0, 0.8, 0.3)
    x = model.simulate(40_000, torch.Generator().manual_seed(3))
    even = LinearGaussian(40, 8, torch.Generator().manual_seed(0), 1.0, 0.0, 0.8)
    offsets = even.misses(x) / 0.8
    np.testing.assert_allclose(np.cov(offsets.T), np.eye(8), atol=0.03)
    difference = (model.encode(x).mean - even.encode(x).mean).abs().max()
    assert float(difference) > 0.1
    kl = 0.5 * model.misses(x).square().sum(1)
    expected = 0.5 * 8 * 0.8**2 * math.exp(2 * 0.3**2)
    assert float(kl.mean()) == pytest.approx(expected, rel=0.03)
    found = estimate(model, x[:2000], 20, 0, chunk_rows=50_000)
    gap = model.exact_log_likelihood(x[:2000]) - found.elbo
    assert float((gap - kl[:2000]).mean()) == pytest.approx(0, abs=0.05)
