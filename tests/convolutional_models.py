"""Small convolutional models for tests, with drawn weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rungs.models.networks import initialise
from rungs.models.vq import VQVAE

SETTINGS: dict[str, Any] = {"monte_carlo_samples": 1, "importance_samples": 1}
CONVOLUTIONAL = {"channels": 8, "residual_blocks": 1, "residual_channels": 4, "components": 2}
PIXELCNN = {"channels": 4, "layers": 2, "reach": 2}
VQ = {
    "code_dim": 6,
    "likelihood": "dimension",
    "distance": "sum",
    "beta": 0.25,
    "update": "gradient",
    "decay": 0.99,
    "speed": 1.0,
    "kmeans": False,
    "revive": 0,
}
SHAPES = [(8, 12), (8, 8, 3), (3, 8, 8)]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ready(model: Any) -> Any:
    initialise(model, random())
    return model


def vqvae(
    shape: tuple[int, ...] = (8, 12), decoder: str = "convolutional", codes: int = 10, **vq: Any
) -> VQVAE:
    pixels = math.prod(shape)
    return ready(  # type: ignore[no-any-return]
        VQVAE(pixels, list(shape), codes, CONVOLUTIONAL, VQ | vq, decoder, PIXELCNN)
    )


def images(count: int, pixels: int, seed: int = 0) -> Tensor:
    return (255 * torch.rand(count, pixels, generator=random(seed))).round() / 255
