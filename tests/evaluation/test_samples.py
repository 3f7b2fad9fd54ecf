"""Samples without the inactive latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dense_models import SINGLE, built
from rungs.evaluation.classifier import Classifier, Network
from rungs.evaluation.samples import active_arrays, sample_arrays
from rungs.models.networks import initialise
from rungs.numerics.seeds import generator

SETTINGS: Any = {"seed": 4, "network": {"prior": "gaussian"}}


def classifier() -> Classifier:
    network = Network(5, 6, 1, 3)
    initialise(network, torch.Generator().manual_seed(0))
    return Classifier(network.eval(), [5, 6])


def test_inactive_latents_are_at_the_prior_mean() -> None:
    model, judge = built("single", 1, **SINGLE), classifier()
    kl = torch.tensor([0.5, 0.01, 0.02, 0.0, 1.0, 0.009])
    found = active_arrays(model, SETTINGS, kl, 50, judge, rows=20)["frechet/active_features"]
    z = torch.randn(50, 6, generator=generator(4, "samples"))
    z[:, [1, 3, 5]] = 0
    with torch.no_grad():
        expected = judge.features(model.decode(z))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_with_active_latents_alone_the_samples_are_the_same() -> None:
    model, judge = built("single", 1, **SINGLE), classifier()
    active = active_arrays(model, SETTINGS, torch.ones(6), 50, judge, rows=20)
    samples = sample_arrays(model, SETTINGS, torch.rand(50, 30), judge, rows=20)
    np.testing.assert_array_equal(
        active["frechet/active_features"], samples["frechet/sample_features"]
    )


def test_where_kl_has_no_term_a_latent_there_are_none() -> None:
    model, judge = built("single", 1, **SINGLE), classifier()
    assert active_arrays(model, SETTINGS, torch.ones(1), 50, judge, rows=20) == {}
    mixture: Any = SETTINGS | {"network": {"prior": "mixture"}}
    assert active_arrays(model, mixture, torch.ones(6), 50, judge, rows=20) == {}
    assert active_arrays(model, SETTINGS, torch.ones(6), 50, None, rows=20) == {}
