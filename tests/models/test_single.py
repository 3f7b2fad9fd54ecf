"""Single-layer VAEs in every combination of prior, posterior and objective."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch

from densities import generator
from rungs.errors import ConfigError
from rungs.models import build
from rungs.models.networks import initialise
from rungs.models.protocol import draw_noise, log_weights, noise_sizes


def network(**changes: Any) -> dict[str, Any]:
    return {
        "latent_sizes": [3],
        "hidden_sizes": [16],
        "batch_norm": False,
        "prior": "gaussian",
        "prior_components": 7,
        "posterior": "diagonal",
        "posterior_components": 3,
        "likelihood": "bernoulli",
        "divergence": "analytic",
    } | changes


def model_of(**changes: Any) -> Any:
    built: Any = build("single", 20, network(**changes))
    initialise(built, generator())
    if changes.get("posterior") == "full":
        # it starts as a diagonal one; here its latents are to be correlated
        torch.nn.init.normal_(built.head.affine.weight, 0, 0.1, generator=generator(4))
    return built


def test_a_full_covariance_starts_as_a_diagonal_one() -> None:
    built: Any = build("single", 20, network(posterior="full"))
    initialise(built, generator())
    scale = built.posterior(BITS).scale
    assert (scale == scale.diagonal(dim1=-2, dim2=-1).diag_embed()).all()
    # and the gradient reaches what lies below the diagonal
    settings = {"monte_carlo_samples": 1, "importance_samples": 1}
    noise = built.training_noise(8, settings, generator(1))
    built.objective(BITS, noise, settings, 1.0).loss.backward()
    below = built.head.affine.weight.grad[2 * built.units :]
    assert (below.abs().sum(-1) > 0).all()


BITS = (torch.rand(8, 20, generator=generator(9)) < 0.5).float()
COMBINATIONS = [
    (prior, posterior, divergence, importance)
    for prior, posterior, divergence, importance in itertools.product(
        ("gaussian", "mixture", "vamp"),
        ("diagonal", "full", "mixture"),
        ("analytic", "sampled", "upper", "lower"),
        (1, 4),
    )
    if not (prior == "vamp" and posterior != "diagonal")
    and not (posterior == "full" and divergence == "lower")
]


@pytest.mark.parametrize(("prior", "posterior", "divergence", "importance"), COMBINATIONS)
def test_every_combination_trains_and_evaluates(
    prior: str, posterior: str, divergence: str, importance: int
) -> None:
    model = model_of(prior=prior, posterior=posterior, divergence=divergence)
    settings = {"monte_carlo_samples": 2, "importance_samples": importance}
    before = None
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(60):
        noise = model.training_noise(len(BITS), settings, generator(step))
        found = model.objective(BITS, noise, settings, 1.0)
        optimiser.zero_grad()
        torch.autograd.backward(found.loss)
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimiser.step()
        before = found.loss.item() if before is None else before
    assert found.loss.item() < before - 0.5
    assert {"elbo", "reconstruction"} <= set(found.statistics)
    other = importance > 1 or divergence in ("upper", "lower")
    assert ("trained_bound" in found.statistics) == other
    if other:
        assert float(found.statistics["trained_bound"]) == pytest.approx(-found.loss.item())
    model.eval()
    with torch.no_grad():
        noise = draw_noise(noise_sizes(model), 5, len(BITS), generator=generator())
        weights = log_weights(model, BITS, model.draw(model.encode(BITS), noise))
        assert weights.shape == (5, 8)
        z = model.generate(draw_noise(noise_sizes(model), 6, generator=generator()))[0]
        assert model.decode(z).shape == (6, 20)


@pytest.mark.parametrize("posterior", ["diagonal", "full", "mixture"])
@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_the_training_objective_is_what_is_evaluated(prior: str, posterior: str) -> None:
    """Stratified, analytic and ordinary estimates agree: the ELBO of training is the mean
    log-weight, and with k samples of each stratum the bound is between ELBO and log p(x)."""
    model = model_of(prior=prior, posterior=posterior).double()
    x, settings = BITS.double(), {"monte_carlo_samples": 4000, "importance_samples": 1}
    with torch.no_grad():
        noise = [n.double() for n in model.training_noise(8, settings, generator(1))]
        trained = -float(model.objective(x, noise, settings, 1.0).loss)
        sizes = noise_sizes(model)
        noise = [n.double() for n in draw_noise(sizes, 8000, 8, generator=generator(2))]
        weights = log_weights(model, x, model.draw(model.encode(x), noise))
        error = float(weights.std(0).max()) / math.sqrt(4000 * 8)
        assert trained == pytest.approx(float(weights.mean()), abs=5 * error)
        weighted = settings | {"monte_carlo_samples": 200, "importance_samples": 50}
        noise = [n.double() for n in model.training_noise(8, weighted, generator(3))]
        bound = -float(model.objective(x, noise, weighted, 1.0).loss)
        truth = float((weights.logsumexp(0) - math.log(8000)).mean())
        assert trained - 0.01 < bound < truth + 5 * error


def test_history_reports_samples_whatever_trains() -> None:
    """With the upper bound in training the noted ELBO is still the sampled one."""
    settings = {"monte_carlo_samples": 500, "importance_samples": 1}
    found = {}
    for divergence in ("sampled", "upper"):
        model = model_of(prior="mixture", divergence=divergence)
        noise = model.training_noise(8, settings, generator(1))
        found[divergence] = model.objective(BITS, noise, settings, 1.0)
    torch.testing.assert_close(
        found["sampled"].statistics["elbo"], found["upper"].statistics["elbo"]
    )
    assert found["upper"].loss.item() > found["sampled"].loss.item()


@pytest.mark.parametrize("prior", ["gaussian", "mixture", "vamp"])
def test_no_latents_is_one_image(prior: str) -> None:
    model = model_of(prior=prior, latent_sizes=[0]).eval()
    noise = draw_noise(noise_sizes(model), 4, generator=generator())
    images = model.decode(model.generate(noise)[0])
    assert images.shape == (4, 20)
    assert bool((images == images[0]).all())
    layers = model.draw(
        model.encode(BITS), draw_noise(noise_sizes(model), 8, generator=generator())
    )
    assert bool((layers[0].log_ratio().sum(-1) == 0).all())


@pytest.mark.parametrize("posterior", ["diagonal", "full", "mixture"])
@pytest.mark.parametrize("prior", ["gaussian", "mixture"])
def test_samples_do_not_depend_on_their_company(prior: str, posterior: str) -> None:
    """In test mode an image's draw is the same alone and in a batch, once and many times."""
    model = model_of(prior=prior, posterior=posterior).double().eval()
    x = BITS.double()
    noise = draw_noise(noise_sizes(model), 3, len(x), generator=generator(5))[0].double()
    with torch.no_grad():
        whole = log_weights(model, x, model.draw(model.encode(x), [noise]))
        part = log_weights(model, x[4:6], model.draw(model.encode(x[4:6]), [noise[1, 4:6]]))
    torch.testing.assert_close(whole[1, 4:6], part)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"prior": "vamp", "posterior": "full"}, "network.prior"),
        ({"prior": "vamp", "batch_norm": True}, "network.batch_norm"),
        ({"posterior": "full", "divergence": "lower"}, "network.divergence"),
    ],
)
def test_combinations_that_do_not_exist_are_named(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=key):
        build("single", 20, network(**changes))
