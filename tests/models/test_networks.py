"""Dense networks: batch normalisation and initialisation."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rungs.models import build
from rungs.models.networks import BatchNorm, Dense, GaussianMLP, collect_statistics, initialise


def test_collected_statistics_are_those_of_the_whole_set() -> None:
    norm = BatchNorm(3)
    random = torch.Generator().manual_seed(0)
    batches = [2 + 3 * torch.randn(50, 3, generator=random) for _ in range(4)]
    collect_statistics(norm, batches, norm)
    whole = torch.cat(batches)
    torch.testing.assert_close(norm.mean, whole.mean(0))
    torch.testing.assert_close(norm.variance, whole.var(0, unbiased=False))


def test_folded_batch_norm_is_batch_norm() -> None:
    """With the statistics of one batch, test mode equals training mode on that batch."""
    layer = Dense(20, 12, batch_norm=True)
    initialise(layer, torch.Generator().manual_seed(0))
    x = torch.rand(64, 20, dtype=torch.float64)
    layer.double()
    assert layer.norm is not None
    with torch.no_grad():
        layer.norm.scale.uniform_(0.5, 2)
        layer.norm.shift.uniform_(-1, 1)
    layer.train()
    expected = layer(x)
    collect_statistics(layer, [x], layer)
    torch.testing.assert_close(layer.eval()(x), expected)


def test_initial_weights_are_glorot_normal() -> None:
    built: Any = build(
        "vae", 784, {"latent_sizes": [64], "hidden_sizes": [512], "batch_norm": False}
    )
    initialise(built, torch.Generator().manual_seed(0))
    first, head = built.bottom_up[0].hidden.first.weight, built.bottom_up[0].head.affine.weight
    assert float(first.detach().std()) == pytest.approx((2 / (784 + 512)) ** 0.5, rel=0.02)
    assert float(head.detach().std()) == pytest.approx((2 / (512 + 64)) ** 0.5, rel=0.02)


def test_variance_is_bounded_below() -> None:
    built = GaussianMLP(20, 12, 6, batch_norm=False)
    initialise(built, torch.Generator().manual_seed(0))
    posterior = built.double()(torch.full((2, 20), -1e4, dtype=torch.float64))
    assert float(posterior.variance.detach().min()) >= 1e-5
