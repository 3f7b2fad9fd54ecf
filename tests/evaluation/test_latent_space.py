"""Pictures of the latent space, and latents that the decoder rescales back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from dense_models import SINGLE, built
from rungs.evaluation.latent_space import FACTORS, lattice, plane_arrays, rescaled_arrays
from rungs.evaluation.moments import (
    scaling_rise,
)
from rungs.evaluation.run import load_model
from rungs.evaluation.splits import Split
from rungs.jobs.train import train


@pytest.fixture(scope="module")
def trained(
    digits: Path, smoke_config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Split]:
    """A VAE with four latents after 60 epochs, and test images."""
    from rungs.study.runs import Run
    from rungs.study.settings import resolve

    settings = resolve(smoke_config, Run("mnist5k", "gauss", 4, 0, "latent"))
    settings["training"] |= {"epochs": 60}
    folder = tmp_path_factory.mktemp("trained")
    train(settings, digits, folder, 5)
    return load_model(folder)[0], Split.read(digits, "test", 300)


def test_the_next_layer_undoes_a_rescaled_latent(trained: tuple[Any, Split]) -> None:
    """The reconstruction of a trained model stays, its KL rises (slide 17 and 18)."""
    model, test = trained
    before = {name: p.clone() for name, p in model.named_parameters()}
    arrays = rescaled_arrays(model, test.x, 0, 100)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]), "the model itself stays as it is"
    own = FACTORS.index(1.0)
    reconstruction, kl = arrays["rescale/reconstruction"], arrays["rescale/image_kl"].mean(1)
    assert np.abs(reconstruction - reconstruction[own]).max() < 2e-3
    assert np.abs(reconstruction[own]).mean() > 50
    posterior = model.posterior(test.x)
    second = (posterior.mean.square() + posterior.variance).mean(0).detach().double().numpy()
    for i, factor in enumerate(FACTORS):
        np.testing.assert_allclose(
            kl[i] - kl[own], scaling_rise(second, factor), atol=2e-5 * max(1, factor**2 * 5)
        )
        if factor in (0.5, 2.0):  # 60 epochs have brought the second moments near 1, not to it
            assert np.all(kl[i] > kl[own])


def test_a_latent_that_the_decoder_does_not_undo_changes_the_picture(
    trained: tuple[Any, Split],
) -> None:
    """The control: scaling alone is seen in the reconstruction."""
    model, test = trained
    with torch.no_grad():
        mean = model.posterior(test.x).mean
        kept, scaled = (model.log_likelihood(test.x, f * mean) for f in (1.0, 2.0))
    assert float((kept - scaled).abs().mean()) > 1


def test_the_lattice_has_the_priors_quantiles() -> None:
    found = lattice(20)
    np.testing.assert_allclose(stats.norm.cdf(found), (np.arange(20) + 0.5) / 20, atol=1e-12)
    np.testing.assert_allclose(found, -found[::-1], atol=1e-12)


def test_the_lattice_is_decoded_where_it_says() -> None:
    """Top right is high on both axes; a row of a traversal moves its own latent."""
    made = built("single", 1, **SINGLE | {"latent_sizes": [2]})
    arrays = plane_arrays(made, torch.tensor([0.3, -0.2]))
    axis = torch.from_numpy(lattice(20)).float()
    for row, column in ((0, 19), (4, 7)):
        z = torch.stack([axis[column], axis[19 - row]])
        expected = (255 * made.decode(z)).round().byte().numpy()
        np.testing.assert_array_equal(arrays["manifold/pictures"][row, column], expected)
    z = torch.tensor([0.3, float(arrays["traversal/values"][2])])
    expected = (255 * made.decode(z)).round().byte().numpy()
    np.testing.assert_array_equal(arrays["traversal/pictures"][1, 2], expected)
    np.testing.assert_allclose(
        stats.norm.cdf(arrays["traversal/values"][[0, -1]]), [0.01, 0.99], atol=1e-6
    )
