"""R against finite differences, and in closed form on the linear Gaussian model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dense_models import SINGLE, built
from rungs.claims import arrays
from rungs.evaluation.materials import Materials
from rungs.evaluation.stationarity import BATCHES, scale_derivatives, stationarity_arrays
from rungs.models import build
from rungs.models.linear_gaussian import LinearGaussian
from rungs.models.networks import initialise


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("speed", [0.0, 3.0])
def test_it_is_the_derivative_by_the_scale_of_a_latent(speed: float) -> None:
    """Central differences of the reconstruction, one latent times 1 + h before the affine map."""
    model = built("single", 1, **(SINGLE | {"affine_speed": speed})).double()
    if speed:
        torch.nn.init.normal_(model.affine.location, generator=seeded(3))
    x = torch.rand(20, 30, generator=seeded(1)).round().double()
    noise = torch.randn(20, 6, generator=seeded(2)).double()
    posterior = model.posterior(x)
    found = scale_derivatives(model, x, posterior, noise)
    h = 1e-5
    for unit in range(6):
        factor = torch.ones(6, dtype=torch.float64)
        values = []
        for step in (h, -h):
            factor[unit] = 1 + step
            values.append(
                sum(
                    model.log_likelihood(x, posterior.sample(sign * noise) * factor)
                    for sign in (1, -1)
                )
            )
        expected = (values[0] - values[1]) / (2 * h) / 2
        torch.testing.assert_close(found[:, unit], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("spread", "shift"), [(1.0, 0.0), (1.3, 0.0), (1.0, 0.4)])
def test_the_linear_gaussian_model(spread: float, shift: float) -> None:
    """-|a_j|^2 d_j^2 (spread^2 - 1 + shift^2)/s^2 with posterior deviations d: 0 for the exact posterior."""
    model = LinearGaussian(12, 4, seeded(0), spread, shift)
    x = model.simulate(100_000, seeded(1))
    noise = torch.randn(len(x), 4, generator=seeded(2)).double()
    found = scale_derivatives(model, x, model.encode(x), noise)
    precise = model.weight.square().sum(0) / model.noise_variance
    expected = -precise / (1 + precise) * (spread**2 - 1 + shift**2)
    error = found.std(0) / len(x) ** 0.5
    assert bool(((found.mean(0) - expected).abs() < 4 * error).all())
    assert float(error.max()) < 0.02


def test_the_array_is_over_all_training_images(digits: Path) -> None:
    """Its mean against a plain estimate with other draws, and its spread against the error."""
    network: dict[str, Any] = SINGLE | {"latent_sizes": [2], "hidden_sizes": [8]}
    model: Any = build("single", 784, network | {"batch_norm": False})
    initialise(model, seeded(0))
    model.eval()
    evaluation: Any = {"stationarity_pairs": 40, "stationarity_latents": [2], "chunk_rows": 1500}
    materials = Materials(digits, evaluation | {"train_images": 9999}, binary=True)
    settings: Any = {"seed": 1, "network": network}
    r = stationarity_arrays(model, settings, materials)["stationarity/r"]
    assert r.shape == (BATCHES, 2)
    assert BATCHES >= arrays.BATCHES  # what the claims ask for
    x, random, plain = materials.population.x, seeded(9), []
    for _ in range(30):
        posterior = model.posterior(x)
        z = posterior.sample(torch.randn(len(x), 2, generator=random)).detach().requires_grad_()
        (slope,) = torch.autograd.grad(model.log_likelihood(x, z).sum(), z)
        plain.append((z * slope).detach().double().mean(0).numpy())
    error = np.hypot(r.std(0, ddof=1) / BATCHES**0.5, np.std(plain, axis=0, ddof=1) / 30**0.5)
    # one binarisation for all draws: up to the spread over images of the mean over binarisations
    assert np.all(np.abs(r.mean(0) - np.mean(plain, axis=0)) < 5 * error + 0.05 * np.abs(r.mean(0)))
    none: Any = {"stationarity_pairs": 0}
    for other in (none, {"stationarity_latents": [3]}):
        assert not stationarity_arrays(
            model, settings, Materials(digits, evaluation | other, binary=True)
        )
