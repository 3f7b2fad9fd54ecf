"""Products in bfloat16: where numbers are rounded, and where they are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from rungs.bench.data import settings_of
from rungs.models.arithmetic import arithmetic, set_arithmetic
from rungs.models.networks import Dense, GaussianMLP
from rungs.training.trainer import Trainer

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


def test_narrow_products_differ_from_wide_ones_by_rounding() -> None:
    trainer = Trainer(settings_of("lvae-bn-wu", 2), torch.zeros(300, 784, dtype=torch.uint8), "cpu")
    x = (torch.rand(20, 784, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    first = trainer.model.bottom_up[0].first
    wide = first.product(x, first.weight)
    set_arithmetic(trainer.model, "bfloat16")
    narrow = first.product(x, first.weight)
    assert narrow.dtype == torch.bfloat16  # for the layer that follows
    difference = (narrow - wide).abs().max() / wide.abs().max()
    assert 0 < float(difference.detach()) < 2**-7
    set_arithmetic(trainer.model, "float32")
    assert torch.equal(first.product(x, first.weight), wide)


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("biased", [False, True])
def test_emulated_products_are_those_of_bfloat16(inner: bool, biased: bool) -> None:
    """Forward and backward, up to the order of sums: now and then a rounding goes the other way."""
    x, gradient = torch.randn(64, 128), torch.randn(64, 128)
    layer = Dense(128, 128, batch_norm=False)
    layer.weight.data.normal_(0, 0.1)
    layer.bias = nn.Parameter(torch.randn(128)) if biased else None
    layer.narrow, layer.inner = True, inner
    found = []
    for layer.emulated in (False, True):
        y = layer(x.requires_grad_())
        found.append([y, *torch.autograd.grad(y, (x, layer.weight), gradient.to(y.dtype))])
    for native, emulated in zip(*found, strict=True):
        torch.testing.assert_close(emulated, native, rtol=2**-7, atol=1e-3)
        assert (emulated != native).float().mean() < 0.01


@pytest.mark.parametrize(
    ("avx512", "amx", "name", "expected"),
    [
        (True, True, "Intel(R) Xeon(R) Platinum 8481C", "bfloat16"),
        (True, False, "Intel(R) Xeon(R) Processor", "float32"),
        (True, False, "AMD EPYC 9B45", "bfloat16"),
        (False, False, "AMD EPYC 7551", "float32"),
    ],
)
def test_bfloat16_is_used_only_where_it_is_faster(
    avx512: bool, amx: bool, name: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = settings_of("vae", 1) | {"precision": "bfloat16"}
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr("rungs.models.arithmetic.processor_name", lambda: name)
    assert arithmetic(settings) == expected
    assert arithmetic(settings | {"precision": "float32"}) == "float32"
