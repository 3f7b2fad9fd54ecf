"""The continuous VAE with convolutional networks, with a Gaussian and with a mixture prior."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special, stats

from convolutional_models import CONVOLUTIONAL, PIXELCNN, SETTINGS, images, random, ready
from rungs.errors import ConfigError
from rungs.models.conv_vae import ConvolutionalVAE
from rungs.models.protocol import noise_sizes

COMPONENTS = 5
UNITS = 2 * 2 * 3


def model_of(**prior: Any) -> ConvolutionalVAE:
    made: ConvolutionalVAE = ready(
        ConvolutionalVAE(96, [8, 12], [2], CONVOLUTIONAL, "convolutional", PIXELCNN, **prior)
    )
    return made


@pytest.fixture
def mixture() -> ConvolutionalVAE:
    made = model_of(prior="mixture", prior_components=COMPONENTS)
    with torch.no_grad():
        assert made.prior is not None
        made.prior.logits.copy_(torch.linspace(-1, 1, COMPONENTS))
    return made


def log_density(model: ConvolutionalVAE, z: np.ndarray) -> np.ndarray:
    """The mixture's, by scipy; for ``z [n, units]``."""
    assert model.prior is not None
    with torch.no_grad():
        prior = model.prior()
    weights, means, variances = (
        np.exp(prior.log_weights.double().numpy()),
        prior.means.double().numpy(),
        prior.variances.double().numpy(),
    )
    terms = stats.norm.logpdf(z[:, None], means, np.sqrt(variances)).sum(-1)
    return np.asarray(special.logsumexp(terms, b=weights, axis=1))


@torch.no_grad()
def test_the_prior_is_a_mixture_over_the_whole_grid(mixture: ConvolutionalVAE) -> None:
    x = images(4, 96)
    assert noise_sizes(mixture) == [UNITS + 1]
    noise = torch.randn(4, UNITS + 1, generator=random(3))
    posterior = mixture.encode(x)
    (layer,) = mixture.draw(posterior, [noise])
    z = layer.sample.double().numpy()
    own = stats.norm.logpdf(z, posterior.mean.numpy(), posterior.variance.sqrt().numpy()).sum(1)
    expected = log_density(mixture, z) - own
    np.testing.assert_allclose(layer.log_ratio().sum(-1).numpy(), expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(layer.kl().sum(-1).numpy(), -expected, rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_draws_from_the_mixture_have_its_moments(mixture: ConvolutionalVAE) -> None:
    assert mixture.prior is not None
    noise = torch.randn(40_000, UNITS + 1, generator=random(4))
    (z,) = mixture.generate([noise])
    assert z.shape == (40_000, UNITS)
    prior = mixture.prior()
    weights = prior.log_weights.exp()[:, None]
    mean = (weights * prior.means).sum(0)
    square = (weights * (prior.means.square() + prior.variances)).sum(0)
    assert float((z.mean(0) - mean).abs().max()) < 5 * math.sqrt(float(square.max()) / 40_000)
    torch.testing.assert_close(z.square().mean(0), square, rtol=0.06, atol=0.0)


def test_the_mixture_is_trained(mixture: ConvolutionalVAE) -> None:
    x = images(6, 96)
    noise = mixture.training_noise(6, SETTINGS, random(1))
    assert mixture.prior is not None
    loss = mixture.objective(x, noise, SETTINGS, 1.0).loss
    for parameter in mixture.prior.parameters():
        (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True)
        assert float(gradient.norm()) > 0
    several = {"monte_carlo_samples": 2, "importance_samples": 3}
    noise = mixture.training_noise(6, several, random(1))
    assert torch.isfinite(mixture.objective(x, noise, several, 1.0).loss)


def test_the_default_is_the_standard_gaussian() -> None:
    x, noise = images(4, 96), [torch.randn(4, UNITS, generator=random(3))]
    plain, named = model_of(), model_of(prior="gaussian", prior_components=1000)
    assert noise_sizes(plain) == [UNITS]
    assert torch.equal(plain.generate(noise)[0], noise[0])
    layers = [model.draw(model.encode(x), noise)[0] for model in (plain, named)]
    assert torch.equal(layers[0].kl(), layers[1].kl())
    q = layers[0].posterior
    kl = 0.5 * (q.mean.square() + q.variance - q.variance.log() - 1)
    torch.testing.assert_close(layers[0].kl(), kl)
    assert [name for name, _ in plain.named_parameters()] == [
        name for name, _ in named.named_parameters()
    ]


def test_another_prior_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"network\.prior vamp.*mixture"):
        model_of(prior="vamp")
