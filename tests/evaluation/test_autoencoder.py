"""The plain autoencoder: its loss, its relation to principal components, the identity."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from rungs.evaluation.autoencoder import error_arrays, pca_error
from rungs.evaluation.convergence import converged
from rungs.evaluation.subsets import drawn
from rungs.jobs import cost
from rungs.jobs.train import train
from rungs.models.autoencoder import Autoencoder
from rungs.models.networks import initialise
from rungs.paths import ROOT
from rungs.storage import result_file
from rungs.study import profile as configuration
from rungs.study.layout import Layout
from rungs.study.runs import Run
from rungs.study.settings import resolve


def images(n: int = 300, side: int = 6, seed: int = 0) -> torch.Tensor:
    """Correlated intensities from 0 to 1."""
    random = torch.Generator().manual_seed(seed)
    basis = torch.rand(8, side * side, generator=torch.Generator().manual_seed(1))
    return (torch.rand(n, 8, generator=random) @ basis / 4).clamp(0, 1)


def linear(pixels: int, units: int) -> Autoencoder:
    return Autoencoder(pixels, [units], [4], linear=True)


def test_the_objective_is_half_the_squared_error() -> None:
    x = images(50)
    model = Autoencoder(36, [3], [16], linear=False)
    initialise(model, torch.Generator().manual_seed(0))
    assert model.training_noise(50, {}, torch.Generator()) == []
    found = model.objective(x, [], {}, 1.0)
    expected = 0.5 * (x - model.outputs(model.encode(x))).square().sum(1).mean()
    assert float(found.loss.detach()) == pytest.approx(float(expected), rel=1e-5)
    assert float(found.statistics["objective"]) == pytest.approx(-float(expected), rel=1e-5)
    assert "elbo" not in found.statistics
    assert not model.binary


def test_the_best_linear_autoencoder_has_the_error_of_pca() -> None:
    """With the principal axes as weights its error is PCA's, and the loss is at a minimum; scikit-learn
    agrees."""
    x, query = images(), images(80, seed=3)
    reference = PCA(3).fit(x.numpy())
    expected = np.square(
        query.numpy() - reference.inverse_transform(reference.transform(query.numpy()))
    ).sum(1)
    np.testing.assert_allclose(pca_error(x, query, 3), expected, rtol=1e-4, atol=1e-7)
    model = linear(36, 3)
    axes = torch.from_numpy(reference.components_).float()
    centre = torch.from_numpy(reference.mean_).float()
    with torch.no_grad():
        model.code_outputs.weight.copy_(axes)
        model.code_outputs.bias.copy_(-axes @ centre)
        model.pixel_outputs.weight.copy_(axes.T)
        model.pixel_outputs.bias.copy_(centre)
    found = error_arrays(model, x, query, [6, 6])
    np.testing.assert_allclose(found["autoencoder/squared_error"], expected, rtol=1e-3, atol=1e-6)
    torch.autograd.backward(model.objective(x, [], {}, 1.0).loss)
    assert max(float(p.grad.abs().max()) for p in model.parameters() if p.grad is not None) < 1e-4


def test_the_identity_returns_what_training_never_showed() -> None:
    """A model as wide as its input can copy anything; a narrow one cannot."""
    x = images()
    wide, narrow = linear(36, 36), linear(36, 3)
    with torch.no_grad():
        wide.code_outputs.weight.copy_(torch.eye(36))
        wide.pixel_outputs.weight.copy_(torch.eye(36))
    initialise(narrow, torch.Generator().manual_seed(0))
    copied, squeezed = (error_arrays(m, x, x, [6, 6]) for m in (wide, narrow))
    assert copied["autoencoder/rotated_squared_error"].max() == 0
    assert squeezed["autoencoder/rotated_squared_error"].min() > 0.01
    turned = np.rot90(x[drawn(1, len(x))[0]].reshape(6, 6).numpy())
    shown = copied["pictures/rotated"][0].reshape(6, 6) / 255
    np.testing.assert_allclose(shown, turned, atol=0.5 / 255 + 1e-6)


def test_it_trains_on_intensities_and_converges_by_its_objective(
    digits: Path, smoke_config: dict[str, Any], tmp_path: Path
) -> None:
    settings = resolve(smoke_config, Run("mnist5k", "ae", 4, 0, "latent"))
    assert set(settings["network"]) == {"latent_sizes", "hidden_sizes", "linear"}
    settings["training"] |= {"epochs": 4, "continuation": 0.25}
    train(settings, digits, tmp_path, 5)
    training = result_file.read(tmp_path / "training.h5")
    assert "elbo" not in training.arrays
    objective = training["objective"]
    assert objective[-1] > objective[0] + 3
    assert training["layers/1/mean_variance"].shape == (5, 4)
    assert converged(training) is False, "four epochs are too few"
    still = replace(training, arrays={"objective": np.full(5, -3.0)})
    assert converged(still) is True


def test_there_are_no_shards_of_a_likelihood_that_is_not_there() -> None:
    config = copy.deepcopy(configuration.load([ROOT / "config" / "quick.yaml"]))
    config["compute"]["shards"] = 4
    layout = Layout("quick")
    assert layout.shards(config, Run("mnist5k", "ae", 10, 0, "latent")) == []
    assert len(layout.shards(config, Run("mnist5k", "gauss", 10, 0, "latent"))) == 4
    estimates = [
        cost.estimate(config, Run("mnist5k", v, n, 0, "latent"))
        for v, n in (("ae", 2), ("ae-linear", 784), ("gauss", 2))
    ]
    assert all(0 < e.training_seconds < 300 for e in estimates)
    assert estimates[0].evaluation_seconds < estimates[2].evaluation_seconds
