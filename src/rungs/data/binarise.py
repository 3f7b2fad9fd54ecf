"""Intensities are Bernoulli probabilities: binarised anew every epoch for training, once for
testing (Salakhutdinov and Murray 2008; Burda et al. 2016)."""

from __future__ import annotations

import torch
from torch import Tensor


def model_input(intensities: Tensor, generator: torch.Generator, binary: bool) -> Tensor:
    """What a model is given of uint8 images: binarised anew, or intensities from 0 to 1."""
    return binarise(intensities, generator) if binary else intensities.float() / 255


def binarise(intensities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw each pixel as Bernoulli(intensity / 255), exactly.

    A draw u from {0, ..., 254} is below the intensity i with probability i / 255, and drawing
    bytes is four times as fast as drawing floats.

    Args:
        intensities: uint8, any shape.

    Returns:
        float32 zeros and ones of the same shape.
    """
    draws = torch.randint(
        0,
        255,
        intensities.shape,
        generator=generator,
        dtype=torch.uint8,
        device=intensities.device,
    )
    return (draws < intensities).float()
