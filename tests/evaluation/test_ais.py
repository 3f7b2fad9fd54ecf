"""Annealed importance sampling where the truth is known exactly, and on a trained model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rungs.data.prepared import read_images
from rungs.errors import ConfigError
from rungs.evaluation import ais
from rungs.evaluation.ais import lower_bound, simulate, upper_bound
from rungs.evaluation.annealing import Settings
from rungs.evaluation.likelihood import estimate, standard_error
from rungs.models.linear_gaussian import LinearGaussian
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(spread: float = 1.3, shift: float = 0.5) -> LinearGaussian:
    return LinearGaussian(12, 4, generator(0), spread, shift)


def simulated(model: LinearGaussian, images: int) -> tuple[Tensor, Tensor]:
    z = torch.randn(images, 4, generator=generator(1), dtype=torch.float64)
    noise = torch.randn(images, 12, generator=generator(2), dtype=torch.float64)
    return model.decode(z) + math.sqrt(model.noise_variance) * noise, z


@pytest.mark.parametrize(("start", "steps"), [("prior", 30), ("posterior", 6)])
def test_the_weights_are_unbiased_both_ways(start: str, steps: int) -> None:
    """Their mean over many chains is p(x) forwards and 1/p(x) backwards from exact draws, for a path
    as short as this. The weights vary, so a wrong transition or weight would show. (On a path much
    shorter a few chains have all the weight, and their mean tells nothing.)"""
    model, chains = linear(), 6_000
    (one, _) = simulated(model, 1)
    exact = model.exact_log_likelihood(one)
    settings = Settings(chains, steps, leapfrog=3, start=start)
    forward = (lower_bound(model, one, settings).log_weights - exact).exp().flatten()
    assert abs(float(forward.mean()) - 1) < 4 * standard_error(forward)
    assert float(forward.std()) > 0.1, "the path is too easy to test anything"
    # the exact posterior, drawn from many times: an image each, with one chain
    posterior = LinearGaussian(12, 4, generator(0)).encode(one)
    z = posterior.sample(torch.randn(800, 4, generator=generator(3), dtype=torch.float64))
    settings = Settings(1, steps, leapfrog=3, start=start)
    found = upper_bound(model, one.expand(len(z), -1), z, settings)
    backward = (found.log_weights + exact).exp().flatten()
    assert abs(float(backward.mean()) - 1) < 4 * standard_error(backward)
    assert float(backward.std()) > 0.1


def test_a_wrong_weight_is_noticed() -> None:
    """The same check fails for weights off by a tenth of a nat: it can fail."""
    model = linear()
    one, _ = simulated(model, 1)
    settings = Settings(6_000, steps=6, leapfrog=3, start="posterior")
    wrong = lower_bound(model, one, settings).log_weights - model.exact_log_likelihood(one) + 0.1
    assert abs(float(wrong.exp().mean()) - 1) > 4 * standard_error(wrong.exp().flatten())


def test_the_bounds_close_in_on_the_exact_likelihood() -> None:
    model = linear()
    x, z = simulated(model, 50)
    exact = model.exact_log_likelihood(x)
    gaps = {}
    for steps in (4, 40):
        settings = Settings(chains=8, steps=steps, leapfrog=5)
        below = exact - lower_bound(model, x, settings).bound
        above = upper_bound(model, x, z, settings).bound - exact
        assert float(below.mean()) > -3 * standard_error(below)
        assert float(above.mean()) > -3 * standard_error(above)
        gaps[steps] = float(below.mean()), float(above.mean())
    assert gaps[40][0] < gaps[4][0] / 3
    assert gaps[40][1] < gaps[4][1] / 3


def test_between_the_bounds_of_a_trained_model(settings_of: SettingsOf, digits: Path) -> None:
    """On images simulated from it: L_k is not above the upper bound, and the lower bound from the
    prior, which knows nothing of the encoder, is not below L_k; each by three standard errors."""
    settings = settings_of("vae", 1, epochs=3, learning_rate=0.01)
    images = torch.from_numpy(read_images(digits, "train")).flatten(1)
    trainer = Trainer(settings, images, "cpu")
    for _ in range(3):
        trainer.run_epoch()
    trainer.finish()
    model = trainer.model
    x, z = simulate(model, 20)
    assert x.shape == (20, 784)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    found = ais.compare(model, x, z, Settings(chains=4, steps=100, leapfrog=3), 1000, double=True)
    above, below = found["upper"] - found["lk"], found["lower"] - found["lk"]
    assert float(above.mean()) > -3 * standard_error(above)
    assert float(below.mean()) > -3 * standard_error(below)
    assert max(abs(float(above.mean())), abs(float(below.mean()))) < 1


def test_an_images_estimate_does_not_depend_on_those_that_follow() -> None:
    model = linear()
    x, z = simulated(model, 60)
    settings = Settings(chains=2, steps=5, leapfrog=2)
    assert torch.equal(
        lower_bound(model, x, settings).bound[:50], lower_bound(model, x[:50], settings).bound
    )
    assert torch.equal(
        upper_bound(model, x, z, settings).bound[:50],
        upper_bound(model, x[:50], z[:50], settings).bound,
    )


class Deep:
    latent_sizes = (4, 2)


def test_what_cannot_be_estimated_is_told() -> None:
    deep: Any = Deep()
    with pytest.raises(ConfigError, match="one stochastic layer"):
        lower_bound(deep, torch.zeros(1, 3), Settings())
    with pytest.raises(ConfigError, match="binary pixels"):
        simulate(linear(), 3)
    with pytest.raises(ConfigError, match="'middle' is not known"):
        Settings(start="middle")
    with pytest.raises(ConfigError, match="at least 1"):
        Settings(steps=0)


def test_l_k_of_the_linear_model_lies_below_the_upper_bound() -> None:
    """A proposal as poor as this leaves L_10 well below; a longer path is closer than L_10 is."""
    model = linear(2.0, 1.5)
    x, z = simulated(model, 50)
    lk = estimate(model, x, 10, 0, 1000).lk
    settings = Settings(chains=8, steps=40, leapfrog=5)
    below = lower_bound(model, x, settings).bound - lk
    assert float((upper_bound(model, x, z, settings).bound - lk).mean()) > 0.3
    assert float(below.mean()) > 0.3
