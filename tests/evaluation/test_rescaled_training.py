"""Rescaled latents that are trained on."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rungs.evaluation.materials import Materials
from rungs.evaluation.rescaled_training import (
    FACTORS,
    rescale,
    rescaled_training_arrays,
    second_moments,
)
from rungs.evaluation.run import load_model
from rungs.jobs.train import train
from rungs.study.runs import Run
from rungs.study.settings import resolve

VARIANTS = ("gauss", "gauss-affine")


@pytest.fixture(scope="module", params=VARIANTS)
def trained(
    request: pytest.FixtureRequest,
    digits: Path,
    smoke_config: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Any, Any, Materials]:
    """A model with four latents after 20 epochs, its settings and its materials."""
    settings = resolve(smoke_config, Run("mnist5k", request.param, 4, 0, "latent"))
    settings["training"] |= {"epochs": 20, "learning_rate": 3e-3, "batch_size": 50}
    folder = tmp_path_factory.mktemp("trained")
    train(settings, digits, folder, 5)
    model, settings = load_model(folder)
    materials = Materials(digits, smoke_config["evaluation"], binary=True)
    return model, settings, materials


@torch.no_grad()
def test_a_rescaled_model_reconstructs_as_before_and_has_squared_moments(
    trained: tuple[Any, Any, Materials],
) -> None:
    model, _, materials = trained
    x, noise = materials.test.x, torch.randn(len(materials.test.x), 4)
    before = model.log_likelihood(x, model.posterior(x).sample(noise))
    for factor in FACTORS:
        changed = copy.deepcopy(model)
        rescale(changed, factor)
        after = changed.log_likelihood(x, changed.posterior(x).sample(noise))
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-3)
        own, scaled = model.posterior(x), changed.posterior(x)
        torch.testing.assert_close(scaled.mean, factor * own.mean)
        torch.testing.assert_close(scaled.variance, factor**2 * own.variance)


def test_the_arrays_hold_the_moments_at_start_and_after_training_on(
    trained: tuple[Any, Any, Materials],
) -> None:
    model, settings, materials = trained
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    arrays = rescaled_training_arrays(model, settings, materials)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), "the model itself stays as it is"
    with torch.no_grad():
        posterior = model.posterior(materials.population.x)
    assert len(posterior.mean) == 4000, "all training images"
    mean, variance = posterior.mean.double(), posterior.variance.double()
    s = (mean.var(0, unbiased=False) + variance.mean(0)).numpy()
    np.testing.assert_array_equal(arrays["rescaled/factors"], [0.8, 1.25])
    np.testing.assert_allclose(arrays["rescaled/start"], np.outer([0.64, 1.5625], s), rtol=1e-5)
    off = np.abs(arrays["rescaled/end"] - arrays["rescaled/start"])
    assert off.max() > 1e-3
    again = rescaled_training_arrays(model, settings, materials)
    np.testing.assert_array_equal(again["rescaled/end"], arrays["rescaled/end"])


def test_a_factor_of_one_changes_nothing(trained: tuple[Any, Any, Materials]) -> None:
    """Parameters, moments and reconstruction stay as they are, to the bit."""
    model, settings, materials = trained
    changed = copy.deepcopy(model)
    rescale(changed, 1.0)
    for one, other in zip(model.parameters(), changed.parameters(), strict=True):
        assert torch.equal(one, other)
    x = materials.test.x
    np.testing.assert_array_equal(second_moments(changed, x, 100), second_moments(model, x, 100))
    arrays = rescaled_training_arrays(model, settings, materials, (1.0,))
    own = second_moments(model, materials.population.x, 2000)
    np.testing.assert_allclose(arrays["rescaled/start"], own[None], rtol=1e-6)
