"""Products in bfloat16: where numbers are rounded, and where they are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from rungs.models.arithmetic import set_arithmetic
from rungs.models.networks import Dense, GaussianMLP

BATCH, INPUTS, HIDDEN, UNITS = 32, 12, 16, 3


@pytest.fixture(autouse=True)
def drawn() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def network(batch_norm: bool) -> GaussianMLP:
    # a rectifier's gradient jumps where rounding turns a sign
    made = GaussianMLP(INPUTS, HIDDEN, UNITS, batch_norm, "tanh")
    for module in made.modules():
        if isinstance(module, Dense):
            module.weight.data.normal_(0, module.weight.shape[1] ** -0.5)
    return made


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_only_hidden_units_stay_bfloat16(batch_norm: bool, training: bool) -> None:
    """Latents and gradients are float32, and a rounding away from those of float32."""
    made = network(batch_norm).train(training)
    x = torch.randn(BATCH, INPUTS)
    # batch norm leaves sums of squares as they are: a loss without directions has no gradient
    directions = torch.randn(2, BATCH, UNITS)
    found = {}
    for name in ("float32", "bfloat16"):
        set_arithmetic(made, name)
        gaussian = made(x)
        assert made.hidden(x).dtype == getattr(torch, name)
        assert gaussian.mean.dtype == gaussian.variance.dtype == torch.float32
        loss = (directions * torch.stack([gaussian.mean, gaussian.variance])).sum()
        gradients = torch.autograd.grad(loss, list(made.parameters()))
        assert {gradient.dtype for gradient in gradients} == {torch.float32}
        found[name] = [gaussian.mean, gaussian.variance, *gradients]
    for wide, narrow in zip(found["float32"], found["bfloat16"], strict=True):
        assert not torch.equal(wide, narrow)
        assert float((wide - narrow).detach().norm() / wide.detach().norm()) < 0.03


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_emulation_rounds_as_bfloat16_does(inner: bool, biased: bool) -> None:
    """Up to the order of a sum, which seldom changes how it is rounded."""
    layer = Dense(INPUTS, HIDDEN, batch_norm=False)
    layer.narrow, layer.inner = True, inner
    layer.weight.data.normal_()
    x, bias = torch.randn(BATCH, INPUTS), torch.randn(HIDDEN) if biased else None
    found = []
    for layer.emulated in (False, True):
        found.append(layer.product(x, layer.weight, bias).float())
    assert float((found[0] != found[1]).float().mean()) < 0.02
    torch.testing.assert_close(*found, rtol=2**-7, atol=2**-7)
