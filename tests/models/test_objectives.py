"""The objectives of variational models against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import training_images
from rungs.models.objectives import ElboTerms, elbo_loss, elbo_terms, objective_noise
from rungs.models.protocol import draw_noise, log_weights
from rungs.training.trainer import Trainer

SettingsOf = Callable[..., dict[str, Any]]


def bound_by_hand(model: Any, x: torch.Tensor, noise: list[torch.Tensor]) -> torch.Tensor:
    """``log (1/k) sum_i w_i``, draw by draw, from log-weights of single draws."""
    weights = [
        log_weights(model, x, model.draw(model.encode(x), [n[i] for n in noise]))
        for i in range(len(noise[0]))
    ]
    return torch.stack(weights).exp().mean(0).log()


@pytest.mark.parametrize("variant", ["vae", "lvae-bn-wu"])
def test_the_importance_weighted_objective(
    variant: str, settings_of: SettingsOf, digits: Path
) -> None:
    """Value and gradient of the objective with 2 x 3 draws against the definition, in test mode
    and float64; with one importance sample it is the ELBO."""
    trainer = Trainer(settings_of(variant), training_images(digits, 60), "cpu")
    trainer.finish()
    model: Any = trainer.model.double()
    # images of few pixels' evidence keep the plain exponential in range
    x = torch.zeros(3, 784, dtype=torch.float64)
    with torch.no_grad():
        model.pixel_logits.weight.mul_(0.01)
        model.pixel_logits.bias.fill_(-6.0)

    def noise() -> list[torch.Tensor]:
        random = torch.Generator().manual_seed(8)
        return [n.double() for n in draw_noise(model.latent_sizes, 2, 3, 3, generator=random)]

    settings = {"monte_carlo_samples": 2, "importance_samples": 3}
    objective = model.objective(x, noise(), settings, 1.0)
    found = objective.loss
    assert float(objective.statistics["trained_bound"]) == pytest.approx(-float(found.detach()))
    tempered = model.objective(x, noise(), settings, 0.5)
    assert tempered.statistics["trained_bound"] == objective.statistics["trained_bound"]
    assert float(tempered.loss.detach()) != pytest.approx(float(found.detach()))
    expected = -torch.stack(
        [bound_by_hand(model, x, [n[m] for n in noise()]) for m in (0, 1)]
    ).mean()
    torch.testing.assert_close(found, expected)
    parameters = [p for p in model.parameters() if p.requires_grad]
    one = torch.autograd.grad(found, parameters, allow_unused=True)
    two = torch.autograd.grad(expected, parameters, allow_unused=True)
    for a, b in zip(one, two, strict=True):
        if b is not None:
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_monte_carlo_samples_average_the_elbo(settings_of: SettingsOf, digits: Path) -> None:
    trainer = Trainer(settings_of("vae"), training_images(digits, 200), "cpu")
    model: Any = trainer.model
    x = (training_images(digits, 100) > 127).float()
    with torch.no_grad():

        def terms(seed: int, draws: int = 1) -> ElboTerms:
            random = torch.Generator().manual_seed(seed)
            return elbo_terms(model, x, objective_noise(model.latent_sizes, 100, random, draws))

        many = terms(0, 400)
        single = [float(elbo_loss(terms(seed))) for seed in range(100)]
    assert many.kl.shape == (400, 1, 100, 12)
    error = np.std(single) / 10
    assert float(elbo_loss(many)) == pytest.approx(np.mean(single), abs=5 * error)
