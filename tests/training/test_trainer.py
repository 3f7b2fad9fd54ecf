"""The trainer: what an epoch does to a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

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
