"""What the VQ-VAE's figures share: pictures in grey, dark ink on white, or in colour."""

from __future__ import annotations

from typing import Any

import numpy as np

from rungs import store
from rungs.figures.pictures import is_ink
from rungs.shapes import ImageShape


def picture_grid(images: np.ndarray, columns: int, run: dict[str, Any], gap: int = 1) -> np.ndarray:
    """Flattened uint8 images as one picture ``[height, width, 3]``, filled row by row.

    Args:
        images: ``[n, pixels]``.
        run: the resolved settings of the run that made them.
    """
    shape = tuple(run["network"]["shape"])
    layout = ImageShape.of(shape)
    pixels = images.reshape(len(images), *shape)
    if layout.channels == 1:
        pixels = pixels.reshape(len(images), layout.height, layout.width, 1)
        pixels = 255 - pixels if is_ink(run) else pixels
    elif not layout.channels_last:
        pixels = np.moveaxis(pixels, 1, -1)
    rows = -(-len(images) // columns)
    height, width = layout.height + gap, layout.width + gap
    grid = np.full((rows * height - gap, columns * width - gap, 3), 255, dtype=np.uint8)
    for number, image in enumerate(pixels):
        top, left = number // columns * height, number % columns * width
        grid[top : top + layout.height, left : left + layout.width] = image
    return grid


def shown_evaluations(paths: Any, *arrays: str) -> dict[str, list[store.Stored]]:
    """Evaluations by their data set."""
    found: dict[str, list[store.Stored]] = {}
    for path in paths:
        evaluation = store.read(path, only=arrays)
        found.setdefault(evaluation.attributes["run"]["dataset"], []).append(evaluation)
    return found


def label(run: dict[str, Any]) -> str:
    """A run in words: its family, what is not the published recipe, and the size of its latents.

    >>> label({"axis": "codes", "size": 64, "network": {"decoder": "pixelcnn",
    ...     "vq": {"update": "ema", "kmeans": True, "beta": 0.25, "speed": 1.0}}})
    'VQ-VAE, PixelCNN decoder, EMA, k-means, 64 codes'
    """
    network = run["network"]
    quantiser = network.get("vq", {}) if run["axis"] == "codes" else {}
    parts = ["VQ-VAE" if run["axis"] == "codes" else "VAE"]
    if network["decoder"] == "pixelcnn":
        parts.append("PixelCNN decoder")
    if quantiser.get("update") == "ema":
        parts.append("EMA")
    if quantiser.get("kmeans"):
        parts.append("k-means")
    if quantiser.get("beta") == 0:
        parts.append("no commitment loss")
    if quantiser.get("speed", 1) != 1:
        parts.append(f"codebook at {quantiser['speed']:g}")
    parts.append(f"{run['size']} {'codes' if run['axis'] == 'codes' else 'channels'}")
    return ", ".join(parts)
