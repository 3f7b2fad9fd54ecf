"""Gradients against finite differences, in float64: of every density and divergence by itself, and of
every family's whole objective, with fixed noise, in a random direction of each of its parameters.

Where a loss stops gradients on purpose (the straight-through estimator, the parts of a VAE/GAN) its
finite differences are of another function. There they are taken of the surrogate that the source
states: what is stopped is held at its value.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn import functional

from rungs.models import build
from rungs.models.networks import initialise
from rungs.models.vaegan import GAMMA, REST
from rungs.models.vq import Quantised
from rungs.paths import ROOT
from rungs.probability.bernoulli import bernoulli_log_likelihood
from rungs.probability.divergences import lower, upper
from rungs.probability.gaussian import DiagonalGaussian
from rungs.probability.likelihoods import LIKELIHOODS, DiscretisedGaussian, DiscretisedLogistic
from rungs.probability.logistic_mixture import logistic_mixture_log_likelihood
from rungs.probability.mixture import Mixture
from rungs.probability.posteriors import FullGaussian, MixturePosterior
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import code_prior_settings, resolve

Loss = Callable[[], Tensor]
#: one that takes seconds
SLOW = ["vq-pixel"] if os.environ.get("RUNGS_TEST_TRUTH") else []
BATCH = 5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    found = torch.randn(*shape, generator=generator(seed), dtype=torch.float64)
    return found.requires_grad_()


# --- densities ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [1, 113, 224])
def test_bernoulli(pixels: int) -> None:
    """Numbers of pixels that make one group of factors, several, and groups of one."""
    x = (torch.rand(2, pixels, generator=generator()) < 0.5).double()
    bias = normal(pixels, seed=1)
    logits = normal(1, 2, pixels, seed=2)
    assert gradcheck(lambda v, b: bernoulli_log_likelihood(x, v, b), (logits, bias))


def test_bernoulli_where_products_underflow() -> None:
    """Then logarithms are summed, and the gradient is that of the sum all the same."""
    x = torch.zeros(1, 40, dtype=torch.float64)
    logits = (normal(1, 40).detach() + 30).requires_grad_()
    assert float(torch.sigmoid(-logits.detach()).prod()) < 1e-300
    assert gradcheck(lambda v: bernoulli_log_likelihood(x, v), logits)


LEVELS = torch.tensor([[0, 1, 100, 254, 255]], dtype=torch.float64) / 255


@pytest.mark.parametrize("kind", [DiscretisedLogistic, DiscretisedGaussian])
@pytest.mark.parametrize("scale", [0.3, 2.0])
def test_levels(kind: Any, scale: float) -> None:
    """Both open bins, both neighbours, and a middle level; also far from the location (but not so far
    that the differences of log-probabilities of -1e6 have no digits left)."""
    output = (scale * normal(4, 1, 10).detach()).requires_grad_()
    assert gradcheck(lambda v: kind().log_probability(LEVELS, v), output)


@pytest.mark.parametrize("channels", [1, 3])
def test_logistic_mixture(channels: int) -> None:
    x = LEVELS.flatten().repeat(channels, 1)[None, :, None, :]
    parameters = normal(2, 1, 2 * (1 + 2 * channels), 1, 5)
    assert gradcheck(lambda p: logistic_mixture_log_likelihood(x, p), parameters)


def full(mean: Tensor, raw: Tensor) -> FullGaussian:
    return FullGaussian(
        mean, raw.tril(-1) + functional.softplus(raw.diagonal(0, -2, -1)).diag_embed()
    )


def mixture(logits: Tensor, means: Tensor, raw: Tensor) -> Mixture:
    return Mixture(logits.log_softmax(-1), means, functional.softplus(raw) + 1e-3)


def posterior(logits: Tensor, means: Tensor, raw: Tensor) -> MixturePosterior:
    return MixturePosterior(logits.log_softmax(-1), means, functional.softplus(raw) + 1e-3)


def diagonal(mean: Tensor, raw: Tensor) -> DiagonalGaussian:
    return DiagonalGaussian(mean, functional.softplus(raw) + 1e-3)


P = (normal(4, seed=3), normal(4, 3, seed=4), normal(4, 3, seed=5))
Z = normal(2, 2, 3, seed=6)
QS: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "diagonal": (diagonal, (normal(2, 3, seed=7), normal(2, 3, seed=8))),
    "full": (full, (normal(2, 3, seed=7), normal(2, 3, 3, seed=8))),
    "mixture": (
        posterior,
        (normal(2, 2, seed=7), normal(2, 2, 3, seed=8), normal(2, 2, 3, seed=9)),
    ),
}


@pytest.mark.parametrize("name", QS)
def test_posteriors(name: str) -> None:
    """Density at a point, density at its own reparameterised draw, and the draw."""
    make, parameters = QS[name]
    noise = normal(2, 2, 6 if name == "mixture" else 3, seed=10).detach()

    def drawn(*given: Tensor) -> tuple[Tensor, Tensor]:
        q = make(*given)
        z = q.stratified(noise) if name == "mixture" else q.sample(noise)
        return z, q.log_density(z)

    assert gradcheck(lambda z, *given: make(*given).log_density(z), (Z, *parameters))
    assert gradcheck(drawn, parameters)


def test_mixture_prior() -> None:
    assert gradcheck(lambda z, *given: mixture(*given).log_density(z), (Z, *P))


@pytest.mark.parametrize("name", QS)
@pytest.mark.parametrize("bound", [upper, lower])
def test_divergences_to_a_mixture(name: str, bound: Any) -> None:
    if name == "full" and bound is lower:
        return  # there is none
    make, parameters = QS[name]
    count = len(parameters)
    assert gradcheck(
        lambda *given: bound(make(*given[:count]), mixture(*given[count:])), (*parameters, *P)
    )


def test_divergences_in_closed_form() -> None:
    other = (normal(3, seed=11), normal(3, seed=12))
    for name in ("diagonal", "full"):
        make, parameters = QS[name]
        count = len(parameters)
        assert gradcheck(
            lambda *given, m=make, n=count: m(*given[:n]).divergence(diagonal(*given[n:])),
            (*parameters, *other),
        )
    make, parameters = QS["diagonal"]
    assert gradcheck(
        lambda *given: vars(make(*given[:2]).merge(diagonal(*given[2:])))["variance"],
        (*parameters, *other),
    )


# --- whole objectives ---------------------------------------------------------------------------


def agree(gradients: dict[str, Tensor], surrogate: Loss, parameters: dict[str, Tensor]) -> None:
    """A random direction of each parameter: its slope by central differences is the gradient's.

    The networks' leaky rectifiers have kinks. With steps this small, in float64, none is crossed: the
    differences agree to six digits.
    """
    random = generator(20)
    for name, parameter in parameters.items():
        direction = torch.randn(parameter.shape, generator=random, dtype=torch.float64)
        direction /= direction.norm()
        step = 1e-6
        values = []
        with torch.no_grad():
            for sign in (1, -2, 1):
                parameter.add_(direction, alpha=sign * step)
                # under no_grad likelihoods take another way, so differences are of this one
                with torch.enable_grad():
                    values.append(float(surrogate().detach()))
        slope = (values[0] - values[1]) / (2 * step)
        expected = float((gradients[name] * direction).sum())
        # the loss is a hundred nats and more: differences of it have an error of 1e-13 * 1e2 / 1e-6
        assert slope == pytest.approx(expected, rel=2e-6, abs=2e-7 * max(1, abs(values[0]))), name


def gradients_of(loss: Tensor, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameters[name]) if g is None else g
        for name, g in zip(parameters, found, strict=True)
    }


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return configuration.load([ROOT / "config" / "smoke.yaml"])


def model_of(settings: dict[str, Any], pixels: int = 784) -> Any:
    model: Any = build(settings["model"], pixels, settings["network"])
    assert isinstance(model, nn.Module)
    initialise(model, generator(1))
    # biases are zero at first: rectifiers of black pixels would start on their kinks
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator(2)))
    return model.double().train()


def batch_of(model: Any, settings: dict[str, Any]) -> tuple[Tensor, list[Tensor]]:
    x = (torch.rand(BATCH, 784, generator=generator(3)) * 255).round().double() / 255
    noise = model.training_noise(BATCH, settings, generator(4))
    return x.round() if model.binary else x, [n.double() for n in noise]


RUNS = [
    *("vae/depth3", "lvae-bn-wu/depth3", "lvae/depth2", "vae-bn-wu-iw10/depth2"),
    *("lvae-bn-wu-mc10/depth2", "gauss/latent3", "gauss/latent0", "mog/latent3", "vamp/latent3"),
    *("gauss-full/latent3", "gauss-mixq/latent3", "mog-mixq/latent3", "mog-full/latent3"),
    *("mog-upper/latent3", "mog-lower/latent3", "gauss-iw10/latent3", "gauss-mixq-iw10/latent3"),
    *("ae/latent3", "ae-linear/latent3", "conv-vae/latent2", "conv-vae-pixel/latent2"),
    *("conv-vae-mog/latent2", "gauss-affine/latent3", "iwae-k5/depth1", "iwae2-k1/depth2"),
    *("vamp-release/latent3", "gauss-release/latent3"),
]


def check_objective(settings: dict[str, Any]) -> None:
    """The whole objective's gradients in every parameter, with fixed noise."""
    model = model_of(settings)
    x, noise = batch_of(model, settings["training"])
    parameters = dict(model.named_parameters())

    def loss() -> Tensor:
        found: Tensor = model.objective(x, noise, settings["training"], 0.7).loss
        return found

    agree(gradients_of(loss(), parameters), loss, parameters)


@pytest.mark.parametrize("name", RUNS)
def test_objective(name: str, config: dict[str, Any]) -> None:
    settings = resolve(config, Run.parse(f"mnist5k/{name}/seed0"))
    check_objective(settings)


@pytest.mark.parametrize("likelihood", sorted(set(LIKELIHOODS) - {"bernoulli"}))
def test_objective_of_intensities(likelihood: str, config: dict[str, Any]) -> None:
    settings = resolve(config, Run.parse("mnist5k/gauss/latent3/seed0"))
    settings["network"] |= {"likelihood": likelihood}
    check_objective(settings)


def test_objective_of_the_codes_prior(config: dict[str, Any]) -> None:
    settings = code_prior_settings(config, Run.parse("mnist5k/vq/codes16/seed0"))
    assert settings is not None
    positions = settings["network"]["grid"][0] * settings["network"]["grid"][1]
    model = model_of(settings, 2 * positions)
    codes = torch.randint(0, 16, (BATCH, positions), generator=generator(3))
    parameters = dict(model.named_parameters())

    def loss() -> Tensor:
        found: Tensor = -model.log_prob(codes).mean()
        return found

    agree(gradients_of(loss(), parameters), loss, parameters)


@pytest.mark.parametrize("variant", ["vq", "vq-nocommit-slow", "vq-ema", *SLOW])
def test_straight_through(variant: str, config: dict[str, Any]) -> None:
    """The surrogate: with z, e and the codes held at their values z0, e0 where gradients stop, the
    decoder sees ``z + (e0 - z0)``; the commitment loss is ``|z - e0|^2``, the codebook's
    ``|z0 - e|^2``."""
    settings = resolve(config, Run.parse(f"mnist5k/{variant}/codes16/seed0"))
    model = model_of(settings)
    x, noise = batch_of(model, settings["training"])
    parameters = dict(model.named_parameters())
    # evaluation mode: averages and revival move the codebook at every call of training
    model.eval()
    found: Quantised = model.quantise(model.encode(x))
    z0, e0, codes = found.encoded.detach(), found.vectors.detach(), found.codes
    weight = 1 / 784 if model.settings["likelihood"] == "dimension" else 1.0

    def surrogate() -> Tensor:
        z, e = model.encode(x), model.codebook.vectors()[codes]
        likelihood = model.decoder.log_likelihood(x, model.as_grid(z + (e0 - z0))).mean()
        commitment = (z - e0).square().sum(-1).mean()
        loss = model.settings["beta"] * commitment - weight * likelihood
        if model.codebook.moved is not None:
            loss = loss + (z0 - e).square().sum(-1).mean()
        found: Tensor = loss
        return found

    loss = model.objective(x, noise, settings["training"], 1.0).loss
    assert float(loss.detach()) == pytest.approx(float(surrogate().detach()), rel=1e-12)
    agree(gradients_of(loss, parameters), surrogate, parameters)


@pytest.mark.parametrize("variant", ["vaegan", "vaegan-mog"])
def test_the_parts_of_a_vaegan(variant: str, config: dict[str, Any]) -> None:
    """What each part minimises, the other parts held fixed (Larsen et al. 2016, Algorithm 1)."""
    settings = resolve(config, Run.parse(f"mnist5k/{variant}/latent3/seed0"))
    model = model_of(settings)
    x, noise = batch_of(model, settings["training"])
    parameters = dict(model.named_parameters())
    loss = model.objective(x, noise, settings["training"], 0.7).loss
    gradients = gradients_of(loss, parameters)
    with torch.no_grad():
        target = model.discriminator(x)[0].clone()
        z0 = model.encode(x)[0].sample(noise[0])
        drawn = model.generate([noise[1]])[0]
        fakes0 = model.decode(torch.cat([z0, drawn]))

    def feature_loss(z: Tensor) -> Tensor:
        features = model.discriminator(model.decode(z))[0]
        found: Tensor = 0.5 * (features - target).square().sum(-1).mean()
        return found

    def encoders() -> Tensor:
        q, p = model.encode(x)
        z = q.sample(noise[0])
        ratio = q.log_density(z).sum(-1) - p.log_density(z).sum(-1)
        kl = q.divergence(p).sum(-1) if variant == "vaegan" else ratio
        return 0.7 * kl.mean() + feature_loss(z)

    def decoders() -> Tensor:
        fooled = functional.softplus(
            -model.discriminator(model.decode(torch.cat([z0, drawn])))[1]
        ).mean()
        return GAMMA * feature_loss(z0) + fooled

    def discriminators() -> Tensor:
        real, fake = model.discriminator(x)[1], model.discriminator(fakes0)[1]
        return functional.softplus(-real).mean() + functional.softplus(fake).mean()

    assert float(discriminators().detach()) > REST, "the discriminator rests: nothing is tested"
    for surrogate, prefixes in (
        (encoders, ("encoder", "head", "prior")),
        (decoders, ("decoder", "pixel_logits")),
        (discriminators, ("discriminator",)),
    ):
        mine = {n: p for n, p in parameters.items() if n.startswith(prefixes)}
        assert mine
        agree(gradients, surrogate, mine)


def test_a_wrong_gradient_is_noticed(config: dict[str, Any]) -> None:
    """The check can fail: of a loss whose KL weight is off by a thousandth."""
    settings = resolve(config, Run.parse("mnist5k/gauss/latent3/seed0"))
    model = model_of(settings)
    x, noise = batch_of(model, settings["training"])
    parameters = {n: p for n, p in model.named_parameters() if n.startswith("head")}
    loss = model.objective(x, noise, settings["training"], 0.7).loss

    def other() -> Tensor:
        found: Tensor = model.objective(x, noise, settings["training"], 0.7007).loss
        return found

    with pytest.raises(AssertionError):
        agree(gradients_of(loss, parameters), other, parameters)
