"""Estimated multiply-adds against the weights, and against a count while networks run."""

from __future__ import annotations

from typing import Any

import pytest
from torch import Tensor

from convolutional_models import (
    SETTINGS,
    images,
    random,
    ready,
)
from rungs.jobs import cost
from rungs.models import build
from rungs.models.arithmetic import DECODERS
from rungs.models.convolutional import (
    Convolution,
    DoublingConvolution,
)
from rungs.models.cost import convolutional as size
from rungs.models.cost import dense
from rungs.paths import ROOT
from rungs.study import profile as configuration
from rungs.study.runs import Run
from rungs.study.settings import code_prior_settings, resolve


@pytest.mark.parametrize(
    ("variant", "axis"),
    [
        *[("vq", "codes"), ("vq-pixel", "codes"), ("vq-pixel-plain", "codes")],
        *[("conv-vae", "latent"), ("conv-vae-pixel", "latent"), ("conv-vae-mog", "latent")],
    ],
)
def test_counted_multiply_adds(variant: str, axis: str) -> None:
    """Convolutions' multiply-adds, counted while they run; transposed ones by their input."""
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    run = Run("mnist5k", variant, 4, 0, axis)
    settings = resolve(config, run)
    model: Any = ready(build(settings["model"], 784, settings["network"]))
    counted = 0

    def count(module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal counted
        taps = module.weight.numel()
        places = inputs[0] if isinstance(module, DoublingConvolution) else output
        counted += taps * places.shape[-1] * places.shape[-2]

    for module in model.modules():
        if isinstance(module, Convolution | DoublingConvolution):
            module.register_forward_hook(count)
    x = images(1, 784)
    model.objective(x, model.training_noise(1, SETTINGS, random()), SETTINGS, 1.0)
    if axis == "codes":
        counted += 49 * settings["network"]["codes"] * settings["network"]["vq"]["code_dim"]
    if (
        settings["network"].get("prior") == "mixture"
    ):  # two products a unit, and 8 for an exponential
        counted += settings["network"]["prior_components"] * (2 * 4 * 49 + 8)
    assert sum(size.multiply_adds(settings)) == counted
    assert cost.estimate(config, run).training_seconds > 0


def test_counted_multiply_adds_of_the_prior() -> None:
    config = configuration.load([ROOT / "config" / "quick.yaml"])
    settings = code_prior_settings(config, Run("mnist5k", "vq", 64, 0, "codes"))
    assert settings is not None
    prior: Any = build("code-prior", 98, settings["network"])
    last = (
        f"layers.{settings['network']['layers'] - 1}.across"  # a part of the convolution before it
    )
    weights = sum(
        module.weight.numel()
        for name, module in prior.named_modules()
        if isinstance(module, Convolution) and not name.endswith(last)
    )
    assert size.prior_multiply_adds(settings) == 49 * weights


@pytest.mark.parametrize("model", ["vae", "lvae"])
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_counted_multiply_adds_are_the_weights(model: str, depth: int) -> None:
    """A forward pass uses every weight matrix once."""
    paper = configuration.load([ROOT / "config" / "paper.yaml"])
    settings = resolve(paper, Run("mnist", "vae" if model == "vae" else "lvae", depth, 0))
    built: Any = build(model, 784, settings["network"])
    weights = sum(p.numel() for p in built.parameters() if p.dim() == 2)
    count = dense.ladder_multiply_adds if model == "lvae" else dense.multiply_adds
    assert sum(count(settings, 784)) == weights
    decoding = [module for name in DECODERS if (module := getattr(built, name, None)) is not None]
    weights = sum(p.numel() for module in decoding for p in module.parameters() if p.dim() == 2)
    assert dense.decoder_multiply_adds(settings, 784) == weights
