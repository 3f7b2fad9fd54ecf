"""The model of a run, with its initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from rungs.models import build
from rungs.models.networks import initialise
from rungs.numerics.seeds import generator


def build_model(settings: Mapping[str, Any], pixels: int, device: str) -> Any:
    """Build the model of a run and draw its initial weights.

    Args:
        settings: of the run, which has ``model``, ``network`` and ``seed``.
        pixels: of an image.
    """
    model = build(settings["model"], pixels, settings["network"])
    assert isinstance(model, nn.Module)
    initialise(model, generator(settings["seed"], "weights"))
    return model.to(device)
