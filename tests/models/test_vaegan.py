"""The VAE/GAN: each network learns from its own terms."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from densities import generator
from rungs.errors import ConfigError
from rungs.models import build, vaegan
from rungs.models.networks import initialise
from rungs.models.protocol import Layer
from rungs.models.vaegan import GAMMA, REST


@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_each_part_of_a_vaegan_learns_from_its_own_terms(prior: str) -> None:
    """The one loss gives every network the gradient of its own loss of Larsen et al. 2016."""
    sizes = {"latent_sizes": [3], "hidden_sizes": [16], "prior": prior, "prior_components": 5}
    model: Any = build("vaegan", 64, sizes)
    initialise(model, generator())
    x = torch.rand(8, 64, generator=generator(1))
    settings = {"monte_carlo_samples": 1, "importance_samples": 1}
    noise = model.training_noise(8, settings, generator(2))
    found = model.objective(x, noise, settings, 1.0)
    torch.autograd.backward(found.loss)
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    posterior, density = model.encode(x)
    z = posterior.sample(noise[0])
    kl = Layer(z, posterior, density, prior == "gaussian").kl().sum(-1).mean()
    drawn = model.generate([noise[1]])[0].detach()
    features = model.discriminator(model.decode(z))[0] - model.discriminator(x)[0].detach()
    reconstruction = 0.5 * features.square().sum(-1).mean()
    fakes = model.decode(torch.cat([z.detach(), drawn]))
    fake, real = model.discriminator(fakes)[1], model.discriminator(x)[1]
    softplus = torch.nn.functional.softplus
    fooled = softplus(-fake).mean()
    told = softplus(-real).mean() + softplus(fake).mean()
    assert float(told) > REST
    expected = {
        ("encoder", "head", "prior"): kl + reconstruction,
        ("decoder", "pixel_logits"): GAMMA * reconstruction + fooled,
        ("discriminator",): told,
    }
    for parts, loss in expected.items():
        own = {n: p for n, p in model.named_parameters() if n.startswith(parts)}
        wanted = torch.autograd.grad(loss, list(own.values()), retain_graph=True)
        for name, gradient in zip(own, wanted, strict=True):
            torch.testing.assert_close(gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_a_vaegan_needs_square_images() -> None:
    with pytest.raises(ConfigError, match="square"):
        build(
            "vaegan",
            20,
            {"latent_sizes": [3], "hidden_sizes": [8], "prior": "gaussian", "prior_components": 2},
        )


def test_a_discriminator_that_wins_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vaegan, "REST", 100.0)
    sizes = {"latent_sizes": [3], "hidden_sizes": [16], "prior": "gaussian", "prior_components": 5}
    model: Any = build("vaegan", 64, sizes)
    initialise(model, generator())
    settings = {"monte_carlo_samples": 1, "importance_samples": 1}
    noise = model.training_noise(8, settings, generator(2))
    model.objective(torch.ones(8, 64), noise, settings, 1.0).loss.backward()
    assert all(not p.grad.any() for p in model.discriminator.parameters())
    assert model.pixel_logits.weight.grad.any()
    assert model.encoder.first.weight.grad.any()
