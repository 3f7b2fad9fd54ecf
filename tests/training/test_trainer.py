"""The trainer: what an epoch does to a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logit

from conftest import training_images
from rungs.errors import TrainingError
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


def test_training_raises_the_bound(settings_of: SettingsOf, digits: Path) -> None:
    trainer = Trainer(settings_of(epochs=5), training_images(digits), "cpu")
    for _ in range(5):
        trainer.run_epoch()
    history = trainer.history.tensors()
    elbo, kl = history["elbo"], history["units/kl"]
    assert elbo[-1] > elbo[0] + 50
    assert kl.shape == (5, sum(trainer.model.latent_sizes))
    expected = float(history["reconstruction"][-1] - kl[-1].sum())
    assert float(elbo[-1]) == pytest.approx(expected)


def test_a_loss_that_is_not_finite_names_run_epoch_and_remedy(
    settings_of: SettingsOf, digits: Path
) -> None:
    trainer = Trainer(settings_of("vae", 2, epochs=3), training_images(digits), "cpu")
    trainer.run_epoch()
    with torch.no_grad():
        trainer.parameters.values[0] = math.nan
    with pytest.raises(TrainingError, match=r"vae/depth2/seed0.*epoch 2.*learning_rate"):
        trainer.run_epoch()


def test_the_rate_falls_in_stages(settings_of: SettingsOf, digits: Path) -> None:
    stages = {"number": 3, "growth": 2, "decay": 0.01}
    settings = settings_of("vae", 1, epochs=7, annealing=0.0, learning_rate=0.01, stages=stages)
    trainer = Trainer(settings, training_images(digits), "cpu")
    rates = []
    for _ in range(7):
        trainer.run_epoch()
        rates.append(float(trainer.history.tensors()["learning_rate"][-1]))
    assert rates == pytest.approx([1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4, 1e-4])


def test_the_pixels_bias_starts_at_the_average_image(settings_of: SettingsOf, digits: Path) -> None:
    images = training_images(digits)
    settings = settings_of("vae", 2, epochs=1)
    average = images.double().numpy().mean(0) / 255
    for start, expected in (
        ("zero", np.zeros(784)),
        ("average", logit(average.clip(0.001, 0.999))),
    ):
        settings["network"]["pixel_bias"] = start
        bias = Trainer(settings, images, "cpu").model.pixel_logits.bias.detach()
        np.testing.assert_allclose(bias.numpy(), expected, rtol=1e-5, atol=1e-6)
