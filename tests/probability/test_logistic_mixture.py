"""The discretised mixture of logistics against sums, scipy and its own samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from convolutional_models import (
    random,
)
from rungs.probability.logistic_mixture import (
    categorical_sample,
    logistic_mixture_log_likelihood,
    logistic_mixture_mean,
    logistic_mixture_sample,
    parameters_of,
    split_parameters,
)


@pytest.mark.parametrize("components", [1, 3])
def test_the_likelihood_sums_to_one(components: int) -> None:
    """Over the 256 levels of one pixel; extreme means and scales included."""
    levels = (torch.arange(256).double() / 255).reshape(256, 1, 1, 1)
    for scale in (0.1, 3.0, 30.0):
        shape = (1, parameters_of(1, components), 1, 1)
        parameters = scale * torch.randn(shape, generator=random(), dtype=torch.float64)
        found = logistic_mixture_log_likelihood(levels, parameters.expand(256, -1, 1, 1))
        assert bool(torch.isfinite(found).all())
        assert float(found.exp().sum()) == pytest.approx(1, abs=1e-9)


def test_two_channels_sum_to_one() -> None:
    """Channels share their component: the joint distribution sums to 1, and does not factorise."""
    # equal weights; one component dark in both channels, one bright
    parameters = (
        torch.tensor([0, 0, -0.3, -0.2, 0.3, 0.2, 0, 0, 0, 0]).double().reshape(1, 10, 1, 1)
    )
    a, b = torch.meshgrid(
        torch.arange(256).double() / 255, torch.arange(256).double() / 255, indexing="ij"
    )
    pairs = torch.stack([a.flatten(), b.flatten()], 1)[..., None, None].double()
    joint = logistic_mixture_log_likelihood(pairs, parameters.expand(len(pairs), -1, 1, 1)).exp()
    assert float(joint.sum()) == pytest.approx(1, abs=1e-9)
    table = joint.reshape(256, 256)
    assert not torch.allclose(table, table.sum(1, keepdim=True) * table.sum(0), atol=1e-6)


def test_the_likelihood_is_that_of_the_rounded_logistic() -> None:
    """Against the difference of scipy's distribution function, and its edges."""
    parameters = torch.tensor([0.0, 0.1, 0.3]).double().reshape(1, 3, 1, 1)
    _, mean, log_scale = (p.item() for p in split_parameters(parameters, 1))
    logistic = stats.logistic(mean, math.exp(log_scale))
    for level in (0, 1, 100, 254, 255):
        x = torch.full((1, 1, 1, 1), level / 255).double()
        low = -np.inf if level == 0 else (level - 0.5) / 255
        high = np.inf if level == 255 else (level + 0.5) / 255
        expected = math.log(logistic.cdf(high) - logistic.cdf(low))
        found = float(logistic_mixture_log_likelihood(x, parameters))
        assert found == pytest.approx(expected, abs=1e-7)


def test_mean_and_samples_agree_with_the_probabilities() -> None:
    shape = (1, parameters_of(1, 3), 1, 1)
    parameters = torch.randn(shape, generator=random(3), dtype=torch.float64)
    levels = (torch.arange(256).double() / 255).reshape(256, 1, 1, 1)
    p = logistic_mixture_log_likelihood(levels, parameters.expand(256, -1, 1, 1)).exp()
    exact = float((p * levels.flatten()).sum())
    assert float(logistic_mixture_mean(parameters, 1)) == pytest.approx(exact, abs=1e-3)
    count = 200_000
    noise = torch.rand(count, 2, 1, 1, generator=random(1), dtype=torch.float64)
    drawn = logistic_mixture_sample(parameters.expand(count, -1, 1, 1), noise)
    assert torch.equal((drawn * 255).round() / 255, drawn)
    assert float(drawn.mean()) == pytest.approx(exact, abs=0.003)
    frequency = torch.bincount((drawn * 255).round().long().flatten(), minlength=256) / count
    assert float((frequency - p).abs().max()) < 5 * math.sqrt(float(p.max()) / count)


def test_categorical_samples() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0])
    drawn = categorical_sample(logits.expand(100_000, 3), torch.rand(100_000, generator=random()))
    frequency = torch.bincount(drawn, minlength=3) / 100_000
    assert torch.allclose(frequency, logits.softmax(-1), atol=0.005)
    assert int(categorical_sample(logits, torch.tensor(1.0))) == 2
