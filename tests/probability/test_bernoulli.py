"""The Bernoulli log-likelihood against torch.distributions and the plain formula."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli

from rungs.probability.bernoulli import bernoulli_log_likelihood


@pytest.mark.parametrize("leading", [(), (7,), (2, 3)])
def test_bernoulli_is_torchs(leading: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(1)
    logits = 20 * torch.randn(*leading, 5, 11, dtype=torch.float64, generator=random)
    x = (torch.rand(5, 11, generator=random) < 0.5).double()
    expected = Bernoulli(logits=logits).log_prob(x.expand_as(logits)).sum(-1)
    torch.testing.assert_close(bernoulli_log_likelihood(x, logits), expected)


def test_bernoulli_sums_to_one() -> None:
    logits = torch.tensor([0.3, -2.0, 4.0], dtype=torch.float64)
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 3)
    total = bernoulli_log_likelihood(images, logits.expand(8, 3)).exp().sum()
    assert float(total) == pytest.approx(1, abs=1e-12)


def test_bernoulli_of_extreme_logits_is_finite() -> None:
    x = torch.tensor([[0.0, 1.0]])
    logits = torch.tensor([[[300.0, -300.0]]])
    assert float(bernoulli_log_likelihood(x, logits)) == pytest.approx(-600)


@pytest.mark.parametrize("pixels", [7, 784, 1024])
@pytest.mark.parametrize("scale", [0.1, 1.0, 3.0, 30.0, 300.0])
def test_bernoulli_log_likelihood_is_exact(pixels: int, scale: float) -> None:
    """Value and gradient in float32 against the plain formula in float64, for logits that are
    right, and for ones so wrong that products of many probabilities, or of a few, underflow."""
    random = torch.Generator().manual_seed(pixels)
    logits = scale * torch.randn(3, 5, pixels, generator=random)
    x = (torch.rand(5, pixels, generator=random) < 0.3).float()
    wide = logits.double().requires_grad_()
    expected = (x.double() * wide - torch.nn.functional.softplus(wide)).sum(-1)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), wide)
    narrow = logits.clone().requires_grad_()
    found = bernoulli_log_likelihood(x, narrow)
    (gradient,) = torch.autograd.grad(found.sum(), narrow)
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=1e-3)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=1e-6)
    bias = torch.randn(pixels, generator=random)
    with torch.no_grad():
        without = bernoulli_log_likelihood(x, logits - bias, bias)
    torch.testing.assert_close(without.double(), expected, rtol=2e-5, atol=1e-2)


def test_the_bernoulli_gradient() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, 6, generator=random, dtype=torch.float64, requires_grad=True)
    x = (torch.rand(4, 6, generator=random) < 0.5).double()
    assert torch.autograd.gradcheck(lambda values: bernoulli_log_likelihood(x, values), logits)


def test_bernoulli_log_likelihood_side_by_side() -> None:
    """Many models at once give what each gives alone."""
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 2, 5, 12, generator=random, requires_grad=True)
    x = (torch.rand(4, 5, 12, generator=random) < 0.5).float()
    together = torch.vmap(bernoulli_log_likelihood)(x, logits)
    alone = torch.stack([bernoulli_log_likelihood(a, b) for a, b in zip(x, logits, strict=True)])
    torch.testing.assert_close(together, alone)
