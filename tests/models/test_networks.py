"""Dense networks: batch normalisation and initialisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from dense_models import built as dense
from rungs.models import build
from rungs.models.networks import (
    ACTIVATIONS,
    MLP,
    BatchNorm,
    Dense,
    GaussianHead,
    GaussianMLP,
    collect_statistics,
    initialise,
)


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


def initialised(model: str, batch_norm: bool) -> Any:
    sizes = {"latent_sizes": [64, 32], "hidden_sizes": [512, 256], "batch_norm": batch_norm}
    ladder = {"upward": "mu", "share_top_down": True} if model == "lvae" else {}
    built: Any = build(model, 784, sizes | ladder)
    initialise(built, torch.Generator().manual_seed(0))
    return built


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("model", ["vae", "lvae"])
def test_initial_weights_are_glorot_normal(model: str, batch_norm: bool) -> None:
    """Lasagne's rule, as the release calls it: gain 'relu' for the dense layers of every MLP, gain 1 for
    mean, variance and pixels, a standard deviation of gain sqrt(2 / (inputs + outputs))."""
    built = initialised(model, batch_norm)
    mlps = [m for m in built.modules() if isinstance(m, MLP)]
    heads = [m.affine for m in built.modules() if isinstance(m, GaussianHead)]
    assert (len(mlps), len(heads)) == (4, 3), "two encoders, one top-down network, the decoder"
    rectified = [weight for m in mlps for weight in (m.first.weight, m.second.weight)]
    linear = [half for head in heads for half in head.weight.chunk(2)]
    linear.append(built.pixel_logits.weight)
    assert (512, 784) in {tuple(weight.shape) for weight in rectified}, "fans of several sizes"
    for weights, gain in ((rectified, 2**0.5), (linear, 1.0)):
        for weight in weights:
            outputs, inputs = weight.shape
            expected = gain * (2 / (inputs + outputs)) ** 0.5
            # five standard errors of a standard deviation
            room = 5 / (2 * weight.numel()) ** 0.5
            assert float(weight.detach().std()) == pytest.approx(expected, rel=room)


def test_biases_of_variances_start_at_1() -> None:
    """The release's ``b=Constant(1.0)``; all other biases start at 0."""
    built = initialised("lvae", batch_norm=False)
    heads = [m.affine for m in built.modules() if isinstance(m, GaussianHead)]
    for affine in heads:
        mean, variance = affine.bias.detach().chunk(2)
        assert not mean.any()
        assert torch.equal(variance, torch.ones_like(variance))
    others = [m.bias for m in built.modules() if isinstance(m, Dense) and m not in heads]
    assert others
    assert not any(bias.detach().any() for bias in others)
    posterior = heads[0].bias.detach().chunk(2)[1]
    assert float(functional.softplus(posterior)[0]) == pytest.approx(math.log(1 + math.e))


def test_batch_norm_takes_the_initial_bias_away() -> None:
    """The release subtracts the bias in its NormalizeLayer, whose own shift starts at 0."""
    built = initialised("lvae", batch_norm=True)
    for module in built.modules():
        if isinstance(module, Dense) and module.norm is not None:
            assert module.bias is None
            assert not module.norm.shift.detach().any()


def test_variance_is_bounded_below() -> None:
    built = GaussianMLP(20, 12, 6, batch_norm=False)
    initialise(built, torch.Generator().manual_seed(0))
    posterior = built.double()(torch.full((2, 20), -1e4, dtype=torch.float64))
    assert float(posterior.variance.detach().min()) >= 1e-5


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_hidden_layers_against_their_formula(name: str) -> None:
    """Rectifiers of slope 0.01; tanh; an affine map times the sigmoid of another."""
    mlp = MLP(9, 7, batch_norm=False, activation=name)
    initialise(mlp, torch.Generator().manual_seed(0))
    mlp.double()
    x = torch.randn(5, 9, generator=torch.Generator().manual_seed(1)).double()
    hidden = x.numpy()
    for layer in (mlp.first, mlp.second):
        assert layer.bias is not None
        torch.nn.init.normal_(layer.bias, generator=torch.Generator().manual_seed(2))
        outer = hidden @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        if name == "leaky":
            hidden = np.where(outer > 0, outer, 0.01 * outer)
        elif name == "tanh":
            hidden = np.tanh(outer)
        else:
            hidden = outer[:, :7] / (1 + np.exp(-outer[:, 7:]))
    np.testing.assert_allclose(mlp(x).detach().numpy(), hidden, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "gain"), [("leaky", 2**0.5), ("tanh", 1.0), ("gated", 1.0)])
def test_each_map_of_a_layer_starts_by_its_own_fan_out(name: str, gain: float) -> None:
    mlp = MLP(300, 200, batch_norm=False, activation=name)
    initialise(mlp, torch.Generator().manual_seed(0))
    for weight in mlp.first.weight.detach().split(200):
        assert float(weight.std()) == pytest.approx(gain * (2 / 500) ** 0.5, rel=0.02)


@pytest.mark.parametrize("model", ["vae", "lvae"])
@pytest.mark.parametrize("activation", ["tanh", "gated"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_hidden_layer_of_a_hierarchy_has_the_activation(
    model: str, activation: str, batch_norm: bool
) -> None:
    own = {"upward": "mu", "share_top_down": False} if model == "lvae" else {}
    made = dense(
        model, 3, activation=activation, **own, **({"batch_norm": True} if batch_norm else {})
    )
    found = [module for module in made.modules() if isinstance(module, MLP)]
    assert len(found) > 5
    assert {mlp.activation for mlp in found} == {ACTIVATIONS[activation]}
    layers = made.draw(made.encode(torch.ones(4, 30)), [torch.zeros(4, n) for n in (6, 4, 3)])
    assert torch.isfinite(made.log_likelihood(torch.ones(4, 30), layers[0].sample)).all()
