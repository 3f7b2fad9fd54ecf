"""Flat parameters, clipping and Adam against plain torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from conftest import training_images
from rungs.data.binarise import TrainingImages
from rungs.models.objectives import elbo_loss, elbo_terms, objective_noise
from rungs.numerics.seeds import generator
from rungs.training.optimiser import FlatParameters
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


def test_a_step_is_adams(settings_of: SettingsOf, digits: Path) -> None:
    """Flat parameters, clipping and the fused optimiser against plain torch, one epoch."""
    settings = settings_of("vae", 2, epochs=1, batch_size=200, max_gradient_norm=1.0)
    trainer = Trainer(settings, training_images(digits), "cpu")
    plain = Trainer(settings, training_images(digits), "cpu").model
    for parameter in plain.parameters():
        parameter.grad = None
        parameter.data = parameter.data.clone()
    recipe = settings["training"]
    optimiser = torch.optim.Adam(
        plain.parameters(), lr=recipe["learning_rate"], eps=recipe["adam_epsilon"]
    )
    random = generator(0, "training")
    inputs = TrainingImages(training_images(digits), binary=True)
    inputs.begin_epoch(random)
    order = torch.randperm(600, generator=random)
    for chosen in order.split(200):
        x = inputs.batch(chosen)
        optimiser.zero_grad()
        noise = objective_noise(plain.latent_sizes, len(x), random)
        elbo_loss(elbo_terms(plain, x, noise)).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
        torch.nn.utils.clip_grad_value_(plain.parameters(), recipe["max_gradient_element"])
        optimiser.step()
    trainer.run_epoch()
    for found, expected in zip(trainer.model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_flat_parameters_are_views() -> None:
    module = torch.nn.Linear(3, 5)
    before = [p.detach().clone() for p in module.parameters()]
    flat = FlatParameters(module)
    for parameter, old in zip(module.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
    flat.take_gradients(module(torch.ones(2, 3)).sum())
    assert float(flat.gradients.sum()) == pytest.approx(2 * 3 * 5 + 2 * 5)
    flat.values.zero_()
    assert float(module.weight.detach().abs().sum()) == 0
