"""Hierarchical models, bottom-up and ladder: structure and identities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from rungs.models import build
from rungs.models.ladder import LadderVAE
from rungs.models.networks import initialise
from rungs.models.objectives import elbo_loss, elbo_terms
from rungs.models.protocol import draw_noise, log_weights
from rungs.models.vae import BottomUpVAE

SIZES: dict[str, Any] = {"latent_sizes": [6, 5, 4], "hidden_sizes": [12, 10, 8]}
LADDER = {"upward": "mu", "share_top_down": True}
HIERARCHIES = ["lvae", "vae"]


def make(model: str, depth: int = 3, batch_norm: bool = True, **network: Any) -> Any:
    extra = LADDER if model == "lvae" else {}
    sizes = {name: units[:depth] for name, units in SIZES.items()}
    built: Any = build(model, 20, sizes | {"batch_norm": batch_norm} | extra | network)
    initialise(built, torch.Generator().manual_seed(0))
    return built.double().eval()


@pytest.fixture
def x() -> Tensor:
    return (torch.rand(9, 20, generator=torch.Generator().manual_seed(3)) < 0.4).double()


def noise_for(model: Any, *leading: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(5)
    return [n.double() for n in draw_noise(model.latent_sizes, *leading, generator=random)]


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("vae", {}),
    ("lvae", {}),
    ("lvae", {"upward": "hidden"}),
    ("lvae", {"share_top_down": False}),
]


@pytest.mark.parametrize(("model", "network"), VARIANTS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_units_terms_add_up_to_reconstruction_minus_elbo(
    model: str, network: dict[str, Any], depth: int, x: Tensor
) -> None:
    """Averaged over draws, reconstruction - sum of the units' KL is the mean log-weight."""
    built = make(model, depth, **network)
    draws = 4000
    with torch.no_grad():
        layers = built.draw(built.encode(x), noise_for(built, draws, len(x)))
        elbo = log_weights(built, x, layers)
        reconstruction = built.log_likelihood(x, layers[0].sample)
        terms = torch.cat([layer.kl() for layer in layers], -1).sum(-1)
    gap = (reconstruction - terms - elbo).mean(1)
    assert abs(float(gap.mean())) < 4 * float(gap.std()) / draws**0.5 + 1e-9


@pytest.mark.parametrize(("model", "network"), VARIANTS)
def test_log_weights_are_those_of_torchs_distributions(
    model: str, network: dict[str, Any], x: Tensor
) -> None:
    built = make(model, **network)
    with torch.no_grad():
        layers = built.draw(built.encode(x), noise_for(built, 4, len(x)))
        expected = Bernoulli(logits=built.logits(layers[0].sample)).log_prob(x).sum(-1)
        for layer in layers:
            p = Normal(layer.prior.mean, layer.prior.variance.sqrt())
            q = Normal(layer.posterior.mean, layer.posterior.variance.sqrt())
            expected += (p.log_prob(layer.sample) - q.log_prob(layer.sample)).sum(-1)
        torch.testing.assert_close(log_weights(built, x, layers), expected)


def test_bottom_up_terms_below_the_top_are_the_sampled_ratio(x: Tensor) -> None:
    """There the plug-in of the analytic Gaussian KL is wrong: z_{i+1} is drawn from z_i."""
    built = make("vae")
    with torch.no_grad():
        layers = built.draw(built.encode(x), noise_for(built, len(x)))
    assert [layer.analytic for layer in layers] == [False, False, True]
    torch.testing.assert_close(layers[0].kl(), -layers[0].log_ratio())
    plug_in = layers[0].posterior.divergence(layers[0].prior)
    assert not torch.allclose(layers[0].kl(), plug_in)


def test_a_ladder_of_depth_one_is_the_vae(x: Tensor) -> None:
    vae, ladder = make("vae", 1), make("lvae", 1)
    assert isinstance(vae, BottomUpVAE)
    assert isinstance(ladder, LadderVAE)
    for new, old in zip(
        (ladder.bottom_up[0], ladder.evidence[0], ladder.decoder, ladder.pixel_logits),
        (vae.bottom_up[0].hidden, vae.bottom_up[0].head, vae.decoder, vae.pixel_logits),
        strict=True,
    ):
        new.load_state_dict(old.state_dict())
    noise = noise_for(vae, 7, len(x))
    with torch.no_grad():
        a = log_weights(vae, x, vae.draw(vae.encode(x), noise))
        b = log_weights(ladder, x, ladder.draw(ladder.encode(x), noise))
    torch.testing.assert_close(a, b)


def test_the_ladder_merges_evidence_with_the_shared_prior(x: Tensor) -> None:
    built = make("lvae")
    with torch.no_grad():
        evidence = built.encode(x)
        layers = built.draw(evidence, noise_for(built, len(x)))
        prior = built.top_down[0](layers[1].sample)
    precision = 1 / evidence[0].variance + 1 / prior.variance
    mean = (evidence[0].mean / evidence[0].variance + prior.mean / prior.variance) / precision
    torch.testing.assert_close(layers[0].posterior.mean, mean)
    torch.testing.assert_close(layers[0].posterior.variance, 1 / precision)
    torch.testing.assert_close(layers[2].posterior.mean, evidence[2].mean)


@pytest.mark.parametrize("model", HIERARCHIES)
def test_samples_do_not_depend_on_their_company(model: str, x: Tensor) -> None:
    """In test mode an image's draw is the same alone and in a batch, once and many times."""
    built = make(model)
    noise = noise_for(built, 3, len(x))
    with torch.no_grad():
        whole = log_weights(built, x, built.draw(built.encode(x), noise))
        part = log_weights(
            built, x[4:6], built.draw(built.encode(x[4:6]), [n[1, 4:6] for n in noise])
        )
    torch.testing.assert_close(whole[1, 4:6], part)


@pytest.mark.parametrize("model", HIERARCHIES)
def test_generation_follows_the_prior(model: str) -> None:
    """The density of generated latents under the model's own priors is that of their noise."""
    built = make(model)
    noise = noise_for(built, 50)
    with torch.no_grad():
        latents = built.generate(noise)
        for z, epsilon, prior in zip(latents, noise, built.priors(latents), strict=True):
            standardised = (z - prior.mean) / prior.variance.sqrt()
            torch.testing.assert_close(standardised, epsilon)
        assert built.decode(latents[0]).shape == (50, 20)


@pytest.mark.parametrize("model", HIERARCHIES)
def test_every_parameter_gets_a_gradient(model: str, x: Tensor) -> None:
    built = build(model, 20, SIZES | {"batch_norm": True} | (LADDER if model == "lvae" else {}))
    initialise(built, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    noise = draw_noise(SIZES["latent_sizes"], len(x), generator=torch.Generator().manual_seed(0))
    elbo_loss(elbo_terms(built, x.float(), noise)).backward()
    for name, parameter in built.named_parameters():  # type: ignore[attr-defined]
        assert parameter.grad is not None, name
        assert float(parameter.grad.abs().sum()) > 0, name


def test_gradient_of_a_ladders_loss(x: Tensor) -> None:
    built = make("lvae", depth=2, batch_norm=False)
    noise = noise_for(built, len(x))

    def loss(weight: Tensor) -> Tensor:
        built.bottom_up[0].first.weight = torch.nn.Parameter(weight)
        del built.bottom_up[0].first._parameters["weight"]
        built.bottom_up[0].first.weight = weight
        layers = built.draw(built.encode(x), noise)
        terms = sum(layer.kl().sum() for layer in layers)
        return terms - built.log_likelihood(x, layers[0].sample).sum()

    start = built.bottom_up[0].first.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(loss, [start], atol=1e-6)


def test_sizes_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="as many hidden_sizes"):
        build("vae", 20, SIZES | {"latent_sizes": [3], "batch_norm": False})
